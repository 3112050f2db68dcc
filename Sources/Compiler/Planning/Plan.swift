import Kernels
import LLVMBackend
import TensorTypes

/// Everything that is decided before code is generated, for one target: which kernels, with which knobs, launched in
/// which order on which memory. Plain data: printing one is a dump, comparing two is a test.
public struct Plan: Hashable, Sendable, Codable {
  /// A distinct kernel, however often it is launched.
  public struct Kernel: Hashable, Sendable, Codable {
    /// The symbol of its code.
    public var name: String
    public var template: String
    public var workload: Workload
    public var knobs: Knobs
    /// Whether measuring chose it; else it is the default.
    public var isTuned: Bool
  }

  public struct Launch: Hashable, Sendable, Codable {
    /// Index into `kernels`.
    public var kernel: Int
    /// One a parameter of the kernel.
    public var buffers: [HostProgram.Location]
    /// Nodes of the model's file that this does the work of.
    public var origins: [String]
  }

  /// A constant as kernels want it.
  public struct Weight: Hashable, Sendable, Codable {
    /// Number of the graph that holds the constant: 0 for the graph that was planned, others for those inside.
    public var graph: Int
    /// Index of the value in that graph.
    public var value: Int
    public var packing: WeightPacking?
    /// In bytes, from the start of the variant's weights.
    public var offset: Int
    public var byteCount: Int
  }

  /// Memory that tensors between kernels share.
  public struct Arena: Hashable, Sendable, Codable {
    public var byteCount: Dim
    /// Bytes alive at once at some steps: whatever the sizes, the arena cannot be smaller than the largest of these.
    public var bound: [Dim]

    public init(byteCount: Dim, bound: [Dim]) { (self.byteCount, self.bound) = (byteCount, bound) }

    /// Both as numbers, sizes that are not in `sizes` counting as 64.
    public func bytes(_ sizes: [String: Int] = [:]) -> (arena: Int, bound: Int) {
      func number(_ dim: Dim) -> Int {
        let known = Dictionary(uniqueKeysWithValues: dim.symbols.map { ($0, sizes[$0] ?? ArenaPlanner.nominal) })
        return dim.evaluate(known) ?? .max
      }
      return (number(byteCount), bound.map(number).max() ?? 0)
    }
  }

  public var target: String
  public var kernels: [Kernel]
  public var steps: [RunStep<Launch>]
  /// What must hold of the inputs' sizes.
  public var constraints: [HostProgram.Constraint]
  /// Sizes that get their values during the run, in the order in which they do.
  public var runSymbols: [String]
  /// Pointers to memory that the run gets on its way.
  public var registers: Int
  public var weights: [Weight]
  public var weightsBytes: Int
  /// The workspace first, then memory that the run gets when it knows how much it needs.
  public var arenas: [Arena]

  /// Bytes of workspace for tensors between kernels.
  public var arenaBytes: Dim { arenas[0].byteCount }

  /// All launches, in order.
  public var launches: [Launch] { steps.launches() }
}

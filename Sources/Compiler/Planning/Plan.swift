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
  }

  public struct Step: Hashable, Sendable, Codable {
    /// Index into `kernels`.
    public var kernel: Int
    /// One a parameter of the kernel.
    public var buffers: [HostProgram.Location]
    /// Nodes of the model's file that this does the work of.
    public var origins: [String]
  }

  /// A constant as kernels want it.
  public struct Weight: Hashable, Sendable, Codable {
    /// Index of the value in the graph that was planned.
    public var value: Int
    public var packing: WeightPacking?
    /// In bytes, from the start of the variant's weights.
    public var offset: Int
    public var byteCount: Int
  }

  public var target: String
  public var kernels: [Kernel]
  public var steps: [Step]
  public var weights: [Weight]
  public var weightsBytes: Int
  /// Bytes of workspace for tensors between kernels.
  public var arenaBytes: Dim
}

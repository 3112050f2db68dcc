import TensorTypes

/// What a library's run entry does: launch kernels one after the other on pieces of memory known by offset, give
/// values to sizes that only running tells, and branch and repeat where the model does.
///
/// Offsets and sizes are expressions over symbols, evaluated by compiled code at each run.
public struct HostProgram: Hashable, Sendable {
  public struct Tensor: Hashable, Sendable {
    public var name: String
    public var type: TensorType
    public init(name: String, type: TensorType) {
      self.name = name
      self.type = type
    }
  }

  /// The memory that an offset counts from.
  public enum Base: Hashable, Sendable, Codable {
    case input(Int)
    case output(Int)
    case weights
    case workspace
    /// What a register points to: memory that a step of the run got.
    case register(Int)
  }

  public struct Location: Hashable, Sendable, Codable {
    public var base: Base
    /// In bytes.
    public var offset: Dim
    public init(_ base: Base, offset: Dim = 0) {
      self.base = base
      self.offset = offset
    }
  }

  public struct Launch: Hashable, Sendable, Codable {
    /// The kernel's symbol: its tile program's name.
    public var kernel: String
    /// One a parameter of the kernel.
    public var buffers: [Location]
    /// What each worker needs, where that is known only while the model runs; else it is part of the workspace.
    public var localBytes: Dim?
    public init(kernel: String, buffers: [Location], localBytes: Dim? = nil) {
      self.kernel = kernel
      self.buffers = buffers
      self.localBytes = localBytes
    }
  }

  /// What must hold of the inputs' symbols for the library to be used.
  public struct Constraint: Hashable, Sendable, Codable {
    public var relation: SizeRelation
    public var message: String
    public init(_ relation: SizeRelation, message: String) {
      self.relation = relation
      self.message = message
    }
  }

  public var inputs: [Tensor]
  public var outputs: [Tensor]
  /// Those of the inputs' dimensions that are plain names, in the order in which the host passes them.
  public var symbols: [String]
  /// Names of sizes that get their values during the run. In the table that kernels read they follow `symbols`.
  public var runSymbols: [String]
  public var constraints: [Constraint]
  public var steps: [RunStep<Launch>]
  /// How many pointers to memory the run keeps.
  public var registers: Int
  /// Bytes of workspace for tensors.
  public var arenaBytes: Dim
  /// Bytes that each worker needs besides.
  public var localBytes: Dim

  public init(
    inputs: [Tensor], outputs: [Tensor], symbols: [String], runSymbols: [String] = [], constraints: [Constraint],
    steps: [RunStep<Launch>], registers: Int = 0, arenaBytes: Dim, localBytes: Dim
  ) {
    self.inputs = inputs
    self.outputs = outputs
    self.symbols = symbols
    self.runSymbols = runSymbols
    self.constraints = constraints
    self.steps = steps
    self.registers = registers
    self.arenaBytes = arenaBytes
    self.localBytes = localBytes
  }

  /// What violated constraints and checks say, without repetition. Codes count from 1.
  public var messages: [String] {
    var seen: Set<String> = []
    return (constraints.map(\.message) + steps.messages()).filter { seen.insert($0).inserted }
  }

  /// Whether a size is known before the run: its symbols are inputs' symbols.
  func isKnownBefore(_ dim: Dim) -> Bool { dim.symbols.isSubset(of: symbols) }

  /// Whether the memory of output `number` is asked for during the run.
  func isComputed(output number: Int) -> Bool { !outputs[number].type.shape.allSatisfy { isKnownBefore($0) } }
}

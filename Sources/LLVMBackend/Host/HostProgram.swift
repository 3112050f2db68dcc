import TensorTypes

/// What a library's run entry does: launch kernels one after the other on pieces of memory known by offset.
///
/// Offsets and sizes are expressions over the model's symbols, evaluated by compiled code at each run.
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

  public struct Launch: Hashable, Sendable {
    /// The kernel's symbol: its tile program's name.
    public var kernel: String
    /// One a parameter of the kernel.
    public var buffers: [Location]
    public init(kernel: String, buffers: [Location]) {
      self.kernel = kernel
      self.buffers = buffers
    }
  }

  /// What must hold of the symbols for the library to be used.
  public struct Constraint: Hashable, Sendable {
    public var left: Dim
    public var right: Dim
    public var message: String
    public init(_ left: Dim, equals right: Dim, message: String) {
      self.left = left
      self.right = right
      self.message = message
    }
  }

  public var inputs: [Tensor]
  public var outputs: [Tensor]
  /// Those of the inputs' dimensions that are plain names, in the order in which the host passes them.
  public var symbols: [String]
  public var constraints: [Constraint]
  public var launches: [Launch]
  /// Bytes of workspace for tensors.
  public var arenaBytes: Dim
  /// Bytes that each worker needs besides.
  public var localBytes: Dim

  public init(
    inputs: [Tensor], outputs: [Tensor], symbols: [String], constraints: [Constraint], launches: [Launch],
    arenaBytes: Dim, localBytes: Dim
  ) {
    self.inputs = inputs
    self.outputs = outputs
    self.symbols = symbols
    self.constraints = constraints
    self.launches = launches
    self.arenaBytes = arenaBytes
    self.localBytes = localBytes
  }
}

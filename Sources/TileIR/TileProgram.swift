import TensorTypes

/// What one kernel does, as a kernel engineer writes it: loops over values that are tiles.
///
/// A tile is a small array of fixed shape that lives in registers; a buffer is memory of any size. Values are in SSA
/// form and scoped by blocks. Sizes known only at run time appear as `Dim` expressions over the model's symbols, so
/// one program serves all sizes. Two lowerings read it (CPU vectors, SIMT) and one interpreter.
///
/// **Levels.** At the top of the body stand scalar operations and loops; each top-level loop mapped `parallel` or
/// `grid` (with those nested perfectly in it) is a *phase*, launched over workers or blocks, and ends before the
/// next one starts. A sequential loop at the top may hold phases and scalars, and then repeats them, as a recurrence
/// needs (on a GPU: a loop of launches). `group` and `lane` loops stand within a grid and split its work over warps and
/// lanes; `shared` buffers are common to the lanes of one grid iteration, ordered by `barrier`.
public struct TileProgram: Hashable, Sendable {
  /// After the grammar `family_types_sizes`, a C identifier: `matmul_f32_14x32_k384`.
  public var name: String
  /// The buffers passed in; the first `parameters.count` values.
  public var parameters: [Parameter]
  /// The type of each value.
  public var types: [TileType]
  public var body: Block

  public struct Parameter: Hashable, Sendable {
    public enum Role: String, Hashable, Sendable, Codable, CaseIterable {
      case input
      case output
      /// Contents are undefined before and after; kept from one phase to the next.
      case scratch
    }
    public var name: String
    public var role: Role

    public init(_ name: String, _ role: Role) {
      self.name = name
      self.role = role
    }
  }

  public init(name: String, parameters: [Parameter], types: [TileType], body: Block) {
    self.name = name
    self.parameters = parameters
    self.types = types
    self.body = body
  }

  public subscript(_ value: TileValue) -> TileType { types[value.index] }
}

/// Names a value of one program.
public struct TileValue: Hashable, Sendable, Comparable {
  public let index: Int
  public init(_ index: Int) { self.index = index }
  public static func < (a: TileValue, b: TileValue) -> Bool { a.index < b.index }
}

public enum TileType: Hashable, Sendable {
  /// Elements in registers. An empty shape is a scalar; loop indices and sizes are `i64` scalars.
  case tile(ElementType, [Int])
  case buffer(BufferType)
}

/// Memory addressed by one index a dimension: element `i` lies at `Σ iₖ · strideₖ` elements from the start.
public struct BufferType: Hashable, Sendable {
  public var element: ElementType
  public var shape: Shape
  /// In elements.
  public var strides: [Dim]
  public var space: MemorySpace

  /// - Parameter strides: row-major without gaps if nil.
  public init(_ element: ElementType, _ shape: Shape, strides: [Dim]? = nil, space: MemorySpace = .global) {
    self.element = element
    self.shape = shape
    self.space = space
    if let strides {
      precondition(strides.count == shape.count, "a stride for each dimension")
      self.strides = strides
    } else {
      var running = Dim(1)
      var reversed: [Dim] = []
      for size in shape.reversed() {
        reversed.append(running)
        running = running * size
      }
      self.strides = reversed.reversed()
    }
  }
}

public enum MemorySpace: String, Hashable, Sendable, Codable, CaseIterable {
  /// Visible to all; on a GPU, device memory.
  case global
  /// Private to one iteration of the phase (one worker's piece on a CPU); undefined at its start.
  case local
  /// Common to the lanes of one grid iteration; undefined at its start.
  case shared
}

/// Operations in order; values defined in it are visible below and in blocks within.
public struct Block: Hashable, Sendable {
  public var operations: [Operation]
  public init(_ operations: [Operation] = []) { self.operations = operations }
}

public struct Operation: Hashable, Sendable {
  public var kind: Kind
  public var results: [TileValue]

  public init(_ kind: Kind, results: [TileValue]) {
    self.kind = kind
    self.results = results
  }

  public indirect enum Kind: Hashable, Sendable {
    /// The value of a size expression, an i64 scalar.
    case size(Dim)
    /// Every element of the result is this.
    case constant(Scalar)
    /// i64 tile: each element's position along the dimension, 0, 1, 2 …
    case iota(dimension: Int)

    case unary(UnaryFunction, TileValue)
    case binary(BinaryFunction, TileValue, TileValue)
    /// `condition ? a : b` per element.
    case select(TileValue, TileValue, TileValue)
    /// `a · b + c`, rounded once; twice on machines without the instruction (x86-64-v2).
    case fma(TileValue, TileValue, TileValue)
    /// As `Expression.Instruction.cast`.
    case cast(TileValue)
    /// The same bits as another type. Where that is of another width, the innermost dimension is as much shorter or longer;
    /// the first element has the lowest bits.
    case bitcast(TileValue)

    /// Aligned at the innermost dimension, dimensions of 1 (or missing) repeat to the result's shape.
    case broadcast(TileValue)
    /// Elements in row-major order under the result's shape.
    case reshape(TileValue)
    case transpose(TileValue, permutation: [Int])
    /// Along the innermost dimension: element i is the operand's element i + `by`, modulo the dimension's size.
    case rotate(TileValue, by: Int)
    /// The dimension becomes 1. The order: pairwise halving (element i with i + n/2, n the next power of two).
    case reduce(ReductionFunction, TileValue, dimension: Int)
    /// acc[m, n] + Σₖ a[m, k] · b[k, n], each step one fma in order of k. Elements f32 (a, b may be narrower: each
    /// is widened exactly first) or f64, or i32 with a, b in i8/u8.
    case dot(accumulator: TileValue, TileValue, TileValue)
    /// The same for words of 32 bits that hold several numbers each: acc[m, n] + Σₖ Σⱼ a[m, k]ⱼ · b[k, n]ⱼ, a and b in i32,
    /// the accumulator in i32, which wraps around, or f32 for floats.
    case dotOfWords(WordParts, accumulator: TileValue, TileValue, TileValue)

    case load(Access, fill: Scalar)
    case store(TileValue, Access)
    /// Brings the line of memory that holds an element nearer, and has no other effect. Indices count from the buffer's
    /// start and may pass the ends of dimensions and of the buffer: nothing is read.
    case prefetch(Access)
    /// A buffer in `local` or `shared` memory.
    case allocate

    case loop(Loop)
    /// Runs one of two blocks; condition a bool scalar.
    case conditional(TileValue, then: Block, otherwise: Block)
    /// Orders accesses to shared memory by the lanes of a grid iteration.
    case barrier
  }
}

/// Which elements of a buffer a tile is loaded from or stored to.
public struct Access: Hashable, Sendable {
  public var buffer: TileValue
  /// One per dimension of the buffer.
  public var indices: [AxisIndex]
  /// One per dimension of the tile: positions at or after this i64 scalar are not touched: a load gives `fill`
  /// there, a store leaves memory alone. nil: all are touched and must be in bounds.
  public var limits: [TileValue?]

  public init(buffer: TileValue, indices: [AxisIndex], limits: [TileValue?]) {
    self.buffer = buffer
    self.indices = indices
    self.limits = limits
  }
}

/// How one dimension of a buffer is indexed. A dimension of the tile that no index names repeats (loads only);
/// several dimensions of a buffer may be gathered along one dimension of the tile.
public enum AxisIndex: Hashable, Sendable {
  /// The same i64 scalar for the whole tile.
  case at(TileValue)
  /// `start + step · position` along the tile's dimension.
  case span(start: TileValue, dimension: Int, step: Int = 1)
  /// `indices[position]`, an i64 tile of rank 1, along the tile's dimension.
  case gather(TileValue, dimension: Int)
}

/// `for induction in stride(from: lower, to: upper, by: step)`
public struct Loop: Hashable, Sendable {
  public var mapping: Mapping
  public var induction: TileValue
  public var lower: TileValue
  public var upper: TileValue
  public var step: Int
  /// Values before the first iteration; the loop's results are those after the last.
  public var initial: [TileValue]
  /// The carried values within the body. Empty unless sequential.
  public var arguments: [TileValue]
  public var body: Block
  /// The carried values for the next iteration, defined in the body or above.
  public var yields: [TileValue]

  public init(
    mapping: Mapping, induction: TileValue, lower: TileValue, upper: TileValue, step: Int, initial: [TileValue] = [],
    arguments: [TileValue] = [], body: Block, yields: [TileValue] = []
  ) {
    self.mapping = mapping
    self.induction = induction
    self.lower = lower
    self.upper = upper
    self.step = step
    self.initial = initial
    self.arguments = arguments
    self.body = body
    self.yields = yields
  }
}

extension Operation {
  /// Whether it is a loop that workers or blocks share: outermost, a phase.
  public var isPhaseLoop: Bool {
    guard case .loop(let loop) = kind else { return false }
    return switch loop.mapping {
    case .parallel, .grid: true
    case .sequential, .unrolled, .pipelined, .group, .lane: false
    }
  }

  /// The sequential loop that it is, if it holds phases: one that repeats them.
  public var repetition: Loop? {
    guard case .loop(let loop) = kind, loop.mapping == .sequential, loop.holdsPhases else { return nil }
    return loop
  }
}

extension Loop {
  /// Whether phase loops stand directly in it.
  public var holdsPhases: Bool { body.operations.contains(where: \.isPhaseLoop) }
}

/// Who runs the iterations of a loop.
public enum Mapping: Hashable, Sendable {
  /// One after the other.
  case sequential
  /// One after the other, the body repeated `by` times an iteration of machine code.
  case unrolled(by: Int)
  /// One after the other, loads of `stages - 1` iterations ahead in flight (GPU: asynchronous copies).
  case pipelined(stages: Int)
  /// Workers of a CPU, in any order; a piece is at least `grain` iterations.
  case parallel(grain: Int)
  /// Blocks of a GPU's launch, in any order; axis 0, 1, 2.
  case grid(axis: Int)
  /// Warps of a block.
  case group
  /// Lanes of a group (or of the block where there is no group loop), in lock step between barriers.
  case lane

  /// Whether iterations may run at the same time.
  public var isConcurrent: Bool {
    switch self {
    case .sequential, .unrolled, .pipelined: false
    case .parallel, .grid, .group, .lane: true
    }
  }
}

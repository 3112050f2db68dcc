import TensorTypes

/// A program as a list of instructions over frames of fixed layout, its sizes known.
struct InterpreterCode {
  var instructions: [Instruction] = []
  var frameBytes = 0
  /// By buffer number, the parameters first.
  var buffers: [BufferPlan] = []

  struct BufferPlan {
    var name: String
    var element: ElementType
    var shape: [Int]
    var strides: [Int]
    /// Elements from the first to the last.
    var count: Int
  }

  enum Instruction {
    case compute((UnsafeMutableRawPointer) -> Void)
    case memory((InterpreterThread) throws -> Void)
    case jump(Int)
    case branchUnless(condition: Int, target: Int)
    /// Goes to `exit` if the induction variable has reached `upper`.
    case test(induction: Int, upper: Int, exit: Int)
    case advance(induction: Int, step: Int64, target: Int)
    case beginPhase(isGrid: Bool)
    case beginIteration
    case endPhase
    case fork(InterpreterFork)
    case barrier
    case end
  }
}

/// A group or lane loop: one thread an iteration.
struct InterpreterFork {
  var isGroup: Bool
  var induction: Int
  var lower: Int
  var upper: Int
  var step: Int64
  /// How many bytes of the frame hold values defined above.
  var liveBytes: Int
  var body: Int
  var after: Int
  var operation: String
}

/// How elements are held in a frame: wider than in memory, so that there are only three ways.
enum Register {
  /// f32, and f16 and bf16, which are computed in f32.
  case float
  case double
  /// Integers and bool; u64 as bits.
  case integer

  init(_ element: ElementType) {
    switch element {
    case .float64: self = .double
    case .float32, .float16, .bfloat16: self = .float
    case .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16, .uint8, .bool: self = .integer
    }
  }

  var byteCount: Int {
    switch self {
    case .float: 4
    case .double, .integer: 8
    }
  }
}

/// Where a tile value lies in the frame.
struct Slot {
  var offset: Int
  var element: ElementType
  var shape: [Int]

  var count: Int { shape.reduce(1, *) }
  var register: Register { Register(element) }
  var byteCount: Int { count * register.byteCount }
}

/// An elementwise computation: `y[i] = f(x₀[i], x₁[i], …)` as a straight-line program over scalars.
///
/// Graphs hold it as the meaning of an elementwise op, fusion composes two of it, kernels emit it on tiles as
/// prologue or epilogue, and constant folding evaluates it. Instructions are in SSA form and hash-consed: building
/// the same instruction twice gives the same operand, so equal computations compare equal more often than not.
public struct Expression: Hashable, Sendable, Codable {
  /// An index into `instructions`.
  public typealias Operand = Int

  public enum Instruction: Hashable, Sendable, Codable {
    /// The element of input number `index`.
    case input(Int)
    case constant(Scalar, ElementType)
    case unary(UnaryFunction, Operand)
    case binary(BinaryFunction, Operand, Operand)
    /// `condition ? a : b`, condition of type bool.
    case select(Operand, Operand, Operand)
    /// To floats: rounds to nearest; to bf16, subnormal numbers may become zeros. To integers: toward zero, out of range saturates, NaN
    /// gives 0. To bool: `x != 0`.
    case cast(Operand, ElementType)

    public var operands: [Operand] {
      switch self {
      case .input, .constant: []
      case .unary(_, let x), .cast(let x, _): [x]
      case .binary(_, let x, let y): [x, y]
      case .select(let c, let x, let y): [c, x, y]
      }
    }

    func mapOperands(_ f: (Operand) -> Operand) -> Instruction {
      switch self {
      case .input, .constant: self
      case .unary(let function, let x): .unary(function, f(x))
      case .binary(let function, let x, let y): .binary(function, f(x), f(y))
      case .select(let c, let x, let y): .select(f(c), f(x), f(y))
      case .cast(let x, let type): .cast(f(x), type)
      }
    }
  }

  public private(set) var inputTypes: [ElementType]
  public private(set) var instructions: [Instruction] = []
  /// Element type of each instruction's value.
  public private(set) var types: [ElementType] = []
  /// The instruction whose value is the result.
  public var result: Operand = 0

  public init(inputs: [ElementType]) { inputTypes = inputs }

  /// - Parameter build: adds instructions and returns the result's operand.
  public init(inputs: [ElementType], _ build: (inout Expression) -> Operand) {
    self.init(inputs: inputs)
    result = build(&self)
  }

  public var resultType: ElementType { types[result] }

  /// `f(x₀)` on one input.
  public static func unary(_ function: UnaryFunction, _ type: ElementType) -> Expression {
    Expression(inputs: [type]) { e in e.unary(function, e.input(0)) }
  }

  /// `f(x₀, x₁)` on two inputs of one type.
  public static func binary(_ function: BinaryFunction, _ type: ElementType) -> Expression {
    Expression(inputs: [type, type]) { e in e.binary(function, e.input(0), e.input(1)) }
  }

  // MARK: Building

  /// One input more; returns its index.
  public mutating func addInput(_ type: ElementType) -> Int {
    inputTypes.append(type)
    return inputTypes.count - 1
  }

  public mutating func input(_ index: Int) -> Operand { add(.input(index)) }
  public mutating func constant(_ value: Double, _ type: ElementType) -> Operand {
    add(.constant(type.isFloat ? .float(value) : .integer(type.saturated(value)), type))
  }
  public mutating func unary(_ function: UnaryFunction, _ x: Operand) -> Operand { add(.unary(function, x)) }
  public mutating func binary(_ function: BinaryFunction, _ x: Operand, _ y: Operand) -> Operand {
    add(.binary(function, x, y))
  }
  public mutating func select(_ condition: Operand, _ x: Operand, _ y: Operand) -> Operand {
    add(.select(condition, x, y))
  }
  public mutating func cast(_ x: Operand, _ type: ElementType) -> Operand {
    types[x] == type ? x : add(.cast(x, type))
  }

  /// Appends `instruction`, or finds it where it already is.
  /// - Precondition: operands precede it and have types that go together.
  public mutating func add(_ instruction: Instruction) -> Operand {
    if let known = instructions.firstIndex(of: instruction) { return known }
    let type: ElementType
    switch instruction {
    case .input(let i): type = inputTypes[i]
    case .constant(_, let t), .cast(_, let t): type = t
    case .unary(let function, let x): type = function.resultType(types[x])
    case .binary(let function, let x, let y):
      precondition(types[x] == types[y], "operands of one type, not \(types[x]) and \(types[y])")
      type = function.resultType(types[x])
    case .select(let c, let x, let y):
      precondition(types[c] == .bool && types[x] == types[y], "a bool and two operands of one type")
      type = types[x]
    }
    instructions.append(instruction)
    types.append(type)
    return instructions.count - 1
  }

  /// Adds the instructions of `other`, its inputs standing for `arguments`; returns its result's operand.
  public mutating func inline(_ other: Expression, _ arguments: [Operand]) -> Operand {
    var renamed: [Operand] = []
    for instruction in other.instructions {
      if case .input(let i) = instruction {
        renamed.append(arguments[i])
      } else {
        renamed.append(add(instruction.mapOperands { renamed[$0] }))
      }
    }
    return renamed[other.result]
  }

  /// Without instructions that the result does not need.
  public func pruned() -> Expression {
    var needed = Set([result])
    for i in instructions.indices.reversed() where needed.contains(i) { needed.formUnion(instructions[i].operands) }
    var copy = Expression(inputs: inputTypes)
    var renamed: [Operand: Operand] = [:]
    for i in instructions.indices where needed.contains(i) {
      renamed[i] = copy.add(instructions[i].mapOperands { renamed[$0]! })
    }
    copy.result = renamed[result]!
    return copy
  }

  /// Instructions that compute something: what one element costs.
  public var operationCount: Int {
    instructions.count {
      switch $0 {
      case .input, .constant: false
      case .unary, .binary, .select, .cast: true
      }
    }
  }
}

extension Expression: CustomStringConvertible {
  /// `(x0: f32, x1: f32) { t2 = add x0 x1; t3 = tanh t2; t3 }`. Instruction `i` is called `ti`, inputs `xi`.
  /// Inputs that are not the first instructions in order are listed as `t3 = input 1`.
  public var description: String {
    let header = inputTypes.enumerated().map { "x\($0): \($1.rawValue)" }.joined(separator: ", ")
    func name(_ operand: Operand) -> String {
      if case .input(let i) = instructions[operand] { return "x\(i)" }
      return "t\(operand)"
    }
    let canonical = hasCanonicalInputs
    var parts: [String] = []
    for (i, instruction) in instructions.enumerated() {
      switch instruction {
      case .input(let index): if !canonical { parts.append("t\(i) = input \(index)") }
      case .constant(let value, let type): parts.append("t\(i) = constant \(value): \(type.rawValue)")
      case .unary(let function, let x): parts.append("t\(i) = \(function.rawValue) \(name(x))")
      case .binary(let function, let x, let y): parts.append("t\(i) = \(function.rawValue) \(name(x)) \(name(y))")
      case .select(let c, let x, let y): parts.append("t\(i) = select \(name(c)) \(name(x)) \(name(y))")
      case .cast(let x, let type): parts.append("t\(i) = cast \(name(x)): \(type.rawValue)")
      }
    }
    return "(\(header)) { \((parts + [name(result)]).joined(separator: "; ")) }"
  }
}

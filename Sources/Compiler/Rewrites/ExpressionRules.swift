import TensorTypes

/// An equation between scalar computations: what `instruction` may be replaced by.
struct ExpressionRule: Sendable {
  let name: String
  let apply: @Sendable (inout Expression, Expression.Instruction) -> Expression.Operand?

  init(
    _ name: String, _ apply: @escaping @Sendable (inout Expression, Expression.Instruction) -> Expression.Operand?
  ) {
    (self.name, self.apply) = (name, apply)
  }
}

/// The scalar equations. Floating ones hold for every number, NaN and infinities included, but for the sign of a
/// zero and for the last bit where it says "rounds"; so there is no `x * 0 = 0` and no `x - x = 0` for floats.
let expressionRules: [ExpressionRule] = [
  ExpressionRule("f(constants) = constant") { e, instruction in
    let operands = instruction.operands
    guard !operands.isEmpty else { return nil }
    var whole = Expression(inputs: [])
    let arguments = operands.compactMap { operand -> Expression.Operand? in
      if case .constant = e.instructions[operand] { return whole.add(e.instructions[operand]) }
      return nil
    }
    guard arguments.count == operands.count else { return nil }
    whole.result = whole.add(instruction.replacing(arguments))
    return e.add(.constant(whole.evaluate { _ in .integer(0) }, whole.resultType))
  },
  ExpressionRule("x + 0 = x") { e, i in e.neutral(i, .add, 0, eitherSide: true) },
  ExpressionRule("x - 0 = x") { e, i in e.neutral(i, .subtract, 0) },
  ExpressionRule("x * 1 = x") { e, i in e.neutral(i, .multiply, 1, eitherSide: true) },
  ExpressionRule("x / 1 = x") { e, i in e.neutral(i, .divide, 1) },
  ExpressionRule("pow(x, 1) = x") { e, i in e.neutral(i, .power, 1) },
  ExpressionRule("i * 0 = 0 for integers") { e, i in
    guard case .binary(.multiply, let x, let y) = i, !e.types[x].isFloat else { return nil }
    return e.number(x) == 0 ? x : e.number(y) == 0 ? y : nil
  },
  ExpressionRule("pow(x, 2) = x * x") { e, i in
    guard case .binary(.power, let x, let n) = i, e.number(n) == 2 else { return nil }
    return e.binary(.multiply, x, x)
  },
  ExpressionRule("pow(x, 3) = x * x * x, rounds") { e, i in
    guard case .binary(.power, let x, let n) = i, e.number(n) == 3 else { return nil }
    let square = e.binary(.multiply, x, x)
    return e.binary(.multiply, square, x)
  },
  ExpressionRule("pow(x, -1) = reciprocal(x)") { e, i in
    guard case .binary(.power, let x, let n) = i, e.number(n) == -1, e.types[x].isFloat else { return nil }
    return e.unary(.reciprocal, x)
  },
  ExpressionRule("x / c = x * (1/c) where 1/c is exact") { e, i in
    guard case .binary(.divide, let x, let y) = i, e.types[x].isFloat, let c = e.number(y), c.isNormal,
      c.significand == 1, abs(c.exponent) < 14
    else { return nil }
    let inverse = e.constant(1 / c, e.types[x])
    return e.binary(.multiply, x, inverse)
  },
  ExpressionRule("1 / x = reciprocal(x)") { e, i in
    guard case .binary(.divide, let x, let y) = i, e.types[x].isFloat, e.number(x) == 1 else { return nil }
    return e.unary(.reciprocal, y)
  },
  ExpressionRule("(x * c) * d = x * (c * d), rounds") { e, i in
    guard case .binary(.multiply, let a, let b) = i, let (product, d) = e.numberOnEitherSide(a, b),
      case .binary(.multiply, let x, let y) = e.instructions[product], let (inner, c) = e.numberOnEitherSide(x, y),
      e.types[a] == .float32 || e.types[a] == .float64, Float(c * d).isNormal
    else { return nil }
    let scale = e.constant(c * d, e.types[a])
    return e.binary(.multiply, inner, scale)
  },
  ExpressionRule("-(-x) = x; not not x = x") { e, i in
    switch i {
    case .unary(let f, let x) where f == .negate || f == .not:
      if case .unary(f, let inner) = e.instructions[x] { return inner }
      return nil
    case .unary, .binary, .select, .cast, .input, .constant: return nil
    }
  },
  ExpressionRule("x * -1 = -x") { e, i in
    guard case .binary(.multiply, let a, let b) = i, let (x, c) = e.numberOnEitherSide(a, b), c == -1 else {
      return nil
    }
    return e.unary(.negate, x)
  },
  ExpressionRule("sigmoid(x) = reciprocal(1 + exp(-x))") { e, i in
    guard case .unary(.reciprocal, let sum) = i, case .binary(.add, let a, let b) = e.instructions[sum],
      let (power, one) = e.numberOnEitherSide(a, b), one == 1, case .unary(.exp, let minus) = e.instructions[power],
      case .unary(.negate, let x) = e.instructions[minus]
    else { return nil }
    return e.unary(.sigmoid, x)
  },
  // From 20 on both are 1; further up exp would be infinite.
  ExpressionRule("tanh(softplus(x)) = n / (n + 2), n = u · (u + 2), u = exp(min(x, 20)), rounds") { e, i in
    guard case .unary(.tanh, let argument) = i, let x = e.argumentOfSoftplus(argument),
      e.types[x] == .float32 || e.types[x] == .float64
    else { return nil }
    let (most, two) = (e.constant(20, e.types[x]), e.constant(2, e.types[x]))
    let u = e.unary(.exp, e.binary(.minimum, x, most))
    let n = e.binary(.multiply, u, e.binary(.add, u, two))
    return e.binary(.divide, n, e.binary(.add, n, two))
  },
  ExpressionRule("c ? x : x = x; true ? x : y = x") { e, i in
    guard case .select(let c, let x, let y) = i else { return nil }
    if x == y { return x }
    return e.number(c).map { $0 != 0 ? x : y }
  },
  ExpressionRule("not c ? x : y = c ? y : x") { e, i in
    guard case .select(let c, let x, let y) = i, case .unary(.not, let inner) = e.instructions[c] else { return nil }
    return e.select(inner, y, x)
  },
  ExpressionRule("min(x, x) = max(x, x) = x and x = x or x = x") { _, i in
    guard case .binary(let f, let x, let y) = i, x == y, [.minimum, .maximum, .and, .or].contains(f) else { return nil }
    return x
  },
  ExpressionRule("cast to the type it has; there and back through a type that holds all of it") { e, i in
    guard case .cast(let x, let type) = i else { return nil }
    if e.types[x] == type { return x }
    if case .cast(let inner, let wide) = e.instructions[x], e.types[inner] == type, wide.holdsAll(of: type) {
      return inner
    }
    return nil
  },
  // Last, for the rules above to find constants on either side: one spelling for what commutes.
  ExpressionRule("c + x = x + c; c * x = x * c") { e, i in
    guard case .binary(let f, let x, let y) = i, f.isCommutative, e.number(x) != nil, e.number(y) == nil else {
      return nil
    }
    return e.binary(f, y, x)
  },
]

extension Expression {
  /// The same function by `expressionRules`, without what its result does not need.
  func simplified() -> Expression {
    var result = Expression(inputs: inputTypes)
    var renamed: [Operand] = []
    for instruction in instructions {
      var operand = result.add(instruction.replacing(instruction.operands.map { renamed[$0] }))
      // Each replacement is looked at again, until no rule applies. The bound is far above any real chain.
      search: for _ in 0..<32 {
        let current = result.instructions[operand]
        for rule in expressionRules {
          if let better = rule.apply(&result, current), better != operand {
            operand = better
            continue search
          }
        }
        break
      }
      renamed.append(operand)
    }
    result.result = renamed[self.result]
    return result.pruned()
  }

  /// The number that `operand` is, if it is a constant.
  func number(_ operand: Operand) -> Double? {
    if case .constant(let scalar, _) = instructions[operand] { return scalar.double }
    return nil
  }

  /// x, if `operand` is max(x, 0) + log1p(exp(-|x|)).
  fileprivate func argumentOfSoftplus(_ operand: Operand) -> Operand? {
    guard case .binary(.add, let line, let tail) = instructions[operand],
      case .binary(.maximum, let a, let b) = instructions[line], let (x, zero) = numberOnEitherSide(a, b), zero == 0,
      case .unary(.log1p, let power) = instructions[tail], case .unary(.exp, let minus) = instructions[power],
      case .unary(.negate, let size) = instructions[minus], case .unary(.abs, x) = instructions[size]
    else { return nil }
    return x
  }

  fileprivate func numberOnEitherSide(_ x: Operand, _ y: Operand) -> (Operand, Double)? {
    if let c = number(y) { return (x, c) }
    if let c = number(x) { return (y, c) }
    return nil
  }

  /// The other operand, if `instruction` is `function` of it and its neutral element.
  fileprivate func neutral(
    _ instruction: Instruction, _ function: BinaryFunction, _ neutral: Double, eitherSide: Bool = false
  ) -> Operand? {
    guard case .binary(function, let x, let y) = instruction, types[x] != .bool else { return nil }
    if number(y) == neutral { return x }
    return eitherSide && number(x) == neutral ? y : nil
  }
}

extension Expression.Instruction {
  /// The same operation on other operands, listed in the order of `operands`.
  func replacing(_ new: [Expression.Operand]) -> Expression.Instruction {
    switch self {
    case .input, .constant: self
    case .unary(let function, _): .unary(function, new[0])
    case .binary(let function, _, _): .binary(function, new[0], new[1])
    case .select: .select(new[0], new[1], new[2])
    case .cast(_, let type): .cast(new[0], type)
    }
  }
}

extension ElementType {
  /// Whether every value of `other` is one of this type too.
  fileprivate func holdsAll(of other: ElementType) -> Bool {
    switch (self, other) {
    case (.float64, .float32), (.float64, .float16), (.float64, .bfloat16): true
    case (.float32, .float16), (.float32, .bfloat16): true
    case (_, .bool): true
    default: isSignedInteger && other.isSignedInteger && byteCount >= other.byteCount
    }
  }
}

import GraphIR
import TensorTypes

/// An operand of a single elementwise operation: a value, or a number that is the same for all elements.
enum Term: Hashable {
  case value(ValueID)
  case constant(Double)

  var value: ValueID? {
    if case .value(let value) = self { return value }
    return nil
  }
  var constant: Double? {
    if case .constant(let number) = self { return number }
    return nil
  }
}

/// An elementwise op that is a single operation on its operands, which is what exporters write. Patterns are matched
/// on these: recognition runs before fusion composes them.
enum Form {
  case unary(UnaryFunction, ValueID)
  case binary(BinaryFunction, Term, Term)
  case select(Term, Term, Term)

  init?(_ op: any Op, _ operands: [ValueID]) {
    guard let expression = (op as? Elementwise)?.expression else { return nil }
    func term(_ operand: Expression.Operand) -> Term? {
      switch expression.instructions[operand] {
      case .input(let i): .value(operands[i])
      case .constant(let scalar, _): .constant(scalar.double)
      case .unary, .binary, .select, .cast: nil
      }
    }
    switch expression.instructions[expression.result] {
    case .unary(let function, let x):
      guard let value = term(x)?.value else { return nil }
      self = .unary(function, value)
    case .binary(let function, let x, let y):
      guard let a = term(x), let b = term(y) else { return nil }
      self = .binary(function, a, b)
    case .select(let c, let x, let y):
      guard let condition = term(c), let a = term(x), let b = term(y) else { return nil }
      self = .select(condition, a, b)
    case .input, .constant, .cast: return nil
    }
  }

  /// The operand, if this is `function` of it.
  func operand(of function: UnaryFunction) -> ValueID? {
    if case .unary(function, let x) = self { return x }
    return nil
  }

  /// The operands, if this is `function` of them: in both orders if it commutes.
  func operands(of function: BinaryFunction) -> [(Term, Term)] {
    guard case .binary(function, let x, let y) = self else { return [] }
    return function.isCommutative ? [(x, y), (y, x)] : [(x, y)]
  }

  /// The value and the number, if this is `function` of the two, the number on the right unless `function` commutes.
  func valueAndConstant(of function: BinaryFunction) -> (ValueID, Double)? {
    for (x, y) in operands(of: function) {
      if let value = x.value, let number = y.constant { return (value, number) }
    }
    return nil
  }
}

extension GraphRewriter {
  /// The single operation that computes `value`.
  func form(_ value: ValueID) -> Form? {
    guard let (op, operands) = producer(value, Elementwise.self) else { return nil }
    return Form(op, operands)
  }

  /// `x` and `c`, if `form` is `x · c` or `x / (1/c)` for a number `c`.
  func scaled(_ form: Form) -> (ValueID, Double)? {
    if let product = form.valueAndConstant(of: .multiply) { return product }
    if let (x, c) = form.valueAndConstant(of: .divide), c != 0 { return (x, 1 / c) }
    return nil
  }

  /// What `op` computes as a product: a number and values that are not products themselves, or are in `atoms`; nil if
  /// it is no product. Looks through other elementwise ops to a bounded depth.
  func factors(
    _ op: Elementwise, _ x: [ValueID], atoms: Set<ValueID> = [], depth: Int = 4
  ) -> (scale: Double, values: [ValueID])? {
    guard let own = op.expression.factors, own.inputs.count + (own.scale == 1 ? 0 : 1) >= 2 else { return nil }
    var product = (scale: own.scale, values: [ValueID]())
    for value in own.inputs.map({ x[$0] }) {
      if depth > 0, !atoms.contains(value), let (inner, operands) = producer(value, Elementwise.self),
        let part = factors(inner, operands, atoms: atoms, depth: depth - 1)
      {
        product.scale *= part.scale
        product.values += part.values
      } else {
        product.values.append(value)
      }
    }
    return product
  }

  /// `value` as a product, at least of itself.
  func factors(_ value: ValueID, atoms: Set<ValueID> = []) -> (scale: Double, values: [ValueID]) {
    if !atoms.contains(value), let (op, operands) = producer(value, Elementwise.self),
      let product = factors(op, operands, atoms: atoms)
    {
      return product
    }
    return (1, [value])
  }

  /// `x` and the dimensions, if `value` is the mean of `x` over them, which stay with size 1. A mean is a sum divided
  /// by (or multiplied by the inverse of) as many elements as it has.
  func mean(_ value: ValueID) -> (x: ValueID, axes: [Int])? {
    guard let form = form(value), let (sum, factor) = scaled(form), let (op, x) = producer(sum, Reduce.self),
      op.function == .sum, op.keepDims || op.axes.isEmpty
    else { return nil }
    let count = op.axes.map { shape(x[0])[$0] }.product
    guard let count = count.constant, isClose(factor * Double(count), 1) else { return nil }
    return (x[0], op.axes)
  }

  /// Whether two numbers are one as an exporter rounds it to f32 (or f16's worth of digits, at worst).
  func isClose(_ a: Double, _ b: Double, tolerance: Double = 1e-5) -> Bool { abs(a - b) <= tolerance * abs(b) }

  /// The tensor that `value` is, if it is a constant.
  func tensor(_ value: ValueID) -> HostTensor? { graph.constant(value) }

  /// The constant `term` stands for, as a tensor of `element`.
  func tensor(_ term: Term, _ element: ElementType) -> HostTensor? {
    switch term {
    case .value(let value): graph.constant(value)
    case .constant(let number): HostTensor(element, []) { _ in .float(number) }
    }
  }
}

extension Expression {
  /// A number and inputs, repeated for a power, whose product the result is; nil if it is something else.
  fileprivate var factors: (scale: Double, inputs: [Int])? {
    var products: [(scale: Double, inputs: [Int])?] = []
    for instruction in instructions {
      var product: (scale: Double, inputs: [Int])?
      switch instruction {
      case .input(let i): product = (1, [i])
      case .constant(let scalar, _): product = (scalar.double, [])
      case .binary(.multiply, let a, let b):
        if let x = products[a], let y = products[b] { product = (x.scale * y.scale, x.inputs + y.inputs) }
      case .binary(.divide, let a, let b):
        if let x = products[a], let c = number(b), c != 0 { product = (x.scale / c, x.inputs) }
      case .binary(.power, let a, let n):
        if let x = products[a], let n = number(n), n == 2 || n == 3 {
          let powers = [(scale: Double, inputs: [Int])](repeating: x, count: Int(n))
          product = (powers.reduce(1) { $0 * $1.scale }, powers.flatMap(\.inputs))
        }
      case .unary, .binary, .select, .cast: break
      }
      products.append(product)
    }
    return resultType.isFloat ? products[result] : nil
  }
}

extension HostTensor {
  /// `f(self, other)` for float tensors that broadcast.
  func combined(_ function: BinaryFunction, with other: HostTensor) throws -> HostTensor {
    try Elementwise(.binary(function, element)).evaluate([self, other])[0]
  }

  static func filled(_ element: ElementType, _ shape: [Int], _ value: Double) -> HostTensor {
    HostTensor(element, shape) { _ in .float(value) }
  }

  func isFilled(with value: Double) -> Bool { element.isFloat && doubles.allSatisfy { $0 == value } }

  /// Without outer dimensions of size 1 in excess of `rank`; nil if more than `rank` are left.
  func droppingOuterOnes(toRank rank: Int) -> HostTensor? {
    let excess = max(0, shape.count - rank)
    guard shape[..<excess].allSatisfy({ $0 == 1 }) else { return nil }
    return reshaped(Array(shape[excess...]))
  }

  /// Broadcast to `target`, if it broadcasts to just that.
  func fitted(to target: [Int]) -> HostTensor? {
    guard let own = droppingOuterOnes(toRank: target.count),
      zip(own.shape.reversed(), target.reversed()).allSatisfy({ $0 == 1 || $0 == $1 })
    else { return nil }
    return own.broadcast(to: target)
  }
}

import GraphIR
import TensorTypes

/// Activations that exporters spell out, brought to one expression each: then every spelling makes the same kernel.
let activationRules: [Rule] = [
  Rule("x · ½ · (1 + erf(x / √2)) = gelu(x)", on: Elementwise.self) { g, op, x in
    guard let product = g.factors(op, x), product.values.count >= 2 else { return nil }
    for gate in product.values {
      guard let argument = g.onePlus(.erf, gate), let scaled = g.form(argument).flatMap({ g.scaled($0) }),
        g.isClose(scaled.1, 0.5.squareRoot()), g.isGated(op, x, by: gate, scaled.0)
      else { continue }
      return try g.build(.gelu(g.type(scaled.0).element), scaled.0)
    }
    return nil
  },
  Rule("x · ½ · (1 + tanh(√(2/π) · (x + 0.044715 x³))) = gelu_tanh(x)", on: Elementwise.self) { g, op, x in
    guard let product = g.factors(op, x), product.values.count >= 2 else { return nil }
    for gate in product.values {
      guard let argument = g.onePlus(.tanh, gate) else { continue }
      for source in Set(product.values) where source != gate {
        guard g.isCubicGELUArgument(argument, of: source), g.isGated(op, x, by: gate, source) else { continue }
        return try g.build(.geluTanh(g.type(source).element), source)
      }
    }
    return nil
  },
  Rule("x · sigmoid(x) = silu(x)", on: Elementwise.self) { g, op, x in
    guard let form = Form(op, x) else { return nil }
    for (a, b) in form.operands(of: .multiply) {
      guard let source = a.value, let gate = b.value, g.form(gate)?.operand(of: .sigmoid) == source else { continue }
      return try g.build(.silu(g.type(source).element), source)
    }
    return nil
  },
  Rule("1 / (1 + exp(-x)) = sigmoid(x)", on: Elementwise.self) { g, op, x in
    guard let sum = Form(op, x)?.operand(of: .reciprocal), let (power, one) = g.form(sum)?.valueAndConstant(of: .add),
      one == 1, let minus = g.form(power)?.operand(of: .exp), let source = g.form(minus)?.operand(of: .negate)
    else { return nil }
    return try g.build(.unary(.sigmoid, g.type(source).element), source)
  },
  Rule("x / (1 + exp(-x)) = silu(x)", on: Elementwise.self) { g, op, x in
    guard case .binary(.divide, .value(let source), .value(let sum))? = Form(op, x),
      let (power, one) = g.form(sum)?.valueAndConstant(of: .add), one == 1,
      let minus = g.form(power)?.operand(of: .exp), g.form(minus)?.operand(of: .negate) == source
    else { return nil }
    return try g.build(.silu(g.type(source).element), source)
  },
]

extension GraphRewriter {
  /// `u`, if `value` is `1 + f(u)`.
  fileprivate func onePlus(_ function: UnaryFunction, _ value: ValueID) -> ValueID? {
    guard let (inner, one) = form(value)?.valueAndConstant(of: .add), one == 1 else { return nil }
    return form(inner)?.operand(of: function)
  }

  /// Whether `op` computes `½ · x · gate`.
  fileprivate func isGated(_ op: Elementwise, _ operands: [ValueID], by gate: ValueID, _ x: ValueID) -> Bool {
    guard let product = factors(op, operands, atoms: [x, gate]) else { return false }
    return isClose(product.scale, 0.5) && Set(product.values) == [x, gate] && product.values.count == 2
  }

  /// Whether `value` is `√(2/π) · (x + 0.044715 x³)`, or `√(2/π) · x · (1 + 0.044715 x²)`.
  fileprivate func isCubicGELUArgument(_ value: ValueID, of x: ValueID) -> Bool {
    let product = factors(value, atoms: [x])
    guard isClose(product.scale, (2 / Double.pi).squareRoot(), tolerance: 1e-4) else { return false }
    func isPower(_ value: ValueID, _ exponent: Int) -> Bool {
      let power = factors(value, atoms: [x])
      return isClose(power.scale, 0.044715, tolerance: 1e-4)
        && power.values == [ValueID](repeating: x, count: exponent)
    }
    if product.values.count == 1, let sum = form(product.values[0]) {
      return sum.operands(of: .add).contains { a, b in
        a.value == x && (b.value.map { isPower($0, 3) } ?? false)
      }
    }
    guard product.values.count == 2, let other = product.values.first(where: { $0 != x }),
      product.values.contains(x), let (square, one) = form(other)?.valueAndConstant(of: .add)
    else { return false }
    return one == 1 && isPower(square, 2)
  }
}

extension Expression {
  /// `x · ½ · (1 + erf(x / √2))`
  static func gelu(_ type: ElementType) -> Expression {
    Expression(inputs: [type]) { e in
      let x = e.input(0)
      let (root, one, half) = (e.constant(0.5.squareRoot(), type), e.constant(1, type), e.constant(0.5, type))
      let argument = e.binary(.multiply, x, root)
      let error = e.unary(.erf, argument)
      let gate = e.binary(.add, error, one)
      let halved = e.binary(.multiply, x, half)
      return e.binary(.multiply, halved, gate)
    }
  }

  /// `x · ½ · (1 + tanh(√(2/π) · (x + 0.044715 x³)))`
  static func geluTanh(_ type: ElementType) -> Expression {
    Expression(inputs: [type]) { e in
      let x = e.input(0)
      let (one, half) = (e.constant(1, type), e.constant(0.5, type))
      let (cubic, scale) = (e.constant(0.044715, type), e.constant((2 / Double.pi).squareRoot(), type))
      let square = e.binary(.multiply, x, x)
      let bend = e.binary(.multiply, square, cubic)
      let slope = e.binary(.add, bend, one)
      let scaled = e.binary(.multiply, x, scale)
      let argument = e.binary(.multiply, scaled, slope)
      let tangent = e.unary(.tanh, argument)
      let gate = e.binary(.add, tangent, one)
      let halved = e.binary(.multiply, x, half)
      return e.binary(.multiply, halved, gate)
    }
  }

  /// `x · sigmoid(x)`
  static func silu(_ type: ElementType) -> Expression {
    Expression(inputs: [type]) { e in
      let x = e.input(0)
      let gate = e.unary(.sigmoid, x)
      return e.binary(.multiply, x, gate)
    }
  }
}

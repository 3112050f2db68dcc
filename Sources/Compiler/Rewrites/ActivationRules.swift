import GraphIR
import TensorTypes

/// Activations that exporters spell out, brought to one expression each: then every spelling makes the same kernel.
let activationRules: [Rule] = [
  Rule("x · ½ · (1 + erf(x / √2)) = gelu(x)", on: Elementwise.self) { g, op, x in
    guard let product = g.factors(op, x), product.values.count >= 2 else { return nil }
    for gate in product.values {
      guard let (error, argument) = g.onePlus(.erf, gate) else { continue }
      guard let (source, scale) = g.form(argument).flatMap({ g.scaled($0) }), g.isClose(scale, 0.5.squareRoot()) else {
        return g.missed(.gelu, at: error, "its argument, \(g.describe(argument)), is not x / √2")
      }
      guard g.isGated(op, x, by: gate, source) else {
        let _: ValueID? = g.missed(.gelu, at: error, "multiplied by other things than x and ½")
        continue
      }
      return try g.build(.gelu(g.type(source).element), source)
    }
    return nil
  },
  Rule("x · ½ · (1 + tanh(√(2/π) · (x + 0.044715 x³))) = gelu_tanh(x)", on: Elementwise.self) { g, op, x in
    guard let product = g.factors(op, x), product.values.count >= 2 else { return nil }
    for gate in product.values {
      guard let (tangent, argument) = g.onePlus(.tanh, gate) else { continue }
      for source in Set(product.values).sorted() where source != gate && g.isCubicGELUArgument(argument, of: source) {
        if g.isGated(op, x, by: gate, source) { return try g.build(.geluTanh(g.type(source).element), source) }
        let _: ValueID? = g.missed(.gelu, at: tangent, "multiplied by other things than x and ½")
      }
      let _: ValueID? = g.missed(
        .gelu, at: tangent, "its argument, \(g.describe(argument)), is not √(2/π) · (x + 0.044715 x³) of a factor")
    }
    return nil
  },
  Rule("x · sigmoid(x) = silu(x)", on: Elementwise.self) { g, op, x in
    guard let form = Form(op, x) else { return nil }
    for (a, b) in form.operands(of: .multiply) {
      guard let source = a.value, let gate = b.value, let argument = g.form(gate)?.operand(of: .sigmoid) else {
        continue
      }
      if argument == source { return try g.build(.silu(g.type(source).element), source) }
      if g.derives(argument, from: source), g.form(argument).flatMap({ g.scaled($0) })?.0 != source {
        return g.missed(.silu, at: gate, "of \(g.describe(argument)), which is neither x nor a multiple of it")
      }
    }
    return nil
  },
  Rule("x · sigmoid(c · x) = quick_gelu(x)", on: Elementwise.self) { g, op, x in
    guard let form = Form(op, x) else { return nil }
    for (a, b) in form.operands(of: .multiply) {
      guard let source = a.value, let gate = b.value, let argument = g.form(gate)?.operand(of: .sigmoid),
        let (scaled, factor) = g.form(argument).flatMap({ g.scaled($0) }), scaled == source
      else { continue }
      return try g.build(.silu(g.type(source).element, slope: factor), source)
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
  /// `f(u)` and `u`, if `value` is `1 + f(u)`.
  fileprivate func onePlus(_ function: UnaryFunction, _ value: ValueID) -> (ValueID, ValueID)? {
    guard let (inner, one) = form(value)?.valueAndConstant(of: .add), one == 1 else { return nil }
    return form(inner)?.operand(of: function).map { (inner, $0) }
  }

  /// Whether `value` is computed from `x` by a few elementwise ops.
  fileprivate func derives(_ value: ValueID, from x: ValueID, depth: Int = 3) -> Bool {
    guard depth > 0, let (_, operands) = producer(value, Elementwise.self) else { return false }
    return operands.contains { $0 == x || derives($0, from: x, depth: depth - 1) }
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

  /// `x · sigmoid(slope · x)`
  static func silu(_ type: ElementType, slope: Double = 1) -> Expression {
    Expression(inputs: [type]) { e in
      let x = e.input(0)
      let argument = slope == 1 ? x : e.binary(.multiply, x, e.constant(slope, type))
      let gate = e.unary(.sigmoid, argument)
      return e.binary(.multiply, x, gate)
    }
  }
}

import GraphIR
import TensorTypes

// Activation functions, as expressions of one operand.

let activationRows: [OperatorRow] = [
  activation("Relu") { _, e, x in e.binary(.maximum, x, e.constant(0, e.types[x])) },
  activation("LeakyRelu") { n, e, x in
    let alpha = try n.float("alpha", default: 0.01)
    return e.choose(x, .less, 0, e.scaled(x, alpha), x)
  },
  activation("Elu") { n, e, x in
    let alpha = try n.float("alpha", default: 1)
    return e.choose(x, .less, 0, e.scaled(e.unary(.expm1, x), alpha), x)
  },
  activation("Celu") { n, e, x in
    let alpha = try n.float("alpha", default: 1)
    let inner = e.unary(.expm1, e.scaled(x, 1 / alpha))
    return e.choose(x, .less, 0, e.scaled(inner, alpha), x)
  },
  activation("Selu") { n, e, x in
    let alpha = try n.float("alpha", default: 1.67326319217681884765625)
    let gamma = try n.float("gamma", default: 1.05070102214813232421875)
    return e.scaled(e.choose(x, .less, 0, e.scaled(e.unary(.expm1, x), alpha), x), gamma)
  },
  activation("ThresholdedRelu") { n, e, x in
    let alpha = try n.float("alpha", default: 1)
    return e.choose(x, .greater, alpha, x, e.constant(0, e.types[x]))
  },
  activation("HardSigmoid") { n, e, x in
    e.hardSigmoid(x, try n.float("alpha", default: 0.2), try n.float("beta", default: 0.5))
  },
  activation("HardSwish") { _, e, x in e.binary(.multiply, x, e.hardSigmoid(x, 1 / 6, 0.5)) },
  activation("Softplus") { _, e, x in e.softplus(x) },
  activation("Softsign") { _, e, x in
    e.binary(.divide, x, e.binary(.add, e.constant(1, e.types[x]), e.unary(.abs, x)))
  },
  activation("Mish") { _, e, x in e.binary(.multiply, x, e.unary(.tanh, e.softplus(x))) },
  activation("Swish") { n, e, x in
    let alpha = try n.float("alpha", default: 1)
    return e.binary(.multiply, x, e.unary(.sigmoid, alpha == 1 ? x : e.scaled(x, alpha)))
  },
  activation("Gelu") { n, e, x in
    try n.string("approximate", default: "none") == "tanh" ? e.geluTanh(x) : e.gelu(x)
  },
  activation("Shrink") { n, e, x in
    let (lambda, bias) = (try n.float("lambd", default: 0.5), try n.float("bias", default: 0))
    let type = e.types[x]
    let above = e.binary(.subtract, x, e.constant(bias, type))
    let below = e.binary(.add, x, e.constant(bias, type))
    return e.choose(x, .less, -lambda, below, e.choose(x, .greater, lambda, above, e.constant(0, type)))
  },
  .one("SwiGLU") { n in
    let alpha = try n.float("alpha", default: 1)
    try n.requireOneType(n.input(0), n.input(1))
    return try n.map(n.input(0), n.input(1)) { e, x in
      let gate = e.unary(.sigmoid, alpha == 1 ? x[0] : e.scaled(x[0], alpha))
      return e.binary(.multiply, e.binary(.multiply, x[0], gate), x[1])
    }
  },
  .one("Clip", since: 1) { n in
    let x = try n.input(0)
    let bounds = [try n.optionalFloat("min"), try n.optionalFloat("max")].map {
      $0.map { n.constant($0, n.element(x)) }
    }
    return try n.clip(x, bounds[0], bounds[1])
  },
  .one("Clip", since: 11) { n in try n.clip(n.input(0), n.optionalInput(1), n.optionalInput(2)) },
]

private func activation(
  _ name: String,
  _ build: @escaping @Sendable (NodeImport, inout Expression, Expression.Operand) throws -> Expression.Operand
) -> OperatorRow {
  .one(name) { n in
    let x = try n.input(0)
    var expression = Expression(inputs: [n.element(x)])
    let input = expression.input(0)
    expression.result = try build(n, &expression, input)
    return try n.add(Elementwise(expression), x)
  }
}

extension NodeImport {
  fileprivate func clip(_ x: ValueID, _ low: ValueID?, _ high: ValueID?) throws -> ValueID {
    // Lower bound first: where the bounds cross, the upper one holds.
    let raised = try low.map { try binary(.maximum, x, $0) } ?? x
    return try high.map { try binary(.minimum, raised, $0) } ?? raised
  }
}

extension Expression {
  mutating func scaled(_ x: Operand, _ factor: Double) -> Operand { binary(.multiply, x, constant(factor, types[x])) }

  /// `x ⋈ bound ? a : b`
  mutating func choose(_ x: Operand, _ comparison: BinaryFunction, _ bound: Double, _ a: Operand, _ b: Operand)
    -> Operand
  {
    select(binary(comparison, x, constant(bound, types[x])), a, b)
  }

  mutating func hardSigmoid(_ x: Operand, _ alpha: Double, _ beta: Double) -> Operand {
    let type = types[x]
    let line = binary(.add, scaled(x, alpha), constant(beta, type))
    return binary(.minimum, binary(.maximum, line, constant(0, type)), constant(1, type))
  }

  /// `log(1 + exp(x))`, without overflow: `max(x, 0) + log1p(exp(-|x|))`.
  mutating func softplus(_ x: Operand) -> Operand {
    let tail = unary(.log1p, unary(.exp, unary(.negate, unary(.abs, x))))
    return binary(.add, binary(.maximum, x, constant(0, types[x])), tail)
  }

  /// `x · ½ · (1 + erf(x / √2))`
  mutating func gelu(_ x: Operand) -> Operand {
    let inner = binary(.add, constant(1, types[x]), unary(.erf, scaled(x, 0.5.squareRoot())))
    return binary(.multiply, scaled(x, 0.5), inner)
  }

  /// `x · ½ · (1 + tanh(√(2/π) · (x + 0.044715 x³)))`
  mutating func geluTanh(_ x: Operand) -> Operand {
    let cube = binary(.multiply, x, binary(.multiply, x, x))
    let inner = scaled(binary(.add, x, scaled(cube, 0.044715)), (2 / Double.pi).squareRoot())
    return binary(.multiply, scaled(x, 0.5), binary(.add, constant(1, types[x]), unary(.tanh, inner)))
  }
}

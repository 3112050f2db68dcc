import GraphIR
import TensorTypes

/// Factors that follow a product with constant weights are multiplied into the weights: what remains of a batch
/// normalisation is a bias, which becomes the kernel's epilogue.
let weightRules: [Rule] = [
  Rule("one op p * a + b = two, for a product p with weights, biased or not, and constants a, b", on: Elementwise.self)
  { g, op, x in
    let e = op.expression
    guard x.count == 3, case .binary(.add, let left, let right) = e.instructions[e.result],
      case .input(let bias) = e.instructions[right], case .binary(.multiply, let a, let b) = e.instructions[left],
      case .input(let product) = e.instructions[a], case .input(let factor) = e.instructions[b],
      Set([product, factor, bias]).count == 3, g.isUsedOnce(x[product]),
      g.isProductWithWeights(x[product]) || g.isBiasedProductWithWeights(x[product]),
      g.tensor(x[factor]) != nil, g.tensor(x[bias]) != nil
    else { return nil }
    let element = g.type(x[product]).element
    let scaled = try g.build(.binary(.multiply, element), x[product], x[factor])
    return try g.build(.binary(.add, element), scaled, x[bias])
  },
  Rule("convolve(x, w) * s = convolve(x, w * s), rounds", on: Elementwise.self) { g, op, x in
    guard let form = Form(op, x), let (product, s) = g.valueAndTensor(form, .multiply), g.isUsedOnce(product),
      let (convolve, operands) = g.producer(product, Convolve.self), let w = g.tensor(operands[1]), w.element.isFloat
    else { return nil }
    let rank = g.type(product).rank
    guard let s = s.perChannel(axis: convolve.layout.channelAxis(rank: rank), rank: rank, count: w.shape[0]) else {
      return nil
    }
    let scaled = try w.combined(.multiply, with: s.reshaped([w.shape[0]] + w.shape.dropFirst().map { _ in 1 }))
    return try g.build(convolve, operands[0], g.constant(scaled))
  },
  Rule("matmul(x, w) * s = matmul(x, w * s), rounds", on: Elementwise.self) { g, op, x in
    guard let form = Form(op, x), let (product, s) = g.valueAndTensor(form, .multiply), g.isUsedOnce(product),
      let (matmul, operands) = g.producer(product, MatMul.self), let w = g.tensor(operands[1]), w.element.isFloat
    else { return nil }
    let rank = g.type(product).rank
    let columns = matmul.transposeRight ? w.shape[w.shape.count - 2] : w.shape[w.shape.count - 1]
    guard let s = s.perChannel(axis: rank - 1, rank: rank, count: columns) else { return nil }
    let scaled = try w.combined(.multiply, with: matmul.transposeRight ? s.reshaped([columns, 1]) : s)
    return try g.build(matmul, operands[0], g.constant(scaled))
  },
  Rule("(p + b) * s = p * s + b * s for a product p with weights, rounds", on: Elementwise.self) { g, op, x in
    guard let form = Form(op, x), let (sum, s) = g.valueAndTensor(form, .multiply), g.isUsedOnce(sum),
      let inner = g.form(sum), let (product, b) = g.valueAndTensor(inner, .add), g.isUsedOnce(product),
      g.isProductWithWeights(product), g.shape(product) == g.shape(sum),
      let scaled = try? b.combined(.multiply, with: s),
      scaled.elementCount <= max(b.elementCount, s.elementCount)
    else { return nil }
    let element = g.type(sum).element
    let factor = try g.build(.binary(.multiply, element), product, g.constant(s))
    return try g.build(.binary(.add, element), factor, g.constant(scaled))
  },
]

extension GraphRewriter {
  fileprivate func isProductWithWeights(_ value: ValueID) -> Bool {
    if let (_, operands) = producer(value, Convolve.self) { return tensor(operands[1]) != nil }
    if let (_, operands) = producer(value, MatMul.self) { return tensor(operands[1]) != nil }
    return false
  }

  fileprivate func isBiasedProductWithWeights(_ value: ValueID) -> Bool {
    guard let form = form(value), let (product, _) = valueAndTensor(form, .add) else { return false }
    return isProductWithWeights(product)
  }
}

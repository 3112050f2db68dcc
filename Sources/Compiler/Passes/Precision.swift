import GraphIR
import TensorTypes

/// What products may round their factors to, and constant matrices of theirs may be stored as. Sums are f32 whatever it is.
public enum Precision: String, Sendable, Codable, CaseIterable {
  /// As the model has them.
  case fp32
  /// Rounded to nearest even in 8 bits: an error of up to 2⁻⁸ of each weight, and of each number that a product, a convolution or attention
  /// multiplies where that is sooner done.
  case bf16
  /// Rounded to nearest even in 11 bits: an error of up to 2⁻¹¹ of each weight, or 2⁻²⁵ if that is more.
  case fp16
  /// Integers from -127 to 127, a scale to 128 steps of k of a column: an error of up to 1/254 of the largest weight there.
  case int8

  /// Steps of k that share a scale.
  static let group = 128

  /// What it does to a graph.
  var passes: [GraphPass] {
    switch self {
    case .fp32: []
    case .bf16: [GraphPass("roundWeights") { try rounded($0) }, GraphPass("allowRounding", allowRounding)]
    case .fp16, .int8: [GraphPass("roundWeights") { try rounded($0) }]
    }
  }

  /// The graph with the constant matrices that f32 products read stored in fewer bits.
  private func rounded(_ graph: Graph) throws -> Graph {
    try Rewriter.rewrite(graph) { rewriter, id in
      let node = graph[id]
      guard let op = node.op as? MatMul, let left = node.operands[0], let right = node.operands[1], left != right,
        let matrix = graph.constant(right), matrix.element == .float32, matrix.shape.count == 2,
        matrix.elementCount >= smallestStoredWeights, let stored = stored(matrix, for: op)
      else { return nil }
      let operands = stored.operands.map { Optional(rewriter.result.addConstant($0)) }
      let weights = try rewriter.result.add(stored.op, operands, origin: node.origin)[0]
      return try rewriter.result.add(op, [rewriter[left], weights], origin: node.origin)
    }
  }

  private func stored(_ matrix: HostTensor, for op: MatMul) -> (op: Dequantize, operands: [HostTensor])? {
    switch self {
    case .fp32: return nil
    case .bf16:
      let values = matrix.doubles
      guard values.allSatisfy(reachesBFloat16) else { return nil }
      return (Dequantize(), [HostTensor(.bfloat16, matrix.shape, .floats(values))])
    case .fp16:
      let values = matrix.doubles
      // What f16 does not reach stays as it is.
      guard values.allSatisfy({ abs($0) < 65_520 }) else { return nil }
      return (Dequantize(), [HostTensor(.float16, matrix.shape, .floats(values))])
    case .int8: return quantized(matrix, alongColumns: !op.transposeRight)
    }
  }

  /// - Parameter alongColumns: whether k is dimension 0.
  private func quantized(_ matrix: HostTensor, alongColumns: Bool) -> (op: Dequantize, operands: [HostTensor])? {
    let values: [Float] = matrix.array()
    let (rows, columns) = (matrix.shape[0], matrix.shape[1])
    let axis = alongColumns ? 0 : 1
    var shape = matrix.shape
    shape[axis] = (shape[axis] + Self.group - 1) / Self.group
    func place(_ row: Int, _ column: Int) -> Int {
      alongColumns ? row / Self.group * columns + column : row * shape[1] + column / Self.group
    }
    var scales = [Float](repeating: 0, count: shape[0] * shape[1])
    for row in 0..<rows {
      for column in 0..<columns {
        let value = abs(values[row * columns + column])
        guard value.isFinite else { return nil }
        scales[place(row, column)] = max(scales[place(row, column)], value / 127)
      }
    }
    let codes = [Int8](unsafeUninitializedCapacity: values.count) { buffer, count in
      for row in 0..<rows {
        for column in 0..<columns {
          let scale = scales[place(row, column)]
          let code = scale == 0 ? 0 : (values[row * columns + column] / scale).rounded(.toNearestOrEven)
          buffer[row * columns + column] = Int8(max(-127, min(127, code)))
        }
      }
      count = values.count
    }
    return (
      Dequantize(axis: axis, block: Self.group),
      [HostTensor(.int8, matrix.shape, codes), HostTensor(.float32, shape, scales)]
    )
  }
}

/// Whether a number stays finite as bf16: the lowest of f32, which tables of masks hold, would become −∞, and its product with 0 no
/// number.
private func reachesBFloat16(_ value: Double) -> Bool { !value.isFinite || abs(value) < 0x1.FFp127 }

/// The graph with attention, matrix products and convolutions that may round.
///
/// Sums of few terms may not: what they compute is often places and angles (rotary embeddings multiply a position of up to 10⁵ by a
/// frequency, one term each), of which an error of 2⁻⁸ is more than a turn.
@Sendable private func allowRounding(_ graph: Graph) throws -> Graph {
  try Rewriter.rewrite(graph) { rewriter, id in
    let node = graph[id]
    switch node.op {
    case var op as MatMul:
      let shape = graph.type(node.operands[1]!).shape
      guard mayRound(graph, node, terms: shape[shape.count - (op.transposeRight ? 1 : 2)]) else { return nil }
      op.mayRound = true
      return try rewriter.copy(id, as: op)
    case var op as Convolve:
      guard mayRound(graph, node, terms: graph.type(node.operands[1]!).shape[1...].product) else { return nil }
      op.mayRound = true
      return try rewriter.copy(id, as: op)
    case var op as Attention:
      op.mayRound = true
      return try rewriter.copy(id, as: op)
    default: return nil
    }
  }
}

/// Whether a product is one of f32, sums enough terms, and has no constant factor that would not stay finite.
private func mayRound(_ graph: Graph, _ node: Graph.Node, terms: Dim) -> Bool {
  let fewestTerms = 16
  let factors = node.operands.prefix(2).map { $0! }
  guard graph.type(factors[1]).element == .float32, terms.constant.map({ $0 >= fewestTerms }) ?? true else {
    return false
  }
  return factors.compactMap(graph.constant).allSatisfy { $0.doubles.allSatisfy(reachesBFloat16) }
}

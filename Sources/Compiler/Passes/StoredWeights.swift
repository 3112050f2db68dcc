import GraphIR
import TensorTypes

extension GraphPass {
  /// Decides what becomes of weights that are stored in fewer bits: what only products read as their right side stays so,
  /// anything else is widened now.
  static let settleStoredWeights = GraphPass("settleStoredWeights", settleStoredWeights(_:))
}

/// A matrix of 16-bit floats that is widened as a whole is kept as it is stored, if it is large enough to matter.
let storedWeightRules: [Rule] = [
  Rule("f32(constant of 16 bits) = dequantize(constant)", on: Elementwise.self) { g, op, x in
    guard x.count == 1, let tensor = g.tensor(x[0]), tensor.element.isNarrowFloat, tensor.shape.count == 2,
      tensor.elementCount >= smallestStoredWeights, op.expression.isWidening
    else { return nil }
    return try g.build(Dequantize(), x[0])
  }
]

/// Elements of a constant from which on it is worth a way of its own.
let smallestStoredWeights = 4096

extension Expression {
  /// Whether this is f32 of a 16-bit float and nothing else.
  fileprivate var isWidening: Bool {
    guard resultType == .float32, case .cast(let x, _) = instructions[result], case .input = instructions[x] else {
      return false
    }
    return true
  }
}

private func settleStoredWeights(_ graph: Graph) throws -> Graph {
  let uses = graph.uses()
  let outputs = Set(graph.outputs.map(\.value))
  return try Rewriter.rewrite(graph) { rewriter, id in
    let node = graph[id]
    if let op = node.op as? MatMul, let right = node.operands[1], node.operands[0] != right,
      let stored = StoredWeights(graph, right), stored.isReadable(by: op)
    {
      let value = try stored.add(to: &rewriter.result, origin: node.origin)
      return try rewriter.result.add(op, [node.operands[0].map { rewriter[$0] }, value], origin: node.origin)
    }
    guard let op = node.op as? Dequantize else { return nil }
    let readers = uses[node.results[0].index]
    let isReadWide =
      outputs.contains(node.results[0])
      || readers.contains { reader in
        guard let matmul = graph[reader].op as? MatMul, graph[reader].operands[0] != node.results[0],
          let stored = StoredWeights(graph, node.results[0])
        else { return true }
        return !stored.isReadable(by: matmul)
      }
    let operands = node.operands.compactMap { $0.flatMap { graph.constant($0) } }
    guard isReadWide, operands.count == node.operands.count else { return nil }
    return try op.evaluate(operands).map { rewriter.result.addConstant($0) }
  }
}

/// A constant matrix in fewer bits, in the form that products read: i8 with scales and, unless all are 0, zero points; or
/// 16-bit floats.
struct StoredWeights {
  var op: Dequantize
  /// `[r, c]`
  var codes: HostTensor
  var scales: HostTensor?
  var zeros: HostTensor?

  /// nil if `value` is no dequantised constant matrix.
  init?(_ graph: Graph, _ value: ValueID) {
    guard let node = graph.producer(value), let op = graph[node].op as? Dequantize else { return nil }
    let operands = graph[node].operands.compactMap { $0.flatMap { graph.constant($0) } }
    guard operands.count == graph[node].operands.count, operands[0].shape.count == 2 else { return nil }
    (self.op, codes) = (op, operands[0])
    scales = operands.count > 1 ? operands[1] : nil
    zeros = operands.count > 2 ? operands[2] : nil
  }

  /// Steps of k that share a scale, for a product that reads the matrix; nil if scales change otherwise.
  func group(for matmul: MatMul) -> Int? {
    guard let scales else { return codes.shape[matmul.transposeRight ? 1 : 0] }
    let k = matmul.transposeRight ? 1 : 0
    if scales.shape[k] == 1 { return codes.shape[k] }
    return op.block > 0 && op.axis == k ? op.block : nil
  }

  /// Whether a product can read the matrix as it is stored.
  func isReadable(by matmul: MatMul) -> Bool {
    guard codes.elementCount > 0, let group = group(for: matmul) else { return false }
    let k = matmul.transposeRight ? 1 : 0
    let isBlockedAcross = op.block > 1 && op.axis == 1 - k && (scales?.shape[1 - k] ?? 1) != 1
    // Codes come in words of 8 steps.
    return !isBlockedAcross && (group >= codes.shape[k] || group % 8 == 0)
  }

  /// Adds the matrix to a graph, its integers signed and of as few bits as hold them.
  func add(to graph: inout Graph, origin: String?) throws -> ValueID {
    guard let scales else { return try graph.add(op, [graph.addConstant(codes)], origin: origin)[0] }
    let settled = signed()
    var operands = [graph.addConstant(settled.codes), graph.addConstant(scales)]
    if let zeros = settled.zeros { operands.append(graph.addConstant(zeros)) }
    var op = op
    op.bits = settled.codes.array(of: Int8.self).allSatisfy { (-8...7).contains($0) } ? 4 : 8
    return try graph.add(op, operands.map { $0 }, origin: origin)[0]
  }

  /// The codes as i8, less their zero points where that gives numbers of as few bits; else both i8, those of u8 less half
  /// of their range.
  private func signed() -> (codes: HostTensor, zeros: HostTensor?) {
    if zeros == nil, codes.element == .int8 { return (codes, nil) }
    let numbers = codes.integers.map { Int($0) }
    let shape = scales?.shape ?? [1, 1]
    let points = zeros?.integers.map { Int($0) } ?? [Int](repeating: 0, count: shape[0] * shape[1])
    let isFourBits = numbers.allSatisfy((0...15).contains) || numbers.allSatisfy((-8...7).contains)
    let centred = subtracting(points, shape, from: numbers)
    if centred.allSatisfy((isFourBits ? -8...7 : -128...127).contains) {
      return (Self.tensor(centred, codes.shape), nil)
    }
    let middle = codes.element == .int8 ? 0 : isFourBits && points.allSatisfy((0...15).contains) ? 8 : 128
    return (Self.tensor(numbers.map { $0 - middle }, codes.shape), Self.tensor(points.map { $0 - middle }, shape))
  }

  /// Each code less the zero point of its group.
  private func subtracting(_ points: [Int], _ shape: [Int], from numbers: [Int]) -> [Int] {
    func place(_ d: Int, _ i: Int) -> Int {
      if shape[d] == 1 { return 0 }
      return op.block > 0 && op.axis == d ? i / op.block : i
    }
    let columns = codes.shape[1]
    var centred = numbers
    for row in 0..<codes.shape[0] {
      let start = place(0, row) * shape[1]
      for column in 0..<columns { centred[row * columns + column] -= points[start + place(1, column)] }
    }
    return centred
  }

  private static func tensor(_ numbers: [Int], _ shape: [Int]) -> HostTensor {
    HostTensor(.int8, shape, numbers.map { Int8($0) })
  }
}

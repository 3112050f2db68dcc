import GraphIR
import Kernels
import TensorTypes

// Matrix products: finding the plain workload in a tensor's dimensions.

extension Planner {
  mutating func plan(_ op: MatMul, _ node: NodeID) throws {
    var a = try placement(operand(node, 0))
    if op.transposeLeft { a = a.transposed(Self.swappingLast(a.view.rank)) }
    var b = try rightSide(op, operand(node, 1))
    if op.transposeRight { b = b.mapping { $0.transposed(Self.swappingLast($0.view.rank)) } }
    let shape = graph.type(graph[node].results[0]).shape
    let batch = shape.dropLast(2)
    a = a.broadcast(to: Array(batch) + a.view.shape.suffix(2))
    b = b.mapping { $0.broadcast(to: Array(batch) + $0.view.shape.suffix(2)) }
    let output = complete(node)
    if try emitMatmul(op, node, a, b, output) { return }
    // Copies lie regularly.
    a = dense(a, origin: graph[node].origin)
    if tensor(b.matrix) == nil { b.matrix = dense(b.matrix, origin: graph[node].origin) }
    if try emitMatmul(op, node, a, b, output) { return }
    let whole = newStorage(TensorType(output.view.element, shape))
    if b.scaling == nil { b.matrix = dense(b.matrix, origin: graph[node].origin) }
    guard try emitMatmul(op, node, a, b, whole) else {
      preconditionFailure("dense operands collapse to three dimensions")
    }
    emit(.movement(MovementWorkload(x: whole.view, output: output.view)), [whole], output, origins: origins(node))
  }

  /// A product's right side: a matrix, or the codes that it is stored as and their scales.
  private struct RightSide {
    var matrix: Placement
    var scaling: (bits: Int, group: Int, scales: Placement, zeros: Placement?)?

    func mapping(_ f: (Placement) -> Placement) -> RightSide {
      RightSide(
        matrix: f(matrix), scaling: scaling.map { ($0.bits, $0.group, f($0.scales), $0.zeros.map(f)) })
    }
  }

  private mutating func rightSide(_ op: MatMul, _ value: ValueID) throws -> RightSide {
    guard let node = graph.producer(value), let stored = graph[node].op as? Dequantize,
      let group = StoredWeights(graph, value)?.group(for: op)
    else { return RightSide(matrix: try placement(value)) }
    let operands = try graph[node].operands.map { try placement($0!) }
    let scaling = operands.count == 1 ? nil : (stored.bits, group, operands[1], operands.count > 2 ? operands[2] : nil)
    guard var scaling else { return RightSide(matrix: operands[0]) }
    // One scale for all columns is seen as one a column.
    let (k, n) = op.transposeRight ? (1, 0) : (0, 1)
    var shape = scaling.2.view.shape
    shape[n] = operands[0].view.shape[n]
    precondition(shape[k] == 1 || stored.axis == k, "scales along k")
    scaling.2 = scaling.2.broadcast(to: shape)
    scaling.3 = scaling.3?.broadcast(to: shape)
    return RightSide(matrix: operands[0], scaling: scaling)
  }

  private static func swappingLast(_ rank: Int) -> [Int] { Array(0..<rank - 2) + [rank - 1, rank - 2] }

  /// - Returns: false if the batch dimensions cannot be made one.
  private mutating func emitMatmul(
    _ op: MatMul, _ node: NodeID, _ a: Placement, _ b: RightSide, _ output: Placement
  ) throws -> Bool {
    let rank = output.view.rank
    // One matrix for all: the batch is more rows of a.
    let isShared = b.matrix.view.strides.dropLast(2).allSatisfy { $0 == 0 }
    let rows: (View) -> View? = { $0.collapsing(0..<rank - 1).map { $0.insertingBatch() } }
    let batches: (View) -> View? = { $0.collapsing(0..<rank - 2) }
    for (arrange, applies) in [(rows, isShared), (batches, true)] where applies {
      guard let left = arrange(a.view), arrange(output.view) != nil else { continue }
      guard let arranged = try epilogue(node, output, arrange) else { continue }
      func matrices(_ view: View) -> View? { isShared ? view.firstMatrix(batch: left.shape[0]) : batches(view) }
      guard let right = matrices(b.matrix.view) else { continue }
      let scaling = b.scaling.flatMap { scaling in
        matrices(scaling.scales.view).map {
          WeightScaling(
            bits: scaling.bits, group: scaling.group, scales: $0, zeros: scaling.zeros.flatMap { matrices($0.view) })
        }
      }
      let parameters = b.scaling.map { [$0.scales] + ($0.zeros.map { [$0] } ?? []) } ?? []
      let workload = MatmulWorkload(
        a: left, b: right, bIsConstant: tensor(b.matrix) != nil, bLimit: limit(b.matrix, besides: left),
        scaling: scaling, mayRound: op.mayRound, epilogue: arranged.epilogue)
      emit(.matmul(workload), [a, b.matrix] + parameters + arranged.operands, output, origins: origins(node))
      return true
    }
    return false
  }

  /// 64 if no number of a constant i8 matrix is larger in size, which makes products with u8 cheaper.
  func limit(_ b: Placement, besides a: View) -> Int? {
    guard a.element == .uint8, b.view.element == .int8, let (_, constant) = tensor(b) else { return nil }
    return constant.bytes.allSatisfy { (-64...64).contains(Int8(bitPattern: $0)) } ? 64 : nil
  }
}

extension View {
  /// With a batch of one in front.
  func insertingBatch() -> View { View(element, [1] + shape, strides: [0] + strides) }

  /// The last two dimensions, the same for each of a batch.
  func firstMatrix(batch: Dim) -> View { View(element, [batch] + shape.suffix(2), strides: [0] + strides.suffix(2)) }
}

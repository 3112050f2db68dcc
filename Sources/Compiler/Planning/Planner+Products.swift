import GraphIR
import Kernels
import TensorTypes

// Matrix products: finding the plain workload in a tensor's dimensions.

extension Planner {
  mutating func plan(_ op: MatMul, _ node: NodeID) throws {
    var a = try placement(operand(node, 0))
    var b = try placement(operand(node, 1))
    if op.transposeLeft { a = a.transposed(Self.swappingLast(a.view.rank)) }
    if op.transposeRight { b = b.transposed(Self.swappingLast(b.view.rank)) }
    let shape = graph.type(graph[node].results[0]).shape
    let batch = shape.dropLast(2)
    a = a.broadcast(to: Array(batch) + a.view.shape.suffix(2))
    b = b.broadcast(to: Array(batch) + b.view.shape.suffix(2))
    let output = complete(node)
    if try emitMatmul(node, a, b, output) { return }
    // Copies lie regularly.
    a = dense(a, origin: graph[node].origin)
    if tensor(b) == nil { b = dense(b, origin: graph[node].origin) }
    if try emitMatmul(node, a, b, output) { return }
    let whole = newStorage(TensorType(output.view.element, shape))
    guard try emitMatmul(node, a, dense(b, origin: graph[node].origin), whole) else {
      preconditionFailure("dense operands collapse to three dimensions")
    }
    emit(.movement(MovementWorkload(x: whole.view, output: output.view)), [whole], output, origins: origins(node))
  }

  private static func swappingLast(_ rank: Int) -> [Int] { Array(0..<rank - 2) + [rank - 1, rank - 2] }

  /// - Returns: false if the batch dimensions cannot be made one.
  private mutating func emitMatmul(_ node: NodeID, _ a: Placement, _ b: Placement, _ output: Placement) throws -> Bool {
    let rank = output.view.rank
    // One matrix for all: the batch is more rows of a.
    let isShared = b.view.strides.dropLast(2).allSatisfy { $0 == 0 }
    let rows: (View) -> View? = { $0.collapsing(0..<rank - 1).map { $0.insertingBatch() } }
    let batches: (View) -> View? = { $0.collapsing(0..<rank - 2) }
    for (arrange, applies) in [(rows, isShared), (batches, true)] where applies {
      guard let left = arrange(a.view), arrange(output.view) != nil else { continue }
      guard let arranged = try epilogue(node, output, arrange) else { continue }
      let right: View? = isShared ? b.view.firstMatrix(batch: left.shape[0]) : batches(b.view)
      guard let right else { continue }
      let workload = MatmulWorkload(a: left, b: right, bIsConstant: tensor(b) != nil, epilogue: arranged.epilogue)
      emit(.matmul(workload), [a, b] + arranged.operands, output, origins: origins(node))
      return true
    }
    return false
  }
}

extension View {
  /// With a batch of one in front.
  func insertingBatch() -> View { View(element, [1] + shape, strides: [0] + strides) }

  /// The last two dimensions, the same for each of a batch.
  func firstMatrix(batch: Dim) -> View { View(element, [batch] + shape.suffix(2), strides: [0] + strides.suffix(2)) }
}

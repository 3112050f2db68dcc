import GraphIR
import Kernels
import TensorTypes

// Matrix products and convolutions: finding the plain workload in a tensor's dimensions.

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

  mutating func plan(_ op: Convolve, _ node: NodeID) throws {
    let (x, w) = (try placement(operand(node, 0)), try placement(operand(node, 1)))
    guard tensor(w) != nil else { return reject(node, "convolve with weights computed at run time") }
    let rank = x.view.rank
    let order = Self.spaceOrder(rank, op.layout)
    let output = complete(node)
    let isPlain =
      op.groups == 1 && w.view.shape.dropFirst(2).allSatisfy { $0 == 1 } && op.strides.allSatisfy { $0 == 1 }
      && (op.padsBefore + op.padsAfter).allSatisfy { $0 == 0 }
    if isPlain, try emitPointwise(node, x.transposed(order), w, output, order) { return }
    let arranged = try epilogue(node, output) { view in
      View(view.element, order.map { view.shape[$0] }, strides: order.map { view.strides[$0] })
    }!
    let workload = ConvolutionWorkload(
      x: x.transposed(order).view, w: Self.convolutionWeights(w.view, groups: op.groups), strides: op.strides,
      dilations: op.dilations, padsBefore: op.padsBefore, padsAfter: op.padsAfter, groups: op.groups,
      epilogue: arranged.epilogue)
    emit(.convolution(workload), [x, w] + arranged.operands, output, origins: origins(node))
  }

  /// `[O, C, tap…]` as dimensions group, tap…, channel, output channel.
  private static func convolutionWeights(_ w: View, groups: Int) -> View {
    let outputs = w.shape[0].divided(exactlyBy: Dim(groups))!
    let taps = 2..<w.rank
    return View(
      w.element, [Dim(groups)] + taps.map { w.shape[$0] } + [w.shape[1], outputs],
      strides: [w.strides[0] * outputs] + taps.map { w.strides[$0] } + [w.strides[1], w.strides[0]])
  }

  /// A convolution of one tap: a matrix product of positions by channels.
  private mutating func emitPointwise(
    _ node: NodeID, _ x: Placement, _ w: Placement, _ output: Placement, _ order: [Int]
  ) throws -> Bool {
    let rank = x.view.rank
    func ordered(_ view: View) -> View {
      View(view.element, order.map { view.shape[$0] }, strides: order.map { view.strides[$0] })
    }
    let all: (View) -> View? = { ordered($0).collapsing(0..<rank - 1).map { $0.insertingBatch() } }
    let images: (View) -> View? = { ordered($0).collapsing(1..<rank - 1) }
    for (arrange, collapse) in [
      (all, { (v: View) in v.collapsing(0..<rank - 1)?.insertingBatch() }),
      (images, { (v: View) in v.collapsing(1..<rank - 1) }),
    ] {
      guard let a = collapse(x.view), arrange(output.view) != nil, let arranged = try epilogue(node, output, arrange)
      else { continue }
      let b = View(
        w.view.element, [a.shape[0], w.view.shape[1], w.view.shape[0]],
        strides: [0, w.view.strides[1], w.view.strides[0]])
      let workload = MatmulWorkload(a: a, b: b, bIsConstant: true, epilogue: arranged.epilogue)
      emit(.matmul(workload), [x, w] + arranged.operands, output, origins: origins(node))
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

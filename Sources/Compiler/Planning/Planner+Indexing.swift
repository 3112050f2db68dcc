import GraphIR
import Kernels
import TensorTypes

// Ops that take elements from, or put them to, places that a tensor names; orders; running sums; random numbers.

extension Planner {
  // MARK: Gathers

  mutating func plan(_ op: Gather, _ node: NodeID) throws {
    let (x, indices) = (try placement(operand(node, 0)), try placement(operand(node, 1)))
    let (data, picks) = (x.view.strides, indices.view.strides)
    let inner = data[(op.axis + 1)...]
    try gather(
      node, x, data[..<op.axis] + picks.map { _ in 0 } + inner, picked: [op.axis], indices,
      data[..<op.axis].map { _ in 0 } + picks + inner.map { _ in 0 }, component: 0)
  }

  mutating func plan(_ op: GatherElements, _ node: NodeID) throws {
    let (x, indices) = (try placement(operand(node, 0)), try placement(operand(node, 1)))
    guard fits(indices.view.shape, in: x.view.shape, but: op.axis) else {
      return reject(node, "gather_elements whose indices' sizes are not known to be within the data's")
    }
    var data = x.view.strides
    data[op.axis] = 0
    try gather(node, x, data, picked: [op.axis], indices, indices.view.strides, component: 0)
  }

  mutating func plan(_ op: GatherND, _ node: NodeID) throws {
    let indices = try placement(operand(node, 1))
    let rank = indices.view.rank - 1
    let picked = op.batchDims..<(op.batchDims + indices.view.shape[rank].constant!)
    let x = try withRowsTogether(node, from: picked.upperBound)
    let inner = x.view.strides[picked.upperBound...]
    try gather(
      node, x, x.view.strides[..<op.batchDims] + [Dim](repeating: 0, count: rank - op.batchDims) + inner,
      picked: Array(picked), indices, indices.view.strides[..<rank] + inner.map { _ in 0 },
      component: indices.view.strides[rank])
  }

  /// Where the data lies of which a node gathers rows, if it does: dimensions from `first` on.
  private mutating func withRowsTogether(_ node: NodeID, from first: Int) throws -> Placement {
    let x = try placement(operand(node, 0))
    let gathered = graph.type(graph[node].results[0]).shape
    guard first < x.view.rank, x.view.shape.last != 1, tensor(x) == nil else { return x }
    return try withNeighbours(node, along: x.view.rank - 1, gathering: gathered.product.estimate)
  }

  /// Where the data lies of which a node gathers so many elements, those along `axis` at once: in a copy where they are neighbours, if that
  /// costs less than picking as many one by one. Those who read it next read the copy too.
  private mutating func withNeighbours(_ node: NodeID, along axis: Int, gathering count: Int) throws -> Placement {
    let value = operand(node, 0)
    let x = try placement(value)
    guard x.view.strides[axis] != 1, 2 * count >= x.view.shape.product.estimate else { return x }
    let order = x.view.shape.indices.filter { $0 != axis } + [axis]
    let copy = dense(x.transposed(order), origin: graph[node].origin).transposed(order.inverted)
    placements[value] = copy
    return copy
  }

  mutating func plan(_ op: GatherSum, _ node: NodeID) throws {
    let given = graph.type(operand(node, 1)).shape
    let taps = [graph.type(operand(node, 0)).shape[0]] + given.dropFirst()
    let indices = try placement(operand(node, 1)).broadcast(to: taps)
    let weights = try placement(operand(node, 2)).broadcast(to: taps)
    let x = try withChannelsTogether(node, fetching: indices.view)
    let output = complete(node)
    let workload = GatherSumWorkload(
      x: x.view, indices: indices.view, weights: weights.view, output: output.view)
    emit(.gatherSum(workload), [x, indices, weights], output, origins: origins(node))
  }

  /// With channels as neighbours, where they are so many that vectors fetch them.
  private mutating func withChannelsTogether(_ node: NodeID, fetching indices: View) throws -> Placement {
    let x = try placement(operand(node, 0))
    let channels = x.view.shape[1]
    guard channels.estimate >= 4 else { return x }
    return try withNeighbours(node, along: 1, gathering: (indices.shape.product * channels).estimate)
  }

  /// Whether each size is at most the other's whatever the symbols' values, so that no access goes outside.
  private func fits(_ shape: Shape, in data: Shape, but axis: Int) -> Bool {
    shape.indices.allSatisfy { $0 == axis || data[$0].isAtLeast(shape[$0]) }
  }

  /// - Parameters:
  ///   - data, picks: strides of x and the indices along the result's dimensions.
  ///   - picked: x's dimensions that the indices are for.
  ///   - component: the stride from one dimension's index to the next one's.
  private mutating func gather(
    _ node: NodeID, _ x: Placement, _ data: [Dim], picked: [Int], _ indices: Placement, _ picks: [Dim], component: Dim
  ) throws {
    let output = complete(node)
    let shape = output.view.shape
    let workload = GatherWorkload(
      x: View(
        x.view.element, shape + picked.map { x.view.shape[$0] }, strides: data + picked.map { x.view.strides[$0] }),
      indices: View(indices.view.element, shape + [Dim(picked.count)], strides: picks + [component]),
      output: output.view)
    emit(.gather(workload), [x, indices], output, origins: origins(node))
  }

  // MARK: Scatters

  mutating func plan(_ op: ScatterElements, _ node: NodeID) throws {
    let indices = try placement(operand(node, 1))
    guard fits(indices.view.shape, in: graph.type(operand(node, 0)).shape, but: op.axis) else {
      return reject(node, "scatter_elements whose indices' sizes are not known to be within the data's")
    }
    let picks = View(
      indices.view.element, indices.view.shape + [1], strides: indices.view.strides + [0])
    let places = picks.shape.indices.dropLast().map { axis in
      axis == op.axis ? ScatterWorkload.Place.picked(0) : .along(axis)
    }
    try scatter(node, indices, picks, places, op.reduction)
  }

  mutating func plan(_ op: ScatterND, _ node: NodeID) throws {
    let indices = try placement(operand(node, 1))
    let updates = graph.type(operand(node, 2)).shape
    let rank = indices.view.rank - 1
    let depth = indices.view.shape[rank].constant!
    let inner = updates.dropFirst(rank)
    let picks = View(
      indices.view.element, updates + [Dim(depth)],
      strides: indices.view.strides[..<rank] + inner.map { _ in 0 } + [indices.view.strides[rank]])
    let places = (0..<depth).map { ScatterWorkload.Place.picked($0) } + inner.indices.map { .along($0) }
    try scatter(node, indices, picks, places, op.reduction)
  }

  private mutating func scatter(
    _ node: NodeID, _ indices: Placement, _ picks: View, _ places: [ScatterWorkload.Place],
    _ reduction: ScatterReduction
  ) throws {
    let (x, updates) = (try placement(operand(node, 0)), try placement(operand(node, 2)))
    let output = complete(node)
    let workload = ScatterWorkload(
      x: x.view, indices: picks, updates: updates.view, places: places, function: reduction.function,
      output: output.view)
    emit(.scatter(workload), [x, indices, updates], output, origins: origins(node))
  }

  // MARK: Along one dimension

  mutating func plan(_ op: Cumulative, _ node: NodeID) throws {
    let x = try placement(operand(node, 0))
    let output = complete(node)
    let workload = ScanWorkload(
      function: op.function == .sum ? .sum : .product, x: x.view, axis: op.axis, isExclusive: op.exclusive,
      isReverse: op.reverse, output: output.view)
    emit(.scan(workload), [x], output, origins: origins(node))
  }

  mutating func plan(_ op: TopK, _ node: NodeID) throws {
    let x = try placement(operand(node, 0))
    let output = complete(node)
    let positions = graph[node].results[1]
    let indices = destination(positions)
    placements[positions] = indices
    let workload = SortWorkload(
      x: x.view, axis: op.axis, isDescending: op.largest, output: output.view, indices: indices.view)
    emit(.sort(workload), [x], output, extras: [indices], origins: origins(node))
  }

  mutating func plan(_ op: ArgReduce, _ node: NodeID) throws {
    let x = try placement(operand(node, 0))
    let output = complete(node)
    var view = output.view
    if op.keepDims {
      view.strides[op.axis] = 0
    } else {
      view.shape.insert(1, at: op.axis)
      view.strides.insert(0, at: op.axis)
    }
    let workload = ArgReduceWorkload(
      x: x.view, axis: op.axis, isMaximum: op.function == .maximum, selectsLast: op.selectLast, output: view)
    emit(.argReduce(workload), [x], output, origins: origins(node))
  }

  // MARK: Random numbers

  mutating func plan(_ op: Random, _ node: NodeID) throws {
    let output = complete(node)
    let drawn = output.isDense ? output : newStorage(TensorType(op.element, op.shape))
    let flat = View(op.element, [op.shape.product])
    let kind: RandomWorkload.Kind = op.kind == .uniform ? .uniform : .normal
    emit(.random(RandomWorkload(kind: kind, seed: op.seed, output: flat)), [], drawn, origins: origins(node))
    if output.isDense { return }
    emit(.movement(MovementWorkload(x: drawn.view, output: output.view)), [drawn], output, origins: origins(node))
  }
}

import GraphIR
import Kernels
import TensorTypes

// Each core op as a view or as a kernel's workload.

extension Planner {
  mutating func plan(_ node: NodeID) throws {
    let result = graph[node].results.first
    if let result, placements[result] != nil { return }
    try checkSizes(node)
    // A view may be asked for before its turn.
    if let result, let view = try view(node) {
      placements[result] = view
      return
    }
    switch graph[node].op {
    case let op as Elementwise: try plan(op, node)
    case let op as MatMul: try plan(op, node)
    // Products read its operands.
    case is Dequantize: return
    case let op as Convolve: try plan(op, node)
    case let op as ConvolveTransposed: try plan(op, node)
    case let op as Reduce: try plan(op, node)
    case let op as Softmax: try plan(op, node)
    case let op as LayerNorm: try plan(op, node)
    case let op as GroupNorm: try plan(op, node)
    case let op as Attention: try plan(op, node)
    case let op as Pool: try plan(op, node)
    case let op as Concat: try plan(op, node)
    case let op as Pad: try plan(op, node)
    case let op as Gather: try plan(op, node)
    case let op as GatherElements: try plan(op, node)
    case let op as GatherND: try plan(op, node)
    case let op as GatherSum: try plan(op, node)
    case let op as ScatterElements: try plan(op, node)
    case let op as ScatterND: try plan(op, node)
    case let op as Cumulative: try plan(op, node)
    case let op as TopK: try plan(op, node)
    case let op as ArgReduce: try plan(op, node)
    case let op as Random: try plan(op, node)
    case let op as Recurrent: try plan(op, node)
    case let op as Resize: try plan(op, node)
    case let op as Iota:
      let output = complete(node)
      emit(
        .generate(GenerateWorkload(kind: .positions(axis: op.axis), output: output.view)), [], output,
        origins: origins(node))
    case let op as BindSymbols: try plan(op, node)
    case let op as NonZero: try plan(op, node)
    case let op as If: try plan(op, node)
    case let op as Loop: try plan(op, node)
    case let op as Assert:
      let flag = try placement(operand(node, 0))
      placements[graph[node].results[0]] = flag
      steps.append(.requireFlag(touched(flag), value: op.expected, message: op.message))
    case let op as Sizes:
      let output = complete(node)
      emit(.generate(GenerateWorkload(kind: .sizes(op.dims), output: output.view)), [], output, origins: origins(node))
    default: reject(node, graph[node].op.mnemonic)
    }
  }

  func origins(_ node: NodeID) -> [String?] {
    (prologues[node].map { [graph[$0].origin] } ?? []) + [graph[node].origin]
      + (epilogues[node].map { [graph[$0].origin] } ?? [])
  }

  /// Places the result of a node that is a kernel and returns where it goes.
  mutating func complete(_ node: NodeID) -> Placement {
    let value = finalResult(node)
    let output = destination(value)
    placements[value] = output
    return output
  }

  func operand(_ node: NodeID, _ index: Int) -> ValueID { graph[node].operands[index]! }

  // MARK: Views

  /// The node's result as a view of its operand, if it is one.
  private mutating func view(_ node: NodeID) throws -> Placement? {
    switch graph[node].op {
    case let op as Transpose: return try placement(operand(node, 0)).transposed(op.permutation)
    case let op as Slice: return try placement(operand(node, 0)).sliced(op)
    case let op as Broadcast: return try placement(operand(node, 0)).broadcast(to: op.shape)
    case let op as Bitcast:
      var source = try placement(operand(node, 0))
      source.view.element = op.element
      return source
    case let op as Reshape:
      let source = try placement(operand(node, 0))
      return source.reshaped(op.shape) ?? dense(source, origin: graph[node].origin).reshaped(op.shape)
    default: return nil
    }
  }

  // MARK: Elementwise

  private mutating func plan(_ op: Elementwise, _ node: NodeID) throws {
    let output = complete(node)
    let shape = output.view.shape
    let operands = try graph[node].operands.map { try placement($0!).broadcast(to: shape) }
    let workload = ElementwiseWorkload(expression: op.expression, operands: operands.map(\.view), output: output.view)
    emit(.elementwise(workload), operands, output, origins: origins(node))
  }

  /// The epilogue of a kernel whose own result has the graph's shape of `node`'s result; `arrange` turns a view of that
  /// shape into one of the workload's dimensions.
  /// - Returns: nil if a view cannot be arranged so.
  mutating func epilogue(
    _ node: NodeID, _ output: Placement, leading: Expression? = nil, leadingOperands: [Placement] = [],
    _ arrange: (View) -> View?
  ) throws -> (epilogue: Epilogue, operands: [Placement])? {
    let own = graph[node].results[0]
    let shape = graph.type(own).shape
    var expression = leading ?? Expression(inputs: [graph.type(own).element]) { $0.input(0) }
    var operands = leadingOperands.map { $0.broadcast(to: shape) }
    if let id = epilogues[node], let outer = graph[id].op as? Elementwise {
      let computed = expression.result
      var arguments: [Expression.Operand] = []
      for value in graph[id].operands.map({ $0! }) {
        if value == own {
          arguments.append(computed)
        } else {
          operands.append(try placement(value).broadcast(to: shape))
          arguments.append(expression.input(expression.addInput(graph.type(value).element)))
        }
      }
      expression.result = expression.inline(outer.expression, arguments)
    }
    guard let arrangedOutput = arrange(output.view) else { return nil }
    var views: [View] = []
    for i in operands.indices {
      if arrange(operands[i].view) == nil {
        // Copied to the output's shape it lies as regularly as the output does.
        let copy = newStorage(TensorType(operands[i].view.element, shape))
        emit(
          .movement(MovementWorkload(x: operands[i].view, output: copy.view)), [operands[i]], copy,
          origins: origins(node))
        operands[i] = copy
      }
      guard let view = arrange(operands[i].view) else { return nil }
      views.append(view)
    }
    return (Epilogue(expression: expression, operands: views, output: arrangedOutput), operands)
  }

  // MARK: Reductions and normalisations

  private mutating func plan(_ op: Reduce, _ node: NodeID) throws {
    let (prologue, inputs) = try self.prologue(node)
    let shape = graph.type(operand(node, 0)).shape
    let kept = shape.enumerated().map { op.axes.contains($0) ? Dim(1) : $1 }
    let output = complete(node)
    let arranged = try epilogue(node, output) { view in
      View(view.element, kept, strides: Self.insertingReduced(view, op, rank: shape.count))
    }!
    let workload = ReductionWorkload(
      function: op.function, prologue: prologue, inputs: inputs.map(\.view), axes: op.axes.sorted(),
      epilogue: arranged.epilogue)
    emit(.reduction(workload), inputs + arranged.operands, output, origins: origins(node))
  }

  /// What a reduction computes of each element that it reads, and of what.
  private mutating func prologue(_ node: NodeID) throws -> (Expression, [Placement]) {
    let value = operand(node, 0)
    guard let source = prologues[node], let op = graph[source].op as? Elementwise else {
      return (Expression(inputs: [graph.type(value).element]) { $0.input(0) }, [try placement(value)])
    }
    let shape = graph.type(value).shape
    return (op.expression, try graph[source].operands.map { try placement($0!).broadcast(to: shape) })
  }

  /// Strides with a 0 for each reduced dimension that the result lacks.
  private static func insertingReduced(_ view: View, _ op: Reduce, rank: Int) -> [Dim] {
    if op.keepDims { return view.strides }
    var rest = view.strides[...]
    return (0..<rank).map { op.axes.contains($0) ? 0 : rest.removeFirst() }
  }

  private mutating func plan(_ op: Softmax, _ node: NodeID) throws {
    let x = try placement(operand(node, 0))
    // The normalised dimension last.
    let order = x.view.shape.indices.filter { $0 != op.axis } + [op.axis]
    try normalise(node, x, op.logarithm ? .logSoftmax : .softmax, order, rowRank: 1, leading: nil, [])
  }

  private mutating func plan(_ op: LayerNorm, _ node: NodeID) throws {
    let x = try placement(operand(node, 0))
    let element = x.view.element
    let parameters = try graph[node].operands.dropFirst().compactMap { $0 }.map { try placement($0) }
    let leading = Expression(inputs: [element] + parameters.map(\.view.element)) { e in
      var value = e.input(0)
      if parameters.count > 0 { value = e.binary(.multiply, value, e.input(1)) }
      if parameters.count > 1 { value = e.binary(.add, value, e.input(2)) }
      return value
    }
    let kind: NormalizationWorkload.Kind = op.kind == .layer ? .layer(epsilon: op.epsilon) : .rms(epsilon: op.epsilon)
    try normalise(
      node, x, kind, Array(x.view.shape.indices), rowRank: x.view.rank - op.axis, leading: leading, parameters)
  }

  private mutating func plan(_ op: GroupNorm, _ node: NodeID) throws {
    let x = try placement(operand(node, 0))
    let rank = x.view.rank
    let axis = op.layout.channelAxis(rank: rank)
    // One element a channel, aligned with x's dimensions.
    let parameters = try (1...2).map { i in
      let source = try placement(operand(node, i))
      let shape = (0..<rank).map { $0 == axis ? source.view.shape[0] : Dim(1) }
      guard let aligned = source.reshaped(shape) else { preconditionFailure("dimensions of 1 cost nothing") }
      return aligned
    }
    let leading = Expression(inputs: [x.view.element] + parameters.map(\.view.element)) { e in
      e.binary(.add, e.binary(.multiply, e.input(0), e.input(1)), e.input(2))
    }
    let groups = Dim(op.groups)
    // Dimensions image, group, then those that are normalised over in the order of memory.
    func arrange(_ view: View) -> View? {
      guard let width = view.shape[axis].divided(exactlyBy: groups) else { return nil }
      let split = [(groups, view.strides[axis] * width), (width, view.strides[axis])]
      let space = view.shape.indices.dropFirst().filter { $0 != axis }.map { (view.shape[$0], view.strides[$0]) }
      let dimensions =
        [(view.shape[0], view.strides[0]), split[0]]
        + (op.layout == .channelsFirst ? [split[1]] + space : space + [split[1]])
      return View(view.element, dimensions.map(\.0), strides: dimensions.map(\.1))
    }
    try normalise(
      node, x, .layer(epsilon: op.epsilon), rowRank: rank - 1, leading: leading, parameters, arrange)
  }

  private mutating func normalise(
    _ node: NodeID, _ x: Placement, _ kind: NormalizationWorkload.Kind, _ order: [Int], rowRank: Int,
    leading: Expression?, _ parameters: [Placement]
  ) throws {
    try normalise(node, x, kind, rowRank: rowRank, leading: leading, parameters) { view in
      View(view.element, order.map { view.shape[$0] }, strides: order.map { view.strides[$0] })
    }
  }

  /// - Parameter arrange: a view of x's shape with the dimensions that are normalised over last.
  private mutating func normalise(
    _ node: NodeID, _ x: Placement, _ kind: NormalizationWorkload.Kind, rowRank: Int, leading: Expression?,
    _ parameters: [Placement], _ arrange: (View) -> View?
  ) throws {
    let output = complete(node)
    let arranged = try epilogue(node, output, leading: leading, leadingOperands: parameters, arrange)!
    let workload = NormalizationWorkload(kind: kind, x: arrange(x.view)!, rowRank: rowRank, epilogue: arranged.epilogue)
    emit(.normalization(workload), [x] + arranged.operands, output, origins: origins(node))
  }

  private mutating func plan(_ op: Attention, _ node: NodeID) throws {
    let operands = try graph[node].operands.compactMap { $0 }.map { try placement($0) }
    let value = finalResult(node)
    if homes[value] == nil, let permuted = densePermutation(value) { homes[value] = permuted }
    let output = complete(node)
    let scores = operands[0].view.shape.dropLast() + [operands[1].view.shape[2]]
    let mask = operands.count > 3 ? operands[3].broadcast(to: Array(scores)) : nil
    let workload = AttentionWorkload(
      q: operands[0].view, k: operands[1].view, v: operands[2].view, mask: mask?.view, scale: op.scale,
      softcap: op.softcap, causalOffset: op.causal ? op.causalOffset : nil, mayRound: op.mayRound, output: output.view)
    emit(.attention(workload), Array(operands[..<3]) + (mask.map { [$0] } ?? []), output, origins: origins(node))
  }

  /// Memory in which the transpose that alone reads `value` is dense, so that what follows need not copy.
  private mutating func densePermutation(_ value: ValueID) -> Placement? {
    guard uses[value.index].count == 1, let op = graph[uses[value.index][0]].op as? Transpose else { return nil }
    let type = graph.type(value)
    let transposed = newStorage(TensorType(type.element, op.permutation.map { type.shape[$0] }))
    var inverse = op.permutation
    for (to, from) in op.permutation.enumerated() { inverse[from] = to }
    return transposed.transposed(inverse)
  }

  // MARK: Movement

  private mutating func plan(_ op: Concat, _ node: NodeID) throws {
    let operands = (0..<graph[node].operands.count).map { operand(node, $0) }
    let whole = destination(graph[node].results[0])
    placements[graph[node].results[0]] = whole
    for (value, piece) in zip(operands, pieces(of: whole, op, operands)) {
      let source = try placement(value)
      if source.storage == piece.storage, source.offset == piece.offset, source.view.strides == piece.view.strides {
        continue
      }
      emit(.movement(MovementWorkload(x: source.view, output: piece.view)), [source], piece, origins: origins(node))
    }
  }

  private mutating func plan(_ op: Pad, _ node: NodeID) throws {
    let x = try placement(operand(node, 0))
    let output = complete(node)
    let padding: MovementWorkload.Padding =
      switch op.mode {
      case .constant: .constant(op.value)
      case .edge: .edge
      case .reflect: .reflect
      case .wrap: .wrap
      }
    let workload = MovementWorkload(x: x.view, before: op.before, padding: padding, output: output.view)
    emit(.movement(workload), [x], output, origins: origins(node))
  }

  // MARK: Windows

  /// Dimensions n, space…, channel out of the layout's.
  static func spaceOrder(_ rank: Int, _ layout: ConvolutionLayout) -> [Int] {
    switch layout {
    case .channelsFirst: [0] + Array(2..<rank) + [1]
    case .channelsLast: Array(0..<rank)
    }
  }

  private mutating func plan(_ op: Pool, _ node: NodeID) throws {
    let x = try placement(operand(node, 0))
    let order = Self.spaceOrder(x.view.rank, op.layout)
    let output = complete(node)
    let kind: PoolWorkload.Kind = op.kind == .maximum ? .maximum : .average(countsPadding: op.countIncludesPadding)
    let workload = PoolWorkload(
      kind: kind, x: x.transposed(order).view, window: op.window, strides: op.strides, dilations: op.dilations,
      padsBefore: op.padsBefore, padsAfter: op.padsAfter, output: output.transposed(order).view)
    emit(.pool(workload), [x], output, origins: origins(node))
  }

  private mutating func plan(_ op: Resize, _ node: NodeID) throws {
    guard !op.antialias, !op.excludeOutside, op.coordinateMode != .tfCropAndResize else {
      return reject(node, "resize with antialias, exclude_outside or a region")
    }
    let x = try placement(operand(node, 0))
    let output = complete(node)
    var scales = [Double](repeating: 1, count: x.view.rank)
    for (axis, scale) in zip(op.axes, op.scales) { scales[axis] = scale }
    let workload = ResizeWorkload(
      x: x.view, mode: op.mode.rawValue, coordinateMode: op.coordinateMode.rawValue,
      nearestMode: op.nearestMode.rawValue,
      cubicCoefficient: op.cubicCoefficient, scales: scales, output: output.view)
    emit(.resize(workload), [x], output, origins: origins(node))
  }
}

import GraphIR
import Kernels
import TensorTypes

// Decisions taken before any kernel is planned.

extension Planner {
  /// Finds for each kernel that can end in an elementwise node the one that it ends in.
  ///
  /// The node must be the only reader of the kernel's result and have its shape; its other operands must be there
  /// before the kernel runs. Of several kernels that could end in one node the last has it.
  mutating func chooseEpilogues() {
    for id in graph.nodeIDs {
      guard graph[id].op is Elementwise else { continue }
      let operands = graph[id].operands.compactMap { $0 }
      let ready = operands.map { firstNeeded($0) }
      guard let last = ready.compactMap({ $0 }).max(), graph[last].op.canEndInElementwise, epilogues[last] == nil else {
        continue
      }
      let result = graph[last].results[0]
      let isSole = uses[result.index].allSatisfy { $0 == id } && !graph.outputs.contains { $0.value == result }
      guard operands.contains(result), isSole, graph.type(result).shape == graph.type(graph[id].results[0]).shape else {
        continue
      }
      // Nothing but the kernel itself may be as late as the kernel.
      guard zip(operands, ready).allSatisfy({ $0 == result || $1.map { $0 < last } ?? true }) else { continue }
      epilogues[last] = id
      absorbed.insert(id)
    }
  }

  /// Finds for each reduction the elementwise node that it can compute as it reads, which writes and reads a tensor less.
  ///
  /// The reduction must be the only reader. The node's first operand has the result's shape: vectors run as it lies.
  mutating func choosePrologues() {
    for id in graph.nodeIDs {
      guard graph[id].op is Reduce, let value = graph[id].operands[0], let source = graph.producer(value),
        graph[source].op is Elementwise, !absorbed.contains(source), let first = graph[source].operands[0],
        graph.type(first).shape == graph.type(value).shape,
        uses[value.index].allSatisfy({ $0 == id }), !graph.outputs.contains(where: { $0.value == value })
      else { continue }
      prologues[id] = source
      absorbed.insert(source)
    }
  }

  /// The node that must have run before `value` can be read: the one that computes what it is a view of.
  private func firstNeeded(_ value: ValueID) -> NodeID? {
    guard let node = graph.producer(value) else { return nil }
    if graph[node].op.isView {
      // A view also needs the sizes it speaks of.
      let source = graph[node].operands[0].flatMap { firstNeeded($0) }
      return [source, lastDefiner(graph[node].op.usedSymbols)].compactMap { $0 }.max()
    }
    // An absorbed elementwise node is computed by its kernel.
    return epilogues.first { $0.value == node }?.key ?? node
  }

  /// What the kernel of `node` computes: its own result, or that of the node it ends in.
  func finalResult(_ node: NodeID) -> ValueID { graph[epilogues[node] ?? node].results[0] }

  /// Decides where results go that must lie in a certain place: the graph's outputs, pieces of concatenations.
  mutating func chooseHomes() {
    for (i, output) in graph.outputs.enumerated() {
      // Through reshapes back to what a kernel computes; through transposes to one that writes its results so.
      var (value, views) = (output.value, [NodeID]())
      while let node = graph.producer(value), graph[node].op is Reshape || graph[node].op is Transpose {
        views.append(node)
        value = graph[node].operands[0]!
      }
      if views.contains(where: { graph[$0].op is Transpose }), !isWrittenByRows(value), !isAttention(value) { continue }
      guard isComputedByKernel(value), homes[value] == nil, isKnown(graph.type(output.value).shape, before: value)
      else { continue }
      if graphNumber == 0 {
        guard source(of: Placement(storage: 0, offset: 0, view: View(graph.type(output.value))), views) != nil else {
          continue
        }
        homes[value] = source(of: newStorage(graph.type(output.value), .output(i)), views)
      } else if let place = wantedPlaces[i], place.view.shape == graph.type(output.value).shape {
        homes[value] = source(of: place, views)
      }
    }
    for id in graph.nodeIDs {
      guard graph[id].op is Transpose else { continue }
      let value = graph[id].operands[0]!
      let type = graph.type(graph[id].results[0])
      guard homes[value] == nil, isWrittenByRows(value), isKnown(type.shape, before: value) else { continue }
      homes[value] = source(of: newStorage(type), [id])
    }
    // From the last to the first: of concatenations that share pieces the longest, which comes last, decides.
    for id in graph.nodeIDs.reversed() {
      guard let op = graph[id].op as? Concat else { continue }
      let operands = graph[id].operands.map { $0! }
      let result = graph[id].results[0]
      guard homes[result] != nil || operands.contains(where: { homes[$0] == nil && isComputedByKernel($0) }) else {
        continue
      }
      if homes[result] == nil, let whole = commonHome(op, operands) {
        homes[result] = whole
        continue
      }
      let home = homes[result] ?? newStorage(graph.type(result))
      homes[result] = home
      for (operand, piece) in zip(operands, pieces(of: home, op, operands))
      where homes[operand] == nil && isComputedByKernel(operand)
        && isKnown(graph.type(result).shape, before: operand)
      {
        homes[operand] = piece
      }
    }
  }

  /// Where a value lies that, seen through reshapes and transposes (the last first), lies at `place`.
  private func source(of place: Placement, _ views: [NodeID]) -> Placement? {
    views.reduce(Optional(place)) { place, node in
      let source = graph.type(graph[node].operands[0]!).shape
      if let op = graph[node].op as? Transpose { return place?.transposed(op.permutation.inverted) }
      return place?.reshaped(source)
    }
  }

  /// Whether attention computes `value`, read once: it writes rows of heads, wherever they lie.
  private func isAttention(_ value: ValueID) -> Bool {
    uses[value.index].count == 1 && graph.producer(value).map { graph[$0].op is Attention } ?? false
  }

  /// Whether the kernel that computes `value` with channels last had better write it with channels first, as it is read
  /// once, through a transpose: a convolution whose input lies with channels first, and that is a product which can be
  /// taken either way round, or has groups too narrow to fill vectors with channels, or sums so little for a result that
  /// writing results twice would take longest (images; 121 taps are what `convolution.rows` takes).
  private func isWrittenByRows(_ value: ValueID) -> Bool {
    guard uses[value.index].count == 1, !graph.outputs.contains(where: { $0.value == value }),
      let producer = graph.producer(value)
    else { return false }
    let node = epilogues.first { $0.value == producer }?.key ?? producer
    guard let op = graph[node].op as? Convolve, op.layout == .channelsLast,
      let input = graph.producer(operand(node, 0)), let transpose = graph[input].op as? Transpose
    else { return false }
    let (x, w) = (graph.type(operand(node, 0)), graph.type(operand(node, 1)))
    guard x.element == .float32, w.element == .float32 else { return false }
    let weights = w.shape
    let isNarrow = (weights[0].constant ?? .max) / op.groups <= (op.groups > 1 ? lanes : lanes / 2)
    let (depth, taps) = (weights.dropFirst().product.constant, weights.dropFirst(2).product.constant)
    let isShallow = weights.count > 3 && depth ?? .max <= 160 && taps ?? .max <= 121
    return (isNarrow || isShallow || op.isProduct(weights)) && transpose == .toChannelsLast(rank: weights.count)
  }

  func pieces(of whole: Placement, _ op: Concat, _ operands: [ValueID]) -> [Placement] {
    var start = Dim(0)
    return operands.map { operand in
      let size = graph.type(operand).shape[op.axis]
      defer { start = start + size }
      return whole.sliced(Slice(axes: [op.axis], starts: [start], sizes: [size], steps: [1]))
    }
  }

  /// The part of a storage that the operands fill side by side already.
  func commonHome(_ op: Concat, _ operands: [ValueID]) -> Placement? {
    guard var whole = homes[operands[0]] else { return nil }
    var offset = whole.offset
    for operand in operands {
      guard let home = homes[operand], home.storage == whole.storage, home.view.strides == whole.view.strides,
        home.offset == offset
      else { return nil }
      offset = offset + home.view.shape[op.axis] * home.view.strides[op.axis]
    }
    whole.view.shape[op.axis] = operands.map { graph.type($0).shape[op.axis] }.reduce(0, +)
    return whole
  }

  /// Whether the sizes have values when `value` is computed: memory of a size known later can't be written by then.
  private func isKnown(_ shape: Shape, before value: ValueID) -> Bool {
    let symbols = shape.reduce(into: Set<String>()) { $0.formUnion($1.symbols) }
    guard let definer = lastDefiner(symbols), let producer = graph.producer(value) else { return true }
    // An op that finds its own result's size asks for the memory in between.
    return definer < producer || (definer == producer && graph[producer].op is NonZero)
  }

  /// Whether a kernel writes `value`, and so may be told where to.
  private func isComputedByKernel(_ value: ValueID) -> Bool {
    guard let op = graph.producer(value).map({ graph[$0].op }) else { return false }
    return !(op.isView || op is BindSymbols || op is Loop)
  }
}

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
      guard let last = ready.compactMap({ $0 }).max(), canEndInElementwise(last), epilogues[last] == nil else {
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

  /// The node that must have run before `value` can be read: the one that computes what it is a view of.
  private func firstNeeded(_ value: ValueID) -> NodeID? {
    guard let node = graph.producer(value) else { return nil }
    switch graph[node].op {
    case is Reshape, is Bitcast, is Transpose, is Slice, is Broadcast:
      // A view also needs the sizes it speaks of.
      let source = graph[node].operands[0].flatMap { firstNeeded($0) }
      return [source, lastDefiner(graph[node].op.usedSymbols)].compactMap { $0 }.max()
    default:
      // An absorbed elementwise node is computed by its kernel.
      if let kernel = epilogues.first(where: { $0.value == node })?.key { return kernel }
      return node
    }
  }

  private func canEndInElementwise(_ node: NodeID) -> Bool {
    switch graph[node].op {
    case is MatMul, is Convolve, is ConvolveTransposed, is Softmax, is LayerNorm, is GroupNorm, is Reduce: true
    default: false
    }
  }

  /// What the kernel of `node` computes: its own result, or that of the node it ends in.
  func finalResult(_ node: NodeID) -> ValueID { graph[epilogues[node] ?? node].results[0] }

  /// Decides where results go that must lie in a certain place: the graph's outputs, pieces of concatenations.
  mutating func chooseHomes() {
    for (i, output) in graph.outputs.enumerated() {
      // Through reshapes back to what a kernel computes.
      var value = output.value
      while let node = graph.producer(value), graph[node].op is Reshape { value = graph[node].operands[0]! }
      guard isComputedByKernel(value), homes[value] == nil, isKnown(graph.type(output.value).shape, before: value)
      else { continue }
      if graphNumber == 0 {
        homes[value] = newStorage(graph.type(value), .output(i))
      } else if let place = wantedPlaces[i], place.view.shape == graph.type(output.value).shape {
        homes[value] = place.reshaped(graph.type(value).shape)
      }
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
    guard let node = graph.producer(value) else { return false }
    switch graph[node].op {
    case is Reshape, is Bitcast, is Transpose, is Slice, is Broadcast, is BindSymbols, is Loop: return false
    default: return true
    }
  }
}

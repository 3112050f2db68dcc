import GraphIR
import TensorTypes

/// The graph in an order in which more kernels can end in the elementwise node that reads them: what else that node reads comes
/// before the kernel, where it is elementwise itself and needs nothing that comes later. (`x·w − z·Σw` where the zero point z is known
/// only at run time: its product with the sums.)
func settleEpilogues(_ graph: Graph) throws -> Graph {
  try Rewriter.rewrite(graph, order: EpilogueOrder(graph).order) { rewriter, id in
    try graph[id].op.mappingInnerGraphs(settleEpilogues).map { try rewriter.copy(id, as: $0) }
  }
}

private struct EpilogueOrder {
  private let graph: Graph
  private let definers: [String: NodeID]

  init(_ graph: Graph) {
    self.graph = graph
    definers = graph.definers
  }

  var order: [NodeID] {
    let early = nodesBeforeKernels
    var order: [NodeID] = []
    var isDone = [Bool](repeating: false, count: graph.nodeIDs.count)
    for id in graph.nodeIDs {
      for node in (early[id] ?? []).sorted() + [id] where !isDone[node.index] {
        isDone[node.index] = true
        order.append(node)
      }
    }
    return order
  }

  /// For a kernel, the later nodes that had better come before it.
  private var nodesBeforeKernels: [NodeID: Set<NodeID>] {
    let uses = graph.uses()
    var early: [NodeID: Set<NodeID>] = [:]
    for id in graph.nodeIDs where graph[id].op is Elementwise {
      let producers = graph[id].operands.compactMap { $0.flatMap(graph.producer) }
      for kernel in producers where graph[kernel].op.canEndInElementwise {
        guard uses[graph[kernel].results[0].index].allSatisfy({ $0 == id }) else { continue }
        var moved: Set<NodeID> = []
        if producers.allSatisfy({ $0 == kernel || canCome(before: kernel, $0, &moved) }) { early[kernel] = moved }
      }
    }
    return early
  }

  /// - Parameter moved: gets the nodes that have to come along.
  private func canCome(before kernel: NodeID, _ node: NodeID, _ moved: inout Set<NodeID>) -> Bool {
    if node < kernel || moved.contains(node) { return true }
    guard graph[node].op is Elementwise || graph[node].op.isView else { return false }
    let symbols = graph[node].results.reduce(into: graph[node].op.usedSymbols) { symbols, result in
      for dim in graph.type(result).shape { symbols.formUnion(dim.symbols) }
    }
    guard symbols.allSatisfy({ definers[$0].map { $0 < kernel } ?? true }) else { return false }
    for case let operand? in graph[node].operands {
      if let producer = graph.producer(operand), !canCome(before: kernel, producer, &moved) { return false }
    }
    moved.insert(node)
    return true
  }
}

extension Graph {
  /// The nodes that give symbols their values.
  var definers: [String: NodeID] {
    var definers: [String: NodeID] = [:]
    for node in nodeIDs { for symbol in self[node].op.definedSymbols { definers[symbol] = node } }
    return definers
  }
}

extension Op {
  /// Whether the kernels of this op can compute an elementwise node on their results before they store them.
  var canEndInElementwise: Bool {
    switch self {
    case is MatMul, is Convolve, is ConvolveTransposed, is Softmax, is LayerNorm, is GroupNorm, is Reduce: true
    default: false
    }
  }

  /// Whether the result lies in the operand's memory.
  var isView: Bool {
    switch self {
    case is Reshape, is Bitcast, is Transpose, is Slice, is Broadcast: true
    default: false
    }
  }
}

import GraphIR

/// A graph and all that its control-flow nodes hold, numbered: the graph itself is 0, inner ones follow in the order
/// of their nodes, each before those inside it.
struct GraphTree {
  private(set) var graphs: [Graph] = []
  private var inner: [[NodeID: [Int]]] = []

  init(_ root: Graph) { _ = add(root) }

  /// Numbers of the graphs that a node of graph `number` holds.
  func inner(of node: NodeID, in number: Int) -> [Int] { inner[number][node] ?? [] }

  private mutating func add(_ graph: Graph) -> Int {
    let number = graphs.count
    graphs.append(graph)
    inner.append([:])
    for node in graph.nodeIDs {
      let held = graph[node].op.innerGraphs
      if !held.isEmpty { inner[number][node] = held.map { add($0) } }
    }
    return number
  }
}

import GraphIR

/// A graph and all that its control-flow nodes hold, numbered: the graph itself is 0, inner ones follow in the order
/// of their nodes, each before those inside it.
struct GraphTree {
  private(set) var graphs: [Graph] = []
  private var inner: [[NodeID: [Int]]] = []
  /// Constants that equal one of another graph (a weight used in both branches of an If), and which one.
  private var twins: [Storage.ConstantID: Storage.ConstantID] = [:]

  init(_ root: Graph) {
    _ = add(root)
    if graphs.count > 1 { findTwins() }
  }

  /// The one of several equal constants that is stored.
  func stored(_ constant: Storage.ConstantID) -> Storage.ConstantID { twins[constant] ?? constant }

  private mutating func findTwins() {
    var pool = ConstantPool<Storage.ConstantID>()
    for (number, graph) in graphs.enumerated() {
      for value in graph.valueIDs {
        guard let tensor = graph.constant(value) else { continue }
        let own = Storage.ConstantID(graph: number, value: value)
        if let first = pool.value(of: tensor) { twins[own] = first } else { pool.insert(tensor, own) }
      }
    }
  }

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

import TensorTypes

/// Builds a new graph from an old one, node by node, in order.
///
///     let folded = try Rewriter.rewrite(graph) { rewriter, node in
///       guard let tensors = constants(of: node) else { return nil }            // nil: copy the node
///       return tensors.map { rewriter.result.addConstant($0) }                  // what to use instead
///     }
///
/// Inputs and outputs keep names and order; results keep names and origins; nodes that nothing needs are dropped.
public struct Rewriter {
  public let source: Graph
  /// The new graph, to which a replacement adds its nodes.
  public var result: Graph
  private var renamed: [ValueID: ValueID] = [:]

  /// - Parameters:
  ///   - order: all nodes, each after those that it needs; as they stand unless given.
  ///   - replace: returns the values, of `result`, that stand for the results of a node of `source`, whose
  ///     types they must have; or nil to copy the node as it is.
  public static func rewrite(
    _ graph: Graph, order: [NodeID]? = nil, _ replace: (inout Rewriter, NodeID) throws -> [ValueID]?
  ) throws -> Graph {
    var rewriter = Rewriter(graph)
    for node in order ?? Array(graph.nodeIDs) {
      let values = try replace(&rewriter, node) ?? rewriter.copy(node)
      rewriter.map(node, to: values)
    }
    for output in graph.outputs { rewriter.result.addOutput(output.name, rewriter[output.value]) }
    return rewriter.result.withoutDeadNodes()
  }

  private init(_ graph: Graph) {
    source = graph
    result = Graph(name: graph.name)
    for value in graph.valueIDs {
      switch graph[value].definition {
      case .input: renamed[value] = result.addInput(graph[value].name ?? "", graph.type(value))
      case .constant(let tensor): renamed[value] = result.addConstant(tensor, name: graph[value].name)
      case .result: break
      }
    }
  }

  /// The new value that stands for `value` of the source.
  /// - Precondition: an input, a constant or a result of a node that has been visited.
  public subscript(_ value: ValueID) -> ValueID {
    guard let new = renamed[value] else { preconditionFailure("a value of a node that has been visited") }
    return new
  }

  /// The operands of a node of the source, as values of the result.
  public func operands(of node: NodeID) -> [ValueID?] { source[node].operands.map { $0.map { self[$0] } } }

  /// Adds the node to the result unchanged, or with another op.
  public mutating func copy(_ node: NodeID, as op: (any Op)? = nil) throws -> [ValueID] {
    try result.add(op ?? source[node].op, operands(of: node), origin: source[node].origin)
  }

  private mutating func map(_ node: NodeID, to values: [ValueID]) {
    precondition(values.count == source[node].results.count, "a value a result of \(source[node].op.mnemonic)")
    for (old, new) in zip(source[node].results, values) {
      renamed[old] = new
      if let name = source[old].name, result[new].name == nil { result.setName(name, of: new) }
    }
  }
}

extension Graph {
  /// Without the nodes and constants that no output needs. Inputs stay, and so do nodes that define symbols which
  /// what stays speaks of.
  public func withoutDeadNodes() -> Graph {
    var isLive = [Bool](repeating: false, count: values.count)
    var isKept = [Bool](repeating: false, count: nodes.count)
    var symbols: Set<String> = []
    for output in outputs { isLive[output.value.index] = true }
    for (i, node) in nodes.enumerated().reversed() {
      let definesUsed = node.op.definedSymbols.contains { symbols.contains($0) }
      guard definesUsed || node.op.hasEffect || node.results.contains(where: { isLive[$0.index] }) else { continue }
      isKept[i] = true
      for case let operand? in node.operands { isLive[operand.index] = true }
      symbols.formUnion(node.op.mentionedSymbols)
      for result in node.results { for dim in type(result).shape { symbols.formUnion(dim.symbols) } }
    }
    var copy = Graph(name: name)
    var renamed: [ValueID: ValueID] = [:]
    for (i, value) in values.enumerated() {
      let id = ValueID(i)
      switch value.definition {
      case .input: renamed[id] = copy.addInput(value.name ?? "", value.type)
      case .constant(let tensor): if isLive[i] { renamed[id] = copy.addConstant(tensor, name: value.name) }
      case .result(let node, 0) where isKept[node.index]: copy.append(self, nodes[node.index], &renamed)
      case .result: break
      }
    }
    for output in outputs { copy.addOutput(output.name, renamed[output.value]!) }
    return copy
  }

  /// Copies a node with what is known of its results, without inferring it again.
  private mutating func append(_ source: Graph, _ node: Node, _ renamed: inout [ValueID: ValueID]) {
    let id = NodeID(nodes.count)
    var new = node
    new.operands = node.operands.map { $0.map { renamed[$0]! } }
    new.results = []
    for (i, result) in node.results.enumerated() {
      let value = ValueID(values.count)
      values.append(Value(facts: source[result].facts, definition: .result(id, index: i), name: source[result].name))
      new.results.append(value)
      renamed[result] = value
    }
    nodes.append(new)
  }

  /// The graph with symbols replaced, in inputs' types and everywhere after.
  /// - Throws: `Failure` if a node does not accept the sizes.
  public func substituting(_ bindings: [String: Dim]) throws -> Graph {
    var copy = Graph(name: name)
    var renamed: [ValueID: ValueID] = [:]
    for (i, value) in values.enumerated() {
      let id = ValueID(i)
      switch value.definition {
      case .input:
        let type = TensorType(value.type.element, value.type.shape.map { $0.substituting(bindings) })
        renamed[id] = copy.addInput(value.name ?? "", type)
      case .constant(let tensor): renamed[id] = copy.addConstant(tensor, name: value.name)
      case .result(let number, 0):
        let node = nodes[number.index]
        let results = try copy.add(
          node.op.substituting(bindings), node.operands.map { $0.map { renamed[$0]! } }, origin: node.origin)
        for (old, new) in zip(node.results, results) {
          renamed[old] = new
          if let name = self[old].name { copy.setName(name, of: new) }
        }
      case .result: break
      }
    }
    for output in outputs { copy.addOutput(output.name, renamed[output.value]!) }
    return copy
  }
}

import TensorTypes

extension ONNXModel {
  /// - Throws: naming the first node, in subgraphs and functions too, whose operator set is not imported.
  func checkOperatorSets() throws {
    let local = functionsByName(self)
    func check(_ nodes: [ONNXNode], _ opsets: [String: Int]) throws {
      for node in nodes {
        guard opsets[node.domain] != nil || local[node.functionKey] != nil else {
          let domain = node.domain.isEmpty ? "ai.onnx" : node.domain
          throw Failure.badData("the model imports no operator set for domain '\(domain)'", place: node.place)
        }
        for attribute in node.attributes {
          switch attribute.value {
          case .graph(let graph): try check(graph.nodes, opsets)
          case .graphs(let graphs): for graph in graphs { try check(graph.nodes, opsets) }
          default: continue
          }
        }
      }
    }
    try check(graph.nodes, opsetVersions)
    for function in functions {
      try check(function.nodes, function.opsetVersions.merging(opsetVersions) { own, _ in own })
    }
  }
}

import GraphIR
import TensorTypes

extension GraphPass {
  /// Computes convolutions with channels last, between transposes.
  static let chooseLayouts = GraphPass("chooseLayouts") { graph in
    try GraphRewriter.rewrite(graph, layoutRules + simplificationRules)
  }

  /// Sinks transposes until inverse ones meet. The result is taken only if it moves less data: a transposed value with
  /// several readers that are all outputs would have become several transposes.
  static let moveTransposes = GraphPass("moveTransposes") { graph in
    // Sunk transposes of one value are one again when equal computations are shared.
    let moved = try GraphRewriter.rewrite(
      try GraphRewriter.rewrite(graph, simplificationRules + transposeRules), [], sharing: true)
    return moved.transposedElements <= graph.transposedElements ? moved : graph
  }

  /// Computes pools as reductions where these are quicker.
  static let reducePools = GraphPass("reducePools") { graph in
    try GraphRewriter.rewrite(graph, poolRules + simplificationRules)
  }
}

extension Graph {
  /// Elements that transposes move, a symbol counting as 64: an estimate to compare two graphs by.
  var transposedElements: Int {
    nodes.reduce(0) { sum, node in
      guard node.op is Transpose else { return sum }
      let count = type(node.results[0]).elementCount
      let sizes = Dictionary(uniqueKeysWithValues: count.symbols.map { ($0, 64) })
      return sum + (count.evaluate(sizes) ?? 0)
    }
  }
}

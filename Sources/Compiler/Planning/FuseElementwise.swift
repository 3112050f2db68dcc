import GraphIR
import TensorTypes

/// Elementwise nodes joined into one wherever the inner one's result goes nowhere else: what is left are clusters,
/// each a kernel of its own or the epilogue of one.
///
/// Shapes must be equal, so that nothing is computed twice; but a computation on constants and single elements is
/// joined whatever its shape.
func fuseElementwise(_ graph: Graph) throws -> Graph {
  let uses = graph.uses()
  let outputs = Set(graph.outputs.map(\.value))
  /// For a node that is left: its expression and operands after joining, operands being values of the source.
  var clusters: [NodeID: (expression: Expression, operands: [ValueID])] = [:]
  for id in graph.nodeIDs {
    guard let op = graph[id].op as? Elementwise else { continue }
    let result = graph[id].results[0]
    var expression = Expression(inputs: [])
    var operands: [ValueID] = []
    var arguments: [Expression.Operand] = []
    for case let operand? in graph[id].operands {
      if let producer = graph.producer(operand), let inner = clusters[producer], !outputs.contains(operand),
        uses[operand.index].allSatisfy({ $0 == id }), graph.type(operand).shape == graph.type(result).shape,
        inner.operands.count + operands.count <= 12
      {
        let inputs = inner.operands.map { expression.input(of: $0, graph, &operands) }
        arguments.append(expression.inline(inner.expression, inputs))
      } else {
        arguments.append(expression.input(of: operand, graph, &operands))
      }
    }
    expression.result = expression.inline(op.expression, arguments)
    clusters[id] = (expression, operands)
  }
  return try Rewriter.rewrite(graph) { rewriter, id in
    if let op = try graph[id].op.mappingInnerGraphs(fuseElementwise) { return try rewriter.copy(id, as: op) }
    guard let cluster = clusters[id] else { return nil }
    let operands = cluster.operands.map { Optional(rewriter[$0]) }
    return try rewriter.result.add(Elementwise(cluster.expression), operands, origin: graph[id].origin)
  }
}

extension Expression {
  /// The input that stands for `value`, a new one if there is none yet.
  fileprivate mutating func input(of value: ValueID, _ graph: Graph, _ operands: inout [ValueID]) -> Operand {
    if let known = operands.firstIndex(of: value) { return input(known) }
    operands.append(value)
    return input(addInput(graph.type(value).element))
  }
}

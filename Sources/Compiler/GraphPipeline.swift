import GraphIR

/// What happens to a model's graph, in this order.
let graphPipeline: [GraphPass] = [
  .foldConstants,  // first: exporters' shape arithmetic goes, and everything after sees a smaller graph
  .simplify,  // patterns are matched on what is left when identities are gone and constants are inside expressions
  .recogniseIntegerProducts,  // while quantised weights are still there
  .settleStoredWeights,  // once transposes are in the products that read them: what is widened now can be recognised
  .commonSubexpressions,  // a mean computed twice is one value, as the patterns expect
  .recognise,  // before fusion, which would hide the single operations that patterns consist of
  .foldScaleIntoWeights,  // after recognition, whose norms take factors first; before layouts, it knows both
  .chooseLayouts,  // once the ops are final
  .moveTransposes,  // right after: removes nearly all transposes that the layouts brought
  .reducePools,  // which windows are best joined at once depends on the layout
  .foldConstants,  // what has become of transposed and reshaped constants
  .settleStoredWeights,  // whatever the passes between have given other readers
  .commonSubexpressions,  // masks and positions that every layer computed for itself
  .deadCode,  // last: planning looks at what is needed and nothing else
]

/// The same function as `graph`, written so that few, large kernels compute it.
///
/// Results differ from the model's by rounding only: factors are joined and multiplied into weights. A precision that
/// `options` allow changes weights besides.
/// - Throws: `Failure` if a pass's result does not verify or a dump can't be written, as `options` ask.
public func optimise(_ graph: Graph, options: PipelineOptions = .fromEnvironment()) throws -> Graph {
  // Graphs within first: what they have become is what passes over the graph around them see.
  let prepared = try Rewriter.rewrite(graph) { rewriter, node in
    try graph[node].op.mappingInnerGraphs { try optimise($0, options: options) }.map { try rewriter.copy(node, as: $0) }
  }
  return try run(graphPipeline + options.precision.passes, on: prepared, options: options)
}

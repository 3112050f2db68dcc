import GraphIR
import TensorTypes

/// A graph under construction: the model's, or one of a control-flow operator.
///
/// What can be computed at once from small constants is: shapes and axes are attributes of core ops, however an
/// exporter computes them.
final class GraphBuilder {
  var graph: Graph
  let model: ModelImport
  /// Values of the enclosing graph that this one reads, in the order of the inputs that stand for them.
  private(set) var captured: [ValueID] = []
  private var captures: [ValueID: ValueID] = [:]
  private var boundSizes: [ValueID: [Dim]] = [:]

  /// Results of at most so many elements are computed during import.
  static let foldLimit = Graph.contentsLimit

  init(name: String, _ model: ModelImport) {
    graph = Graph(name: name)
    self.model = model
  }

  // MARK: Adding

  func add(_ op: any Op, _ operands: [ValueID?], origin: String?) throws -> [ValueID] {
    if let folded = try fold(op, operands, origin) { return folded.map { graph.addConstant($0) } }
    let results = try graph.add(op, operands, origin: origin)
    return results.map { constant(ofContentsOf: $0) ?? $0 }
  }

  /// The results, if the operands are constants and the results small, or only seen differently.
  private func fold(_ op: any Op, _ operands: [ValueID?], _ origin: String?) throws -> [HostTensor]? {
    let values = operands.compactMap { $0 }
    let tensors = values.compactMap { graph.constant($0) }
    guard !values.isEmpty, tensors.count == values.count, isCheap(op), op.usedSymbols.isEmpty else { return nil }
    return try locating(origin ?? op.mnemonic) {
      let results = try op.infer(tensors.map(\.type))
      guard
        op is Reshape
          || (results.allSatisfy { isSmall($0, Self.foldLimit) } && tensors.allSatisfy { isSmall($0.type, 1 << 16) })
      else { return nil }
      return try op.evaluate(tensors)
    }
  }

  /// Whether there are at most `limit` elements; also along each dimension, for those beside one of size 0.
  private func isSmall(_ type: TensorType, _ limit: Int) -> Bool {
    guard let count = type.elementCount.constant, count <= limit else { return false }
    return type.shape.allSatisfy { ($0.constant ?? .max) <= limit }
  }

  /// Whether computing a small result from small operands is quick, whatever the attributes are.
  private func isCheap(_ op: any Op) -> Bool {
    op is Elementwise || op is Reduce || op is Reshape || op is Transpose || op is Broadcast || op is Slice
      || op is Concat || op is Gather || op is GatherElements || op is GatherND || op is ScatterElements
      || op is ScatterND || op is Cumulative || op is ArgReduce || op is TopK
  }

  /// A constant in place of a value whose elements turned out to be known integers.
  private func constant(ofContentsOf value: ValueID) -> ValueID? {
    guard let tensor = knownTensor(value), graph.constant(value) == nil else { return nil }
    return graph.addConstant(tensor)
  }

  /// The tensor that a value is, if it is a constant or all its elements are known integers.
  func knownTensor(_ value: ValueID) -> HostTensor? {
    if let constant = graph.constant(value) { return constant }
    guard let contents = graph[value].facts.contents, !graph.type(value).element.isFloat,
      let shape = graph.type(value).staticShape
    else { return nil }
    let integers = contents.compactMap(\.constant)
    guard integers.count == contents.count, shape.reduce(1, *) == integers.count else { return nil }
    return HostTensor(graph.type(value).element, shape, .integers(integers.map { Int64($0) }))
  }

  // MARK: Sizes

  /// The elements of a value as sizes. What only running tells gets names, which the value's elements are bound to.
  func sizes(_ value: ValueID, _ what: String) throws -> [Dim] {
    if let known = graph[value].facts.contents ?? boundSizes[value] { return known }
    let type = graph.type(value)
    guard type.element == .int64 || type.element == .int32, type.rank <= 1, let count = type.elementCount.constant,
      count <= 64
    else { throw Failure.badData("\(what), of type \(type), is not known before the model runs") }
    let names = (0..<count).map { _ in model.freshSymbol(graph[value].name ?? what) }
    let dims = names.map { Dim.symbol($0) }
    if count > 0 { _ = try graph.add(BindSymbols(names), [value], origin: graph[value].name) }
    boundSizes[value] = dims
    return dims
  }

  /// A tensor of rank 1 that holds sizes.
  func value(of sizes: [Dim]) throws -> ValueID { try add(Sizes(sizes), [], origin: nil)[0] }

  // MARK: Capturing

  /// What stands here for a value of the enclosing graph: constants and sizes are made anew, the rest comes in as an
  /// input.
  func capture(_ outer: ValueID, from enclosing: GraphBuilder) throws -> ValueID {
    if let known = captures[outer] { return known }
    let source = enclosing.graph[outer]
    let inner: ValueID
    if let tensor = enclosing.knownTensor(outer) {
      inner = graph.addConstant(tensor, name: source.name)
    } else if let contents = source.facts.contents {
      var sizes = try value(of: contents)
      if source.type.rank != 1 { sizes = try add(Reshape(source.type.shape), [sizes], origin: source.name)[0] }
      if source.type.element != .int64 {
        let cast = Expression(inputs: [.int64]) { $0.cast($0.input(0), source.type.element) }
        sizes = try add(Elementwise(cast), [sizes], origin: source.name)[0]
      }
      inner = sizes
    } else {
      inner = graph.addInput(source.name ?? "captured_\(captured.count)", source.type)
      captured.append(outer)
    }
    captures[outer] = inner
    return inner
  }

  /// The graph with inputs for all of `read`, values of the enclosing graph, instead of just those it captured.
  /// - Precondition: no inputs but captured ones; all of these are in `read`.
  func withInputs(_ read: [ValueID], of enclosing: GraphBuilder) -> Graph {
    var result = Graph(name: graph.name)
    var renamed: [ValueID: ValueID] = [:]
    for outer in read {
      let source = enclosing.graph[outer]
      let input = result.addInput(source.name ?? "captured", source.type)
      if let own = captures[outer] { renamed[own] = input }
    }
    graph.copy(into: &result, &renamed)
    return result
  }
}

extension Graph {
  /// Adds the nodes and outputs to `target`, where `renamed` says what stands for the inputs.
  fileprivate func copy(into target: inout Graph, _ renamed: inout [ValueID: ValueID]) {
    for value in valueIDs {
      switch self[value].definition {
      case .input: break
      case .constant(let tensor): renamed[value] = target.addConstant(tensor, name: self[value].name)
      case .result(let node, 0):
        let operands = self[node].operands.map { $0.flatMap { renamed[$0] } }
        // The same op on operands of the same types as before.
        guard let results = try? target.add(self[node].op, operands, origin: self[node].origin) else {
          preconditionFailure("a node that was inferred before")
        }
        for (old, new) in zip(self[node].results, results) { renamed[old] = new }
      case .result: break
      }
    }
    for output in outputs { if let value = renamed[output.value] { target.addOutput(output.name, value) } }
  }
}

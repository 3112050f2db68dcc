import TensorTypes

extension Graph {
  /// Checks that the graph is what its documentation says. Passes are followed by this in debug builds.
  ///
  /// - (graph_c1) Every operand and output is a value of this graph, defined before its use.
  /// - (graph_c2) Every result's definition and its node's list of results agree.
  /// - (graph_c3) The recorded types are those that inference gives.
  /// - (graph_c4) Inputs have distinct names, and outputs have.
  /// - (graph_c5) A constant's type is its tensor's.
  /// - (graph_c6) Every symbol in a type or attribute is defined by an input's shape or by a node before.
  /// - Parameter outer: symbols that the graph around this one defines.
  /// - Throws: `Failure` of kind `ours` quoting the violated one.
  public func verify(outer: Set<String> = []) throws {
    try verifyDefinitions()
    var defined: Set<Int> = []
    var symbols = outer
    for (i, value) in values.enumerated() {
      if case .result = value.definition { continue }
      defined.insert(i)
      if case .input = value.definition { for dim in value.type.shape { symbols.formUnion(dim.symbols) } }
    }
    for (i, node) in nodes.enumerated() {
      do {
        try verify(node, i, &defined, &symbols)
        for case (_, .graph(let inner)) in node.op.attributes { try inner.verify(outer: symbols) }
      } catch let failure as Failure {
        throw node.origin.map { failure.at($0) } ?? failure
      }
    }
    for output in outputs {
      try check(values.indices.contains(output.value.index), "graph_c1: output '\(output.name)' is no value")
    }
    let inputNames = inputs.map { self[$0].name ?? "" }
    try check(Set(inputNames).count == inputs.count, "graph_c4: inputs \(inputNames) share a name")
    try check(Set(outputs.map(\.name)).count == outputs.count, "graph_c4: outputs \(outputs.map(\.name)) share a name")
  }

  private func check(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    if !condition { throw Failure(.ours, message()) }
  }

  private func verifyDefinitions() throws {
    for (i, value) in values.enumerated() {
      switch value.definition {
      case .input: try check(inputs.contains(ValueID(i)), "graph_c2: %\(i) is an input that is not listed")
      case .constant(let tensor):
        try check(tensor.type == value.type, "graph_c5: %\(i) is \(tensor.type), not \(value.type)")
      case .result(let node, let index):
        let listed =
          nodes.indices.contains(node.index) && nodes[node.index].results.indices.contains(index)
          && nodes[node.index].results[index] == ValueID(i)
        try check(listed, "graph_c2: %\(i) is not result \(index) of node \(node.index)")
      }
    }
    for input in inputs {
      guard values.indices.contains(input.index), case .input = self[input].definition else {
        throw Failure(.ours, "graph_c2: input %\(input.index) is not defined as one")
      }
    }
  }

  private func verify(_ node: Node, _ number: Int, _ defined: inout Set<Int>, _ symbols: inout Set<String>) throws {
    let name = node.op.mnemonic
    for case let operand? in node.operands {
      try check(defined.contains(operand.index), "graph_c1: \(name) reads %\(operand.index) before it is defined")
    }
    try check(!node.results.isEmpty, "graph_c2: \(name) has no results")
    for (i, result) in node.results.enumerated() {
      guard values.indices.contains(result.index), case .result(NodeID(number), i) = self[result].definition else {
        throw Failure(.ours, "graph_c2: result \(i) of \(name) is not %\(result.index)")
      }
      defined.insert(result.index)
    }
    let types = try node.op.infer(node.operands.compactMap { $0.map { type($0) } })
    let recorded = node.results.map { type($0) }
    try check(types == recorded, "graph_c3: the results of \(name) are \(types), not \(recorded)")
    symbols.formUnion(node.op.definedSymbols)
    let used = types.reduce(into: node.op.usedSymbols) { all, type in
      for dim in type.shape { all.formUnion(dim.symbols) }
    }
    try check(
      used.isSubset(of: symbols), "graph_c6: \(name) uses \(used.subtracting(symbols).sorted()), defined nowhere")
  }
}

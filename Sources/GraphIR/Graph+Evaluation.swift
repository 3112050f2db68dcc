import TensorTypes

extension Graph {
  /// The outputs for these inputs, by each op's reference. Symbols get their values from the inputs' shapes (and, for
  /// sizes that depend on data, as the evaluation goes).
  /// - Parameter sizes: values of symbols known from elsewhere.
  /// - Throws: `Failure` naming the input or the node that does not fit.
  public func evaluate(_ tensors: [HostTensor], sizes: [String: Int] = [:]) throws -> [HostTensor] {
    guard tensors.count == inputs.count else {
      throw Failure.badData("\(name) has \(inputs.count) inputs, and \(tensors.count) tensors were given")
    }
    var bound = sizes
    for (input, tensor) in zip(inputs, tensors) {
      do { try bind(self[input].type, tensor, &bound) } catch let failure as Failure {
        throw failure.at("input '\(self[input].name ?? "")'")
      }
    }
    // Sizes such as 2*h in an input's shape are checked once h is known.
    for (input, tensor) in zip(inputs, tensors) {
      for (dim, size) in zip(self[input].type.shape, tensor.shape)
      where dim.evaluate(bound).map({ $0 != size }) ?? false {
        throw Failure.badData("a dimension of \(dim) is \(size)", place: "input '\(self[input].name ?? "")'")
      }
    }
    var known: [ValueID: HostTensor] = [:]
    for (input, tensor) in zip(inputs, tensors) { known[input] = tensor }
    var remaining = uses().map(\.count)
    for output in outputs { remaining[output.value.index] += 1 }
    for node in nodes {
      let operands = try node.operands.compactMap { operand in
        try operand.map { value in
          guard let tensor = constant(value) ?? known[value] else {
            throw Failure.badData("\(node.op.mnemonic) reads a value that is not defined", place: node.origin)
          }
          return tensor
        }
      }
      let results: [HostTensor]
      do { results = try evaluate(node, operands, &bound) } catch let failure as Failure {
        throw node.origin.map { failure.at($0) } ?? failure
      }
      for (result, tensor) in zip(node.results, results) where remaining[result.index] > 0 { known[result] = tensor }
      // What nobody reads again is let go, so that a deep network needs the memory of its widest place only.
      for case let operand? in node.operands {
        remaining[operand.index] -= 1
        if remaining[operand.index] == 0 { known[operand] = nil }
      }
    }
    return try outputs.map { output in
      guard let tensor = constant(output.value) ?? known[output.value] else {
        throw Failure.badData("output '\(output.name)' is not defined")
      }
      return tensor
    }
  }

  private func evaluate(_ node: Node, _ operands: [HostTensor], _ bound: inout [String: Int]) throws -> [HostTensor] {
    let results = try node.op.substituting(bound.mapValues { Dim($0) }).evaluate(operands)
    if node.op is BindSymbols {
      for (symbol, value) in zip(node.op.definedSymbols, operands[0].integers) { try bind(symbol, Int(value), &bound) }
    }
    for (result, tensor) in zip(node.results, results) { try bind(type(result), tensor, &bound) }
    return results
  }

  private func bind(_ symbol: String, _ value: Int, _ bound: inout [String: Int]) throws {
    if let before = bound.updateValue(value, forKey: symbol), before != value {
      throw Failure.badData("the size '\(symbol)' is \(value) here and \(before) before")
    }
  }

  /// Checks a tensor against its type; a symbol without a value gets it here.
  private func bind(_ type: TensorType, _ tensor: HostTensor, _ bound: inout [String: Int]) throws {
    guard tensor.element == type.element && tensor.shape.count == type.rank else {
      throw Failure.badData("a tensor of type \(tensor.type) is not a \(type)")
    }
    for (dim, size) in zip(type.shape, tensor.shape) {
      if let name = dim.name {
        try bind(name, size, &bound)
      } else if let expected = dim.evaluate(bound), expected != size {
        throw Failure.badData("a tensor of type \(tensor.type) is not a \(type): \(dim) is \(expected)")
      }
    }
  }
}

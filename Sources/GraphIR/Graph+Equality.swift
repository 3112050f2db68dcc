import TensorTypes

// Two graphs are equal if they list equal values, nodes, inputs and outputs; constants count by their elements.

extension Graph: Hashable {
  public static func == (a: Graph, b: Graph) -> Bool {
    a.name == b.name && a.inputs == b.inputs && a.outputs == b.outputs && a.values == b.values && a.nodes == b.nodes
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(name)
    hasher.combine(inputs)
    hasher.combine(outputs)
    hasher.combine(nodes)
  }
}

extension Graph.Node: Hashable {
  public static func == (a: Graph.Node, b: Graph.Node) -> Bool {
    a.op.isEqual(to: b.op) && a.operands == b.operands && a.results == b.results && a.origin == b.origin
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(op)
    hasher.combine(operands)
    hasher.combine(results)
  }
}

extension Graph.Value: Equatable {
  public static func == (a: Graph.Value, b: Graph.Value) -> Bool {
    guard a.type == b.type && a.name == b.name else { return false }
    switch (a.definition, b.definition) {
    case (.input, .input): return true
    case (.constant(let x), .constant(let y)): return x.isIdentical(to: y)
    case (.result(let x, let i), .result(let y, let j)): return x == y && i == j
    case (.input, _), (.constant, _), (.result, _): return false
    }
  }
}

extension Op {
  /// Whether `other` is the same op with the same attributes.
  public func isEqual(to other: any Op) -> Bool { (other as? Self) == self }
}

extension HostTensor {
  /// Whether type, shape and the bytes of all elements are the same.
  public func isIdentical(to other: HostTensor) -> Bool {
    element == other.element && shape == other.shape && bytes.elementsEqual(other.bytes)
  }
}

extension TensorType {
  /// Whether every size that is known is one that a tensor can have, and so is the number of elements.
  var isPossible: Bool {
    let sizes = shape.compactMap(\.constant)
    guard sizes.allSatisfy({ $0 >= 0 }) else { return false }
    // Dimensions of size 0 are left out, so that no order of multiplying the sizes can overflow.
    var bytes = element.byteCount
    for size in sizes where size > 0 {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: size)
      guard !overflow && product < 1 << 48 else { return false }
      bytes = product
    }
    return true
  }
}

import TensorTypes

/// One of two graphs, as a condition says at run time. Both take the operands after the condition.
///
/// - (if_c1) The first operand is one bool.
/// - (if_c2) The others are of the types of both graphs' inputs.
/// - (if_c3) Both graphs give as many outputs, of equal element types and ranks, and of sizes that are not known to
///   differ.
public struct If: Op {
  public static let mnemonic = "if"
  public var then: Graph
  public var otherwise: Graph

  public init(then: Graph, otherwise: Graph) { (self.then, self.otherwise) = (then, otherwise) }

  public var attributes: [(name: String, value: Attribute)] {
    [("then", .graph(then)), ("otherwise", .graph(otherwise))]
  }
  public init(attributes: inout AttributeReader) throws {
    then = try attributes.graph("then")
    otherwise = try attributes.graph("otherwise")
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(x.first?.element == .bool && x[0].elementCount == 1, "if_c1: operands \(x)")
    for graph in [then, otherwise] {
      try require(graph.accepts(Array(x.dropFirst())), "if_c2: operands \(x.dropFirst()) for graph \(graph.name)")
    }
    let (a, b) = (then.outputTypes, otherwise.outputTypes)
    try require(
      a.count == b.count && zip(a, b).allSatisfy { $0.element == $1.element && mayBeEqual($0.shape, $1.shape) },
      "if_c3: \(a) against \(b)")
    return zip(a, b).map { TensorType($0.element, zip($0.shape, $1.shape).map(moreExact)) }
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    try (x[0].integers[0] != 0 ? then : otherwise).evaluate(Array(x.dropFirst()))
  }

  public func substituting(_ bindings: [String: Dim]) -> If {
    // A branch that does not accept the sizes is left as it is: it may never be taken.
    If(
      then: (try? then.substituting(bindings)) ?? then, otherwise: (try? otherwise.substituting(bindings)) ?? otherwise)
  }
}

extension Graph {
  var outputTypes: [TensorType] { outputs.map { type($0.value) } }

  /// Whether operands of these types may be its inputs.
  func accepts(_ types: [TensorType]) -> Bool {
    types.count == inputs.count
      && zip(inputs, types).allSatisfy { type($0).element == $1.element && mayBeEqual(type($0).shape, $1.shape) }
  }
}

import TensorTypes

/// One of two graphs, as a condition says at run time. Both take the operands after the condition.
///
/// - (if_c1) The first operand is one bool.
/// - (if_c2) The others are of the types of both graphs' inputs.
/// - (if_c3) Both graphs give as many outputs, of equal element types and ranks, and `sizes` has one for each of
///   their dimensions that may be equal to both graphs'.
public struct If: Op {
  public static let mnemonic = "if"
  public var then: Graph
  public var otherwise: Graph
  /// The results' dimensions, one result after the other.
  public var sizes: [Dim]
  /// Those symbols in `sizes` that stand from here on for what the branch taken gives.
  public var defined: [String]

  public init(then: Graph, otherwise: Graph, sizes: [Dim], defined: [String]) {
    (self.then, self.otherwise) = (then, otherwise)
    (self.sizes, self.defined) = (sizes, defined)
  }

  /// A choice between graphs that give equal sizes.
  public init(then: Graph, otherwise: Graph) {
    let sizes = zip(then.outputTypes.flatMap(\.shape), otherwise.outputTypes.flatMap(\.shape)).map(moreExact)
    self.init(then: then, otherwise: otherwise, sizes: sizes, defined: [])
  }

  public var attributes: [(name: String, value: Attribute)] {
    [
      ("then", .graph(then)), ("otherwise", .graph(otherwise)), ("sizes", .dims(sizes)), ("defined", .strings(defined)),
    ]
  }
  public init(attributes: inout AttributeReader) throws {
    then = try attributes.graph("then")
    otherwise = try attributes.graph("otherwise")
    sizes = try attributes.dims("sizes")
    defined = try attributes.strings("defined")
  }

  public var definedSymbols: [String] { defined }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(x.first?.element == .bool && x[0].elementCount == 1, "if_c1: operands \(x)")
    for graph in [then, otherwise] {
      try require(graph.accepts(Array(x.dropFirst())), "if_c2: operands \(x.dropFirst()) for graph \(graph.name)")
    }
    let (a, b) = (then.outputTypes, otherwise.outputTypes)
    try require(
      a.count == b.count && zip(a, b).allSatisfy { $0.element == $1.element && $0.rank == $1.rank },
      "if_c3: \(a) against \(b)")
    let types = try typesOfResults(a, sizes, constraint: "if_c3")
    try require(
      zip(types, a).allSatisfy { mayBeEqual($0.shape, $1.shape) }
        && zip(types, b).allSatisfy { mayBeEqual($0.shape, $1.shape) },
      "if_c3: results \(types) of branches with \(a) and \(b)")
    return types
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    try (x[0].integers[0] != 0 ? then : otherwise).evaluate(Array(x.dropFirst()))
  }

  public func substituting(_ bindings: [String: Dim]) -> If {
    // A branch that does not accept the sizes is left as it is: it may never be taken.
    If(
      then: (try? then.substituting(bindings)) ?? then, otherwise: (try? otherwise.substituting(bindings)) ?? otherwise,
      sizes: sizes.substituting(bindings), defined: defined)
  }
}

/// Types of a node's results: what the inner graph gives, with these dimensions.
func typesOfResults(_ inner: [TensorType], _ sizes: [Dim], constraint: String) throws -> [TensorType] {
  try require(
    sizes.count == inner.reduce(0) { $0 + $1.rank }, "\(constraint): \(sizes.count) sizes for results \(inner)")
  var rest = sizes[...]
  return inner.map { type in
    defer { rest = rest.dropFirst(type.rank) }
    return TensorType(type.element, Array(rest.prefix(type.rank)))
  }
}

extension Graph {
  public var outputTypes: [TensorType] { outputs.map { type($0.value) } }

  /// Whether operands of these types may be its inputs.
  func accepts(_ types: [TensorType]) -> Bool {
    types.count == inputs.count
      && zip(inputs, types).allSatisfy { type($0).element == $1.element && mayBeEqual(type($0).shape, $1.shape) }
  }

  /// Symbols that get their values within, at any depth.
  public var innerSymbols: Set<String> {
    nodes.reduce(into: []) { all, node in
      all.formUnion(node.op.definedSymbols)
      for graph in node.op.innerGraphs { all.formUnion(graph.innerSymbols) }
    }
  }

  /// Symbols that the graph speaks of, at any depth, whoever gives them their values.
  public var mentionedSymbols: Set<String> {
    var all: Set<String> = []
    for value in values { for dim in value.type.shape { all.formUnion(dim.symbols) } }
    for node in nodes { all.formUnion(node.op.mentionedSymbols) }
    return all
  }
}

extension Op {
  /// The op with other graphs in place of those that it holds, which must take and give the same; nil if it holds
  /// none.
  public func mappingInnerGraphs(_ transform: (Graph) throws -> Graph) rethrows -> (any Op)? {
    switch self {
    case var op as If:
      op.then = try transform(op.then)
      op.otherwise = try transform(op.otherwise)
      return op
    case var op as Loop:
      op.body = try transform(op.body)
      return op
    default: return nil
    }
  }

  /// The symbols in the attributes, and in graphs among them.
  public var mentionedSymbols: Set<String> {
    innerGraphs.reduce(into: usedSymbols) { $0.formUnion($1.mentionedSymbols) }
  }
}

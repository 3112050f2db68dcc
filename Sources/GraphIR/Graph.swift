import TensorTypes

/// Names a value of one graph.
public struct ValueID: Hashable, Sendable, Comparable {
  public let index: Int
  init(_ index: Int) { self.index = index }
  public static func < (a: ValueID, b: ValueID) -> Bool { a.index < b.index }
}

/// Names a node of one graph.
public struct NodeID: Hashable, Sendable, Comparable {
  public let index: Int
  init(_ index: Int) { self.index = index }
  public static func < (a: NodeID, b: NodeID) -> Bool { a.index < b.index }
}

/// A neural network: operators applied to values, in SSA form.
///
/// Nodes are listed in an order in which every operand is defined before its use; there are no cycles. A value is an
/// input, a constant, or a result of a node. Passes build a new graph from an old one (`Rewriter`) rather than edit
/// in place, so handles never dangle.
public struct Graph: Sendable {
  /// Integer tensors of more elements than this are data, not shapes: their elements are not tracked.
  public static let contentsLimit = 1024

  public enum Definition: Sendable {
    case input
    case constant(HostTensor)
    case result(NodeID, index: Int)
  }

  public struct Value: Sendable {
    public var facts: ValueFacts
    public var definition: Definition
    /// What the model's file calls it; for messages and for inputs and outputs.
    public var name: String?

    public var type: TensorType { facts.type }
  }

  public struct Node: Sendable {
    public var op: any Op
    /// nil for an optional operand that is absent.
    public var operands: [ValueID?]
    public var results: [ValueID]
    /// What the model's file calls the node it came from; for messages.
    public var origin: String?
  }

  public struct Output: Hashable, Sendable {
    public var name: String
    public var value: ValueID
  }

  public internal(set) var name: String
  public internal(set) var values: [Value] = []
  public internal(set) var nodes: [Node] = []
  public internal(set) var inputs: [ValueID] = []
  public internal(set) var outputs: [Output] = []

  public init(name: String) { self.name = name }

  public subscript(_ value: ValueID) -> Value { values[value.index] }
  public subscript(_ node: NodeID) -> Node { nodes[node.index] }
  public func type(_ value: ValueID) -> TensorType { values[value.index].facts.type }
  public var nodeIDs: some Collection<NodeID> { nodes.indices.lazy.map { NodeID($0) } }
  public var valueIDs: some Collection<ValueID> { values.indices.lazy.map { ValueID($0) } }

  /// The tensor that `value` is, if it is a constant.
  public func constant(_ value: ValueID) -> HostTensor? {
    if case .constant(let tensor) = self[value].definition { return tensor }
    return nil
  }

  /// The tensor that the value at `index` is, if it is a constant: for plans, which hold indices.
  public func constant(at index: Int) -> HostTensor? { constant(ValueID(index)) }

  /// The node that computes `value`, if one does.
  public func producer(_ value: ValueID) -> NodeID? {
    if case .result(let node, _) = self[value].definition { return node }
    return nil
  }

  // MARK: Building

  public mutating func addInput(_ name: String, _ type: TensorType) -> ValueID {
    let value = add(Value(facts: ValueFacts(type), definition: .input, name: name))
    inputs.append(value)
    return value
  }

  public mutating func addConstant(_ tensor: HostTensor, name: String? = nil) -> ValueID {
    add(Value(facts: ValueFacts(tensor.type, contents: sizes(in: tensor)), definition: .constant(tensor), name: name))
  }

  /// Appends a node, infers its results' types and what is known of their elements.
  /// - Throws: `Failure` quoting the constraint that the operands violate.
  public mutating func add(_ op: any Op, _ operands: [ValueID?], origin: String? = nil) throws -> [ValueID] {
    let present = operands.compactMap { $0 }
    // Types of absent operands are left out of the list that `infer` sees only at its end: ops with holes in the
    // middle say how many operands of each kind they have in an attribute.
    let facts = present.map { self[$0].facts }
    let types: [TensorType]
    do {
      types = try op.infer(facts.map(\.type))
      try require(!types.isEmpty, "\(op.mnemonic): no results")
      for type in types { try require(type.isPossible, "\(op.mnemonic): a result of type \(type)") }
    } catch let failure as Failure {
      throw origin.map { failure.at($0) } ?? failure
    }
    let contents = op.contents(facts)
    let node = NodeID(nodes.count)
    var results: [ValueID] = []
    for (i, type) in types.enumerated() {
      var known = i < contents.count ? contents[i] : nil
      if let count = known?.count, count > Graph.contentsLimit { known = nil }
      results.append(
        add(Value(facts: ValueFacts(type, contents: known), definition: .result(node, index: i), name: nil)))
    }
    nodes.append(Node(op: op, operands: operands, results: results, origin: origin))
    return results
  }

  /// Appends a node with one result.
  public mutating func add(_ op: any Op, _ operands: ValueID..., origin: String? = nil) throws -> ValueID {
    try add(op, operands.map { Optional($0) }, origin: origin)[0]
  }

  public mutating func addOutput(_ name: String, _ value: ValueID) { outputs.append(Output(name: name, value: value)) }

  public mutating func setName(_ name: String, of value: ValueID) { values[value.index].name = name }

  private mutating func add(_ value: Value) -> ValueID {
    values.append(value)
    return ValueID(values.count - 1)
  }

  /// The elements of a small integer or bool tensor.
  private func sizes(in tensor: HostTensor) -> [Dim]? {
    guard tensor.elementCount <= Graph.contentsLimit else { return nil }
    switch tensor.element {
    case .int64: return tensor.array(of: Int64.self).map { Dim(Int($0)) }
    case .int32: return tensor.array(of: Int32.self).map { Dim(Int($0)) }
    case .bool: return tensor.array(of: UInt8.self).map { Dim(Int($0)) }
    default: return nil
    }
  }

  // MARK: Asking

  /// The nodes that read each value, in order, once an operand.
  public func uses() -> [[NodeID]] {
    var all = [[NodeID]](repeating: [], count: values.count)
    for (i, node) in nodes.enumerated() {
      for case let operand? in node.operands { all[operand.index].append(NodeID(i)) }
    }
    return all
  }
}

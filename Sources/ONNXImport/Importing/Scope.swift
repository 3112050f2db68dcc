import GraphIR
import TensorTypes

/// The names that the nodes of one graph, branch or function body see.
final class Scope {
  let builder: GraphBuilder
  /// Whose names are seen too: of a graph within a node; not of a function.
  private let enclosing: Scope?
  private var values: [String: ValueID] = [:]
  /// Sequences and optionals.
  private var composites: [String: Composite] = [:]
  private var initializers: [String: ONNXTensor] = [:]
  private var sparseInitializers: [String: ONNXSparseTensor] = [:]
  /// What the graph's declarations say of its values.
  private var declaredElements: [String: ElementType] = [:]
  var opsets: [String: Int] = [:]
  /// Within a function: the attributes of the call, and the defaults of those it lacks.
  var arguments: [String: ONNXAttribute] = [:]

  init(_ builder: GraphBuilder, within enclosing: Scope? = nil) {
    self.builder = builder
    self.enclosing = enclosing
    if let enclosing {
      opsets = enclosing.opsets
      arguments = enclosing.arguments
    }
  }

  // MARK: Names

  func define(_ name: String, _ value: ValueID) throws {
    guard initializers[name] == nil, sparseInitializers[name] == nil, composites[name] == nil,
      values.updateValue(value, forKey: name) == nil
    else {
      throw Failure.badData("value '\(name)' is defined twice")
    }
    if builder.graph[value].name == nil { builder.graph.setName(name, of: value) }
  }

  func define(_ name: String, _ composite: Composite) throws {
    guard initializers[name] == nil, sparseInitializers[name] == nil, values[name] == nil,
      composites.updateValue(composite, forKey: name) == nil
    else {
      throw Failure.badData("value '\(name)' is defined twice")
    }
  }

  /// The sequence or optional called `name`; nil if there is none.
  func composite(_ name: String) throws -> Composite? {
    if let known = composites[name] { return known }
    guard values[name] == nil, let enclosing, let outer = try enclosing.composite(name) else { return nil }
    if enclosing.builder === builder { return outer }
    return try outer.mapping { try builder.capture($0, from: enclosing.builder) }
  }

  func declare(_ graph: ONNXGraph) throws {
    for info in graph.outputs + graph.valueInfos {
      if case .tensor(let type, _) = info.type, let element = type.element { declaredElements[info.name] = element }
    }
    for tensor in graph.initializers {
      guard initializers.updateValue(tensor, forKey: tensor.name) == nil else {
        throw Failure.badData("initializer '\(tensor.name)' is defined twice")
      }
    }
    for tensor in graph.sparseInitializers { sparseInitializers[tensor.name] = tensor }
  }

  /// The value called `name`; nil if there is none. Initializers become constants when first asked for.
  func lookup(_ name: String) throws -> ValueID? {
    if let value = values[name] { return value }
    if let tensor = try initializers[name]?.tensor() ?? sparseInitializers[name]?.dense() {
      let value = builder.graph.addConstant(tensor, name: name)
      values[name] = value
      return value
    }
    guard let enclosing, let outer = try enclosing.lookup(name) else { return nil }
    if enclosing.builder === builder { return outer }
    return try builder.capture(outer, from: enclosing.builder)
  }

  // MARK: Nodes

  func run(_ nodes: [ONNXNode]) throws {
    for node in nodes {
      try builder.model.countNode()
      do { try run(node) } catch let failure as Failure {
        throw Failure(failure.kind, file: failure.file, place: node.place, failure.inner(of: node))
      }
    }
  }

  private func run(_ node: ONNXNode) throws {
    var node = node
    if builder.model.function(node) == nil { try node.checkArity() }
    node.attributes = try node.attributes.compactMap(resolved)
    let results: [ValueID?]
    if let function = builder.model.function(node) {
      results = try call(function, node)
    } else {
      guard let version = opsets[node.domain] else {
        throw Failure.badData("the model imports no operator set for domain '\(node.domain)'")
      }
      guard let row = operatorRow(node.opType, node.domain, version) else {
        throw Failure.badData("operator \(node.opType) of version \(version) is not supported")
      }
      results = try row.run(NodeImport(node, version: version, scope: self))
    }
    for (i, name) in node.outputs.enumerated() where !name.isEmpty && composites[name] == nil {
      guard i < results.count, let value = results[i] else {
        throw Failure.badData("output number \(i), '\(name)', is not supported")
      }
      try checkDeclared(name, builder.graph.type(value).element)
      try define(name, value)
    }
  }

  /// - Throws: if the model says that the value has elements of another type. Its shapes aren't compared: exporters leave stale ones.
  private func checkDeclared(_ name: String, _ element: ElementType) throws {
    guard let declared = declaredElements[name], declared != element else { return }
    throw Failure.badData("'\(name)' has elements of type \(element.rawValue), but is declared as \(declared.rawValue)")
  }

  /// An attribute with references to the caller's attributes followed; nil where the call leaves it out.
  private func resolved(_ attribute: ONNXAttribute) throws -> ONNXAttribute? {
    guard case .reference(let name) = attribute.value else { return attribute }
    return arguments[name].map { ONNXAttribute(attribute.name, $0.value) }
  }

  /// Runs a function's body in a scope of its own, with the node's operands as its inputs.
  private func call(_ function: ONNXFunction, _ node: ONNXNode) throws -> [ValueID?] {
    try builder.model.nested {
      let body = Scope(builder)
      body.opsets = function.opsetVersions.merging(opsets) { own, _ in own }
      for attribute in function.defaults + node.attributes { body.arguments[attribute.name] = attribute }
      guard node.inputs.count <= function.inputs.count else {
        throw Failure.badData("\(node.inputs.count) inputs for a function of \(function.inputs.count)")
      }
      for (formal, actual) in zip(function.inputs, node.inputs) where !actual.isEmpty {
        if let known = try composite(actual) {
          try body.define(formal, known)
        } else {
          try body.define(formal, try require(actual))
        }
      }
      try body.run(function.nodes)
      return try function.outputs.map { try body.lookup($0) }
    }
  }

  func require(_ name: String) throws -> ValueID {
    guard let value = try lookup(name) else {
      if try composite(name) != nil { throw Failure.badData("'\(name)' is a sequence or an optional, not a tensor") }
      throw Failure.badData("reads '\(name)', which nothing before it defines")
    }
    return value
  }
}

extension Failure {
  /// The message with the place, if it is another than the node, where it was found.
  fileprivate func inner(of node: ONNXNode) -> String {
    guard let place, place != node.origin, place != node.place else { return message }
    return "\(place): \(message)"
  }
}

extension ONNXNode {
  /// What graphs call the node.
  var origin: String { name.isEmpty ? outputs.first { !$0.isEmpty } ?? opType : name }
}

extension ONNXSparseTensor {
  /// The tensor with its zeros.
  func dense() throws -> HostTensor {
    let (values, indices) = (try values.tensor(), try indices.tensor().integers)
    let count = try HostTensor.checkedElementCount(dims)
    guard count <= 1 << 28 else { throw Failure.badData("sparse tensor '\(name)' is too large to be made dense") }
    let nonZero = values.elementCount
    let strides = rowMajorStrides(dims)
    let perValue = indices.count == nonZero ? 1 : dims.count
    guard indices.count == nonZero * perValue else {
      throw Failure.badData("sparse tensor '\(name)' has \(indices.count) indices for \(nonZero) values")
    }
    var positions: [Int] = []
    for i in 0..<nonZero {
      let own = indices[i * perValue..<(i + 1) * perValue]
      let limits = perValue == 1 && dims.count != 1 ? [count] : dims
      guard zip(own, limits).allSatisfy({ $0 >= 0 && $0 < $1 }) else {
        throw Failure.badData("sparse tensor '\(name)' has an index out of its dimensions")
      }
      positions.append(limits.count == 1 ? Int(own.first ?? 0) : zip(own, strides).reduce(0) { $0 + Int($1.0) * $1.1 })
    }
    var sources = [Int](repeating: -1, count: count)
    for (i, position) in positions.enumerated() { sources[position] = i }
    let column = values.column()
    return HostTensor(values.element, dims) { sources[$0] < 0 ? .integer(0) : column[sources[$0]] }
  }
}

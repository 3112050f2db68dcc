import TensorTypes

// ModelProto, FunctionProto, GraphProto, NodeProto: one reader each, for both encodings.

enum ModelField: Int, MessageField {
  case irVersion = 1
  case producerName, producerVersion, domain, modelVersion, docString, graph, opsetImport
  case metadataProps = 14
  case trainingInfo = 20
  case functions = 25
  case configuration
}

extension ONNXModel {
  static func read(_ reader: inout some FieldReader) throws -> ONNXModel {
    var model = ONNXModel()
    var graph: ONNXGraph?
    try reader.message(ModelField.self) { reader, field in
      switch field {
      case .irVersion: model.irVersion = try reader.int64()
      case .producerName: model.producerName = try reader.string()
      case .producerVersion: model.producerVersion = try reader.string()
      case .domain: model.domain = try reader.string()
      case .modelVersion: model.modelVersion = try reader.int64()
      case .graph: graph = try ONNXGraph.read(&reader)
      case .opsetImport: try readOpsets(&reader, into: &model.opsetVersions)
      case .metadataProps:
        for (key, value) in try readPairs(&reader) { model.metadata[key] = value }
      case .functions: try reader.each { model.functions.append(try ONNXFunction.read(&$0)) }
      case .docString, .trainingInfo, .configuration: try reader.skip()
      }
    }
    guard let graph else { throw Failure.badData("holds no graph: it is not an ONNX model, or it is cut short") }
    guard !model.opsetVersions.isEmpty else {
      throw Failure.badData("imports no operator set (opset_import): it is not an ONNX model, or it is cut short")
    }
    model.graph = graph
    try model.checkOperatorSets()
    return model
  }
}

enum OperatorSetField: Int, MessageField {
  case domain = 1
  case version
}

private func readOpsets<R: FieldReader>(_ reader: inout R, into versions: inout [String: Int]) throws {
  try reader.each { reader in
    var domain = ""
    var version: Int64 = 0
    try reader.message(OperatorSetField.self) { reader, field in
      switch field {
      case .domain: domain = canonicalDomain(try reader.string())
      case .version: version = try reader.int64()
      }
    }
    guard (1...1_000_000).contains(version) else {
      throw Failure.badData("operator set '\(domain)' has version \(version)")
    }
    guard !domain.isEmpty || version <= ONNXModel.newestOpset else {
      throw Failure.badData(
        "is for version \(version) of ONNX's operators; the newest known here is \(ONNXModel.newestOpset)")
    }
    if let known = versions[domain], known != version {
      throw Failure.badData("operator set '\(domain)' is imported as version \(known) and as version \(version)")
    }
    versions[domain] = Int(version)
  }
}

enum StringStringField: Int, MessageField {
  case key = 1
  case value
}

/// The entries of a repeated `StringStringEntryProto`, in order.
func readPairs<R: FieldReader>(_ reader: inout R) throws -> [(key: String, value: String)] {
  var pairs: [(String, String)] = []
  try reader.each { reader in
    var pair = ("", "")
    try reader.message(StringStringField.self) { reader, field in
      switch field {
      case .key: pair.0 = try reader.string()
      case .value: pair.1 = try reader.string()
      }
    }
    pairs.append(pair)
  }
  return pairs
}

enum FunctionField: Int, MessageField {
  case name = 1
  case input = 4
  case output, attribute, node, docString, opsetImport, domain, attributeProto, valueInfo, overload
  case metadataProps
}

extension ONNXFunction {
  static func read(_ reader: inout some FieldReader) throws -> ONNXFunction {
    var function = ONNXFunction()
    try locating("function '\(function.name)'") {
      try reader.message(FunctionField.self) { reader, field in
        switch field {
        case .name: function.name = try reader.string()
        case .input: try reader.strings(into: &function.inputs)
        case .output: try reader.strings(into: &function.outputs)
        case .attribute: try reader.strings(into: &function.attributes)
        case .node: try readNodes(&reader, into: &function.nodes)
        case .opsetImport: try readOpsets(&reader, into: &function.opsetVersions)
        case .domain: function.domain = canonicalDomain(try reader.string())
        case .attributeProto: try reader.each { function.defaults.append(try ONNXAttribute.read(&$0)) }
        case .overload: function.overload = try reader.string()
        case .docString, .valueInfo, .metadataProps: try reader.skip()
        }
      }
    }
    return function
  }
}

enum GraphField: Int, MessageField {
  case node = 1
  case name
  case initializer = 5
  case docString = 10
  case input, output, valueInfo, quantizationAnnotation, sparseInitializer, metadataProps
}

extension ONNXGraph {
  static func read(_ reader: inout some FieldReader) throws -> ONNXGraph {
    var graph = ONNXGraph()
    try reader.message(GraphField.self) { reader, field in
      switch field {
      case .node: try readNodes(&reader, into: &graph.nodes)
      case .name: graph.name = try reader.string()
      case .initializer: try reader.each { graph.initializers.append(try ONNXTensor.read(&$0)) }
      case .sparseInitializer: try reader.each { graph.sparseInitializers.append(try ONNXSparseTensor.read(&$0)) }
      case .input: try reader.each { graph.inputs.append(try ONNXValueInfo.read(&$0)) }
      case .output: try reader.each { graph.outputs.append(try ONNXValueInfo.read(&$0)) }
      case .valueInfo: try reader.each { graph.valueInfos.append(try ONNXValueInfo.read(&$0)) }
      case .docString, .quantizationAnnotation, .metadataProps: try reader.skip()
      }
    }
    return graph
  }
}

enum NodeField: Int, MessageField {
  case input = 1
  case output, name, opType, attribute, docString, domain, overload, metadataProps, deviceConfigurations
}

private func readNodes<R: FieldReader>(_ reader: inout R, into nodes: inout [ONNXNode]) throws {
  try reader.each { reader in
    try reader.context.countNode()
    nodes.append(try locating("node number \(nodes.count)") { try ONNXNode.read(&reader) })
  }
}

extension ONNXNode {
  static func read(_ reader: inout some FieldReader) throws -> ONNXNode {
    var node = ONNXNode()
    do {
      try reader.message(NodeField.self) { reader, field in
        switch field {
        case .input: try reader.strings(into: &node.inputs)
        case .output: try reader.strings(into: &node.outputs)
        case .name: node.name = try reader.string()
        case .opType: node.opType = try reader.string()
        case .attribute: try reader.each { node.attributes.append(try ONNXAttribute.read(&$0)) }
        case .domain: node.domain = canonicalDomain(try reader.string())
        case .overload: node.overload = try reader.string()
        case .docString, .metadataProps, .deviceConfigurations: try reader.skip()
        }
      }
    } catch let failure as Failure where !node.opType.isEmpty { throw failure.at(node.place) }
    guard !node.opType.isEmpty else { throw Failure.badData("has no operator (op_type)") }
    if let twice = duplicate(node.attributes.map(\.name)) {
      throw Failure.badData("attribute '\(twice)' is given twice", place: node.place)
    }
    return node
  }
}

/// A name that occurs more than once, if any.
func duplicate(_ names: [String]) -> String? {
  var seen = Set<String>()
  return names.first { !seen.insert($0).inserted }
}

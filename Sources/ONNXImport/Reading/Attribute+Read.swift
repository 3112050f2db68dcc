import TensorTypes

// AttributeProto. Its type says which field holds the value; where the type is missing, the field present implies it.

enum AttributeField: Int, MessageField {
  case name = 1
  case f, i, s, t, g, floats, ints, strings, tensors, graphs
  case docString = 13
  case tp, typeProtos
  case type = 20
  case refAttrName, sparseTensor, sparseTensors
  /// Strings as they are, where `s` and `strings` hold base64: for models written by hand.
  case text = -1
  case texts = -2
}

/// `AttributeProto.AttributeType`.
enum AttributeType: Int, CaseIterable {
  case undefined, float, int, string, tensor, graph, floats, ints, strings, tensors, graphs
  case sparseTensor, sparseTensors, typeProto, typeProtos

  static let names = [
    "UNDEFINED": 0, "FLOAT": 1, "INT": 2, "STRING": 3, "TENSOR": 4, "GRAPH": 5, "FLOATS": 6, "INTS": 7, "STRINGS": 8,
    "TENSORS": 9, "GRAPHS": 10, "SPARSE_TENSOR": 11, "SPARSE_TENSORS": 12, "TYPE_PROTO": 13, "TYPE_PROTOS": 14,
  ]
}

extension ONNXAttribute {
  static func read(_ reader: inout some FieldReader) throws -> ONNXAttribute {
    var fields = AttributeFields()
    try locating("attribute '\(fields.name)'") { try fields.read(&reader) }
    return ONNXAttribute(fields.name, try locating("attribute '\(fields.name)'") { try fields.value() })
  }
}

/// What an `AttributeProto` holds before its type is looked at.
private struct AttributeFields {
  var name = ""
  var reference = ""
  /// nil where the file does not say: older writers, and models written by hand.
  var type: AttributeType?
  /// The fields that were there, as the types they imply.
  var present: Set<AttributeType> = []

  var float: Float = 0
  var int: Int64 = 0
  var string = ""
  var tensor: ONNXTensor?
  var graph: ONNXGraph?
  var sparseTensor: ONNXSparseTensor?
  var typeProto = ONNXType.unknown
  var floats = ChunkedBytes()
  var ints: [Int64] = []
  var strings: [String] = []
  var tensors: [ONNXTensor] = []
  var graphs: [ONNXGraph] = []
  var sparseTensors: [ONNXSparseTensor] = []
  var types: [ONNXType] = []

  mutating func read(_ reader: inout some FieldReader) throws {
    try reader.message(AttributeField.self) { reader, field in
      if let implied = field.implies { present.insert(implied) }
      switch field {
      case .name: name = try reader.string()
      case .refAttrName: reference = try reader.string()
      case .type:
        let number = try reader.enumeration(AttributeType.names)
        guard let known = AttributeType(rawValue: number), known != .undefined else {
          throw Failure.badData("has the unknown type \(number)")
        }
        type = known
      case .f: float = try reader.float()
      case .i: int = try reader.int64()
      case .s: string = try reader.text()
      case .text: string = try reader.string()
      case .t: tensor = try ONNXTensor.read(&reader)
      case .g: graph = try ONNXGraph.read(&reader)
      case .sparseTensor: sparseTensor = try ONNXSparseTensor.read(&reader)
      case .tp: typeProto = try ONNXType.read(&reader)
      case .floats: try reader.floats(into: &floats)
      case .ints: try reader.int64s(into: &ints)
      case .strings: try reader.texts(into: &strings)
      case .texts: try reader.strings(into: &strings)
      case .tensors: try reader.each { tensors.append(try ONNXTensor.read(&$0)) }
      case .graphs: try reader.each { graphs.append(try ONNXGraph.read(&$0)) }
      case .sparseTensors: try reader.each { sparseTensors.append(try ONNXSparseTensor.read(&$0)) }
      case .typeProtos: try reader.each { types.append(try ONNXType.read(&$0)) }
      case .docString: try reader.skip()
      }
    }
  }

  func value() throws -> ONNXAttribute.Value {
    guard !name.isEmpty else { throw Failure.badData("has no name") }
    if !reference.isEmpty { return .reference(reference) }
    guard let kind = type ?? (present.count == 1 ? present.first : nil) else {
      throw Failure.badData("has no type, and its fields don't imply one")
    }
    switch kind {
    case .float: return .float(float)
    case .int: return .int(int)
    case .string: return .string(string)
    case .tensor: return .tensor(try require(tensor))
    case .graph: return .graph(try require(graph))
    case .sparseTensor: return .sparseTensor(try require(sparseTensor))
    case .typeProto: return .type(typeProto)
    case .floats: return .floats(floats.storage.array(of: Float.self))
    case .ints: return .ints(ints)
    case .strings: return .strings(strings)
    case .tensors: return .tensors(tensors)
    case .graphs: return .graphs(graphs)
    case .sparseTensors: return .sparseTensors(sparseTensors)
    case .typeProtos: return .types(types)
    case .undefined: preconditionFailure("a type that was refused while reading")
    }
  }

  private func require<T>(_ value: T?) throws -> T {
    guard let value else { throw Failure.badData("has no value of its type") }
    return value
  }
}

extension AttributeField {
  fileprivate var implies: AttributeType? {
    switch self {
    case .f: .float
    case .i: .int
    case .s, .text: .string
    case .t: .tensor
    case .g: .graph
    case .sparseTensor: .sparseTensor
    case .tp: .typeProto
    case .floats: .floats
    case .ints: .ints
    case .strings, .texts: .strings
    case .tensors: .tensors
    case .graphs: .graphs
    case .sparseTensors: .sparseTensors
    case .typeProtos: .typeProtos
    case .name, .docString, .type, .refAttrName: nil
    }
  }
}

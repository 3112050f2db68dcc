import TensorTypes

// TypeProto, TensorShapeProto, ValueInfoProto.

enum ValueInfoField: Int, MessageField {
  case name = 1
  case type, docString, metadataProps
}

extension ONNXValueInfo {
  static func read(_ reader: inout some FieldReader) throws -> ONNXValueInfo {
    var info = ONNXValueInfo("", .unknown)
    try locating("value '\(info.name)'") {
      try reader.message(ValueInfoField.self) { reader, field in
        switch field {
        case .name: info.name = try reader.string()
        case .type: info.type = try ONNXType.read(&reader)
        case .docString, .metadataProps: try reader.skip()
        }
      }
    }
    return info
  }
}

enum TypeField: Int, MessageField {
  case tensorType = 1
  case sequenceType = 4
  case mapType, denotation, opaqueType, sparseTensorType, optionalType
}
enum TensorTypeField: Int, MessageField {
  case elemType = 1
  case shape
}
enum ElementTypeField: Int, MessageField { case elemType = 1 }
enum MapTypeField: Int, MessageField {
  case keyType = 1
  case valueType
}

extension ONNXType {
  static func read(_ reader: inout some FieldReader) throws -> ONNXType {
    var type = ONNXType.unknown
    try reader.message(TypeField.self) { reader, field in
      switch field {
      case .tensorType:
        let (element, shape) = try readTensorType(&reader)
        type = .tensor(element, shape: shape)
      case .sparseTensorType:
        let (element, shape) = try readTensorType(&reader)
        type = .sparseTensor(element, shape: shape)
      case .sequenceType: type = .sequence(try readElementType(&reader))
      case .optionalType: type = .optional(try readElementType(&reader))
      case .mapType: type = try readMapType(&reader)
      case .opaqueType:
        try reader.skip()
        type = .opaque
      case .denotation: try reader.skip()
      }
    }
    return type
  }

  private static func readTensorType<R: FieldReader>(_ reader: inout R) throws -> (ONNXDataType, [ONNXDimension]?) {
    var element = ONNXDataType.undefined
    var shape: [ONNXDimension]?
    try reader.message(TensorTypeField.self) { reader, field in
      switch field {
      case .elemType: element = try readDataType(&reader)
      case .shape: shape = try readShape(&reader)
      }
    }
    return (element, shape)
  }

  private static func readElementType<R: FieldReader>(_ reader: inout R) throws -> ONNXType {
    var type = ONNXType.unknown
    try reader.message(ElementTypeField.self) { reader, _ in type = try read(&reader) }
    return type
  }

  private static func readMapType<R: FieldReader>(_ reader: inout R) throws -> ONNXType {
    var key = ONNXDataType.undefined
    var value = ONNXType.unknown
    try reader.message(MapTypeField.self) { reader, field in
      switch field {
      case .keyType: key = try readDataType(&reader)
      case .valueType: value = try read(&reader)
      }
    }
    return .map(key: key, value: value)
  }
}

func readDataType<R: FieldReader>(_ reader: inout R) throws -> ONNXDataType {
  let number = try reader.enumeration(ONNXDataType.numbers)
  guard let type = ONNXDataType(rawValue: number) else {
    throw Failure.badData("element type \(number) is not one of ONNX's")
  }
  return type
}

enum ShapeField: Int, MessageField { case dim = 1 }
enum DimensionField: Int, MessageField {
  case dimValue = 1
  case dimParam, denotation
}

private func readShape<R: FieldReader>(_ reader: inout R) throws -> [ONNXDimension] {
  var shape: [ONNXDimension] = []
  try reader.message(ShapeField.self) { reader, _ in
    try reader.each { reader in
      var dimension = ONNXDimension.unknown
      try reader.message(DimensionField.self) { reader, field in
        switch field {
        case .dimValue:
          let size = try reader.int64()
          // Some exporters write -1 for a size they don't know.
          guard size >= -1 else { throw Failure.badData("has a dimension of size \(size)") }
          dimension = size < 0 ? .unknown : .value(Int(size))
        case .dimParam:
          let name = try reader.string()
          dimension = name.isEmpty ? .unknown : .parameter(name)
        case .denotation: try reader.skip()
        }
      }
      shape.append(dimension)
      guard shape.count <= HostTensor.rankLimit else {
        throw Failure.badData("has more than \(HostTensor.rankLimit) dimensions")
      }
    }
  }
  return shape
}

import TensorTypes

// TensorProto and SparseTensorProto.

enum TensorField: Int, MessageField {
  case dims = 1
  case dataType, segment, floatData, int32Data, stringData, int64Data, name, rawData, doubleData, uint64Data
  case docString, externalData, dataLocation
  case metadataProps = 16
  /// An `.npy` or `.safetensors` file beside the model, and the tensor in the latter: for models written by hand.
  case file = -1
  case tensor = -2
}

extension ONNXTensor {
  static func read(_ reader: inout some FieldReader) throws -> ONNXTensor {
    var fields = TensorFields()
    do {
      try fields.read(&reader)
      return try fields.resolved(reader.context.files)
    } catch let failure as Failure {
      throw fields.name.isEmpty ? failure : failure.at("tensor '\(fields.name)'")
    }
  }
}

enum SparseTensorField: Int, MessageField {
  case values = 1
  case indices, dims
}

extension ONNXSparseTensor {
  static func read(_ reader: inout some FieldReader) throws -> ONNXSparseTensor {
    var values: ONNXTensor?
    var indices: ONNXTensor?
    var dims: [Int64] = []
    try reader.message(SparseTensorField.self) { reader, field in
      switch field {
      case .values: values = try ONNXTensor.read(&reader)
      case .indices: indices = try ONNXTensor.read(&reader)
      case .dims: try reader.int64s(into: &dims)
      }
    }
    guard let values, let indices, indices.dataType == .int64 else {
      throw Failure.badData("a sparse tensor needs values, and indices of type INT64")
    }
    let shape = dims.map(Int.init)
    _ = try HostTensor.checkedElementCount(shape)
    return ONNXSparseTensor(values: values, indices: indices, dims: shape)
  }
}

/// What a `TensorProto` holds before its data are looked for.
struct TensorFields {
  var name = ""
  var dims: [Int64]?
  var dataType = ONNXDataType.undefined
  var raw: HostTensor.Storage?
  var floats = ChunkedBytes()
  var doubles = ChunkedBytes()
  var int32s: [Int64] = []
  var int64s: [Int64] = []
  var uint64s: [UInt64] = []
  var strings: [String] = []
  var isExternal = false
  var external: [(key: String, value: String)] = []
  var file: String?
  var fileTensor: String?

  mutating func read(_ reader: inout some FieldReader) throws {
    try reader.message(TensorField.self) { reader, field in
      switch field {
      case .dims:
        var list = dims ?? []
        try reader.int64s(into: &list)
        dims = list
      case .dataType: dataType = try readDataType(&reader)
      case .name: name = try reader.string()
      case .rawData: raw = try reader.bytes()
      case .floatData: try reader.floats(into: &floats)
      case .doubleData: try reader.doubles(into: &doubles)
      case .int32Data: try reader.int64s(into: &int32s)
      case .int64Data: try reader.int64s(into: &int64s)
      case .uint64Data: try reader.uint64s(into: &uint64s)
      case .stringData: try reader.texts(into: &strings)
      case .externalData: external += try readPairs(&reader)
      case .dataLocation: isExternal = try reader.enumeration(["DEFAULT": 0, "EXTERNAL": 1]) == 1
      case .file: file = try reader.string()
      case .tensor: fileTensor = try reader.string()
      case .segment: throw Failure.badData("is stored in segments, which ONNX gave up")
      case .docString, .metadataProps: try reader.skip()
      }
    }
  }

  /// The tensor with its data, wherever they are.
  func resolved(_ files: ExternalFiles) throws -> ONNXTensor {
    if let file { return try fromTensorFile(file, files) }
    let dims = (self.dims ?? []).map(Int.init)
    let count = try HostTensor.checkedElementCount(dims)
    if dataType == .string {
      guard strings.count == count else {
        throw Failure.badData("STRING\(dims) needs \(count) strings, but there are \(strings.count)")
      }
      return ONNXTensor(name: name, dims: dims, dataType: dataType, content: .strings(strings))
    }
    guard let bits = dataType.bitCount else { throw Failure.badData("has no element type (data_type)") }
    // The element count is below Int.max / 16, bits are at most 128: no overflow.
    let needed = bits >= 8 ? count * (bits / 8) : (count * bits + 7) / 8
    let data: HostTensor.Storage
    if isExternal || !external.isEmpty {
      data = try files.externalData(external, byteCount: needed)
    } else if let raw {
      guard raw.bytes.isEmpty || !hasTypedData else {
        throw Failure.badData("holds its elements twice, as raw data and as a list")
      }
      data = raw
    } else {
      data = try typedData()
    }
    guard data.bytes.count == needed else {
      throw Failure.badData(
        "\(dataType.name)\(dims) needs \(needed) bytes of data, but there are \(data.bytes.count)")
    }
    return ONNXTensor(name: name, dims: dims, dataType: dataType, content: .bytes(data))
  }

  /// An initializer whose elements, type and shape are those of an `.npy` or `.safetensors` file.
  private func fromTensorFile(_ path: String, _ files: ExternalFiles) throws -> ONNXTensor {
    let tensor = try files.tensor(path, named: fileTensor ?? name)
    let found = ONNXTensor(name: name, tensor)
    guard dataType == .undefined || dataType == found.dataType else {
      throw Failure.badData("is said to be \(dataType.name), but file '\(path)' holds \(found.dataType.name)")
    }
    guard dims.map({ $0.map(Int.init) == found.dims }) ?? true else {
      throw Failure.badData("is said to be of shape \(dims ?? []), but file '\(path)' holds \(found.dims)")
    }
    return found
  }

  private var hasTypedData: Bool {
    !(floats.isEmpty && doubles.isEmpty && int32s.isEmpty && int64s.isEmpty
      && uint64s.isEmpty && strings.isEmpty)
  }

  /// The elements from the field that the data type uses (onnx.proto, comments at `TensorProto`).
  private func typedData() throws -> HostTensor.Storage {
    switch dataType {
    case .float, .complex64: return floats.storage
    case .double, .complex128: return doubles.storage
    case .int64: return narrowed(int64s, to: Int64.self)
    case .uint64: return narrowed(uint64s, to: UInt64.self)
    case .uint32: return try checked(uint64s, to: UInt32.self)
    case .int32: return try checked(int32s, to: Int32.self)
    case .int16: return try checked(int32s, to: Int16.self)
    case .int8: return try checked(int32s, to: Int8.self)
    case .uint16: return try checked(int32s, to: UInt16.self)
    case .uint8: return try checked(int32s, to: UInt8.self)
    case .bool: return narrowed(int32s.map { $0 == 0 ? 0 : 1 }, to: UInt8.self)
    // Bits of the format, of which some writers extend the sign.
    case .float16, .bfloat16: return try bits(int32s, 16, UInt16.self)
    case .float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz, .float8e8m0, .uint4, .int4, .float4e2m1,
      .uint2, .int2, .float6e2m3, .float6e3m2:
      return try bits(int32s, 8, UInt8.self)
    case .undefined, .string: throw Failure.badData("has no elements of a fixed size")
    }
  }

  private func checked<V: FixedWidthInteger, T: FixedWidthInteger & BitwiseCopyable>(
    _ values: [V], to: T.Type
  ) throws -> HostTensor.Storage {
    if let wrong = values.first(where: { T(exactly: $0) == nil }) {
      throw Failure.badData("value \(wrong) does not fit \(dataType.name)")
    }
    return narrowed(values, to: T.self)
  }

  private func bits<T: FixedWidthInteger & BitwiseCopyable>(
    _ values: [Int64], _ width: Int, _: T.Type
  ) throws -> HostTensor.Storage {
    let range = -(Int64(1) << (width - 1))..<(Int64(1) << width)
    if let wrong = values.first(where: { !range.contains($0) }) {
      throw Failure.badData("value \(wrong) does not fit the \(width) bits of \(dataType.name)")
    }
    return narrowed(values, to: T.self)
  }

  private func narrowed<V: FixedWidthInteger, T: FixedWidthInteger & BitwiseCopyable>(
    _ values: [V], to: T.Type
  ) -> HostTensor.Storage {
    HostTensor.Storage.make(byteCount: values.count * MemoryLayout<T>.size) { target in
      for (i, value) in values.enumerated() {
        target.storeBytes(of: T(truncatingIfNeeded: value), toByteOffset: i * MemoryLayout<T>.size, as: T.self)
      }
    }
  }
}

/// `TypeProto`.
public indirect enum ONNXType: Sendable, Equatable {
  /// Without a shape, not even the rank is known.
  case tensor(ONNXDataType, shape: [ONNXDimension]?)
  case sparseTensor(ONNXDataType, shape: [ONNXDimension]?)
  case sequence(ONNXType)
  case optional(ONNXType)
  case map(key: ONNXDataType, value: ONNXType)
  case opaque
  case unknown
}

public enum ONNXDimension: Sendable, Equatable {
  /// Not negative.
  case value(Int)
  /// A name: equal names are equal sizes.
  case parameter(String)
  case unknown
}

/// `ValueInfoProto`: a value's name and type.
public struct ONNXValueInfo: Sendable, Equatable {
  public var name: String
  public var type: ONNXType

  public init(_ name: String, _ type: ONNXType) {
    self.name = name
    self.type = type
  }
}

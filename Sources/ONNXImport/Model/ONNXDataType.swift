import TensorTypes

/// The element types that ONNX knows, of which Tessera computes with those that `ElementType` has.
/// The raw value is the number in `TensorProto.DataType`.
public enum ONNXDataType: Int, Sendable, CaseIterable {
  case undefined, float, uint8, int8, uint16, int16, int32, int64, string, bool, float16, double, uint32, uint64
  case complex64, complex128, bfloat16
  case float8e4m3fn, float8e4m3fnuz, float8e5m2, float8e5m2fnuz
  case uint4, int4, float4e2m1, float8e8m0, uint2, int2, float6e2m3, float6e3m2

  /// As `onnx.proto` spells it: `FLOAT16`.
  public var name: String { "\(self)".uppercased() }

  static let numbers: [String: Int] = Dictionary(uniqueKeysWithValues: allCases.map { ($0.name, $0.rawValue) })

  /// The type that Tessera computes with, if it has it.
  public var element: ElementType? {
    switch self {
    case .float: .float32
    case .double: .float64
    case .float16: .float16
    case .bfloat16: .bfloat16
    case .int8: .int8
    case .int16: .int16
    case .int32: .int32
    case .int64: .int64
    case .uint8: .uint8
    case .uint16: .uint16
    case .uint32: .uint32
    case .uint64: .uint64
    case .bool: .bool
    case .undefined, .string, .complex64, .complex128, .float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz,
      .uint4, .int4, .float4e2m1, .float8e8m0, .uint2, .int2, .float6e2m3, .float6e3m2:
      nil
    }
  }

  /// Bits one element takes in `raw_data`; nil where elements have no fixed size. Elements of less than a byte are
  /// packed, the last byte filled up.
  public var bitCount: Int? {
    switch self {
    case .undefined, .string: nil
    case .complex128: 128
    case .double, .int64, .uint64, .complex64: 64
    case .float, .int32, .uint32: 32
    case .float16, .bfloat16, .int16, .uint16: 16
    case .int8, .uint8, .bool, .float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz, .float8e8m0: 8
    case .float6e2m3, .float6e3m2: 6
    case .uint4, .int4, .float4e2m1: 4
    case .uint2, .int2: 2
    }
  }

  public init(_ element: ElementType) {
    switch element {
    case .float64: self = .double
    case .float32: self = .float
    case .float16: self = .float16
    case .bfloat16: self = .bfloat16
    case .int64: self = .int64
    case .int32: self = .int32
    case .int16: self = .int16
    case .int8: self = .int8
    case .uint64: self = .uint64
    case .uint32: self = .uint32
    case .uint16: self = .uint16
    case .uint8: self = .uint8
    case .bool: self = .bool
    }
  }
}

/// The type of one element of a tensor.
///
/// The raw value is the name used in both IRs' texts and in `--format json`.
public enum ElementType: String, Hashable, Sendable, Codable, CaseIterable {
  case float64 = "f64"
  case float32 = "f32"
  case float16 = "f16"
  case bfloat16 = "bf16"
  case int64 = "i64"
  case int32 = "i32"
  case int16 = "i16"
  case int8 = "i8"
  case uint64 = "u64"
  case uint32 = "u32"
  case uint16 = "u16"
  case uint8 = "u8"
  case bool = "bool"

  /// Bytes one element takes in memory; `bool` takes one byte, 0 or 1.
  public var byteCount: Int {
    switch self {
    case .float64, .int64, .uint64: 8
    case .float32, .int32, .uint32: 4
    case .float16, .bfloat16, .int16, .uint16: 2
    case .int8, .uint8, .bool: 1
    }
  }

  public var isFloat: Bool {
    switch self {
    case .float64, .float32, .float16, .bfloat16: true
    case .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16, .uint8, .bool: false
    }
  }

  /// f16 and bf16: computed in f32, then rounded.
  public var isNarrowFloat: Bool { self == .float16 || self == .bfloat16 }

  public var isSignedInteger: Bool {
    switch self {
    case .int64, .int32, .int16, .int8: true
    case .float64, .float32, .float16, .bfloat16, .uint64, .uint32, .uint16, .uint8, .bool: false
    }
  }

  public var isUnsignedInteger: Bool {
    switch self {
    case .uint64, .uint32, .uint16, .uint8: true
    case .float64, .float32, .float16, .bfloat16, .int64, .int32, .int16, .int8, .bool: false
    }
  }

  public var isInteger: Bool { isSignedInteger || isUnsignedInteger }

  /// i8, u8 and i16, whose products are exact in i32: every number of the type is an i16.
  public var isNarrowInteger: Bool {
    switch self {
    case .int8, .uint8, .int16: true
    case .float64, .float32, .float16, .bfloat16, .int64, .int32, .uint64, .uint32, .uint16, .bool: false
    }
  }

  /// Distance from 1 to the next representable number; 0 for integers.
  public var epsilon: Double {
    switch self {
    case .float64: 0x1p-52
    case .float32: 0x1p-23
    case .float16: 0x1p-10
    case .bfloat16: 0x1p-7
    case .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16, .uint8, .bool: 0
    }
  }
}

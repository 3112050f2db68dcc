public import TensorTypes
internal import TesseraABI

/// One input or output of a library: its name and what is known of its type before sizes are.
public struct Port: Hashable, Sendable, CustomStringConvertible {
  public enum Size: Hashable, Sendable {
    case fixed(Int)
    /// The size called `symbols[number]`, which inputs bind.
    case symbol(Int)
    /// An expression over symbols that the library computes; outputs only.
    case computed
    /// Known only once the model has run; outputs only.
    case unknown
  }

  public var name: String
  public var element: ElementType
  public var sizes: [Size]
  /// The sizes as people read them: `3`, `height`, `4*height`.
  public var sizeTexts: [String]

  public var rank: Int { sizes.count }
  /// Whether a size depends on the inputs' elements, not on their sizes alone.
  public var isUnknown: Bool { sizes.contains(.unknown) }

  /// `image: f32[batch, 3, height, width]`
  public var description: String { "\(name): \(element.rawValue)[\(sizeTexts.joined(separator: ", "))]" }
}

extension ElementType {
  /// The number that stands for the type in both C headers.
  public var code: Int32 {
    switch self {
    case .float64: Int32(TESSERA_FLOAT64)
    case .float32: Int32(TESSERA_FLOAT32)
    case .float16: Int32(TESSERA_FLOAT16)
    case .bfloat16: Int32(TESSERA_BFLOAT16)
    case .int64: Int32(TESSERA_INT64)
    case .int32: Int32(TESSERA_INT32)
    case .int16: Int32(TESSERA_INT16)
    case .int8: Int32(TESSERA_INT8)
    case .uint64: Int32(TESSERA_UINT64)
    case .uint32: Int32(TESSERA_UINT32)
    case .uint16: Int32(TESSERA_UINT16)
    case .uint8: Int32(TESSERA_UINT8)
    case .bool: Int32(TESSERA_BOOL)
    }
  }

  /// The type that `code` stands for, if any.
  public init?(code: Int32) {
    guard let element = Self.allCases.first(where: { $0.code == code }) else { return nil }
    self = element
  }
}

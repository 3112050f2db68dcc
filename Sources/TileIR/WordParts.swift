import TensorTypes

/// What the words of a `dotOfWords` hold, from the lowest bits up: the operands of the processors' short dot products.
public enum WordParts: String, Hashable, Sendable, Codable, CaseIterable {
  /// Two i16 each (`vpmaddwd`).
  case i16x2
  /// Four u8 in a's words, four i8 in b's (`vpdpbusd`).
  case u8i8x4
  /// The same for numbers in b of at most 64 in size, so that sums of two products fit an i16 (`vpmaddubsw`, which saturates
  /// beyond; what larger numbers give is undefined).
  case u8i7x4
  /// Two bf16 each, summed in f32 in an order that the machine chooses; subnormal numbers may count as zeros (`vdpbf16ps`).
  case bf16x2

  /// Numbers in a word.
  public var count: Int {
    switch self {
    case .i16x2, .bf16x2: 2
    case .u8i8x4, .u8i7x4: 4
    }
  }

  /// What products are summed in.
  public var accumulator: ElementType {
    switch self {
    case .i16x2, .u8i8x4, .u8i7x4: .int32
    case .bf16x2: .float32
    }
  }

  /// The types of a's and of b's parts.
  public var elements: (a: ElementType, b: ElementType) {
    switch self {
    case .i16x2: (.int16, .int16)
    case .u8i8x4, .u8i7x4: (.uint8, .int8)
    case .bf16x2: (.bfloat16, .bfloat16)
    }
  }
}

import TensorTypes
import TileIR

// Orders of elements as integers, which compare in one instruction and have no NaN.

extension ElementType {
  /// The type of the integers that order as elements of this type do.
  var rank: ElementType {
    switch self {
    case .float16, .bfloat16, .float32, .int32, .int16, .int8, .uint16, .uint8, .bool: .int32
    case .float64, .int64, .uint64, .uint32: .int64
    }
  }
}

extension Tile {
  /// Integers that order as the elements do: of two elements the one that comes first has the larger one, equal ones
  /// (-0 and 0 are) have the same.
  /// - Parameters:
  ///   - largestFirst: whether larger elements come first.
  ///   - nanFirst: whether NaN comes before all numbers; else it comes after them.
  func rank(largestFirst: Bool, nanFirst: Bool, in b: TileBuilder) -> Tile {
    let ascending: Tile
    switch element {
    case .float16, .bfloat16: return cast(.float32).rank(largestFirst: largestFirst, nanFirst: nanFirst, in: b)
    case .float32, .float64: ascending = floatRank(in: b)
    case .int32, .int64: ascending = self
    case .int16, .int8, .uint16, .uint8, .bool: ascending = cast(.int32)
    case .uint32: ascending = cast(.int64)
    case .uint64: ascending = bitcast(.int64).binary(.xor, b.constant(.integer(.min), .int64, shape))
    }
    let ordered = largestFirst ? ascending : ascending.unary(.not)
    if !element.isFloat { return ordered }
    let type = ordered.element
    let extreme = nanFirst ? type.largestInteger : type.smallestInteger
    return unary(.isNaN).select(b.constant(.integer(extreme), type, shape), ordered)
  }

  /// A positive float's bits order as it does; of a negative one they run the other way.
  private func floatRank(in b: TileBuilder) -> Tile {
    let type: ElementType = element == .float64 ? .int64 : .int32
    // -0 + 0 is 0.
    let bits = (self + b.constant(0, element, shape)).bitcast(type)
    let magnitude = bits.binary(.xor, b.constant(.integer(type.largestInteger), type, shape))
    return bits.less(b.constant(0, type, shape)).select(magnitude, bits)
  }
}

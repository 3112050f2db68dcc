// What each scalar function does to numbers held as `Double` (floats) or `Int64` (integers and bool; u64 as bits).
// Results are brought back into the element type: floats are rounded to f32 (f64 stays), integers wrap around.

import Glibc

extension ElementType {
  /// `x` as this float type computes it: f32 for the types not wider than f32.
  public func computed(_ x: Double) -> Double { self == .float64 ? x : Double(Float(x)) }

  /// `x` rounded to nearest even in this float type: what a store leaves.
  public func rounded(_ x: Double) -> Double {
    switch self {
    case .float64: x
    case .float32: Double(Float(x))
    case .float16: Double(Float16(x))
    case .bfloat16: Double(Float(bfloat16Bits: bfloat16Bits(Float(x))))
    case .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16, .uint8, .bool:
      preconditionFailure("a float type, not \(rawValue)")
    }
  }

  /// The low bits of `x` that this integer type keeps, extended again to 64 bits.
  @inline(__always)
  public func wrapped(_ x: Int64) -> Int64 {
    switch self {
    case .int64, .uint64: x
    case .int32: Int64(Int32(truncatingIfNeeded: x))
    case .int16: Int64(Int16(truncatingIfNeeded: x))
    case .int8: Int64(Int8(truncatingIfNeeded: x))
    case .uint32: Int64(UInt32(truncatingIfNeeded: x))
    case .uint16: Int64(UInt16(truncatingIfNeeded: x))
    case .uint8: Int64(UInt8(truncatingIfNeeded: x))
    case .bool: x & 1
    case .float64, .float32, .float16, .bfloat16: preconditionFailure("an integer type, not \(rawValue)")
    }
  }

  /// A float as this integer type: toward zero, saturating, NaN gives 0; to bool, whether it is not 0.
  public func saturated(_ x: Double) -> Int64 {
    if self == .bool { return x != 0 ? 1 : 0 }
    if x.isNaN { return 0 }
    if self == .uint64 {
      if x <= 0 { return 0 }
      return x >= 0x1p64 ? -1 : Int64(bitPattern: UInt64(x))
    }
    let (low, high) = (smallestInteger, largestInteger)
    if x <= Double(low) { return low }
    return x >= Double(high) ? high : Int64(x)
  }

  /// An integer of this type as an integer of type `target`: saturating; to bool, whether it is not 0.
  public func saturated(_ x: Int64, to target: ElementType) -> Int64 {
    if target == .bool { return x != 0 ? 1 : 0 }
    let tooLargeForSigned = self == .uint64 && x < 0
    if target == .uint64 { return !tooLargeForSigned && x < 0 ? 0 : x }
    if tooLargeForSigned { return target.largestInteger }
    return min(max(x, target.smallestInteger), target.largestInteger)
  }

  /// An integer of this type as a number of the float type `target`.
  public func float(_ x: Int64, as target: ElementType) -> Double {
    if self == .uint64, x < 0 {
      let wide = UInt64(bitPattern: x)
      return target == .float64 ? Double(wide) : target.rounded(Double(Float(wide)))
    }
    return target == .float64 ? Double(x) : target.rounded(Double(Float(x)))
  }
}

/// The nearest bfloat16, ties to even; NaN stays a NaN.
public func bfloat16Bits(_ x: Float) -> UInt16 {
  let bits = x.bitPattern
  if x.isNaN { return UInt16(bits >> 16) | 0x40 }
  return UInt16((UInt64(bits) + 0x7fff + UInt64(bits >> 16 & 1)) >> 16)
}

extension Float {
  public init(bfloat16Bits bits: UInt16) { self.init(bitPattern: UInt32(bits) << 16) }
}

extension UnaryFunction {
  /// Whether the function means something on elements of `type`.
  public func accepts(_ type: ElementType) -> Bool {
    switch self {
    case .negate, .abs, .sign, .floor, .ceil, .truncate, .round: type != .bool
    case .not: !type.isFloat
    case .isNaN, .isInfinite: true
    case .sqrt, .reciprocal, .exp, .expm1, .log, .log1p, .sin, .cos, .tan, .asin, .acos, .atan, .sinh, .cosh, .tanh,
      .asinh, .acosh, .atanh, .erf, .sigmoid:
      type.isFloat
    }
  }

  /// The function on floats; `isNaN` and `isInfinite` give 1 or 0.
  public var onFloats: @Sendable (Double) -> Double {
    switch self {
    case .negate: { -$0 }
    case .abs: { Swift.abs($0) }
    case .sign: { $0 > 0 ? 1 : $0 < 0 ? -1 : $0 }
    case .sqrt: { $0.squareRoot() }
    case .reciprocal: { 1 / $0 }
    case .exp: { Glibc.exp($0) }
    case .expm1: { Glibc.expm1($0) }
    case .log: { Glibc.log($0) }
    case .log1p: { Glibc.log1p($0) }
    case .sin: { Glibc.sin($0) }
    case .cos: { Glibc.cos($0) }
    case .tan: { Glibc.tan($0) }
    case .asin: { Glibc.asin($0) }
    case .acos: { Glibc.acos($0) }
    case .atan: { Glibc.atan($0) }
    case .sinh: { Glibc.sinh($0) }
    case .cosh: { Glibc.cosh($0) }
    case .tanh: { Glibc.tanh($0) }
    case .asinh: { Glibc.asinh($0) }
    case .acosh: { Glibc.acosh($0) }
    case .atanh: { Glibc.atanh($0) }
    case .erf: { Glibc.erf($0) }
    case .sigmoid: { 1 / (1 + Glibc.exp(-$0)) }
    case .floor: { $0.rounded(.down) }
    case .ceil: { $0.rounded(.up) }
    case .truncate: { $0.rounded(.towardZero) }
    case .round: { $0.rounded(.toNearestOrEven) }
    case .not: { _ in .nan }
    case .isNaN: { $0.isNaN ? 1 : 0 }
    case .isInfinite: { $0.isInfinite ? 1 : 0 }
    }
  }

  /// The function on integers and bools of type `type`; where it only means something on floats, by way of them.
  public func onIntegers(_ type: ElementType) -> @Sendable (Int64) -> Int64 {
    switch self {
    case .negate: return { type.wrapped(0 &- $0) }
    case .abs:
      guard type.isSignedInteger else { return { $0 } }
      return { type.wrapped($0 < 0 ? 0 &- $0 : $0) }
    case .sign:
      guard type.isSignedInteger else { return { $0 == 0 ? 0 : 1 } }
      return { $0.signum() }
    case .floor, .ceil, .truncate, .round: return { $0 }
    case .not:
      guard type == .bool else { return { type.wrapped(~$0) } }
      return { $0 ^ 1 }
    case .isNaN, .isInfinite: return { _ in 0 }
    case .sqrt, .reciprocal, .exp, .expm1, .log, .log1p, .sin, .cos, .tan, .asin, .acos, .atan, .sinh, .cosh, .tanh,
      .asinh, .acosh, .atanh, .erf, .sigmoid:
      let f = onFloats
      return { type.saturated(f(type.float($0, as: .float64))) }
    }
  }
}

extension BinaryFunction {
  /// Whether the function means something on elements of `type`.
  public func accepts(_ type: ElementType) -> Bool {
    switch self {
    case .add, .subtract, .multiply, .divide, .modulo, .remainder, .power: type != .bool
    case .minimum, .maximum, .equal, .notEqual, .less, .lessEqual, .greater, .greaterEqual: true
    case .and, .or, .xor: !type.isFloat
    case .shiftLeft, .shiftRight: type.isInteger
    }
  }

  /// The function on floats; a comparison gives 1 or 0.
  public var onFloats: @Sendable (Double, Double) -> Double {
    switch self {
    case .add: { $0 + $1 }
    case .subtract: { $0 - $1 }
    case .multiply: { $0 * $1 }
    case .divide: { $0 / $1 }
    case .modulo:
      { x, y in
        let r = fmod(x, y)
        return r != 0 && (r < 0) != (y < 0) ? r + y : r
      }
    case .remainder: { fmod($0, $1) }
    case .power: { pow($0, $1) }
    case .minimum: { $0.isNaN || $1.isNaN ? .nan : Swift.min($0, $1) }
    case .maximum: { $0.isNaN || $1.isNaN ? .nan : Swift.max($0, $1) }
    case .equal: { $0 == $1 ? 1 : 0 }
    case .notEqual: { $0 != $1 ? 1 : 0 }
    case .less: { $0 < $1 ? 1 : 0 }
    case .lessEqual: { $0 <= $1 ? 1 : 0 }
    case .greater: { $0 > $1 ? 1 : 0 }
    case .greaterEqual: { $0 >= $1 ? 1 : 0 }
    case .and, .or, .xor, .shiftLeft, .shiftRight: { _, _ in .nan }
    }
  }

  /// The function on integers and bools of type `type`; a comparison gives 1 or 0.
  public func onIntegers(_ type: ElementType) -> @Sendable (Int64, Int64) -> Int64 {
    let width = Int64(type.byteCount * 8)
    // u64's order is that of its bits with the sign flipped.
    let flip: Int64 = type == .uint64 ? .min : 0
    switch self {
    case .add: return { type.wrapped($0 &+ $1) }
    case .subtract: return { type.wrapped($0 &- $1) }
    case .multiply: return { type.wrapped($0 &* $1) }
    case .divide:
      if type == .uint64 { return { $1 == 0 ? 0 : Int64(bitPattern: UInt64(bitPattern: $0) / UInt64(bitPattern: $1)) } }
      return { $1 == 0 ? 0 : type.wrapped($1 == -1 ? 0 &- $0 : $0 / $1) }
    case .modulo, .remainder:
      if type == .uint64 { return { $1 == 0 ? 0 : Int64(bitPattern: UInt64(bitPattern: $0) % UInt64(bitPattern: $1)) } }
      let sign = self == .modulo
      return { x, y in
        if y == 0 || y == -1 { return 0 }
        let r = x % y
        return sign && r != 0 && (r < 0) != (y < 0) ? r + y : r
      }
    case .power: return { type.wrapped(integerPower($0, $1, unsigned: type.isUnsignedInteger)) }
    case .minimum: return { $0 ^ flip < $1 ^ flip ? $0 : $1 }
    case .maximum: return { $0 ^ flip < $1 ^ flip ? $1 : $0 }
    case .equal: return { $0 == $1 ? 1 : 0 }
    case .notEqual: return { $0 != $1 ? 1 : 0 }
    case .less: return { $0 ^ flip < $1 ^ flip ? 1 : 0 }
    case .lessEqual: return { $0 ^ flip <= $1 ^ flip ? 1 : 0 }
    case .greater: return { $0 ^ flip > $1 ^ flip ? 1 : 0 }
    case .greaterEqual: return { $0 ^ flip >= $1 ^ flip ? 1 : 0 }
    case .and: return { $0 & $1 }
    case .or: return { $0 | $1 }
    case .xor: return { $0 ^ $1 }
    case .shiftLeft: return { $1 < 0 || $1 >= width ? 0 : type.wrapped($0 << $1) }
    case .shiftRight:
      if type == .uint64 {
        return { $1 < 0 || $1 >= width ? 0 : Int64(bitPattern: UInt64(bitPattern: $0) >> UInt64($1)) }
      }
      return { $1 < 0 || $1 >= width ? 0 : $0 >> $1 }
    }
  }
}

/// xʸ by squaring, wrapping around. A negative exponent gives the true result rounded toward zero; 0 for x = 0.
private func integerPower(_ x: Int64, _ y: Int64, unsigned: Bool) -> Int64 {
  if y < 0 && !unsigned { return x == 1 ? 1 : x == -1 ? (y & 1 == 0 ? 1 : -1) : 0 }
  var (result, base, exponent) = (Int64(1), x, UInt64(bitPattern: y))
  while exponent > 0 {
    if exponent & 1 == 1 { result = result &* base }
    base = base &* base
    exponent >>= 1
  }
  return result
}

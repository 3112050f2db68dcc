import TensorTypes

/// The layout of an IEEE 754 binary format, and the constants of argument reduction in it.
struct FloatFormat {
  /// Of the same width.
  let integer: ElementType
  /// Stored bits of the significand.
  let mantissaBits: Int
  let bias: Int
  /// ln 2 as a sum of two or three numbers of the format, largest first.
  let ln2: [Double]
  /// π/2 likewise, one part more.
  let halfPi: [Double]

  static let float32 = FloatFormat(
    integer: .int32, mantissaBits: 23, bias: 127, ln2: [0x1.62e43p-1, -0x1.05c61p-29],
    halfPi: [0x1.921fb6p0, -0x1.777a5cp-25, -0x1.ee59dap-50])
  static let float64 = FloatFormat(
    integer: .int64, mantissaBits: 52, bias: 1023, ln2: [0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56],
    halfPi: [0x1.921fb54442d18p0, 0x1.1a62633145c07p-54, -0x1.f1976b7ed8fbcp-110])

  /// 1.5 · 2^mantissaBits: adding it rounds a small number to an integer, found in the sum's low bits
  /// (Muller, "Elementary Functions", 3rd ed., §11.2).
  var roundingShift: Double { mantissaBits == 23 ? 0x1.8p23 : 0x1.8p52 }
  var signBit: Int64 { mantissaBits == 23 ? Int64(Int32.min) : .min }
  /// The bits of 1.
  var one: Int64 { Int64(bias) << Int64(mantissaBits) }
}

extension Tile {
  /// - Precondition: f32 or f64.
  var format: FloatFormat {
    switch element {
    case .float32: .float32
    case .float64: .float64
    case .float16, .bfloat16, .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16, .uint8, .bool:
      preconditionFailure("math on f32 or f64, not \(element)")
    }
  }

  /// One of two by the tile's element type.
  func table(_ float32: [Double], _ float64: [Double]) -> [Double] { format.mantissaBits == 23 ? float32 : float64 }

  /// A tile of this one's shape and type, every element `value`.
  func filled(_ value: Double) -> Tile { builder.constant(.float(value), element, shape) }
  func filled(_ value: Int64) -> Tile { builder.constant(.integer(value), element, shape) }

  static func + (a: Tile, b: Double) -> Tile { a + a.filled(b) }
  static func - (a: Tile, b: Double) -> Tile { a - a.filled(b) }
  static func * (a: Tile, b: Double) -> Tile { a * a.filled(b) }
  func fma(_ b: Tile, _ c: Double) -> Tile { fma(b, filled(c)) }
  func fma(_ b: Double, _ c: Tile) -> Tile { fma(filled(b), c) }
  func fma(_ b: Double, _ c: Double) -> Tile { fma(filled(b), filled(c)) }

  /// `c₀ + c₁ x + c₂ x² …` by Horner's rule.
  func polynomial(_ c: [Double]) -> Tile {
    c.dropLast().reversed().reduce(filled(c[c.count - 1])) { sum, next in sum.fma(self, next) }
  }

  var magnitude: Tile { unary(.abs) }
  var negated: Tile { unary(.negate) }
  var squareRoot: Tile { unary(.sqrt) }
  func less(_ b: Double) -> Tile { less(filled(b)) }
  func greater(_ b: Double) -> Tile { binary(.greater, filled(b)) }
  func equal(_ b: Double) -> Tile { equal(filled(b)) }

  // MARK: Bits

  var bits: Tile { bitcast(format.integer) }
  func bits(_ function: BinaryFunction, _ constant: Int64) -> Tile { binary(function, filled(constant)) }
  func shiftedLeft(_ n: Int) -> Tile { bits(.shiftLeft, Int64(n)) }
  func shiftedRight(_ n: Int) -> Tile { bits(.shiftRight, Int64(n)) }

  /// The sign bit alone, as an integer.
  var signBits: Tile { bits.bits(.and, format.signBit) }
  /// - Parameter sign: integers, as `signBits` gives them.
  func flippingSign(_ sign: Tile) -> Tile { bits.binary(.xor, sign).bitcast(element) }
}

import TensorTypes

extension Tile {
  /// x to the power of y, with C's special cases (ISO C, F.10.4.4): y = 0 and x = 1 give 1 even with NaN; a negative
  /// finite x has a power for integers y only, else NaN.
  ///
  /// Maximum error, f32: 0.51 ulp (sampled).
  func power(_ y: Tile) -> Tile {
    let a = magnitude
    let general = element == .float32 ? a.powerInDouble(y) : a.powerOfSum(y)
    let isOne = a.equal(1.0).binary(.or, y.equal(0.0))
    let size = isOne.select(filled(1.0), general)

    let half = y * 0.5
    let isWhole = y.unary(.truncate).equal(y)
    let isOdd = isWhole.binary(.and, half.unary(.truncate).binary(.notEqual, half))
    let signed = isOdd.select(size.flippingSign(signBits), size)
    let isNegative = less(0.0).binary(.and, filled(-Double.infinity).less(self))
    let isUndefined = isNegative.binary(.and, isWhole.unary(.not))
    return isUndefined.select(filled(Double.nan), signed)
  }

  /// For f32 x ≥ 0: 2^(y log₂ x) in f64, to about 2⁻³⁴, which leaves little but the last rounding.
  private func powerInDouble(_ exponent: Tile) -> Tile {
    let x = cast(.float64)
    let k = x.exponentAroundOne
    let m = x.loweringExponent(by: k)
    let s = (m - 1.0) / (m + 1.0)
    let logarithm = s.fma((s * s).polynomial(MathCoefficients.log2Power), k.cast(.float64))
      .withLogarithmPoles(of: x, at: 0)
    let t = (exponent.cast(.float64) * logarithm).maximum(x.filled(-400.0)).minimum(x.filled(400.0))
    let shift = x.format.roundingShift + Double(x.format.bias)
    let shifted = t + shift
    let r = t - (shifted - shift)
    return (r.polynomial(MathCoefficients.exp2Power) * shifted.bits.scale(.float64)).cast(.float32)
  }

  /// For f64 x ≥ 0: e^(y log x), the logarithm and its product with y as sums of two f64.
  private func powerOfSum(_ exponent: Tile) -> Tile {
    let isTiny = less(0x1p-1022)
    let x = isTiny.select(self * 0x1p54, self)
    let k = x.exponentAroundOne
    let count = k.cast(element) - isTiny.select(filled(54.0), filled(0.0))
    let logarithm = TileSum.logarithm(x.loweringExponent(by: k), plus: count)
    let high = logarithm.high.withLogarithmPoles(of: self, at: 0)

    let product = exponent * high
    // What the product lost; meaningless, and left out, where it is not finite or will over- or underflow.
    let lost = exponent.fma(high, product.negated) + exponent * logarithm.low
    let isModerate = product.magnitude.less(800.0)
    let reduced = ExpReduction(product.maximum(filled(-746.0)).minimum(filled(711.0)), bias: 2 * format.bias)
    let r = reduced.r + isModerate.select(lost, filled(0.0))
    let half = reduced.n.shiftedRight(1)
    return r.expPolynomial * half.scale(element) * (reduced.n - half).scale(element)
  }

  /// Integers: by repeated squaring, wrapping around; a negative power is 0 but for bases of 1 and −1.
  func integerPower(_ exponent: Tile) -> Tile {
    let one = filled(Int64(1))
    let zero = filled(Int64(0))
    var result = one
    var square = self
    for bit in 0..<(8 * element.byteCount) {
      let isSet = exponent.bits(.and, 1 << Int64(bit)).binary(.notEqual, zero)
      result = isSet.select(result * square, result)
      square = square * square
    }
    guard element.isSignedInteger else { return result }
    // 1 and −1 to a negative power: the two's complement exponent has the parity that counts.
    let isUnit = equal(one).binary(.or, equal(filled(Int64(-1))))
    return exponent.less(zero).binary(.and, isUnit.unary(.not)).select(zero, result)
  }
}

/// A number as the unevaluated sum of two, the second at most half a unit in the last place of the first
/// (Dekker, "A floating-point technique for extending the available precision", 1971).
struct TileSum {
  var high: Tile
  var low: Tile

  /// - Requires: |a| ≥ |b| or a = 0.
  init(_ a: Tile, _ b: Tile, low: Tile) {
    let sum = a + b
    high = sum
    self.low = (b - (sum - a)) + low
  }

  init(high: Tile, low: Tile) {
    self.high = high
    self.low = low
  }

  static func * (a: TileSum, b: TileSum) -> TileSum {
    let product = a.high * b.high
    let lost = a.high.fma(b.high, product.negated)
    return TileSum(high: product, low: a.high.fma(b.low, a.low.fma(b.high, lost)))
  }

  /// log m + k ln 2 for f64 m in [√½, √2): 2 s + ⅔ s³ + …, s = (m − 1) / (m + 1); relative error about 2⁻⁶⁴.
  static func logarithm(_ m: Tile, plus k: Tile) -> TileSum {
    let f = m - 1.0
    let d = m + 1.0
    let lost = m - (d - 1.0)
    let quotient = f / d
    let rest = quotient.negated.fma(d, f) - quotient * lost
    let s = TileSum(high: quotient, low: rest / d)
    let u = s * s
    let terms = u.high * u.high.polynomial(MathCoefficients.logPowerRest)
    let third = TileSum(m.filled(0x1.5555555555555p-1), terms, low: m.filled(0x1.5555555555555p-55))
    let cube = s * (u * third)
    let two = m.filled(2.0)
    let logarithm = TileSum(s.high * two, cube.high, low: s.low.fma(two, cube.low))

    let ln2 = m.format.ln2
    let whole = k * ln2[0]
    let wholeLow = k.fma(ln2[1], k.fma(ln2[0], whole.negated))
    return TileSum(whole, logarithm.high, low: wholeLow + logarithm.low)
  }
}

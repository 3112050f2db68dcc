import TensorTypes

extension Tile {
  /// log(2^k (1 + f)) for 1 + f in [√½, √2), k a float: the polynomial of Muller, "Elementary Functions", ch. 3,
  /// behind the first two terms of the series, summed from the smallest.
  func logPolynomial(plus k: Tile) -> Tile {
    let ln2 = format.ln2
    let square = self * self
    let rest = polynomial(table(MathCoefficients.log1pRest32, MathCoefficients.log1pRest64))
    let tail = k.fma(ln2[1], (square * self) * rest)
    return k.fma(ln2[0], self + square.fma(-0.5, tail))
  }

  /// The exponent k as integers such that x / 2^k is in [√½, √2); x a positive normal number.
  var exponentAroundOne: Tile {
    let format = self.format
    let rootHalf: Int64 = format.mantissaBits == 23 ? 0x3f35_04f3 : 0x3fe6_a09e_667f_3bcd
    return bits.bits(.subtract, rootHalf).shiftedRight(format.mantissaBits)
  }

  /// This tile (positive, normal) with its exponent lowered by the integers k.
  func loweringExponent(by k: Tile) -> Tile { (bits - k.shiftedLeft(format.mantissaBits)).bitcast(element) }

  /// The natural logarithm; of 0 −∞, of negative numbers NaN. Denormal arguments are as accurate as others.
  ///
  /// Maximum error, f32: 0.9 ulp.
  var log: Tile {
    let format = self.format
    let (tiny, lift, lifted) =
      format.mantissaBits == 23 ? (0x1p-126, 0x1p25, 25.0) : (0x1p-1022, 0x1p54, 54.0)
    let isTiny = less(tiny)
    let x = isTiny.select(self * lift, self)
    let k = x.exponentAroundOne
    let f = x.loweringExponent(by: k) - 1.0
    let count = k.cast(element) - isTiny.select(filled(lifted), filled(0.0))
    return f.logPolynomial(plus: count).withLogarithmPoles(of: self, at: 0)
  }

  /// The values of a logarithm at its pole, beyond it (NaN), and for +∞ and NaN (the argument itself).
  func withLogarithmPoles(of x: Tile, at pole: Double) -> Tile {
    let below = x.equal(pole).select(filled(-Double.infinity), filled(Double.nan))
    let inside = x.greater(pole).select(self, below)
    return x.less(Double.infinity).select(inside, x)
  }

  /// log(1 + x), accurate around 0. The sign of zero is kept.
  ///
  /// Kahan's correction (Goldberg, "What every computer scientist should know about floating-point arithmetic",
  /// 1991, theorem 4), applied to the reduced argument instead of to the result, so that no division is needed.
  ///
  /// Maximum error, f32: 1.5 ulp.
  var log1p: Tile {
    let u = self + 1.0
    // What the sum lost, by Knuth's two-sum: the larger of the operands may be either.
    let back = u - self
    let lost = (self - (u - back)) + (filled(1.0) - back)
    let k = u.exponentAroundOne
    let inverse = filled(1.0).loweringExponent(by: k.bits(.minimum, Int64(format.bias) - 1))
    let f = lost.fma(inverse, u.loweringExponent(by: k) - 1.0)
    let y = f.logPolynomial(plus: k.cast(element)).withLogarithmPoles(of: self, at: -1)
    return equal(0.0).select(self, y)
  }
}

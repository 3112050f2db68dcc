import TensorTypes

/// `x = n ln 2 + r`, n an integer and |r| ≤ ln 2 / 2.
struct ExpReduction {
  let r: Tile
  /// Integers whose low bits hold n plus the bias asked for.
  let n: Tile

  /// Cody and Waite's two-part reduction ("Software Manual for the Elementary Functions", 1980, ch. 6), the product
  /// exact by fma.
  /// - Precondition: |x| is less than 2 · 1024 ln 2 (or NaN, which r is then, too).
  init(_ x: Tile, bias: Int) {
    let format = x.format
    let shift = format.roundingShift + Double(bias)
    let shifted = x.fma(0x1.71547652b82fep0, shift)
    let count = shifted - shift
    r = count.fma(-format.ln2[1], count.fma(-format.ln2[0], x))
    n = shifted.bits
  }
}

extension Tile {
  /// `e^r − 1` for |r| ≤ ln 2 / 2.
  var expm1Polynomial: Tile {
    let rest = polynomial(table(MathCoefficients.expm1Rest32, MathCoefficients.expm1Rest64))
    return (self * self).fma(rest, self)
  }

  /// `e^r` for |r| ≤ ln 2 / 2.
  var expPolynomial: Tile {
    polynomial([1, 1] + table(MathCoefficients.expm1Rest32, MathCoefficients.expm1Rest64))
  }

  /// 2ⁿ of an integer biased by the format's bias in the low bits.
  func scale(_ element: ElementType) -> Tile {
    let format = element == .float32 ? FloatFormat.float32 : .float64
    return shiftedLeft(format.mantissaBits).bitcast(element)
  }

  /// e^x. Overflow gives infinity, denormal results are rounded once.
  ///
  /// 2ⁿ is applied as two factors, so that the first product is exact and the second rounds as IEEE arithmetic does
  /// over all of the range, with neither comparison nor selection. 18 operations on f32.
  /// Where x is least both factors are 0: a product that underflowed there, as for a mask's −10⁴, would cost Intel's
  /// CPUs more than a hundred cycles.
  ///
  /// Maximum error, f32: 0.95 ulp.
  var exp: Tile { expScaled(by: 0) }

  /// `e^x · 2^k` for a small k, without an overflow between.
  func expScaled(by k: Int) -> Tile {
    let format = self.format
    let is32 = format.mantissaBits == 23
    let bias = 2 * format.bias + k
    let lowest = 0.2 - Double(bias) * 0x1.62e42fefa39efp-1
    let x = maximum(filled(lowest)).minimum(filled(is32 ? 90.0 : 711.0))
    let reduced = ExpReduction(x, bias: bias)
    let half = reduced.n.shiftedRight(1)
    return reduced.r.expPolynomial * half.scale(element) * (reduced.n - half).scale(element)
  }

  /// e^x for −80 ≤ x ≤ 80 (−700, 700 for f64), or NaN: one scale does.
  var expModerate: Tile {
    let reduced = ExpReduction(self, bias: format.bias)
    return reduced.r.expPolynomial * reduced.n.scale(element)
  }

  /// e^x for x ≤ 0, or NaN: what a softmax takes of scores less their largest. Results under the smallest normal number
  /// are 0, so that one scale and one clamp do: 14 operations on f32.
  ///
  /// Maximum error, f32: 0.95 ulp, or 2⁻¹²⁶.
  public var expOfNonPositive: Tile {
    // Here n is −bias, whose scale is 0. The comparison lets NaN through.
    let lowest = filled(format.mantissaBits == 23 ? -88.0 : -709.0)
    let reduced = ExpReduction(less(lowest).select(lowest, self), bias: format.bias)
    return reduced.r.expPolynomial * reduced.n.scale(element)
  }

  /// 2^x for x ≤ 0, or NaN, as `expOfNonPositive` is e^x: what an attention takes of scores that are logarithms to base 2. Taking the
  /// integer off is exact, and a weight need not be closer than the sums around it: 11 operations on f32, 6 of them where two
  /// units multiply.
  ///
  /// Maximum error, f32: 2 ulp, or 2⁻¹²⁶; none where x is an integer.
  public var exp2OfNonPositive: Tile {
    let format = self.format
    let lowest = filled(Double(-format.bias))
    let x = less(lowest).select(lowest, self)
    let shift = filled(format.roundingShift + Double(format.bias))
    let shifted = x + shift
    let r = x - (shifted - shift)
    let power = r.polynomial([1] + table(MathCoefficients.exp2Rest32, MathCoefficients.exp2Rest64))
    return power * shifted.bits.scale(element)
  }

  /// e^x − 1, accurate around 0. The sign of zero is kept.
  ///
  /// `2ⁿ (e^r − 1) + (2ⁿ − 1)`, halved throughout so that n = 1024 (128) does not overflow.
  ///
  /// Maximum error, f32: 1.6 ulp.
  var expm1: Tile {
    let is32 = format.mantissaBits == 23
    let x = maximum(filled(is32 ? -30.0 : -60.0)).minimum(filled(is32 ? 89.0 : 710.0))
    let reduced = ExpReduction(x, bias: format.bias - 1)
    let scale = reduced.n.scale(element)
    let halved = reduced.r.expm1Polynomial.fma(scale, scale - 0.5)
    return (halved + halved).bits.binary(.or, signBits).bitcast(element)
  }

  /// e^x − 1 for 0 ≤ x ≤ 80, or NaN.
  var expm1Moderate: Tile {
    let reduced = ExpReduction(self, bias: format.bias)
    let scale = reduced.n.scale(element)
    return reduced.r.expm1Polynomial.fma(scale, scale - 1.0)
  }
}

import TensorTypes

extension Tile {
  /// The hyperbolic sine: a polynomial for |x| < 1, else e^|x| / 2 − e^−|x| / 2 without an early overflow.
  /// The sign of zero is kept.
  ///
  /// Maximum error, f32: 1.7 ulp.
  var sinh: Tile {
    let a = magnitude
    let near = a.minimum(filled(1.0))
    let u = near * near
    let rest = u.polynomial(table(MathCoefficients.sinhRest32, MathCoefficients.sinhRest64))
    let small = (u * near).fma(rest, near)
    let half = a.expScaled(by: -1)
    let large = half - filled(0.25) / half
    return a.less(1.0).select(small, large).flippingSign(signBits)
  }

  /// The hyperbolic cosine, e^|x| / 2 + e^−|x| / 2 without an early overflow.
  ///
  /// Maximum error, f32: 1.4 ulp.
  var cosh: Tile {
    let half = magnitude.expScaled(by: -1)
    return half + filled(0.25) / half
  }

  /// Where a + √(a² ± 1) is 2a to the last bit, and a² still far from overflow.
  private var largeEnough: Double { format.mantissaBits == 23 ? 0x1p14 : 0x1p29 }

  /// log1p(small), or log(2 x) for large x.
  private func arcLogarithm(_ small: Tile) -> Tile {
    let isLarge = greater(largeEnough)
    let ln2 = isLarge.select(filled(0x1.62e42fefa39efp-1), filled(0.0))
    return isLarge.select(self - 1.0, small).log1p + ln2
  }

  /// The inverse hyperbolic sine, log(a + √(a² + 1)) = log1p(a + a² / (1 + √(a² + 1))). The sign of zero is kept.
  ///
  /// Maximum error, f32: 1.8 ulp.
  var asinh: Tile {
    let a = magnitude
    let square = a * a
    let small = a + square / ((square + 1.0).squareRoot + 1.0)
    return a.arcLogarithm(small).flippingSign(signBits)
  }

  /// The inverse hyperbolic cosine, log(x + √(x² − 1)) = log1p(t + √(t (t + 2))), t = x − 1; below 1 NaN.
  ///
  /// Maximum error, f32: 2.2 ulp.
  var acosh: Tile {
    let t = self - 1.0
    let y = arcLogarithm(t + (t * (t + 2.0)).squareRoot)
    return less(1.0).select(filled(Double.nan), y)
  }

  /// The inverse hyperbolic tangent, ½ log1p(2a / (1 − a)); at ±1 infinite, beyond NaN. The sign of zero is kept.
  ///
  /// Maximum error, f32: 2.2 ulp.
  var atanh: Tile {
    let a = magnitude
    let y = ((a + a) / (filled(1.0) - a)).log1p * 0.5
    return y.flippingSign(signBits)
  }
}

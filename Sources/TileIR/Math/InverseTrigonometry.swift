import TensorTypes

extension Tile {
  /// asin for |x| ≤ ½.
  private var asinPolynomial: Tile {
    let u = self * self
    let rest = u.polynomial(table(MathCoefficients.asinRest32, MathCoefficients.asinRest64))
    return (u * self).fma(rest, self)
  }

  /// asin(a) for a in [0, ½], asin(√((1 − a) / 2)) above, from which both asin and acos follow by the half-angle
  /// formula (Cody & Waite, ch. 10).
  private var halvedArcsine: Tile {
    less(0.5).select(self, ((filled(1.0) - self) * 0.5).squareRoot).asinPolynomial
  }

  /// The arc sine; outside of [−1, 1] NaN. The sign of zero is kept.
  ///
  /// Maximum error, f32: 2.4 ulp.
  var asin: Tile {
    let a = magnitude
    let y = a.halvedArcsine
    // π/2 − 2 y, π/2 in two parts.
    let upper = filled(format.halfPi[0]) - ((y + y) - format.halfPi[1])
    return a.less(0.5).select(y, upper).flippingSign(signBits)
  }

  /// The arc cosine; outside of [−1, 1] NaN.
  ///
  /// Maximum error, f32: 1.2 ulp.
  var acos: Tile {
    let (high, low) = (format.halfPi[0], format.halfPi[1])
    let a = magnitude
    let y = a.halvedArcsine
    let inner = filled(high) - (y.flippingSign(signBits) - low)
    let twice = y + y
    let outer = less(0.0).select(filled(2 * high) - (twice - 2 * low), twice)
    return a.less(0.5).select(inner, outer)
  }

  /// The arc tangent; the sign of zero is kept.
  ///
  /// Maximum error, f32: 1.4 ulp.
  var atan: Tile {
    let a = magnitude
    let isLarge = a.greater(1.0)
    let x = isLarge.select(filled(1.0) / a, a)
    let u = x * x
    let rest = u.polynomial(table(MathCoefficients.atanRest32, MathCoefficients.atanRest64))
    let y = (u * x).fma(rest, x)
    let upper = filled(format.halfPi[0]) - (y - format.halfPi[1])
    return isLarge.select(upper, y).flippingSign(signBits)
  }
}

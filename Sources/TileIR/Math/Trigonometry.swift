import TensorTypes

/// `x = q π/2 + r` with |r| ≤ π/4 (a little more next to the limits).
struct QuadrantReduction {
  let r: Tile
  /// Integers whose two low bits are q modulo 4.
  let quadrant: Tile

  /// Cody and Waite's reduction with π/2 in three parts, each product exact by fma ("Software Manual for the
  /// Elementary Functions", 1980, ch. 8). Exact enough for all f32 up to 2¹⁸ = 262144 and f64 up to 2³⁰; beyond
  /// it r only stays within bounds, so that sine and cosine do. Infinity gives NaN.
  init(_ x: Tile) {
    let format = x.format
    let shifted = x.fma(0x1.45f306dc9c883p-1, format.roundingShift)
    let q = shifted - format.roundingShift
    let r = q.fma(-format.halfPi[2], q.fma(-format.halfPi[1], q.fma(-format.halfPi[0], x)))
    self.r = r.maximum(r.filled(-0.8)).minimum(r.filled(0.8))
    quadrant = shifted.bits
  }
}

extension Tile {
  private var sinPolynomial: Tile {
    let u = self * self
    let rest = u.polynomial(table(MathCoefficients.sinRest32, MathCoefficients.sinRest64))
    return (u * self).fma(rest, self)
  }

  private var cosPolynomial: Tile {
    let u = self * self
    let rest = u.polynomial(table(MathCoefficients.cosRest32, MathCoefficients.cosRest64))
    return (u * u).fma(rest, u.fma(-0.5, 1.0))
  }

  /// sin(r + q π/2), q integers by their two low bits.
  private static func sin(_ r: Tile, quadrant q: Tile) -> Tile {
    let isOdd = q.bits(.and, 1).equal(q.filled(Int64(0)))
    let y = isOdd.select(r.sinPolynomial, r.cosPolynomial)
    let width = r.format.mantissaBits == 23 ? 32 : 64
    return y.flippingSign(q.bits(.and, 2).shiftedLeft(width - 2))
  }

  /// The sine; the sign of zero is kept. Accurate for |x| ≤ 2¹⁸ (f64: 2³⁰), beyond that only within [−1, 1].
  ///
  /// Maximum error, f32: 1.7 ulp.
  var sin: Tile {
    let reduced = QuadrantReduction(magnitude)
    return Tile.sin(reduced.r, quadrant: reduced.quadrant).flippingSign(signBits)
  }

  /// The cosine. Accurate for |x| ≤ 2¹⁸ (f64: 2³⁰), beyond that only within [−1, 1].
  ///
  /// Maximum error, f32: 1.7 ulp.
  var cos: Tile {
    let reduced = QuadrantReduction(magnitude)
    return Tile.sin(reduced.r, quadrant: reduced.quadrant.bits(.add, 1))
  }

  /// The tangent; the sign of zero is kept. Accurate for |x| ≤ 2¹⁸ (f64: 2³⁰), meaningless beyond.
  ///
  /// Maximum error, f32: 3.0 ulp.
  var tan: Tile {
    let reduced = QuadrantReduction(magnitude)
    let u = reduced.r * reduced.r
    let rest = u.polynomial(table(MathCoefficients.tanRest32, MathCoefficients.tanRest64))
    let t = (u * reduced.r).fma(rest, reduced.r)
    let isEven = reduced.quadrant.bits(.and, 1).equal(reduced.quadrant.filled(Int64(0)))
    return isEven.select(t, filled(-1.0) / t).flippingSign(signBits)
  }
}

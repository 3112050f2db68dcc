import TensorTypes

extension Tile {
  /// C's fmod: `x − y · trunc(x / y)`, exactly, with the sign of x. Exact for |x / y| < 2⁴⁶ (f64: 2¹⁰⁴); a larger
  /// quotient gives a wrong remainder. x infinite or y zero gives NaN, y infinite gives x.
  ///
  /// Each step takes off a quotient rounded to the format's precision, which leaves a remainder that is exact in it.
  func remainder(_ y: Tile) -> Tile {
    let divisor = y.magnitude
    var r = magnitude
    for _ in 0..<2 {
      r = (r / divisor).unary(.truncate).negated.fma(divisor, r)
    }
    // The last quotient may have been rounded up to the next integer.
    r = r.less(0.0).select(r + divisor, r)
    let isWhole = divisor.equal(Double.infinity).binary(.and, magnitude.less(Double.infinity))
    return isWhole.select(self, r.magnitude.flippingSign(signBits))
  }

  /// Python's %: the remainder with the divisor's sign; zero has it, too. Exact as `remainder`, but for one rounding
  /// where the signs differ.
  func modulo(_ y: Tile) -> Tile {
    let r = remainder(y)
    let isZero = r.equal(0.0)
    let differs = r.signBits.binary(.notEqual, y.signBits)
    let shifted = differs.select(r + y, r)
    return isZero.select(r.magnitude.flippingSign(y.signBits), shifted)
  }
}

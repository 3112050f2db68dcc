import TensorTypes

extension Tile {
  /// The error function 2/√π ∫₀ˣ e^(−t²) dt: x + x·P(x²) for |x| < 1, above it 1 − e^(−Q(|x|)), Q being −log erfc.
  /// The sign of zero is kept.
  ///
  /// Maximum error, f32: 1.5 ulp.
  var erf: Tile {
    let is32 = format.mantissaBits == 23
    let x = maximum(filled(-1.0)).minimum(filled(1.0))
    let rest = (x * x).polynomial(table(MathCoefficients.erfRest32, MathCoefficients.erfRest64))
    let small = magnitude.fma(rest, magnitude)
    // From here on the result is 1.
    let a = magnitude.minimum(filled(is32 ? 4.0 : 6.0))
    let exponent = a.polynomial(table(MathCoefficients.erfc32, MathCoefficients.erfc64))
    let large = filled(1.0) - exponent.negated.expModerate
    return a.less(1.0).select(small, large).flippingSign(signBits)
  }
}

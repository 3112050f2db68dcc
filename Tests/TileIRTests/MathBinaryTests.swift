import Glibc
import TensorTypes
import Testing

@testable import TileIR

/// Power and remainders against the C library.
struct MathBinaryTests {
  static let special: [Double] = [
    0, -0.0, 1, -1, .infinity, -.infinity, .nan, 0.5, -0.5, 2, -2, 3, -3, 1e-40, 1e38, -1e38, 2.5, -2.5, 16_777_216,
    16_777_217, -8, 1.0 / 3, 0.99999994, 1.0000001, 127, 128, -149, -150, 1e-3,
  ]

  /// Every pair of special values, then random ones.
  private func pairs(_ random: inout SeededGenerator, _ count: Int, _ pair: (inout SeededGenerator) -> (Double, Double))
    -> (
      [Double], [Double]
    )
  {
    var all = Self.special.flatMap { x in Self.special.map { (x, $0) } }
    for _ in 0..<count { all.append(pair(&random)) }
    return (all.map(\.0), all.map(\.1))
  }

  private func expect<Number: MathNumber>(
    _ function: BinaryFunction, _ x: [Number], _ y: [Number], within tolerance: Double, seed: UInt64,
    _ reference: (Double, Double) -> Double
  ) {
    let evaluator = MathEvaluator<Number>(2) { $0[0].binary(function, $0[1]) }
    let results = evaluator(x, y)
    var worst = (error: 0.0, index: 0)
    for i in x.indices {
      let error = ulps(results[i], reference(x[i].double, y[i].double))
      if error > worst.error { worst = (error, i) }
    }
    let i = worst.index
    #expect(
      worst.error <= tolerance,
      """
      \(function)(\(x[i]), \(y[i])) = \(results[i]), not \(reference(x[i].double, y[i].double)): \(worst.error) ulp; \
      seed \(seed)
      """)
  }

  @Test func power() {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededGenerator(seed: seed)
    let (x, y) = pairs(&random, 1 << 17) { random in
      let x = Glibc.exp2(random.unit() * 60 - 30)
      return (
        random.next() % 8 == 0 ? -x : x,
        random.next() % 4 == 0 ? Double(random.next() % 9) - 4 : random.unit() * 20 - 10
      )
    }
    expect(.power, x.map { Float($0) }, y.map { Float($0) }, within: 0.51, seed: seed) { Glibc.pow($0, $1) }
    // The C library's own error is below one.
    expect(.power, x, y, within: 2, seed: seed) { Glibc.pow($0, $1) }
  }

  @Test func remainderIsExact() {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededGenerator(seed: seed)
    var (x, y) = pairs(&random, 1 << 16) { random in
      ((random.unit() * 2 - 1) * 1e6, (random.unit() * 2 - 1) * Glibc.exp2(random.unit() * 24 - 4))
    }
    // Quotients above the documented limit are another matter.
    let kept = x.indices.filter { !(Swift.abs(x[$0] / y[$0]) > 0x1p45) || x[$0].isInfinite || y[$0] == 0 }
    (x, y) = (kept.map { x[$0] }, kept.map { y[$0] })
    let python: (Double, Double) -> Double = { x, y in
      let r = Glibc.fmod(x, y)
      return r == 0 ? Glibc.copysign(0, y) : r.sign != y.sign && !r.isNaN ? r + y : r
    }
    let (xf, yf) = (x.map { Float($0) }, y.map { Float($0) })
    expect(.remainder, x, y, within: 0, seed: seed) { Glibc.fmod($0, $1) }
    expect(.remainder, xf, yf, within: 0, seed: seed) { Glibc.fmod($0, $1) }
    expect(.modulo, x, y, within: 0.51, seed: seed, python)
    expect(.modulo, xf, yf, within: 0.51, seed: seed, python)
  }

  @Test func integerPowerWrapsAround() {
    let bases: [Int32] = [0, 1, -1, 2, -2, 3, -3, 7, 10, 46341, -46341, .max, .min]
    let exponents: [Int32] = [0, 1, 2, 3, 5, 17, 31, 32, 33, 1000, -1, -2, -3, .min]
    let pairs = bases.flatMap { base in exponents.map { (base, $0) } }
    // Integers travel as the bits of floats.
    let evaluator = MathEvaluator<Float>(2) {
      $0[0].bitcast(.int32).binary(.power, $0[1].bitcast(.int32)).bitcast(.float32)
    }
    let results = evaluator(pairs.map { Float(bits: $0.0) }, pairs.map { Float(bits: $0.1) })
    for ((base, exponent), result) in zip(pairs, results) {
      var expected: Int32 = 1
      if exponent >= 0 {
        for _ in 0..<exponent { expected = expected &* base }
      } else {
        expected = base == 1 ? 1 : base == -1 ? (exponent % 2 == 0 ? 1 : -1) : 0
      }
      #expect(result.bits == expected, "\(base) to the power of \(exponent)")
    }
  }
}

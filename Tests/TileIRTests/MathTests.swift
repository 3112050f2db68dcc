import Glibc
import TensorTypes
import Testing

@testable import TileIR

/// The expanded functions against the C library's in double precision. A tolerance is the error that the function's
/// documentation states.
struct MathCase: Sendable, CustomTestStringConvertible {
  var function: UnaryFunction
  /// In units in the last place, f32 and f64 (where the reference itself may be off by one).
  var ulp: Double
  var ulp64: Double
  /// Accurate for |x| up to here.
  var limit = Double.infinity
  /// Whether results no larger than the smallest normal number may be off by as much.
  var mayFlush = false
  var reference: @Sendable (Double) -> Double

  var testDescription: String { function.rawValue }

  static let all: [MathCase] = [
    MathCase(function: .exp, ulp: 0.95, ulp64: 2) { Glibc.exp($0) },
    MathCase(function: .expm1, ulp: 1.6, ulp64: 3) { Glibc.expm1($0) },
    MathCase(function: .log, ulp: 0.9, ulp64: 2) { Glibc.log($0) },
    MathCase(function: .log1p, ulp: 1.5, ulp64: 3) { Glibc.log1p($0) },
    MathCase(function: .sin, ulp: 1.7, ulp64: 3, limit: 0x1p18) { Glibc.sin($0) },
    MathCase(function: .cos, ulp: 1.7, ulp64: 3, limit: 0x1p18) { Glibc.cos($0) },
    MathCase(function: .tan, ulp: 3.0, ulp64: 5, limit: 0x1p18) { Glibc.tan($0) },
    MathCase(function: .asin, ulp: 2.4, ulp64: 4) { Glibc.asin($0) },
    MathCase(function: .acos, ulp: 1.2, ulp64: 3) { Glibc.acos($0) },
    MathCase(function: .atan, ulp: 1.4, ulp64: 3) { Glibc.atan($0) },
    MathCase(function: .sinh, ulp: 1.7, ulp64: 3) { Glibc.sinh($0) },
    MathCase(function: .cosh, ulp: 1.4, ulp64: 3) { Glibc.cosh($0) },
    MathCase(function: .tanh, ulp: 2.6, ulp64: 5) { Glibc.tanh($0) },
    MathCase(function: .asinh, ulp: 1.8, ulp64: 4) { Glibc.asinh($0) },
    MathCase(function: .acosh, ulp: 2.2, ulp64: 4) { Glibc.acosh($0) },
    MathCase(function: .atanh, ulp: 2.2, ulp64: 4) { Glibc.atanh($0) },
    MathCase(function: .erf, ulp: 1.5, ulp64: 3) { Glibc.erf($0) },
    MathCase(function: .sigmoid, ulp: 2.5, ulp64: 4, mayFlush: true) { x in
      // 1 / (1 + e⁻ˣ) itself loses what underflows before the division.
      x < -40 ? Glibc.exp(x) : 1 / (1 + Glibc.exp(-x))
    },
  ]
}

/// |y − reference| in units in the last place of `Number` at the reference; infinite where one is NaN or infinite
/// and the other is not, or where zeros differ in sign.
func ulps<Number: MathNumber>(_ y: Number, _ reference: Double) -> Double {
  if reference.isNaN || y.isNaN { return reference.isNaN && y.isNaN ? 0 : .infinity }
  let rounded = Number(reference)
  if rounded.isInfinite || y.isInfinite { return rounded == y ? 0 : .infinity }
  if reference == 0 { return y == 0 && y.sign == reference.sign ? 0 : .infinity }
  let step = max(Int(reference.exponent), Int(Number.leastNormalMagnitude.exponent)) - Number.significandBitCount
  return Swift.abs(y.double - reference) * Glibc.exp2(Double(-step) / 2) * Glibc.exp2(Double(-step) - Double(-step) / 2)
}

struct MathTests {
  static let edges: [Double] = [
    0, -0.0, 1, -1, .infinity, -.infinity, .nan, 0.5, -0.5, 2, -2, 1e-40, -1e-40, 1e-45, 88.72283, 88.722835, 88.72284,
    89, 89.4, 89.5, -87.33, -87.34, -103.2, -103.97, -104, -105, -150, 100, 3.4028234663852886e38,
    -3.4028234663852886e38, 1.1754943508222875e-38, 4.0, 6.0, 9.01, 10, -10, 0.99999994, 1.0000001, -0.99999994, 16384,
    16385, 0.70710677, 0.7071068, 1.4142135, 1.5707963, 3.1415927, 11.0, 22.0, 2.3509887e-38, 0.4375, 0.625,
  ]

  @Test(arguments: MathCase.all) func agreesWithLibrary(_ test: MathCase) {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededGenerator(seed: seed)
    // Random bits reach every exponent; the others stand where the functions vary.
    var inputs = Self.edges.map { Float($0) }
    for i in 0..<(1 << 19) {
      let x = Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
      let scale: Float = i % 4 == 0 ? 1.5 : i % 4 == 1 ? 10 : 105
      inputs.append(i % 2 == 0 ? x : Float(random.unit() * 2 - 1) * scale)
    }
    check(test, inputs, test.ulp, seed)
  }

  @Test(arguments: MathCase.all) func agreesWithLibraryInDouble(_ test: MathCase) {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededGenerator(seed: seed)
    var inputs =
      Self.edges + [
        709.78, 709.79, 710.4, 710.5, -708.5, -745.1, -745.2, -746, 1e308, 0x1p-1074, -0x1p-1074, 0x1p-1030,
      ]
    for i in 0..<(1 << 17) {
      let x = Double(bitPattern: random.next())
      inputs.append(i % 2 == 0 ? x : (random.unit() * 2 - 1) * (i % 4 == 1 ? 1.5 : i % 8 == 3 ? 10 : 746))
    }
    check(test, inputs, test.ulp64, seed)
  }

  private func check<Number: MathNumber>(_ test: MathCase, _ inputs: [Number], _ tolerance: Double, _ seed: UInt64) {
    let inputs = inputs.filter { !($0.magnitude > Number(test.limit)) || $0.isInfinite }
    let evaluator = MathEvaluator<Number>(1) { $0[0].unary(test.function) }
    var worst = (error: 0.0, input: Number.zero, output: Number.zero)
    for (x, y) in zip(inputs, evaluator(inputs)) {
      let reference = test.reference(x.double)
      if test.mayFlush, max(Swift.abs(reference), Swift.abs(y.double)) <= Number.leastNormalMagnitude.double {
        continue
      }
      let error = ulps(y, reference)
      if error > worst.error { worst = (error, x, y) }
    }
    // The bounds are the largest of large samples: a fresh one may go a little further.
    #expect(
      worst.error <= tolerance * 1.05,
      """
      \(test.function)(\(worst.input)) = \(worst.output), not \(test.reference(worst.input.double)): \
      \(worst.error) ulp; seed \(seed)
      """)
  }

  /// As accurate as `exp` where that is normal, 0 below.
  @Test func expOfNonPositive() {
    check([0, -0.0, -87.3, -87.67, -87.7, -88, -1e30, -.infinity, .nan], down: 95, Glibc.exp, within: 0.95) {
      $0.expOfNonPositive
    } exactly: { x in
      x < -88 ? 0 : nil
    }
    #expect(MathEvaluator<Double>(1) { $0[0].expOfNonPositive }([-0.5, -710, -.infinity]).dropFirst() == [0, 0])
  }

  /// Within two steps of 2^x where that is normal, 0 below; exact where it is a power of 2.
  @Test func exp2OfNonPositive() {
    let inputs: [Float] = [0, -0.0, -1, -3, -125, -126, -126.4, -126.6, -127, -1e30, -.infinity, .nan]
    check(inputs, down: 130, Glibc.exp2, within: 2) {
      $0.exp2OfNonPositive
    } exactly: { x in
      x < -127 ? 0 : x.rounded() == x && x >= -126 ? Glibc.exp2(Double(x)) : nil
    }
    let wide = MathEvaluator<Double>(1) { $0[0].exp2OfNonPositive }([-0.5, -3, -1022.6, -Double.infinity])
    #expect(ulps(wide[0], Glibc.exp2(-0.5)) <= 2)
    #expect(Array(wide.dropFirst()) == [0.125, 0, 0])
  }

  /// An exponential of the inputs and of many fresh ones down to `-down`, beside `reference`; results under the smallest normal number
  /// may be 0.
  /// - Parameter exactly: what an input must give to the last bit, if anything.
  private func check(
    _ inputs: [Float], down: Double, _ reference: (Double) -> Double, within steps: Double,
    _ function: @escaping (Tile) -> Tile, exactly: (Float) -> Double?
  ) {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededGenerator(seed: seed)
    let smallest = Double(Float.leastNormalMagnitude)
    let inputs = inputs + (0..<(1 << 17)).map { Float(-random.unit() * ($0 % 2 == 0 ? 1.5 : down)) }
    let outputs = MathEvaluator<Float>(1) { function($0[0]) }(inputs)
    for (x, y) in zip(inputs, outputs) {
      let wanted = reference(Double(x))
      let isClose = ulps(y, wanted) <= steps || (wanted <= smallest && Double(y).magnitude <= smallest)
      #expect(isClose, "\(x): \(y), not \(wanted); seed \(seed)")
      if let exact = exactly(x) { #expect(Double(y) == exact, "\(x): \(y); seed \(seed)") }
    }
  }

  @Test func sineStaysWithinBoundsFarOut() {
    let inputs: [Float] = [1e7, -1e10, 1e20, -3e38, 16_777_216]
    for function in [UnaryFunction.sin, .cos] {
      let evaluator = MathEvaluator<Float>(1) { $0[0].unary(function) }
      for y in evaluator(inputs) { #expect(Swift.abs(y) <= 1) }
    }
  }

  @Test func expansionLeavesOnlyBasicOperations() {
    for test in MathCase.all {
      let program = MathEvaluator<Float>(1) { $0[0].unary(test.function) }.program
      for operation in program.body.operations {
        if case .unary(let function, _) = operation.kind { #expect(function.expansion == nil) }
      }
      // Not `==`: a program with NaN among its constants differs from itself.
      #expect(program.expandingMath().types == program.types, "a second expansion finds nothing")
    }
  }
}

extension SeededGenerator {
  mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
}

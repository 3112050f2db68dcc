import KernelTesting
import Kernels
import TensorTypes
import Testing

/// Sizes around one and several vectors of every machine.
let edges = [0, 1, 3, 7, 8, 9, 31, 33, 67, 131]

private let mulAdd = ElementwiseCase.mulAdd

private func checkElementwise(
  _ expression: Expression, _ operands: [View], _ output: View, sizes: [String: Int] = [:], tolerance: Double = 0
) throws {
  let seed = freshSeed()
  var generator = SeededGenerator(seed: seed)
  let elementwise = ElementwiseCase(expression, operands, output, sizes: sizes, tolerance: tolerance)
  try check(elementwise.kernelCase(&generator), seed: seed)
}

@Suite struct ElementwiseTests {
  @Test(arguments: edges) func contiguousAndRowOperand(n: Int) throws {
    let shape: Shape = [3, Dim(n)]
    let row = View(.float32, [Dim(n)]).broadcast(to: shape)
    try checkElementwise(mulAdd, [View(.float32, shape), row], View(.float32, shape), tolerance: 1e-6)
  }

  @Test(arguments: edges) func symbolic(n: Int) throws {
    let shape: Shape = [.symbol("b"), 3, .symbol("n")]
    let column = View(.float32, [3, 1]).broadcast(to: shape)
    try checkElementwise(
      mulAdd, [View(.float32, shape), column], View(.float32, shape), sizes: ["b": 2, "n": n], tolerance: 1e-6)
  }

  @Test(arguments: [1, 5, 8, 17, 40]) func transposedOperand(n: Int) throws {
    let shape: Shape = [2, Dim(n), 19]
    let flipped = View.transposed(.float32, [2, 19, Dim(n)], [0, 2, 1])
    try checkElementwise(mulAdd, [View(.float32, shape), flipped], View(.float32, shape), tolerance: 1e-6)
    let symbolic: Shape = [2, .symbol("n"), .symbol("m")]
    let turned = View.transposed(.float32, [2, .symbol("m"), .symbol("n")], [0, 2, 1])
    try checkElementwise(
      mulAdd, [turned, View(.float32, symbolic)], View(.float32, symbolic), sizes: ["n": n, "m": 21], tolerance: 1e-6)
  }

  /// What is out of range becomes the nearest integer, NaN 0.
  @Test(arguments: [ElementType.float32, .float64, .float16]) func castsSaturate(from: ElementType) throws {
    let powers = [7, 8, 15, 16, 24, 31, 32, 53, 63, 64].map { Double(sign: .plus, exponent: $0, significand: 1) }
    let near = powers.flatMap { p in [p, p - 0.5, p - 1, p.nextDown, Double(Float(p).nextDown), p + 1, 2 * p] }
    let values = (near + [0, 0.4, 0.6, 1.5, .infinity]).flatMap { [$0, -$0] } + [.nan]
    let n = Dim(values.count)
    for to in [ElementType.int8, .uint8, .int16, .uint16, .int32, .uint32, .int64, .uint64] {
      let expression = Expression(inputs: [from]) { e in e.cast(e.input(0), to) }
      let w = ElementwiseWorkload(expression: expression, operands: [View(from, [n])], output: View(to, [n]))
      var generator = SeededGenerator(seed: 1)
      let inputs = samples(w.operands, sizes: [:], &generator)
      for (i, value) in values.enumerated() { inputs[0].memory[i] = .float(value) }
      try check(.elementwise(w), inputs: inputs, seed: 1) { index in
        let x = inputs[0][index].double
        let (bits, isSigned) = (to.byteCount * 8, to.isSignedInteger)
        let top = Double(sign: .plus, exponent: isSigned ? bits - 1 : bits, significand: 1)
        if x.isNaN { return Expected(value: .integer(0)) }
        if x >= top {
          return Expected(
            value: .integer(Int64(truncatingIfNeeded: UInt64.max >> UInt64(isSigned ? 65 - bits : 64 - bits))))
        }
        if isSigned { return Expected(value: .integer(x <= -top ? .min >> Int64(64 - bits) : Int64(x))) }
        return Expected(value: .integer(x <= 0 ? 0 : Int64(bitPattern: UInt64(x))))
      }
    }
  }

  @Test func stridesWithoutUnit() throws {
    let shape: Shape = [5, 23]
    let odd = View(.float32, shape, strides: [100, 3])
    try checkElementwise(
      mulAdd, [odd, View(.float32, shape)], View(.float32, shape, strides: [60, 2]), tolerance: 1e-6)
  }

  @Test func scalars() throws {
    let scalar = View(.float32, [])
    try checkElementwise(mulAdd, [scalar, scalar], scalar, tolerance: 1e-6)
  }

  @Test(arguments: [ElementType.int64, .int32, .int8, .uint8, .float16, .bfloat16, .float64]) func mixedTypes(
    type: ElementType
  ) throws {
    let expression = ElementwiseCase.comparison(type)
    for n in [5, 77] {
      let shape: Shape = [Dim(n)]
      try checkElementwise(expression, [View(type, shape), View(type, shape), View(.bool, shape)], View(.bool, shape))
    }
  }

  @Test func transcendental() throws {
    try checkElementwise(ElementwiseCase.gelu, [View(.float32, [7, 41])], View(.float32, [7, 41]), tolerance: 4e-6)
  }
}

import KernelTesting
import Kernels
import LLVMBackend
import TensorTypes
import Testing

/// Σ of `count` products of numbers in -2...2, each step rounded: error at most count · ε/2 · Σ|a·b|, and the epilogue's
/// few roundings on top.
func tolerance(_ count: Int, _ magnitude: Double) -> Double { Double(count + 4) * 0x1p-24 * (magnitude + 4) }

/// bias per column, residual, and a scalar: y = max(acc + bias + residual, low)
func epilogue(_ output: View, _ generator: inout SeededGenerator) -> (Epilogue, (Double, [Double]) -> Double) {
  let shape = output.shape
  let bias = View(.float32, shape, strides: [Dim](repeating: 0, count: shape.count - 1) + [1])
  let scalar = View(.float32, shape, strides: [Dim](repeating: 0, count: shape.count))
  let expression = Expression(inputs: [.float32, .float32, .float32, .float32]) { e in
    let sum = e.binary(.add, e.binary(.add, e.input(0), e.input(1)), e.input(2))
    return e.binary(.maximum, sum, e.input(3))
  }
  return (
    Epilogue(expression: expression, operands: [bias, View(.float32, shape), scalar], output: output),
    { max($0 + $1[0] + $1[1], $1[2]) }
  )
}

@Suite struct MatmulTests {
  private func check(
    m: Int, n: Int, k: Int, batch: Int, bIsConstant: Bool, transposed: Bool, isSymbolic: Bool, knobs: [Knobs] = []
  ) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let rows: Dim = isSymbolic ? .symbol("m") : Dim(m)
    let b: View =
      transposed
      ? .transposed(.float32, [Dim(batch), Dim(n), Dim(k)], [0, 2, 1]) : View(.float32, [Dim(batch), Dim(k), Dim(n)])
    let (epilogue, finish) = epilogue(View(.float32, [Dim(batch), rows, Dim(n)]), &generator)
    let w = MatmulWorkload(
      a: View(.float32, [Dim(batch), rows, Dim(k)]), b: b, bIsConstant: bIsConstant, epilogue: epilogue)
    let sizes = isSymbolic ? ["m": m] : [:]
    let inputs = samples(w.operands, sizes: sizes, &generator)
    try KernelsTests.check(.matmul(w), sizes: sizes, inputs: inputs, seed: seed, knobs: knobs) { i in
      var (sum, magnitude) = (0.0, 0.0)
      for step in 0..<k {
        let product = inputs[0][[i[0], i[1], step]].double * inputs[1][[i[0], step, i[2]]].double
        sum += product
        magnitude += abs(product)
      }
      let value = finish(sum, (2...4).map { inputs[$0][i].double })
      return Expected(value: .float(value), tolerance: tolerance(k, magnitude))
    }
  }

  @Test(arguments: [true, false], [true, false])
  func tileEdges(bIsConstant: Bool, transposed: Bool) throws {
    for m in [1, 5, 6, 7, 13] {
      try check(m: m, n: 33, k: 19, batch: 1, bIsConstant: bIsConstant, transposed: transposed, isSymbolic: m % 2 == 1)
    }
    for n in [1, 15, 16, 17, 40] {
      try check(m: 11, n: n, k: 8, batch: 2, bIsConstant: bIsConstant, transposed: transposed, isSymbolic: false)
    }
    for k in [1, 7, 9, 64] {
      try check(m: 8, n: 16, k: k, batch: 3, bIsConstant: bIsConstant, transposed: transposed, isSymbolic: true)
    }
  }

  /// Rows so few that reading b is all there is: whole groups of panels, parts of one, a part of a panel.
  @Test(arguments: [1, 2, 3, 4]) func skinny(m: Int) throws {
    for n in [1, 16, 63, 64, 65, 150] {
      try check(m: m, n: n, k: 37, batch: 1, bIsConstant: true, transposed: n % 2 == 0, isSymbolic: false)
      try check(m: m, n: n, k: 18, batch: 2, bIsConstant: true, transposed: n % 2 == 1, isSymbolic: true)
    }
    let knobs: Knobs = [
      "mr": 6, "nr": 16, "mc": 2, "nc": 3, "kc": 24, "packA": 0, "unroll": 2, "prefetch": 8, "skinnyPanels": 6,
      "skinnyUnroll": 4,
    ]
    try check(m: m, n: 210, k: 50, batch: 1, bIsConstant: true, transposed: false, isSymbolic: true, knobs: [knobs])
  }

  /// k in pieces, a packed: the ways that small defaults do not take.
  @Test func blocking() throws {
    for packs in [0, 1] {
      let knobs: Knobs = [
        "mr": 4, "nr": 8, "mc": 2, "nc": 3, "kc": 24, "packA": packs, "unroll": 2, "prefetch": packs, "skinnyPanels": 2,
        "skinnyUnroll": 2,
      ]
      for (m, n, k) in [(19, 50, 100), (8, 24, 48), (9, 25, 49), (1, 1, 25)] {
        try check(m: m, n: n, k: k, batch: 1, bIsConstant: true, transposed: false, isSymbolic: m == 19, knobs: [knobs])
      }
    }
  }

  @Test func random() throws {
    var generator = SeededGenerator(seed: freshSeed())
    for _ in 0..<12 {
      func size(_ most: Int) -> Int { Int.random(in: 1...most, using: &generator) }
      try check(
        m: size(40), n: size(70), k: size(600), batch: size(2), bIsConstant: Bool.random(using: &generator),
        transposed: Bool.random(using: &generator), isSymbolic: Bool.random(using: &generator))
    }
  }
}

import KernelTesting
import Kernels
import TensorTypes
import Testing

private func checkReduction(
  _ function: ReductionFunction, _ x: View, _ axes: [Int], sizes: [String: Int] = [:], knobs: [Knobs] = []
) throws {
  let seed = freshSeed()
  var generator = SeededGenerator(seed: seed)
  let type = x.element
  // The sum of squares of differences to a second operand that is the same all along the last dimension.
  let other = View(type, x.shape.dropLast() + [1]).broadcast(to: x.shape)
  let prologue = Expression(inputs: [type, type]) { e in
    let difference = e.binary(.subtract, e.input(0), e.input(1))
    return function == .product
      ? e.binary(.add, e.binary(.multiply, difference, e.constant(0, type)), e.constant(1, type))
      : e.binary(.multiply, difference, difference)
  }
  let kept = x.shape.enumerated().map { axes.contains($0) ? Dim(1) : $1 }
  let epilogue = Epilogue(
    expression: Expression(inputs: [type]) { e in e.binary(.multiply, e.input(0), e.constant(2, type)) }, operands: [],
    output: View(type, kept))
  let inputs = samples([x, other], sizes: sizes, &generator)
  let shape = inputs[0].shape
  var results: [[Int]: Double] = [:]
  var counts: [[Int]: Int] = [:]
  forEachIndex(shape) { index in
    let target = index.enumerated().map { axes.contains($0) ? 0 : $1 }
    let value = prologue.evaluate { inputs[$0][index] }.double
    counts[target, default: 0] += 1
    guard let known = results[target] else {
      results[target] = value
      return
    }
    switch function {
    case .sum: results[target] = known + value
    case .product: results[target] = known * value
    case .minimum: results[target] = min(known, value)
    case .maximum: results[target] = max(known, value)
    }
  }
  let workload = ReductionWorkload(
    function: function, prologue: prologue, inputs: [x, other], axes: axes, epilogue: epilogue)
  try check(.reduction(workload), sizes: sizes, inputs: inputs, seed: seed, knobs: knobs) { index in
    let identity = Scalar.identity(of: function, type)
    if !type.isFloat { return Expected(value: .integer((results[index].map { Int64($0) } ?? identity.intValue) &* 2)) }
    let value = results[index] ?? identity.double
    return Expected(value: .float(2 * value), tolerance: 2 * Double(counts[index] ?? 0) * 0x1p-24 * abs(value) + 1e-6)
  }
}

extension Scalar {
  fileprivate var intValue: Int64 {
    guard case .integer(let i) = self else { preconditionFailure("an integer") }
    return i
  }
}

@Suite struct ReductionTests {
  @Test(arguments: ReductionFunction.allCases) func axes(function: ReductionFunction) throws {
    for axes in [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]] {
      try checkReduction(function, View(.float32, [5, 7, 19]), axes)
      try checkReduction(function, View(.float32, [3, .symbol("m"), .symbol("n")]), axes, sizes: ["m": 4, "n": 35])
      try checkReduction(function, View(.int32, [2, 9, 16]), axes)
    }
  }

  @Test(arguments: edges) func lengths(n: Int) throws {
    try checkReduction(.sum, View(.float32, [3, Dim(n)]), [1])
    try checkReduction(.sum, View(.float32, [Dim(n), 3]), [0])
    try checkReduction(.sum, View(.float32, [2, Dim(n)]), [0])
    try checkReduction(.maximum, View(.int64, [.symbol("n")]), [0], sizes: ["n": n])
  }

  @Test func pieces() throws {
    try checkReduction(.sum, View(.float32, [100_003]), [0])
    try checkReduction(
      .sum, View(.float32, [3, .symbol("n")]), [0, 1], sizes: ["n": 5000], knobs: [["vectors": 4, "pieces": 16]])
    try checkReduction(
      .maximum, View(.float32, [2, 60, 7, 50], strides: [100_000, 1000, 100, 1]), [1, 2, 3],
      knobs: [["vectors": 2, "pieces": 16]])
    try checkReduction(.sum, View(.float32, [500, 70]), [0])
    try checkReduction(
      .sum, View(.float32, [2, .symbol("n"), 33]), [1], sizes: ["n": 90], knobs: [["vectors": 2, "pieces": 16]])
  }
}

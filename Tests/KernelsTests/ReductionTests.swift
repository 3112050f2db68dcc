import KernelTesting
import Kernels
import TensorTypes
import Testing

private func checkReduction(
  _ function: ReductionFunction, _ x: View, _ axes: [Int], sizes: [String: Int] = [:], knobs: [Knobs] = []
) throws {
  let seed = freshSeed()
  var generator = SeededGenerator(seed: seed)
  try check(ReductionCase(function, x, axes, sizes: sizes).kernelCase(&generator), seed: seed, knobs: knobs)
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
      .sum, View(.float32, [3, .symbol("n")]), [0, 1], sizes: ["n": 5000],
      knobs: [["vectors": 4, "pieces": 16, "rows": 1]])
    try checkReduction(
      .maximum, View(.float32, [2, 60, 7, 50], strides: [100_000, 1000, 100, 1]), [1, 2, 3],
      knobs: [["vectors": 2, "pieces": 16, "rows": 4]])
    try checkReduction(.sum, View(.float32, [500, 70]), [0])
    try checkReduction(
      .sum, View(.float32, [2, .symbol("n"), 33]), [1], sizes: ["n": 90],
      knobs: [["vectors": 2, "pieces": 16, "rows": 8]])
  }

  /// Results that wait in local memory: widths about a block's, rows that are no multiple of what is joined at a time.
  @Test(arguments: [127, 1024, 1025, 2100]) func rowsTogether(width: Int) throws {
    let knobs: [Knobs] = [["vectors": 4, "pieces": 1, "rows": 8], ["vectors": 2, "pieces": 4, "rows": 4]]
    try checkReduction(.sum, View(.float32, [37, Dim(width)]), [0], knobs: knobs)
    try checkReduction(.maximum, View(.float32, [19, .symbol("n")]), [0], sizes: ["n": width], knobs: knobs)
    try checkReduction(.sum, View(.float32, [2, .symbol("n"), Dim(width)]), [1], sizes: ["n": 5], knobs: knobs)
  }
}

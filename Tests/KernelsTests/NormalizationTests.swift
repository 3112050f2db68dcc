import Glibc
import KernelTesting
import Kernels
import TensorTypes
import Testing

private func checkNormalization(
  _ kind: NormalizationWorkload.Kind, _ x: View, rowRank: Int, sizes: [String: Int] = [:], scale: View? = nil
) throws {
  let seed = freshSeed()
  var generator = SeededGenerator(seed: seed)
  // y = scale · normalised + bias, scale per element of a row unless it is given, as layer normalisation has it.
  let expression = Expression(inputs: [.float32, .float32]) { e in
    e.binary(.add, e.binary(.multiply, e.input(0), e.input(1)), e.constant(0.25, .float32))
  }
  let scale = scale ?? View(.float32, Array(x.shape.suffix(rowRank))).broadcast(to: x.shape)
  let epilogue = Epilogue(
    expression: expression, operands: [scale], output: View(.float32, x.shape, strides: x.strides))
  let inputs = samples([x, scale], sizes: sizes, &generator)
  let shape = inputs[0].shape
  let (outer, row) = (Array(shape.dropLast(rowRank)), Array(shape.suffix(rowRank)))
  var results: [[Int]: Double] = [:]
  forEachIndex(outer) { o in
    var values: [Double] = []
    forEachIndex(row) { values.append(inputs[0][o + $0].double) }
    let n = Double(values.count)
    let largest = values.max() ?? 0
    let mean = values.reduce(0, +) / n
    let exponentials = values.map { exp($0 - largest) }.reduce(0, +)
    var i = 0
    forEachIndex(row) { r in
      let x = values[i]
      let normalised: Double
      switch kind {
      case .softmax: normalised = exp(x - largest) / exponentials
      case .logSoftmax: normalised = x - largest - log(exponentials)
      case .layer(let epsilon):
        normalised = (x - mean) / sqrt(values.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / n + epsilon)
      case .rms(let epsilon): normalised = x / sqrt(values.map { $0 * $0 }.reduce(0, +) / n + epsilon)
      }
      results[o + r] = normalised * inputs[1][o + r].double + 0.25
      i += 1
    }
  }
  // Sums of n terms in 8 or more lanes, then a few roundings of numbers below 16.
  let tolerance = 16 * 0x1p-24 * (16 + Double(row.reduce(1, *)) / 8)
  let workload = Workload.normalization(NormalizationWorkload(kind: kind, x: x, rowRank: rowRank, epilogue: epilogue))
  try check(workload, sizes: sizes, inputs: inputs, seed: seed) {
    Expected(value: .float(results[$0]!), tolerance: tolerance)
  }
}

@Suite struct NormalizationTests {
  static let kinds: [NormalizationWorkload.Kind] = [.softmax, .logSoftmax, .layer(epsilon: 1e-5), .rms(epsilon: 1e-6)]

  @Test(arguments: kinds) func rows(kind: NormalizationWorkload.Kind) throws {
    for n in [1, 5, 8, 16, 33, 77, 384] { try checkNormalization(kind, View(.float32, [3, 2, Dim(n)]), rowRank: 1) }
    for n in [1, 7, 40, 129] {
      try checkNormalization(kind, View(.float32, [.symbol("b"), .symbol("n")]), rowRank: 1, sizes: ["b": 3, "n": n])
    }
  }

  @Test(arguments: kinds) func severalDimensions(kind: NormalizationWorkload.Kind) throws {
    try checkNormalization(kind, View(.float32, [2, 3, 5, 7]), rowRank: 3)
    try checkNormalization(kind, View(.float32, [2, 3, 5, 9], strides: [1000, 200, 20, 1]), rowRank: 2)
  }

  @Test(arguments: kinds) func acrossVectors(kind: NormalizationWorkload.Kind) throws {
    for n in [1, 8, 19, 150] {
      try checkNormalization(kind, .transposed(.float32, [2, 6, Dim(n)], [0, 2, 1]), rowRank: 1)
      try checkNormalization(
        kind, .transposed(.float32, [2, 6, .symbol("n")], [0, 2, 1]), rowRank: 1, sizes: ["n": n])
    }
  }

  /// Long rows are cut into pieces.
  @Test func pieces() throws {
    for kind in [NormalizationWorkload.Kind.layer(epsilon: 1e-5), .rms(epsilon: 1e-6)] {
      for n in [32_768, 32_769, 40_961] { try checkNormalization(kind, View(.float32, [2, Dim(n)]), rowRank: 1) }
      try checkNormalization(kind, View(.float32, [2, 3, 130, 100]), rowRank: 3)
      // Padded rows of an image: nothing joins.
      try checkNormalization(kind, View(.float32, [1, 2, 129, 300], strides: [90_000, 45_000, 304, 1]), rowRank: 3)
      for n in [1, 300, 9000] {
        try checkNormalization(
          kind, View(.float32, [2, .symbol("c"), .symbol("n")]), rowRank: 2, sizes: ["c": 3, "n": n])
      }
    }
  }

  /// Groups of neighbouring channels, channels innermost: dimensions image, group, row, column, channel of the group.
  @Test func groups() throws {
    let kind = NormalizationWorkload.Kind.layer(epsilon: 1e-5)
    func view(_ groups: Int, _ width: Int, _ h: Dim, _ w: Dim) -> (x: View, scale: View) {
      let channels = Dim(groups * width)
      let shape = [2, Dim(groups), h, w, Dim(width)]
      let x = View(.float32, shape, strides: [h * w * channels, Dim(width), w * channels, channels, 1])
      // One element a channel.
      return (x, View(.float32, shape, strides: [0, Dim(width), 0, 0, 1]))
    }
    for (groups, width) in [(1, 5), (4, 1), (4, 10), (3, 8), (2, 33)] {
      for (h, w) in [(1, 1), (3, 7), (40, 9)] {
        let (x, scale) = view(groups, width, Dim(h), Dim(w))
        try checkNormalization(kind, x, rowRank: 3, scale: scale)
      }
      let (x, scale) = view(groups, width, .symbol("h"), .symbol("w"))
      for h in [1, 5, 70] { try checkNormalization(kind, x, rowRank: 3, sizes: ["h": h, "w": 9], scale: scale) }
    }
  }
}

import KernelTesting
import Kernels
import TensorTypes
import Testing

private func checkNormalization(
  _ kind: NormalizationWorkload.Kind, _ x: View, rowRank: Int, sizes: [String: Int] = [:], scale: View? = nil,
  knobs: [Knobs] = []
) throws {
  let seed = freshSeed()
  var generator = SeededGenerator(seed: seed)
  let normalization = NormalizationCase(kind, x, rowRank: rowRank, sizes: sizes, scale: scale)
  try check(normalization.kernelCase(&generator), seed: seed, knobs: knobs)
}

@Suite struct NormalizationTests {
  @Test(arguments: NormalizationCase.kinds) func rows(kind: NormalizationWorkload.Kind) throws {
    for n in [1, 5, 8, 16, 33, 77, 384] { try checkNormalization(kind, View(.float32, [3, 2, Dim(n)]), rowRank: 1) }
    for n in [1, 7, 40, 129] {
      try checkNormalization(kind, View(.float32, [.symbol("b"), .symbol("n")]), rowRank: 1, sizes: ["b": 3, "n": n])
    }
  }

  @Test(arguments: NormalizationCase.kinds) func severalDimensions(kind: NormalizationWorkload.Kind) throws {
    try checkNormalization(kind, View(.float32, [2, 3, 5, 7]), rowRank: 3)
    try checkNormalization(kind, View(.float32, [2, 3, 5, 9], strides: [1000, 200, 20, 1]), rowRank: 2)
  }

  @Test(arguments: NormalizationCase.kinds) func acrossVectors(kind: NormalizationWorkload.Kind) throws {
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

  /// Tasks of several rows, of which the next is measured while one is finished.
  @Test func piecesOfSeveralRows() throws {
    let knobs = [1, 2, 4].map { ["vectors": 4, "block": 4096, "wholeRows": $0, "prefetch": 0, "rows": 1] as Knobs }
    for kind in [NormalizationWorkload.Kind.layer(epsilon: 1e-5), .rms(epsilon: 1e-6)] {
      for rows in [1, 4, 5] {
        try checkNormalization(kind, View(.float32, [Dim(rows), 32_801]), rowRank: 1, knobs: knobs)
      }
      try checkNormalization(
        kind, View(.float32, [2, .symbol("g"), 3, 11_000]), rowRank: 2, sizes: ["g": 3],
        scale: View(.float32, [2, .symbol("g"), 3, 11_000], strides: [0, 3, 1, 0]), knobs: knobs)
    }
  }

  /// Groups of neighbouring channels, channels innermost.
  @Test func groups() throws {
    let kind = NormalizationWorkload.Kind.layer(epsilon: 1e-5)
    for (groups, width) in [(1, 5), (4, 1), (4, 10), (3, 8), (2, 33)] {
      for (h, w) in [(1, 1), (3, 7), (40, 9)] {
        let (x, scale) = NormalizationCase.groups(groups, width, Dim(h), Dim(w))
        try checkNormalization(kind, x, rowRank: 3, scale: scale)
      }
      let (x, scale) = NormalizationCase.groups(groups, width, .symbol("h"), .symbol("w"))
      for h in [1, 5, 70] { try checkNormalization(kind, x, rowRank: 3, sizes: ["h": h, "w": 9], scale: scale) }
    }
  }

  /// Deviations beside a mean a hundred times as large: the variance is not the difference of two large numbers.
  @Test func largeMean() throws {
    let kind = NormalizationWorkload.Kind.layer(epsilon: 1e-5)
    let (grouped, scale) = NormalizationCase.groups(4, 10, 20, 9)
    let cases = [
      NormalizationCase(kind, View(.float32, [3, 384]), rowRank: 1),
      NormalizationCase(kind, View(.float32, [2, 33_000]), rowRank: 1),
      NormalizationCase(kind, .transposed(.float32, [2, 60, 19], [0, 2, 1]), rowRank: 1),
      NormalizationCase(kind, View(.float32, [2, 3, 65, 100]), rowRank: 3),
      NormalizationCase(kind, grouped, rowRank: 3, scale: scale),
    ]
    for normalization in cases {
      let seed = freshSeed()
      var generator = SeededGenerator(seed: seed)
      try check(normalization.kernelCase(&generator, offset: 100), seed: seed)
    }
  }
}

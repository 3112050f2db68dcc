import Glibc
import KernelTesting
import Kernels
import TensorTypes
import Testing

private struct AttentionCase {
  var batch = 1
  var heads = 2
  var keyHeads = 2
  var queries = 1
  var keys = 1
  var depth = 32
  var valueDepth = 32
  var mask: ElementType?
  var masksRows = true
  /// Query i sees keys j ≤ i + keys − queries.
  var isCausal = false
  var softcap = 0.0
  var isSymbolic = false
  /// The number of keys is known only at run time, that of queries in advance, as in a decoder's step.
  var isStep = false
  var headsInside = false

  /// `[batch, head, length, depth]`, in memory either so or as `[batch, length, head, depth]`.
  private func view(_ heads: Int, _ length: Dim, _ depth: Int) -> View {
    headsInside
      ? .transposed(.float32, [Dim(batch), length, Dim(heads), Dim(depth)], [0, 2, 1, 3])
      : View(.float32, [Dim(batch), Dim(heads), length, Dim(depth)])
  }

  func check(knobs: [Knobs] = []) throws {
    let (sq, sk): (Dim, Dim) =
      isSymbolic ? (.symbol("q"), .symbol("k")) : (Dim(queries), isStep ? .symbol("k") : Dim(keys))
    let sizes = isSymbolic ? ["q": queries, "k": keys] : isStep ? ["k": keys] : [:]
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let maskView = mask.map { type in
      View(type, [Dim(batch), 1, masksRows ? sq : 1, sk]).broadcast(to: [Dim(batch), Dim(heads), sq, sk])
    }
    let w = AttentionWorkload(
      q: view(heads, sq, depth), k: view(keyHeads, sk, depth), v: view(keyHeads, sk, valueDepth), mask: maskView,
      scale: 0.3, softcap: softcap, causalOffset: isCausal ? sk - sq : nil, output: view(heads, sq, valueDepth))
    let inputs = samples(w.operands, sizes: sizes, &generator)
    var results: [[Int]: Double] = [:]
    forEachIndex([batch, heads, queries]) { i in
      let keyHead = i[1] / (heads / keyHeads)
      let scores = (0..<keys).map { j in
        var score =
          0.3 * (0..<depth).reduce(0) { $0 + inputs[0][i + [$1]].double * inputs[1][[i[0], keyHead, j, $1]].double }
        if softcap != 0 { score = softcap * tanh(score / softcap) }
        if let mask {
          let value = inputs[3][i + [j]].double
          score = mask == .bool ? (value != 0 ? score : -.infinity) : score + value
        }
        return isCausal && j > i[2] + keys - queries ? -.infinity : score
      }
      let largest = scores.max() ?? -.infinity
      let weights = scores.map { largest == -.infinity ? 0 : exp($0 - largest) }
      let sum = weights.reduce(0, +)
      for e in 0..<valueDepth {
        let weighted = (0..<keys).reduce(0) { $0 + weights[$1] * inputs[2][[i[0], keyHead, $1, e]].double }
        results[i + [e]] = sum == 0 ? 0 : weighted / sum
      }
    }
    // A score of size s = Σ|q·k| has an error of depth·ε·s, and a few ulp of the cap from tanh, which the exponential
    // makes relative; values are below 2.
    let tolerance = 2 * (Double(depth) * 4 * 0.3 * Double(depth) + Double(keys) + 4 * softcap) * 0x1p-24 + 1e-6
    try KernelsTests.check(.attention(w), sizes: sizes, inputs: inputs, seed: seed, knobs: knobs) {
      Expected(value: .float(results[$0]!), tolerance: tolerance)
    }
  }
}

@Suite struct AttentionTests {
  @Test(arguments: [(1, 1), (1, 40), (5, 17), (6, 16), (7, 33), (13, 300), (100, 130)])
  func sizes(queries: Int, keys: Int) throws {
    try AttentionCase(queries: queries, keys: keys).check()
    try AttentionCase(batch: 2, queries: queries, keys: keys, isSymbolic: true, headsInside: true).check()
  }

  @Test(arguments: [(32, 32), (40, 24), (64, 64), (5, 3), (80, 100)]) func depths(depth: Int, valueDepth: Int) throws {
    try AttentionCase(queries: 9, keys: 37, depth: depth, valueDepth: valueDepth).check()
  }

  @Test(arguments: [ElementType.bool, .float32]) func masks(type: ElementType) throws {
    for masksRows in [true, false] {
      try AttentionCase(queries: 13, keys: 45, mask: type, masksRows: masksRows).check()
      try AttentionCase(batch: 2, queries: 13, keys: 300, mask: type, masksRows: masksRows, isSymbolic: true).check()
    }
    try AttentionCase(queries: 3, keys: 2, mask: type).check()
  }

  @Test func causal() throws {
    for (queries, keys) in [(1, 9), (20, 20), (13, 300), (150, 150), (9, 4)] {
      try AttentionCase(queries: queries, keys: keys, isCausal: true).check()
      try AttentionCase(queries: queries, keys: keys, isCausal: true, isSymbolic: true).check()
    }
  }

  /// Few queries: pieces of 128 keys by default, groups of heads that fill tiles of rows and that do not.
  @Test(arguments: [1, 2, 4]) func decode(queries: Int) throws {
    for keys in [1, 7, 8, 127, 128, 129, 300] {
      try AttentionCase(heads: 6, keyHeads: 2, queries: queries, keys: keys, isStep: true).check()
    }
    try AttentionCase(batch: 2, heads: 4, keyHeads: 1, queries: queries, keys: 150, depth: 13, valueDepth: 75).check()
    try AttentionCase(
      heads: 5, keyHeads: 1, queries: min(3, queries), keys: 200, mask: .bool, isCausal: true, softcap: 3, isStep: true,
      headsInside: true
    ).check()
    for masksRows in [true, false] {
      try AttentionCase(batch: 2, queries: queries, keys: 140, mask: .float32, masksRows: masksRows, isStep: true)
        .check()
    }
    try AttentionCase(queries: queries, keys: 2, isCausal: true).check()
  }

  @Test func softcap() throws {
    try AttentionCase(queries: 7, keys: 19, softcap: 2).check()
    try AttentionCase(queries: 13, keys: 40, mask: .float32, isCausal: true, softcap: 5, isSymbolic: true).check()
  }

  @Test func random() throws {
    var generator = SeededGenerator(seed: freshSeed())
    for _ in 0..<8 {
      func size(_ most: Int) -> Int { Int.random(in: 1...most, using: &generator) }
      let keyHeads = size(2)
      try AttentionCase(
        batch: size(2), heads: keyHeads * size(4), keyHeads: keyHeads, queries: size(30), keys: size(600),
        depth: size(70), valueDepth: size(70), mask: [nil, .bool, .float32].randomElement(using: &generator)!,
        masksRows: .random(using: &generator), isCausal: .random(using: &generator),
        isSymbolic: .random(using: &generator), isStep: .random(using: &generator),
        headsInside: .random(using: &generator)
      ).check()
    }
  }

  @Test func groupedHeads() throws {
    try AttentionCase(batch: 2, heads: 6, keyHeads: 2, queries: 7, keys: 21, mask: .float32, isCausal: true).check()
  }
}

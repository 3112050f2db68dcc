import GraphIR
import TensorTypes
import Testing

@testable import Compiler

/// The graph after recognition, which is checked to compute the same.
func recognised(_ graph: Graph, sizes: [String: Int] = [:], in range: ClosedRange<Double> = -1...1) throws
  -> Graph
{
  var after = graph
  for pass in [GraphPass.simplify, .commonSubexpressions, .recognise, .deadCode] { after = try pass.run(after) }
  try expectAgreement(graph, after, sizes: sizes, in: range)
  return after
}

struct NormalizationRuleTests {
  enum Spelling: CaseIterable { case sqrtDivide, powDivide, reciprocal, inversePower }

  private func normalised(
    _ n: inout Net, _ x: ValueID, _ axes: [Int], _ spelling: Spelling, centred: Bool = true, epsilon: Float = 1e-5
  ) throws -> ValueID {
    let difference = centred ? try n.binary(.subtract, x, n.mean(x, axes)) : x
    let again = centred && spelling == .reciprocal ? try n.binary(.subtract, x, n.mean(x, axes)) : difference
    let square = spelling == .powDivide ? try n.binary(.power, again, 2) : try n.binary(.multiply, again, again)
    let sum = try n.binary(.add, n.mean(square, axes), epsilon)
    switch spelling {
    case .sqrtDivide: return try n.binary(.divide, difference, n.unary(.sqrt, sum))
    case .powDivide: return try n.binary(.divide, difference, n.binary(.power, sum, 0.5))
    case .reciprocal: return try n.binary(.multiply, n.unary(.reciprocal, n.unary(.sqrt, sum)), difference)
    case .inversePower: return try n.binary(.multiply, difference, n.binary(.power, sum, -0.5))
    }
  }

  @Test(arguments: Spelling.allCases) func layerNorm(_ spelling: Spelling) throws {
    var n = Net()
    let x = n.input(["b", "s", 8])
    let y = try normalised(&n, x, [2], spelling)
    let scaled = try n.binary(.add, n.binary(.multiply, y, n.constant([8], 0.5...1.5)), n.constant([8]))
    let after = try recognised(n.returning(scaled), sizes: ["b": 2, "s": 3])
    #expect(after.mnemonics == ["layer_norm"])
    #expect(after.nodes[0].operands.count == 3)
    #expect(after.first(LayerNorm.self)?.kind == .layer && after.first(LayerNorm.self)?.axis == 2)
  }

  @Test(arguments: Spelling.allCases) func rmsNorm(_ spelling: Spelling) throws {
    var n = Net()
    let y = try normalised(&n, n.input(["b", 8]), [1], spelling, centred: false)
    let after = try recognised(n.returning(n.binary(.multiply, y, n.constant([8]))), sizes: ["b": 2])
    #expect(after.mnemonics == ["layer_norm"])
    #expect(after.first(LayerNorm.self)?.kind == .rms)
  }

  @Test func overSeveralDimensions() throws {
    var n = Net()
    let y = try normalised(&n, n.input([2, 4, 8]), [1, 2], .sqrtDivide)
    #expect(try recognised(n.returning(y)).mnemonics == ["layer_norm"])
  }

  @Test func nearMisses() throws {
    var n = Net()
    let x = n.input([2, 4, 8])
    // Not the innermost dimensions.
    #expect(try recognised(n.returning(normalised(&n, x, [1], .sqrtDivide))).count(LayerNorm.self) == 0)
    // The mean of something else.
    let strange = try n.binary(.subtract, x, n.mean(n.unary(.abs, x), [2]))
    let variance = try n.mean(n.binary(.multiply, strange, strange), [2])
    let y = try n.binary(.divide, strange, n.unary(.sqrt, n.binary(.add, variance, 1e-5)))
    #expect(try recognised(n.returning(y)).first(LayerNorm.self)?.kind != .layer)
    // Divided by one less than the number of elements.
    let sum = try n.add(Reduce(.sum, axes: [2], keepDims: true), n.binary(.multiply, x, x))
    let unbiased = try n.binary(.add, n.binary(.divide, sum, 7), 1e-5)
    #expect(try recognised(n.returning(n.binary(.divide, x, n.unary(.sqrt, unbiased)))).count(LayerNorm.self) == 0)
    // A bias over the dimension that is not normalised.
    let shifted = try n.binary(.add, normalised(&n, x, [2], .sqrtDivide), n.constant([4, 1]))
    #expect(try recognised(n.returning(shifted)).mnemonics == ["layer_norm", "elementwise"])
  }

  @Test func groupNormAsInstanceNorm() throws {
    var n = Net()
    let x = n.input([2, 8, "h", 4])
    let groups = try n.add(Reshape([2, 4, Dim.symbol("h") * 8]), x)
    let ones = n.graph.addConstant(.filled(.float32, [4], 1))
    let zeros = n.graph.addConstant(.filled(.float32, [4], 0))
    let norm = try n.add(GroupNorm(groups: 4, epsilon: 1e-5), groups, ones, zeros)
    let back = try n.add(Reshape([2, 8, "h", 4]), norm)
    let y = try n.binary(.add, n.binary(.multiply, back, n.constant([8, 1, 1])), n.constant([8, 1, 1]))
    let after = try recognised(n.returning(y), sizes: ["h": 3])
    #expect(after.mnemonics == ["group_norm"])
    // Two images' channels together are not a group of one image.
    let mixed = try n.add(Reshape([1, 4, Dim.symbol("h") * 16]), x)
    let other = try n.add(Reshape([2, 8, "h", 4]), n.add(GroupNorm(groups: 4, epsilon: 1e-5), mixed, ones, zeros))
    #expect(try recognised(n.returning(other), sizes: ["h": 3]).mnemonics == ["reshape", "group_norm", "reshape"])
  }
}

struct ActivationRuleTests {
  private func geluGate(_ n: inout Net, _ x: ValueID, root: Float = 1.414_213_5) throws -> ValueID {
    try n.binary(.add, n.unary(.erf, n.binary(.divide, x, root)), 1)
  }

  @Test(arguments: 0..<3) func gelu(_ order: Int) throws {
    var n = Net()
    // x is a product itself, which the match must not take apart.
    let x = try n.binary(.multiply, n.input(["b", 8]), n.input(["b", 8]))
    let gate = try geluGate(&n, x)
    let y =
      switch order {
      case 0: try n.binary(.multiply, n.binary(.multiply, x, gate), 0.5)
      case 1: try n.binary(.multiply, n.binary(.multiply, x, 0.5), gate)
      default: try n.binary(.multiply, x, n.binary(.multiply, gate, 0.5))
      }
    let after = try recognised(n.returning(y), sizes: ["b": 2], in: -2...2)
    #expect(after.nodes.count == 2)
    #expect(after.nodes.contains { ($0.op as? Elementwise)?.expression == .gelu(.float32) })
  }

  @Test func geluOfTanh() throws {
    var n = Net()
    let x = n.input([2, 8])
    let cube = try n.binary(.power, x, 3)
    let inner = try n.binary(.add, x, n.binary(.multiply, cube, 0.044715))
    let tangent = try n.unary(.tanh, n.binary(.multiply, inner, 0.797_884_6))
    let y = try n.binary(.multiply, n.binary(.multiply, x, 0.5), n.binary(.add, tangent, 1))
    let after = try recognised(n.returning(y), in: -3...3)
    #expect(after.nodes.map { ($0.op as? Elementwise)?.expression } == [.geluTanh(.float32)])
  }

  @Test func siluAndSigmoid() throws {
    var n = Net()
    let x = n.input([2, 8])
    let sum = try n.binary(.add, n.unary(.exp, n.unary(.negate, x)), 1)
    let silu = try n.binary(.multiply, x, n.binary(.divide, n.number(1), sum))
    let after = try recognised(n.returning(silu), in: -3...3)
    #expect(after.nodes.map { ($0.op as? Elementwise)?.expression } == [.silu(.float32)])
    let divided = try recognised(n.returning(n.binary(.divide, x, sum)), in: -3...3)
    #expect(divided.nodes.map { ($0.op as? Elementwise)?.expression } == [.silu(.float32)])
  }

  @Test func nearMisses() throws {
    var n = Net()
    let (x, z) = (n.input([2, 8]), n.input([2, 8]))
    // The wrong scale in the error function, another factor, and no half.
    for y in [
      try n.binary(.multiply, n.binary(.multiply, x, geluGate(&n, x, root: 2)), 0.5),
      try n.binary(.multiply, n.binary(.multiply, z, geluGate(&n, x)), 0.5),
      try n.binary(.multiply, x, geluGate(&n, x)),
    ] {
      let after = try recognised(n.returning(y))
      #expect(!after.nodes.contains { ($0.op as? Elementwise)?.expression == .gelu(.float32) })
    }
    let gated = try recognised(n.returning(n.binary(.multiply, x, n.unary(.sigmoid, z))))
    #expect(gated.nodes.count == 2)
  }
}

struct SoftmaxRuleTests {
  @Test func spelledOut() throws {
    var n = Net()
    let x = n.input(["b", 4, 5])
    let shifted = try n.binary(.subtract, x, n.add(Reduce(.maximum, axes: [1], keepDims: true), x))
    let power = try n.unary(.exp, shifted)
    let sum = try n.add(Reduce(.sum, axes: [1], keepDims: true), power)
    let y = try n.binary(.divide, power, sum)
    #expect(try recognised(n.returning(y), sizes: ["b": 2]).mnemonics == ["softmax"])
    let logarithm = try recognised(n.returning(n.unary(.log, y)), sizes: ["b": 2])
    #expect(logarithm.first(Softmax.self)?.logarithm == true && logarithm.nodes.count == 1)
    // Divided by another dimension's sum.
    let other = try n.binary(.divide, power, n.add(Reduce(.sum, axes: [1, 2], keepDims: true), power))
    #expect(try recognised(n.returning(other), sizes: ["b": 2]).count(Softmax.self) == 0)
  }
}

struct AttentionRuleTests {
  enum Scale: CaseIterable { case none, onQuery, onKey, onBoth, divided }
  enum Mask: CaseIterable { case none, additive, additiveRow, seenInfinite, hiddenFinite }

  /// Attention of 2 heads of 4 as exporters write it: projections split into heads and transposed.
  private func attention(
    _ n: inout Net, _ scale: Scale, _ mask: Mask, guarded: Bool = false, perHead: (inout Net, ValueID) throws -> ValueID
  ) throws -> ValueID {
    let s = Dim.symbol("s")
    let heads = try (0..<3).map { i in try perHead(&n, n.add(Reshape(["b", s, 2, 4]), n.input(["b", s, 8]))) }
    var (q, k) = (heads[0], try n.add(Transpose([0, 1, 3, 2]), heads[1]))
    if scale == .onQuery { q = try n.binary(.multiply, q, 0.5) }
    if scale == .onKey { k = try n.binary(.multiply, k, 0.5) }
    if scale == .onBoth { (q, k) = (try n.binary(.multiply, q, 0.8), try n.binary(.multiply, k, 0.8)) }
    var scores = try n.add(MatMul(), q, k)
    if scale == .divided { scores = try n.binary(.divide, scores, 3) }
    switch mask {
    case .none: break
    case .additive: scores = try n.binary(.add, scores, n.input(["b", 1, s, s]))
    case .additiveRow: scores = try n.binary(.add, n.input(["b", 1, 1, s]), scores)
    case .seenInfinite: scores = try n.select(n.input([s, s], .bool), scores, n.number(-.infinity))
    case .hiddenFinite:
      scores = try n.select(n.input(["b", 1, s, s], .bool), n.number(-.greatestFiniteMagnitude), scores)
    }
    var weights = try n.add(Softmax(axis: 3), scores)
    if guarded { weights = try n.select(n.unary(.isNaN, weights), n.number(0), weights) }
    let y = try n.add(MatMul(), weights, heads[2])
    return try n.add(Reshape(["b", s, 8]), n.add(Transpose([0, 2, 1, 3]), y))
  }

  // So many keys that some are seen: for a query that sees none `Attention` gives 0, and what exporters write NaN.
  private let sizes = ["b": 2, "s": 24]

  @Test(arguments: Scale.allCases, Mask.allCases) func everySpelling(_ scale: Scale, _ mask: Mask) throws {
    var n = Net()
    let y = try attention(&n, scale, mask) { n, x in try n.add(Transpose([0, 2, 1, 3]), x) }
    let after = try recognised(n.returning(y), sizes: sizes)
    #expect(after.count(Attention.self) == 1 && after.count(MatMul.self) == 0 && after.count(Softmax.self) == 0)
    let expected = [Scale.none: 1, .onQuery: 0.5, .onKey: 0.5, .onBoth: 0.64, .divided: 1 / 3.0][scale]!
    #expect(abs((after.first(Attention.self)?.scale ?? 0) - expected) < 1e-6)
    // One for each of q, k and v, and one for the result.
    #expect(after.count(Transpose.self) == 4)
  }

  @Test func guardedAgainstNaN() throws {
    var n = Net()
    let y = try attention(&n, .onBoth, .seenInfinite, guarded: true) { n, x in try n.add(Transpose([0, 2, 1, 3]), x) }
    let after = try recognised(n.returning(y), sizes: sizes)
    #expect(after.count(Attention.self) == 1 && after.count(Elementwise.self) == 0)
  }

  @Test func ofRank3() throws {
    var n = Net()
    let (q, k, v) = (n.input(["b", 5, 4]), n.input(["b", 7, 4]), n.input(["b", 7, 3]))
    let scores = try n.add(MatMul(transposeRight: true), q, k)
    let masked = try n.binary(.add, scores, n.input(["b", 1, 7]))
    let y = try n.add(MatMul(), n.add(Softmax(axis: 2), masked), v)
    let after = try recognised(n.returning(y), sizes: ["b": 2])
    #expect(after.count(Attention.self) == 1 && after.count(MatMul.self) == 0)
  }

  /// Channels first: `qᵀ·k`, both scaled, with the heads joined with the batch, as diffusion models write it.
  @Test func ofChannels() throws {
    var n = Net()
    let all = n.input(["b", 24, 5])
    let parts = try (0..<3).map { i in
      var part = try n.add(Slice(axes: [1], starts: [Dim(8 * i)], sizes: [8], steps: [1]), all)
      if i < 2 { part = try n.binary(.multiply, part, 0.5) }
      return try n.add(Reshape(["b" * 2, 4, 5]), part)
    }
    let scores = try n.add(MatMul(transposeLeft: true), parts[0], parts[1])
    let y = try n.add(MatMul(transposeRight: true), n.add(Softmax(axis: 2), scores), parts[2])
    let after = try recognised(n.returning(y), sizes: ["b": 3])
    #expect(after.first(Attention.self)?.scale == 0.25)
    #expect(after.count(MatMul.self) == 0 && after.count(Elementwise.self) == 0)
    let operands = try #require(after.nodes.first { $0.op is Attention }).operands
    #expect(operands.allSatisfy { after.type($0!).shape.prefix(2) == ["b", 2] })
  }

  /// `x · cos + concat(−x₂, x₁) · sin`
  @Test func rotaryEmbedding() throws {
    var n = Net()
    let x = n.input([2, "s", 3, 16])
    let (cosine, sine) = (n.input(["s", 1, 16]), n.input(["s", 1, 16]))
    let halves = try [0, 8].map { try n.add(Slice(axes: [3], starts: [Dim($0)], sizes: [8], steps: [1]), x) }
    let turned = try n.add(Concat(axis: 3), n.unary(.negate, halves[1]), halves[0])
    let y = try n.binary(.add, n.binary(.multiply, x, cosine), n.binary(.multiply, turned, sine))
    let after = try recognised(n.returning(y), sizes: ["s": 5])
    let concat = try #require(after.nodes.last)
    #expect(concat.op is Concat)
    #expect(after.nodes.allSatisfy { $0.op is Slice || $0.op is Elementwise || $0.op is Concat })
    // Everything else is of half the width.
    #expect(after.nodes.dropLast().allSatisfy { after.type($0.results[0]).shape.last == 8 })
  }

  @Test func groupedHeads() throws {
    var n = Net()
    let q = n.input(["b", 6, 5, 4])
    let repeated = try (0..<2).map { _ in
      let x = try n.add(Reshape(["b", 2, 1, 7, 4]), n.input(["b", 2, 7, 4]))
      return try n.add(Reshape(["b", 6, 7, 4]), n.add(Broadcast(["b", 2, 3, 7, 4]), x))
    }
    let scores = try n.add(MatMul(), q, n.add(Transpose([0, 1, 3, 2]), repeated[0]))
    let y = try n.add(MatMul(), n.add(Softmax(axis: 3), scores), repeated[1])
    let after = try recognised(n.returning(y), sizes: ["b": 2])
    #expect(after.mnemonics == ["attention"])
  }

  @Test func nearMisses() throws {
    var n = Net()
    let (q, k, v) = (n.input([2, 2, 5, 4]), n.input([2, 2, 7, 4]), n.input([2, 2, 7, 4]))
    let scores = try n.add(MatMul(transposeRight: true), q, k)
    // Softmax over queries.
    let columns = try n.add(MatMul(), n.add(Softmax(axis: 2), scores), v)
    #expect(try recognised(n.returning(columns)).count(Attention.self) == 0)
    // The weights are an output too.
    let weights = try n.add(Softmax(axis: 3), scores)
    #expect(try recognised(n.returning(weights, n.add(MatMul(), weights, v))).count(Attention.self) == 0)
    // Scaled after the mask.
    let masked = try n.binary(.multiply, n.binary(.add, scores, n.input([5, 7])), 2)
    let late = try n.add(MatMul(), n.add(Softmax(axis: 3), masked), v)
    #expect(try recognised(n.returning(late)).count(Attention.self) == 0)
    // Keys that broadcast over the batch.
    let one = n.input([1, 2, 7, 4])
    let wide = try n.add(MatMul(), n.add(Softmax(axis: 3), n.add(MatMul(transposeRight: true), q, one)), v)
    #expect(try recognised(n.returning(wide)).count(Attention.self) == 0)
  }
}

struct WeightRuleTests {
  @Test func batchNormBecomesWeightsAndBias() throws {
    var n = Net()
    let product = try n.convolve(n.input([1, 3, "h", 8]), 4)
    let y = try n.binary(.add, n.binary(.multiply, product, n.constant([1, 4, 1, 1])), n.constant([4, 1, 1]))
    let after = try n.returning(y).rewritten(weightRules + simplificationRules)
    try expectAgreement(n.returning(y), after, sizes: ["h": 5])
    #expect(after.mnemonics == ["convolve", "elementwise"])
  }

  @Test func batchNormInOneOp() throws {
    var n = Net()
    let product = try n.convolve(n.input([1, 3, "h", 8]), 4)
    let f = Expression(inputs: [.float32, .float32, .float32]) { e in
      let (x, a, b) = (e.input(0), e.input(1), e.input(2))
      let scaled = e.binary(.multiply, x, a)
      return e.binary(.add, scaled, b)
    }
    for source in [product, try n.relu(product)] {
      let y = try n.add(Elementwise(f), source, n.constant([1, 4, 1, 1]), n.constant([1, 4, 1, 1]))
      let graph = n.returning(y)
      var after = graph
      for _ in 0..<2 { after = try after.rewritten(weightRules + simplificationRules) }
      try expectAgreement(graph, after, sizes: ["h": 5])
      // Only what follows the product itself goes into weights.
      let isFolded = source == product
      #expect(after.mnemonics == ["convolve", "elementwise"] + (isFolded ? [] : ["elementwise", "elementwise"]))
    }
  }

  @Test func matmul() throws {
    var n = Net()
    let product = try n.add(MatMul(transposeRight: true), n.input(["b", 6]), n.weights([5, 6]))
    let y = try n.binary(.multiply, n.binary(.multiply, product, n.constant([5])), 3)
    let after = try n.returning(y).rewritten(weightRules + simplificationRules)
    try expectAgreement(n.returning(y), after, sizes: ["b": 3])
    #expect(after.mnemonics == ["matmul"])
  }

  @Test func nearMisses() throws {
    var n = Net()
    let x = n.input([1, 4, 6, 6])
    let op = Convolve(strides: [1, 1], dilations: [1, 1], padsBefore: [1, 1], padsAfter: [1, 1])
    let product = try n.add(op, x, n.weights([4, 4, 3, 3]))
    // A factor a column, and a product that something else reads.
    let columns = try n.returning(n.binary(.multiply, product, n.constant([6])))
    #expect(try columns.rewritten(weightRules + simplificationRules).mnemonics == ["convolve", "elementwise"])
    let shared = try n.returning(product, n.binary(.multiply, product, n.constant([4, 1, 1])))
    #expect(try shared.rewritten(weightRules + simplificationRules).mnemonics == ["convolve", "elementwise"])
  }
}

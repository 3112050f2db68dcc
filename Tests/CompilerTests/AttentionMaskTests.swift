import GraphIR
import TensorTypes
import Testing

@testable import Compiler

/// Attention with masks as models write them: several, under other shapes than the scores', and bounded.
struct AttentionMaskTests {
  /// `softmax(masks(q·kᵀ · 0.5)) · v` of inputs `[batch…, 5, 4]`, `[batch…, 7, 4]` and `[batch…, 7, 3]`.
  private func attention(
    _ n: inout Net, _ batch: Shape, queries: Dim = 5, keys: Dim = 7, _ masks: (inout Net, ValueID) throws -> ValueID
  ) throws -> Graph {
    let (q, k, v) = (n.input(batch + [queries, 4]), n.input(batch + [keys, 4]), n.input(batch + [keys, 3]))
    let scores = try n.binary(.multiply, n.add(MatMul(transposeRight: true), q, k), 0.5)
    let masked = try masks(&n, scores)
    let weights = try n.add(Softmax(axis: n.graph.type(masked).rank - 1), masked)
    return try n.returning(n.add(MatMul(), n.add(Reshape(batch + [queries, keys]), weights), v))
  }

  /// The graph's only attention, after checking that both graphs compute the same.
  private func fused(_ graph: Graph, sizes: [String: Int] = [:]) throws -> (graph: Graph, mask: TensorType) {
    let after = try recognised(graph, sizes: sizes)
    #expect(after.count(Attention.self) == 1 && after.count(MatMul.self) == 0 && after.count(Softmax.self) == 0)
    let node = try #require(after.nodes.first { $0.op is Attention })
    return (after, after.type(try #require(node.operands.last!)))
  }

  enum Step: CaseIterable { case constant, input, row, seenInfinite, hiddenFinite, bounded }

  private func masked(_ n: inout Net, _ scores: ValueID, _ step: Step) throws -> ValueID {
    switch step {
    case .constant: try n.binary(.add, scores, n.constant([1, 3, 5, 7]))
    case .input: try n.binary(.add, n.input([2, 1, 5, 7]), scores)
    case .row: try n.binary(.add, scores, n.input([7]))
    // The first key is always seen: for a query that sees none `Attention` gives 0, and what exporters write NaN.
    case .seenInfinite: try n.select(n.flags([5, 7]) { $0 % 7 == 0 || $0 % 3 != 0 }, scores, n.number(-.infinity))
    case .hiddenFinite:
      try n.select(n.input([2, 1, 5, 7], .bool), n.number(-.greatestFiniteMagnitude), scores)
    case .bounded: try n.binary(.maximum, scores, -.greatestFiniteMagnitude)
    }
  }

  @Test(arguments: Step.allCases, Step.allCases) func two(_ first: Step, _ second: Step) throws {
    var n = Net()
    let graph = try attention(&n, [2, 3]) { n, s in try masked(&n, masked(&n, s, first), second) }
    let after = try recognised(graph)
    #expect(after.count(Attention.self) == 1 && after.count(Softmax.self) == 0)
  }

  @Test func three() throws {
    var n = Net()
    _ = try fused(
      attention(&n, [2, 3]) { n, s in
        try masked(&n, masked(&n, masked(&n, s, .constant), .seenInfinite), .row)
      })
  }

  @Test func seenTwiceIsBool() throws {
    var n = Net()
    let graph = try attention(&n, [2, 3]) { n, s in try masked(&n, masked(&n, s, .seenInfinite), .seenInfinite) }
    #expect(try fused(graph).mask == TensorType(.bool, [5, 7]))
  }

  @Test func constantsAreJoined() throws {
    var n = Net()
    let graph = try attention(&n, [2, 3]) { n, s in
      try n.binary(.add, n.binary(.add, s, n.constant([3, 5, 7])), n.constant([2, 1, 5, 7]))
    }
    #expect(try fused(graph).graph.mnemonics == ["attention"])
  }

  /// A number that leaves weights only where all keys are hidden, who then have equal ones.
  @Test func hiddenByAModestNumber() throws {
    var n = Net()
    let seen = n.flags([5, 7]) { $0 >= 7 && $0 % 2 == 0 }
    _ = try fused(attention(&n, [2, 3]) { n, s in try n.select(seen, s, n.number(-1e9)) })
    let twice = try attention(&n, [2, 3]) { n, s in
      try n.binary(.add, n.select(seen, s, n.number(-1e9)), n.input([5, 7]))
    }
    #expect(try recognised(twice).count(Attention.self) == 0)
  }

  /// Only what is −∞ is hidden whatever another mask adds to it.
  @Test(arguments: [-Double.infinity, -3e38]) func causalAndPadded(_ low: Double) throws {
    var n = Net()
    let numbers = (0..<25).map { $0 % 5 > $0 / 5 ? Float(low) : 0 }
    let border = n.graph.addConstant(HostTensor(.float32, [5, 5], numbers))
    let (after, _) = try fused(
      attention(&n, [2, 3], keys: 5) { n, s in
        try n.binary(.add, n.binary(.add, s, border), n.input([2, 1, 1, 5]))
      })
    #expect(after.first(Attention.self)?.causal == (low == -.infinity))
  }

  /// Products of a batch of heads, masked as heads of a batch.
  @Test(arguments: [1, 3]) func batchOfHeads(_ heads: Int) throws {
    var n = Net()
    let (b, h) = (Dim.symbol("b"), Dim(heads))
    let graph = try attention(&n, [b * h]) { n, s in
      let scores = try n.add(Reshape([b, h, 5, 7]), s)
      let masked = try n.binary(.add, scores, n.input([b, 1, 5, 7]))
      return try n.add(Reshape([b * h, 5, 7]), n.binary(.maximum, masked, -.greatestFiniteMagnitude))
    }
    #expect(try fused(graph, sizes: ["b": 2]).mask.shape == [b, 1, 5, 7])
  }

  /// Swin: a bias for each head, and a mask for each window of an image.
  @Test(arguments: [Dim(1), 2, "b"], [true, false]) func windows(_ images: Dim, isConstant: Bool) throws {
    var n = Net()
    // Which says how many images there are.
    _ = n.input([images])
    let graph = try attention(&n, [images * 4, 3]) { n, s in
      let biased = try n.binary(.add, s, n.constant([1, 3, 5, 7]))
      let split = try n.add(Reshape([images, 4, 3, 5, 7]), biased)
      let mask = isConstant ? n.constant([1, 4, 1, 5, 7]) : n.input([1, 4, 1, 5, 7])
      return try n.add(Reshape([images * 4, 3, 5, 7]), n.binary(.add, split, mask))
    }
    let (after, mask) = try fused(graph, sizes: ["b": 3])
    #expect(mask.shape == [images * 4, 3, 5, 7])
    if isConstant && images != "b" { #expect(after.mnemonics == ["attention"]) }
  }

  /// SAM: what is added depends on a query and its key's row, or column.
  @Test func rowsAndColumns() throws {
    var n = Net()
    let graph = try attention(&n, ["b"], queries: 6, keys: 6) { n, s in
      let places = try n.add(Reshape(["b", 2, 3, 2, 3]), s)
      let rows = try n.binary(.add, places, n.input(["b", 2, 3, 2, 1]))
      return try n.add(Reshape(["b", 6, 6]), n.binary(.add, rows, n.input(["b", 2, 3, 1, 3])))
    }
    #expect(try fused(graph, sizes: ["b": 2]).mask.shape == ["b", 1, 6, 6])
  }

  /// More outer dimensions than batch and heads.
  @Test func ofRank5() throws {
    var n = Net()
    _ = try fused(
      attention(&n, ["b", 2, 3]) { n, s in try n.binary(.add, s, n.input([3, 5, 7])) }, sizes: ["b": 2])
  }

  /// Sums whose sides are both sums again, as of residual layers: looking for a product ends soon.
  @Test(.timeLimit(.minutes(1))) func longSums() throws {
    var n = Net()
    var x = n.input([2, 3, 5, 7])
    for _ in 0..<64 { x = try n.binary(.add, x, n.unary(.tanh, x)) }
    let weights = try n.add(Softmax(axis: 3), x)
    let graph = try n.returning(n.add(MatMul(), weights, n.input([2, 3, 7, 3])))
    #expect(try recognised(graph).count(Attention.self) == 0)
    var y = n.input([2, 3, 5, 7])
    for _ in 0..<64 { y = try n.binary(.add, y, n.add(MatMul(), y, n.input([7, 7]))) }
    let sums = try n.add(Softmax(axis: 3), n.binary(.add, y, n.input([2, 3, 5, 7])))
    _ = try recognised(n.returning(n.add(MatMul(), sums, n.input([2, 3, 7, 3]))), in: -0.1...0.1)
  }

  @Test func nearMisses() throws {
    var n = Net()
    // Softmax over rows that are not the product's.
    let rows = try attention(&n, [2]) { n, s in try n.add(Reshape([2, 35]), s) }
    #expect(try recognised(rows).count(Attention.self) == 0)
    // A mask within the scale.
    let scaled = try attention(&n, [2, 3]) { n, s in
      let inner = try n.binary(.multiply, n.binary(.add, s, n.input([5, 7])), 2)
      return try n.binary(.add, inner, n.input([5, 7]))
    }
    #expect(try recognised(scaled).count(Attention.self) == 0)
    // A bound that scores may be below.
    let bounded = try attention(&n, [2, 3]) { n, s in try n.binary(.maximum, s, -10_000) }
    #expect(try recognised(bounded).count(Attention.self) == 0)
    // Masked scores that something else reads.
    let (q, k, v) = (n.input([2, 2, 5, 4]), n.input([2, 2, 7, 4]), n.input([2, 2, 7, 4]))
    let once = try n.binary(.add, n.add(MatMul(transposeRight: true), q, k), n.input([5, 7]))
    let weights = try n.add(Softmax(axis: 3), n.binary(.add, once, n.input([2, 1, 1, 7])))
    #expect(try recognised(n.returning(once, n.add(MatMul(), weights, v))).count(Attention.self) == 0)
  }
}

import GraphIR
import TensorTypes
import Testing

// Ops that ONNX Runtime's results don't cover, and what inference says of symbolic sizes.

@Suite struct OpTests {
  private func floats(_ shape: [Int], _ values: [Float]) -> HostTensor { HostTensor(.float32, shape, values) }
  private func f32(_ shape: Shape) -> TensorType { TensorType(.float32, shape) }

  @Test func symbolicSizesOfWindows() throws {
    let (h, w) = (Dim.symbol("h"), Dim.symbol("w"))
    let same = Convolve(strides: [1, 1], dilations: [1, 1], padsBefore: [1, 1], padsAfter: [1, 1])
    #expect(try same.infer([f32([1, 3, h, w]), f32([64, 3, 3, 3])]) == [f32([1, 64, h, w])])
    let halving = Convolve(strides: [2, 2], dilations: [1, 1], padsBefore: [0, 0], padsAfter: [0, 0])
    #expect(try halving.infer([f32([1, 3, 2 * h, 4 * w]), f32([8, 3, 2, 2])]) == [f32([1, 8, h, 2 * w])])
    let failure = #expect(throws: Failure.self) { try same.infer([f32([1, 4, h, w]), f32([64, 3, 3, 3])]) }
    #expect(failure?.message.hasPrefix("convolve_c4") ?? false)
  }

  @Test func bitcastKeepsBits() throws {
    let bits = try Bitcast(.int32).evaluate([floats([2], [1, -2.5])])[0]
    #expect(bits.element == .int32 && bits.shape == [2] && bits.integers == [0x3F80_0000, -0x3FE0_0000])
    #expect(try Bitcast(.float32).evaluate([bits])[0].doubles == [1, -2.5])
  }

  @Test func inferenceQuotesConstraints() {
    func expect(_ constraint: String, _ op: any Op, _ operands: [TensorType]) {
      let failure = #expect(throws: Failure.self) { try op.infer(operands) }
      #expect(failure?.message.hasPrefix(constraint) ?? false, "\(constraint): \(String(describing: failure))")
    }
    expect("matmul_c3", MatMul(), [f32([2, 3]), f32([4, 5])])
    expect("matmul_c4", MatMul(), [f32([2, 2, 3]), f32([3, 3, 5])])
    expect("elementwise_c1", Elementwise(.binary(.add, .float32)), [f32([2])])
    expect("elementwise_c2", Elementwise(.binary(.add, .float32)), [f32([2]), f32([3])])
    expect("reshape_c1", Reshape([4]), [f32([3])])
    expect("bitcast_c1", Bitcast(.float64), [f32([3])])
    expect("reduce_c1", Reduce(.sum, axes: [2], keepDims: true), [f32([3])])
    expect("slice_c3", Slice(axes: [0], starts: [1], sizes: [3], steps: [1]), [f32([3])])
    expect("concat_c2", Concat(axis: 0), [f32([1, 2]), f32([1, 3])])
    expect("gather_sum_c1", GatherSum(), [f32([1, 2, 3]), f32([1, 1, 1]), f32([1, 1, 1])])
    expect("gather_sum_c2", GatherSum(), [f32([1, 2, 3]), TensorType(.int32, [1, 2, 1]), f32([1, 1, 1])])
    expect("gather_sum_c3", GatherSum(), [f32([1, 2, 0]), TensorType(.int32, [1, 2, 1]), f32([1, 2, 1])])
    expect("gather_c1", Gather(axis: 0), [f32([1]), f32([1])])
    expect("top_k_c2", TopK(4, axis: 0), [f32([3])])
    expect("attention_c2", Attention(scale: 1), [f32([1, 3, 2, 4]), f32([1, 2, 2, 4]), f32([1, 2, 2, 4])])
    expect("transpose_c1", Transpose([0, 0]), [f32([1, 2])])
  }

  @Test func indicesOutOfRangeAreErrors() {
    let x = floats([2], [1, 2])
    for index in [2, -3] {
      #expect(throws: Failure.self) { try Gather(axis: 0).evaluate([x, HostTensor(integers: [index], [1])]) }
      #expect(throws: Failure.self) { try GatherElements(axis: 0).evaluate([x, HostTensor(integers: [index], [1])]) }
      #expect(throws: Failure.self) { try GatherND().evaluate([x, HostTensor(integers: [index], [1])]) }
    }
  }

  @Test func gatherSumAddsWeightedElements() throws {
    let x = floats([2, 2, 3], [1, 2, 3, 10, 20, 30, 4, 5, 6, 40, 50, 60])
    // Two taps of two points a batch; an index outside means the nearest one inside.
    let indices = HostTensor(integers: [0, 2, 1, 9, -1, 1, 2, 0], [2, 2, 2])
    let weights = floats([2, 2, 2], [1, 0.5, 2, 0.25, -1, 1, 0.5, 3])
    let y = try GatherSum().evaluate([x, indices, weights])
    #expect(y[0].doubles == [5, 2.25, 50, 22.5, -1, 17, -10, 170])
    #expect(y[0].shape == [2, 2, 2])
    // One batch of them is for all of x's.
    let shared = try GatherSum().evaluate([
      x, HostTensor(integers: [0, 2, 1, 9], [1, 2, 2]), floats([1, 2, 2], [1, 0.5, 2, 0.25]),
    ])
    #expect(shared[0].doubles == [5, 2.25, 50, 22.5, 14, 4.5, 140, 45])
  }

  @Test func sliceBoundsFollowONNX() {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededGenerator(seed: seed)
    for _ in 0..<2000 {
      let size = Int.random(in: 0...6, using: &random)
      let (start, end) = (Int.random(in: -9...9, using: &random), Int.random(in: -9...9, using: &random))
      let step = [1, 2, 3, -1, -2, -3].randomElement(using: &random)!
      let (first, count) = Slice.bounds(start: Dim(start), end: Dim(end), step: step, size: Dim(size))
      // By walking, as the specification of Slice-13 says: starts are clamped to elements, ends may lie one beyond.
      func fromFront(_ x: Int) -> Int { x < 0 ? x + size : x }
      let (low, high) = step > 0 ? (0, size) : (-1, size - 1)
      let (from, to) = (min(max(fromFront(start), 0), high), min(max(fromFront(end), low), high))
      let expected = Array(Swift.stride(from: from, to: to, by: step))
      #expect(count.constant == expected.count, "seed \(seed): [\(start):\(end):\(step)] of \(size)")
      if let head = expected.first {
        #expect(first.constant == head, "seed \(seed): [\(start):\(end):\(step)] of \(size)")
      }
    }
    let h = Dim.symbol("h")
    #expect(Slice.bounds(start: 0, end: Dim(.max), step: 1, size: h) == (0, h))
    #expect(Slice.bounds(start: -1, end: Dim(.min), step: -1, size: h) == (h - 1, h))
  }

  @Test func attentionWithMaskAndSharedHeads() throws {
    // Two query heads share one key head; keys are unit vectors, so that scores are the queries' entries.
    let q = floats([1, 2, 1, 2], [1, 0, 0, 3])
    let k = floats([1, 1, 2, 2], [1, 0, 0, 1])
    let v = floats([1, 1, 2, 1], [10, 20])
    let sigmoid = UnaryFunction.sigmoid.onFloats
    func blend(_ a: Double, _ b: Double) -> Double { 10 + 10 * sigmoid(b - a) }
    let y = try Attention(scale: 1).evaluate([q, k, v])[0].doubles
    #expect(abs(y[0] - blend(1, 0)) < 1e-5 && abs(y[1] - blend(0, 3)) < 1e-5)
    let causal = try Attention(scale: 1, causal: true).evaluate([q, k, v])[0].doubles
    #expect(causal == [10, 10])
    let none = HostTensor(.bool, [1, 1, 1, 2], [UInt8(0), 0])
    #expect(try Attention(scale: 1).evaluate([q, k, v, none])[0].doubles == [0, 0])
    let bias = floats([2], [0, 1])
    let biased = try Attention(scale: 1).evaluate([q, k, v, bias])[0].doubles
    #expect(abs(biased[0] - blend(1, 1)) < 1e-5)
  }

  @Test func philoxKnownAnswers() {
    // From the reference implementation's kat_vectors (Random123), whose counters have upper words 0 here.
    #expect(philox(counter: 0, key: 0) == [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8])
  }

  @Test func randomNumbersAreWhatTheySay() throws {
    let uniform = try Random(.uniform, .float32, [20000], seed: 7).evaluate([])[0].doubles
    #expect(uniform.allSatisfy { $0 >= 0 && $0 < 1 })
    // Five standard errors of a mean of 20000 draws, the variance of one being 1/12, 1 and 2.
    func isNear(_ values: [Double], _ expected: Double, variance: Double) -> Bool {
      let mean: Double = values.reduce(0, +) / 20000
      let deviation: Double = (variance / 20000).squareRoot()
      return abs(mean - expected) < 5 * deviation
    }
    #expect(isNear(uniform, 0.5, variance: 1.0 / 12))
    let normal = try Random(.normal, .float32, [20000], seed: 7).evaluate([])[0].doubles
    #expect(isNear(normal, 0, variance: 1))
    let squares: [Double] = normal.map { $0 * $0 }
    #expect(isNear(squares, 1, variance: 2))
    #expect(try Random(.normal, .float32, [6], seed: 7).evaluate([])[0].doubles == Array(normal[..<6]))
  }

  @Test func controlFlow() throws {
    var double = Graph(name: "double")
    let x = double.addInput("x", f32([.symbol("n")]))
    double.addOutput("y", try double.add(Elementwise(.binary(.add, .float32)), x, x))
    var keep = Graph(name: "keep")
    keep.addOutput("y", keep.addInput("x", f32([.symbol("n")])))
    let branch = If(then: double, otherwise: keep).substituting(["n": 2])
    let value = floats([2], [1, 2])
    #expect(try branch.evaluate([HostTensor(.bool, [], [UInt8(1)]), value])[0].doubles == [2, 4])
    #expect(try branch.evaluate([HostTensor(.bool, [], [UInt8(0)]), value])[0].doubles == [1, 2])

    // Doubles until the iteration's number reaches 2, and collects what was there before.
    var body = Graph(name: "body")
    let i = body.addInput("i", TensorType(.int64, []))
    _ = body.addInput("go", TensorType(.bool, []))
    let carried = body.addInput("a", f32([2]))
    let two = body.addConstant(HostTensor(integers: [2], []))
    body.addOutput("go", try body.add(Elementwise(.binary(.less, .int64)), i, two))
    body.addOutput("a", try body.add(Elementwise(.binary(.add, .float32)), carried, carried))
    body.addOutput("seen", carried)
    var graph = Graph(name: "loop")
    let start = graph.addInput("start", f32([2]))
    let limit = graph.addConstant(HostTensor(integers: [100], []))
    let condition = graph.addConstant(HostTensor(.bool, [], [UInt8(1)]))
    let results = try graph.add(
      Loop(body: body, carried: 1, sizes: [2, .symbol("trips"), 2], defined: ["trips"]), [limit, condition, start])
    for (i, result) in results.enumerated() { graph.addOutput("y\(i)", result) }
    try graph.verify()
    #expect(graph.type(results[1]).shape == [.symbol("trips"), 2])
    let y = try graph.evaluate([value])
    #expect(y[0].doubles == [8, 16])
    #expect(y[1].shape == [3, 2] && y[1].doubles == [1, 2, 2, 4, 4, 8])
    #expect(try Graph(parsing: graph.text()) == graph)
  }

  @Test func sizesThatDependOnData() throws {
    var graph = Graph(name: "dynamic")
    let x = graph.addInput("x", f32([.symbol("n")]))
    let count = graph.addInput("count", TensorType(.int64, [1]))
    let found = try graph.add(NonZero(count: "hits"), x)
    #expect(graph.type(found).shape == [1, .symbol("hits")])
    let bound = try graph.add(BindSymbols(["m"]), count)
    #expect(graph[bound].facts.contents == [.symbol("m")])
    let ramp = try graph.add(Iota(.float32, [.symbol("m")], axis: 0))
    graph.addOutput("found", found)
    graph.addOutput("ramp", ramp)
    let live = graph.withoutDeadNodes()
    try live.verify()
    let y = try live.evaluate([floats([4], [0, 5, 0, 6]), HostTensor(integers: [3], [1])])
    #expect(y[0].shape == [1, 2] && y[0].integers == [1, 3])
    #expect(y[1].doubles == [0, 1, 2])
  }
}

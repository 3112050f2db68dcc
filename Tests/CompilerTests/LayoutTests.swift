import GraphIR
import TensorTypes
import Testing

@testable import Compiler

struct LayoutTests {
  private func optimised(_ graph: Graph, sizes: [String: Int]) throws -> Graph {
    var options = PipelineOptions()
    options.verifiesEach = true
    let after = try optimise(graph, options: options)
    try expectAgreement(graph, after, sizes: sizes)
    #expect(after.nodes.allSatisfy { ($0.op as? Convolve)?.layout != .channelsFirst })
    return after
  }

  private let sizes = ["h": 6, "w": 8]

  @Test func plainNetwork() throws {
    var n = Net()
    var x = n.input([1, 3, "h", "w"])
    for channels in [4, 8, 3] { x = try n.relu(n.convolve(x, channels)) }
    #expect(try optimised(n.returning(x), sizes: sizes).count(Transpose.self) == 2)
  }

  @Test func residualBlock() throws {
    var n = Net()
    let x = try n.relu(n.convolve(n.input([1, 3, "h", "w"]), 8, stride: 2))
    let pooled = try n.add(
      Pool(.maximum, window: [3, 3], strides: [2, 2], dilations: [1, 1], padsBefore: [1, 1], padsAfter: [1, 1]), x)
    let inner = try n.convolve(n.relu(n.convolve(pooled, 8)), 8)
    let y = try n.relu(n.binary(.add, inner, n.convolve(pooled, 8, kernel: 1)))
    let after = try optimised(n.returning(y), sizes: ["h": 12, "w": 16])
    #expect(after.count(Transpose.self) == 2)
    #expect(after.first(Pool.self)?.layout == .channelsLast)
    // A mean over the image leaves nothing to transpose at the end.
    let means = try n.add(Reshape([1, 8]), n.mean(y, [2, 3]))
    #expect(try optimised(n.returning(means), sizes: ["h": 12, "w": 16]).count(Transpose.self) == 1)
  }

  /// A residual-in-residual dense block: each convolution reads all results before it.
  @Test func denseBlock() throws {
    var n = Net()
    let first = try n.convolve(n.input([1, 3, "h", "w"]), 4)
    var x = first
    for _ in 0..<2 {
      var all = [x]
      for _ in 0..<3 {
        let joint = all.count == 1 ? x : try n.graph.add(Concat(axis: 1), all)[0]
        all.append(try n.relu(n.convolve(joint, 2)))
      }
      let last = try n.convolve(n.graph.add(Concat(axis: 1), all)[0], 4)
      x = try n.binary(.add, n.binary(.multiply, last, 0.2), x)
    }
    let (h, w) = (Dim.symbol("h") * 2, Dim.symbol("w") * 2)
    let wide = try n.add(
      Resize(
        .nearest, axes: [2, 3], sizes: [h, w], scales: [2, 2], coordinateMode: .asymmetric, nearestMode: .floor),
      n.binary(.add, x, first))
    let after = try optimised(n.returning(n.convolve(wide, 3)), sizes: sizes)
    #expect(after.count(Transpose.self) == 2)
    #expect(after.first(Resize.self)?.axes == [1, 2])
  }

  /// Depth to space and the channels' way back are one transpose; the resized input never leaves its layout.
  @Test func pixelShuffle() throws {
    var n = Net()
    let image = n.input([1, 3, "h", "w"])
    let (h, w) = (Dim.symbol("h"), Dim.symbol("w"))
    let x = try n.convolve(n.relu(n.convolve(image, 8)), 12)
    let split = try n.add(Reshape([1, 3, 2, 2, h, w]), x)
    let shuffled = try n.add(Reshape([1, 3, h * 2, w * 2]), n.add(Transpose([0, 1, 4, 2, 5, 3]), split))
    let wide = try n.add(
      Resize(
        .nearest, axes: [2, 3], sizes: [h * 2, w * 2], scales: [2, 2], coordinateMode: .asymmetric, nearestMode: .floor),
      image)
    let after = try optimised(n.returning(n.binary(.add, shuffled, wide)), sizes: sizes)
    #expect(after.count(Transpose.self) == 2)
  }

  /// A U-net's attention: pixels become a sequence, which channels last already has.
  @Test func imagesAsSequences() throws {
    var n = Net()
    let (h, w) = (Dim.symbol("h"), Dim.symbol("w"))
    let x = try n.convolve(n.input([1, 3, h, w]), 4)
    let sequence = try n.add(Transpose([0, 2, 1]), n.add(Reshape([1, 4, h * w]), x))
    let y = try n.binary(.add, n.add(MatMul(), sequence, n.weights([4, 4])), sequence)
    let back = try n.add(Reshape([1, 4, h, w]), n.add(Transpose([0, 2, 1]), y))
    let after = try optimised(n.returning(n.convolve(back, 3)), sizes: sizes)
    #expect(after.count(Transpose.self) == 2)
  }

  @Test func movesThroughEverything() throws {
    var n = Net()
    let x = try n.add(Transpose([0, 3, 1, 2]), n.input([2, "h", "w", 3]))
    let padded = try n.add(
      Pad(before: [0, 0, 1, 2], after: [0, 1, 0, 0], value: .float(0.5)), x)
    let sliced = try n.add(Slice(axes: [1, 3], starts: [1, 0], sizes: [3, "w"], steps: [1, 1]), padded)
    let soft = try n.add(Softmax(axis: 1), n.binary(.add, sliced, n.constant([3, 1, 1])))
    let norm = try n.add(GroupNorm(groups: 3, epsilon: 1e-3), soft, n.constant([3]), n.constant([3]))
    let graph = try n.returning(n.add(Transpose([0, 2, 3, 1]), norm))
    let after = try GraphPass.moveTransposes.run(graph)
    try expectAgreement(graph, after, sizes: sizes)
    #expect(after.count(Transpose.self) == 0)
  }

  @Test func aRealOperandInTheOtherLayoutStopsIt() throws {
    var n = Net()
    let x = try n.add(Transpose([0, 2, 1]), n.input([2, "h", 3]))
    let graph = try n.returning(n.binary(.add, x, n.input([2, 3, "h"])))
    let after = try GraphPass.moveTransposes.run(graph)
    try expectAgreement(graph, after, sizes: sizes)
    #expect(after.mnemonics == ["transpose", "elementwise"])
  }

  @Test func aValueThatIsReadTwiceIsNotTransposedTwice() throws {
    var n = Net()
    let x = try n.add(Transpose([0, 2, 1]), n.input([2, "h", 3]))
    let graph = try n.returning(n.unary(.exp, x), n.unary(.tanh, x))
    let after = try GraphPass.moveTransposes.run(graph)
    try expectAgreement(graph, after, sizes: sizes)
    #expect(after.count(Transpose.self) == 1)
  }

  @Test func reshapesThatMergeStrangersStay() throws {
    var n = Net()
    let x = try n.add(Transpose([0, 2, 1, 3]), n.input([2, "h", 3, 4]))
    let graph = try n.returning(n.add(Reshape([6, "h", 4]), x))
    let after = try GraphPass.moveTransposes.run(graph)
    try expectAgreement(graph, after, sizes: sizes)
    #expect(after.mnemonics == ["transpose", "reshape"])
  }

  @Test func groupsOfReshapes() {
    func groups(_ old: Shape, _ new: Shape) -> [[[Int]]]? {
      reshapeGroups(from: old, to: new)?.map { [$0.old, $0.new] }
    }
    #expect(groups([2, 12], [2, 3, 4]) == [[[0], [0]], [[1], [1, 2]]])
    #expect(groups([2, "h", "w"], [2, Dim.symbol("h") * "w"]) == [[[0], [0]], [[1, 2], [1]]])
    #expect(groups([6, 4], [4, 6]) == [[[0, 1], [0, 1]]])
    #expect(groups([3, 1, 4], [3, 4, 1]) == [[[0], [0]], [[1], []], [[2], [1]], [[], [2]]])
    #expect(groups(["h", "w"], ["k", 4]) == nil)
  }
}

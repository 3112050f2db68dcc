import TensorTypes
import Testing

@testable import GraphIR

@Suite struct GraphTests {
  /// x [1, 3, h, w] → its mean over h·w, by way of the reshape that exporters write.
  private func flattenGraph() throws -> Graph {
    var graph = Graph(name: "flatten \"all\"")
    let x = graph.addInput("x", TensorType(.float32, [1, 3, .symbol("h"), .symbol("w")]))
    let sizes = try graph.add(Sizes(graph.type(x).shape), origin: "Shape_0")
    let index = graph.addConstant(HostTensor(integers: [0, 1], [2]))
    let leading = try graph.add(Gather(axis: 0), sizes, index)
    let trailing = try graph.add(Slice(axes: [0], starts: [2], sizes: [2], steps: [1]), sizes)
    let area = try graph.add(Reduce(.product, axes: [0], keepDims: true), trailing)
    let all = try graph.add(Concat(axis: 0), leading, area)
    let shape = try #require(graph[all].facts.contents)
    let flat = try graph.add(Reshape(shape), x, origin: "Reshape_5")
    let sum = try graph.add(Reduce(.sum, axes: [2], keepDims: false), flat)
    graph.setName("sum", of: sum)
    let scale = graph.addConstant(HostTensor(.float32, [3], [0.5, -1.25, Float(0.1)]), name: "scale")
    let product = try graph.add(Elementwise(.binary(.multiply, .float32)), sum, scale)
    graph.addOutput("y", product)
    return graph
  }

  @Test func shapeArithmeticPassesThrough() throws {
    let graph = try flattenGraph()
    let (h, w) = (Dim.symbol("h"), Dim.symbol("w"))
    let reshape = try #require(graph.nodes.first { $0.op is Reshape })
    #expect(graph.type(reshape.results[0]).shape == [1, 3, h * w])
    try graph.verify()
  }

  @Test func evaluatesWithSymbolsBoundByTheInputs() throws {
    let graph = try flattenGraph()
    let x = HostTensor(.float32, [1, 3, 2, 2], (0..<12).map { Float($0) })
    let y = try graph.evaluate([x])[0]
    #expect(y.array(of: Float.self) == [6 * 0.5, 22 * -1.25, 38 * Float(0.1)])
    #expect(throws: Failure.self) {
      try graph.evaluate([HostTensor(.float32, [1, 2, 2, 2], [Float](repeating: 0, count: 8))])
    }
    #expect(throws: Failure.self) { try graph.evaluate([]) }
  }

  @Test func comparisonsOfSizesAreDecidedWherePossible() throws {
    var graph = Graph(name: "g")
    let h = Dim.symbol("h")
    let sizes = try graph.add(Sizes([h, 2 * h + 1, 7]))
    let minus = graph.addConstant(HostTensor(integers: [-1], [1]))
    let one = graph.addConstant(HostTensor(integers: [5], [1]))
    let choose = Expression(inputs: [.int64, .int64, .int64]) { e in
      let isMissing = e.binary(.equal, e.input(0), e.input(1))
      return e.select(isMissing, e.input(2), e.input(0))
    }
    let chosen = try graph.add(Elementwise(choose), sizes, minus, one)
    #expect(graph[chosen].facts.contents == [h, 2 * h + 1, 7])
    let halves = try graph.add(
      Elementwise(.binary(.divide, .int64)), chosen, graph.addConstant(HostTensor(integers: [2], [1])))
    #expect(graph[halves].facts.contents == [h.floorDivided(by: 2), h, 3])
    let unknown = try graph.add(Elementwise(.binary(.less, .int64)), sizes, one)
    #expect(graph[unknown].facts.contents == nil)
  }

  @Test func textRoundTrips() throws {
    let graph = try flattenGraph()
    let text = graph.text()
    let parsed = try Graph(parsing: text)
    #expect(parsed == graph)
    #expect(parsed.text() == text)
    #expect(parsed.nodes.map(\.origin) == graph.nodes.map(\.origin))
  }

  @Test(arguments: ElementType.allCases) func constantsRoundTrip(_ element: ElementType) throws {
    var generator = SystemRandomNumberGenerator()
    for count in [0, 1, 32, 33, 100] {
      var graph = Graph(name: "constants")
      let bits = (0..<count * element.byteCount).map { _ in
        UInt8.random(in: 0...(element == .bool ? 1 : 255), using: &generator)
      }
      let tensor = HostTensor(
        element, [count], filling: { memory in bits.withUnsafeBytes { memory.copyMemory(from: $0) } })
      graph.addOutput("y", graph.addConstant(tensor))
      #expect(try Graph(parsing: graph.text(constants: .full)) == graph, "bits \(bits)")
      #expect(try Graph(parsing: graph.text(), weights: graph.weights) == graph, "bits \(bits)")
    }
  }

  @Test func malformedTextIsRefused() throws {
    let text = try flattenGraph().text()
    // Cut anywhere, or with a byte changed, the text either parses or is refused; it never traps.
    for end in text.indices.dropLast(2) { #expect(throws: Failure.self) { try Graph(parsing: String(text[..<end])) } }
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededGenerator(seed: seed)
    for _ in 0..<2000 {
      var bytes = Array(text.utf8)
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 32...126, using: &random)
      }
      let mutant = String(decoding: bytes, as: UTF8.self)
      if let graph = try? Graph(parsing: mutant) {
        #expect(try Graph(parsing: graph.text()) == graph, "seed \(seed): \(mutant)")
      }
    }
    #expect(throws: Failure.self) {
      try Graph(parsing: "graph \"g\" { %0 = iota() [element=.i64, shape=<9, 9>, axis=2]: i64[9, 9] }")
    }
    #expect(throws: Failure.self) {
      try Graph(parsing: "graph \"g\" { %0 = constant: f32[4611686018427387904, 8] {} }")
    }
  }

  @Test func verifierCatchesFaults() throws {
    func expectFault(_ constraint: String, _ spoil: (inout Graph) -> Void) throws {
      var graph = try flattenGraph()
      spoil(&graph)
      let failure = #expect(throws: Failure.self) { try graph.verify() }
      #expect(failure?.message.hasPrefix(constraint) ?? false, "\(constraint): \(String(describing: failure))")
    }
    try expectFault("graph_c1") { $0.nodes[1].operands[0] = $0.nodes[3].results[0] }
    try expectFault("graph_c1") { $0.addOutput("z", ValueID(99)) }
    try expectFault("graph_c2") { $0.nodes[1].results = $0.nodes[2].results }
    try expectFault("graph_c2") { $0.inputs.append(ValueID(1)) }
    try expectFault("graph_c3") { $0.values[$0.nodes.last!.results[0].index].facts.type.shape = [2, 3] }
    try expectFault("graph_c4") { $0.outputs.append($0.outputs[0]) }
    try expectFault("graph_c5") { graph in
      let i = graph.values.firstIndex { if case .constant = $0.definition { true } else { false } }!
      graph.values[i].facts.type.shape = [9]
    }
    try expectFault("graph_c6") { graph in _ = try? graph.add(Iota(.int64, [.symbol("elsewhere")], axis: 0)) }
  }

  @Test func rewriterReplacesAndDropsDeadNodes() throws {
    let graph = try flattenGraph()
    let folded = try Rewriter.rewrite(graph) { rewriter, node in
      guard graph[node].op is Elementwise else { return nil }
      let operands = rewriter.operands(of: node).compactMap { $0 }
      return [try rewriter.result.add(Elementwise(.binary(.add, .float32)), operands[0], operands[1])]
    }
    try folded.verify()
    // The arithmetic on shapes served inference only.
    #expect(folded.nodes.map(\.op.mnemonic) == ["reshape", "reduce", "elementwise"])
    #expect(folded.inputs.count == 1 && folded.outputs.map(\.name) == ["y"])
    let x = HostTensor(.float32, [1, 3, 1, 1], [Float(1), 2, 3])
    #expect(try folded.evaluate([x])[0].array(of: Float.self) == [1.5, 0.75, 3 + Float(0.1)])
  }

  @Test func substitutingFixesSizes() throws {
    let fixed = try flattenGraph().substituting(["h": 4, "w": 5])
    try fixed.verify()
    #expect(fixed.type(fixed.inputs[0]).staticShape == [1, 3, 4, 5])
    #expect(fixed.nodes.contains { ($0.op as? Reshape)?.shape == [1, 3, 20] })
  }
}

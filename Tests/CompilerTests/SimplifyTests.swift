import GraphIR
import TensorTypes
import Testing

@testable import Compiler

struct SimplifyTests {
  /// Simplifies, checks the meaning, and returns the mnemonics that are left.
  private func left(_ graph: Graph, sizes: [String: Int] = [:]) throws -> [String] {
    let after = try graph.rewritten(simplificationRules)
    try expectAgreement(graph, after, sizes: sizes)
    return after.mnemonics
  }

  @Test func transposes() throws {
    var n = Net()
    let x = n.input([2, "h", 3])
    let there = try n.add(Transpose([2, 0, 1]), x)
    #expect(try left(n.returning(n.add(Transpose([1, 2, 0]), there)), sizes: ["h": 4]) == [])
    #expect(try left(n.returning(n.add(Transpose([2, 0, 1]), there)), sizes: ["h": 4]) == ["transpose"])
  }

  @Test func transposeOfDimensionsOfSize1() throws {
    var n = Net()
    let x = n.input([2, 1, "h", 3])
    #expect(try left(n.returning(n.add(Transpose([0, 2, 3, 1]), x)), sizes: ["h": 4]) == ["reshape"])
    #expect(try left(n.returning(n.add(Transpose([0, 3, 2, 1]), x)), sizes: ["h": 4]) == ["transpose"])
  }

  @Test func reshapes() throws {
    var n = Net()
    let x = n.input(["b", 6])
    let y = try n.add(Reshape(["b", 2, 3]), x)
    #expect(try left(n.returning(n.add(Reshape(["b", 6]), y)), sizes: ["b": 2]) == [])
    #expect(try left(n.returning(n.add(Reshape(["b", 3, 2]), y)), sizes: ["b": 2]) == ["reshape"])
  }

  @Test func slices() throws {
    var n = Net()
    let x = n.input([4, "w"])
    let whole = try n.add(Slice(axes: [0, 1], starts: [0, 0], sizes: [4, "w"], steps: [1, 1]), x)
    #expect(try left(n.returning(whole), sizes: ["w": 3]) == [])
    let backwards = try n.add(Slice(axes: [0], starts: [3], sizes: [4], steps: [-1]), x)
    #expect(try left(n.returning(backwards), sizes: ["w": 3]) == ["slice"])
  }

  @Test func concats() throws {
    var n = Net()
    let x = n.input([4, 3])
    let parts = try [(0, 1), (1, 3)].map { start, size in
      try n.add(Slice(axes: [0], starts: [Dim(start)], sizes: [Dim(size)], steps: [1]), x)
    }
    #expect(try left(n.returning(n.add(Concat(axis: 0), x))) == [])
    #expect(try left(n.returning(n.add(Concat(axis: 0), parts[0], parts[1]))) == [])
    #expect(try left(n.returning(n.add(Concat(axis: 0), parts[1], parts[0]))) == ["slice", "slice", "concat"])
  }

  @Test func broadcasts() throws {
    var n = Net()
    let (x, y) = (n.input([1, 3]), n.input(["b", 3]))
    let wide = try n.add(Broadcast(["b", 3]), x)
    #expect(try left(n.returning(n.binary(.add, wide, y)), sizes: ["b": 2]) == ["elementwise"])
    #expect(try left(n.returning(n.binary(.add, wide, x)), sizes: ["b": 2]).contains("broadcast"))
  }

  @Test func scalarConstantsGoIntoExpressions() throws {
    var n = Net()
    let x = n.input([2, 3])
    let y = try n.binary(.multiply, n.binary(.multiply, x, 3), 5)
    let after = try n.returning(y).rewritten(simplificationRules)
    try expectAgreement(n.returning(y), after)
    #expect(after.nodes.count == 1 && after.nodes[0].operands.count == 1)
    // A constant that gives the result its rank stays.
    let wide = try n.binary(.add, n.input([3]), n.constant([1, 1]))
    #expect(try left(n.returning(wide)) == ["elementwise"])
  }

  @Test func zeroTimesXStays() throws {
    var n = Net()
    let x = n.input([2])
    let y = try n.binary(.multiply, x, 0)
    let after = try n.returning(y).rewritten(simplificationRules)
    let result = try after.evaluate([HostTensor(.float32, [2], [Float.infinity, 1])])[0]
    #expect(result.doubles[0].isNaN)
  }

  @Test func identityOfALargerShapeStays() throws {
    var n = Net()
    let (x, y) = (n.input([1, 3]), n.input([4, 3]))
    let f = Expression(inputs: [.float32, .float32]) { e in
      _ = e.input(1)
      return e.input(0)
    }
    #expect(try left(n.returning(n.add(Elementwise(f), x, y))) == ["broadcast"])
    #expect(try left(n.returning(n.add(Elementwise(f), y, x))) == [])
  }

  @Test func reduceOfSize1() throws {
    var n = Net()
    let x = n.input([2, 1, 3])
    #expect(try left(n.returning(n.add(Reduce(.maximum, axes: [1], keepDims: false), x))) == ["reshape"])
    #expect(try left(n.returning(n.add(Reduce(.maximum, axes: [1, 2], keepDims: false), x))) == ["reduce"])
  }

  @Test func matmulAbsorbsTransposes() throws {
    var n = Net()
    let (a, b) = (n.input([2, "k", 3]), n.input([2, "k", 5]))
    let y = try n.add(MatMul(), n.add(Transpose([0, 2, 1]), a), b)
    #expect(try left(n.returning(y), sizes: ["k": 4]) == ["matmul"])
    let other = try n.add(MatMul(), n.add(Transpose([1, 2, 0]), n.input([4, 2, 3])), n.input([2, 4, 5]))
    #expect(try left(n.returning(other), sizes: ["k": 4]) == ["transpose", "matmul"])
  }
}

struct FoldingTests {
  @Test func foldsWhatIsConstant() throws {
    var n = Net()
    let x = n.input(["b", 3])
    let w = try n.add(Transpose([1, 0]), n.binary(.multiply, n.constant([3, 3]), n.constant([3, 1])))
    let y = try n.add(MatMul(), x, w)
    let after = try n.returning(y).rewritten(foldingRules)
    try expectAgreement(n.returning(y), after, sizes: ["b": 2])
    #expect(after.mnemonics == ["matmul"])
  }

  /// DeBERTa projects its table of relative positions by each layer's weights.
  @Test func foldsProjectionsOfTables() throws {
    var n = Net()
    let projected = try n.add(MatMul(transposeRight: true), n.constant([512, 768]), n.constant([768, 768]))
    let y = try n.add(MatMul(), n.input(["b", 512]), projected)
    #expect(try n.returning(y).rewritten(foldingRules).mnemonics == ["matmul"])
  }

  @Test func doesNotExpandBroadcasts() throws {
    var n = Net()
    let wide = try n.add(Broadcast([1024, 1024]), n.constant([1024]))
    #expect(try n.returning(wide).rewritten(foldingRules).mnemonics == ["broadcast"])
  }

  @Test func foldsSizesThatAreKnown() throws {
    var n = Net()
    let known = try n.add(Sizes([2, 3]))
    let symbolic = try n.add(Sizes(["b", 3]))
    _ = n.input(["b"])
    #expect(try n.returning(known, symbolic).rewritten(foldingRules).mnemonics == ["sizes"])
  }

  @Test func leavesWhatCannotBeEvaluated() throws {
    var n = Net()
    let index = n.graph.addConstant(HostTensor(.int64, [1], [Int64(7)]))
    let y = try n.add(Gather(axis: 0), n.constant([3]), index)
    #expect(try n.returning(y).rewritten(foldingRules).mnemonics == ["gather"])
  }
}

struct SharingTests {
  @Test func computesEqualThingsOnce() throws {
    var n = Net()
    let x = n.input([2, "w"])
    let (a, b) = (try n.binary(.add, x, 2), try n.binary(.add, x, 2))
    let y = try n.binary(.multiply, a, b)
    let graph = n.returning(y)
    let after = try GraphPass.commonSubexpressions.run(graph)
    try expectAgreement(graph, after, sizes: ["w": 3])
    #expect(after.nodes.count == 2)
    let different = try n.returning(n.binary(.multiply, a, n.binary(.add, x, 3)))
    #expect(try GraphPass.commonSubexpressions.run(different).nodes.count == 3)
  }

  @Test func dropsWhatNobodyNeeds() throws {
    var n = Net()
    let x = n.input([2])
    _ = try n.unary(.exp, x)
    let after = try GraphPass.deadCode.run(n.returning(n.unary(.tanh, x)))
    #expect(after.nodes.count == 1)
    #expect(after.inputs.count == 1)
  }

  @Test func keepsNamesAndOrderOfInputsAndOutputs() throws {
    var n = Net()
    let (x, y) = (n.input([2]), n.input([2]))
    let graph = n.returning(y, x, y)
    let after = try optimise(graph, options: PipelineOptions())
    #expect(after.outputs.map(\.name) == ["y0", "y1", "y2"])
    #expect(after.inputs.map { after[$0].name } == ["x0", "x1"])
    try expectAgreement(graph, after)
  }
}

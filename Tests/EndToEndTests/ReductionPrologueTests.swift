import Compiler
import GraphIR
import LLVMBackend
import TensorTypes
import Testing

/// Reductions that compute an elementwise node as they read.
@Suite struct ReductionPrologueTests {
  /// `reduce((x − y)²)`, y broadcast, and negated: an epilogue as well.
  private func graph(
    _ shape: Shape, other: Shape, _ function: ReductionFunction = .sum, axes: [Int], keepDims: Bool = false,
    returnsSquares: Bool = false
  ) throws -> Graph {
    var net = Net()
    let (x, y) = (net.input("x", shape), net.input("y", other))
    let difference = try net.binary(.subtract, x, y)
    let squares = try net.binary(.multiply, difference, difference)
    let result = try net.unary(.negate, net.graph.add(Reduce(function, axes: axes, keepDims: keepDims), squares))
    return returnsSquares ? net.returning(result, squares) : net.returning(result)
  }

  private func kernels(_ graph: Graph) throws -> [String] {
    let target = Target.all.first { $0.name == "x86-64-v3" }!
    return try Compilation(optimise(graph), modelHash: "", options: CompileOptions(targets: [target])).plans[0]
      .kernels.map(\.template)
  }

  @Test func areOneKernel() throws {
    #expect(try kernels(graph([6, 40], other: [40], axes: [1])) == ["reduction.rows"])
    #expect(try kernels(graph([6, 40], other: [6, 1], axes: [0])) == ["reduction.across"])
    // The squares are wanted themselves.
    #expect(
      try kernels(graph([6, 40], other: [40], axes: [1], returnsSquares: true))
        == ["elementwise.strips", "reduction.rows"])
  }

  @Test(arguments: ReductionFunction.allCases) func agree(function: ReductionFunction) throws {
    for (axes, keepDims) in [([2], false), ([0], true), ([0, 2], false), ([1], true), ([0, 1, 2], false)] {
      for other: [Int] in [[21], [5, 1], [4, 5, 21]] {
        let compiled = try CompiledGraph(
          graph([4, 5, 21], other: other.map { Dim($0) }, function, axes: axes, keepDims: keepDims))
        defer { compiled.remove() }
        try compiled.expectAgreement([[ramp([4, 5, 21]), ramp(other, from: 1.1)]])
      }
    }
  }

  @Test func openSizes() throws {
    let compiled = try CompiledGraph(graph(["m", "n"], other: ["n"], axes: [1]))
    defer { compiled.remove() }
    try compiled.expectAgreement(
      [(1, 1), (3, 40), (0, 3), (3, 0)].map { m, n in [ramp([m, n]), ramp([n], from: 1)] })
  }
}

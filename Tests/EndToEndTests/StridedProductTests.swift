import Compiler
import GraphIR
import LLVMBackend
import TensorTypes
import Testing

/// Convolutions of one tap that read every few positions of a tensor whose channels lie side by side.
@Suite struct StridedProductTests {
  /// A 3×3 convolution, which has channels innermost, then one of one tap with these strides.
  private func graph(_ size: [Dim], strides: [Int], padsAfter: [Int] = [0, 0], groups: Int = 1) throws -> Graph {
    var net = Net()
    let x = net.input("x", [2, 20] + size)
    let first = Convolve(strides: [1, 1], dilations: [1, 1], padsBefore: [1, 1], padsAfter: [1, 1])
    let y = try net.graph.add(first, x, net.graph.addConstant(ramp([24, 20, 3, 3])))
    let second = Convolve(
      strides: strides, dilations: [1, 1], padsBefore: [0, 0], padsAfter: padsAfter, groups: groups)
    let z = try net.graph.add(second, y, net.graph.addConstant(ramp([36, 24 / groups, 1, 1], from: 0.2)))
    return net.returning(try net.unary(.negate, z))
  }

  private func kernels(_ graph: Graph) throws -> [String] {
    let target = Target.all.first { $0.name == "x86-64-v3" }!
    return try Compilation(optimise(graph), modelHash: "", options: CompileOptions(targets: [target])).plans[0]
      .kernels.map(\.template)
  }

  @Test func areProductsOverACopy() throws {
    #expect(
      try kernels(graph([12, 9], strides: [2, 3]))
        == ["movement.copy", "convolution.winograd", "movement.copy", "matmul.packed", "movement.copy"])
    // With a border behind, or in groups, they stay convolutions.
    #expect(try !kernels(graph([12, 9], strides: [2, 2], padsAfter: [1, 0])).contains("matmul.packed"))
    #expect(try !kernels(graph([12, 9], strides: [2, 2], groups: 4)).contains("matmul.packed"))
  }

  @Test(arguments: [[2, 2], [1, 2], [3, 1], [2, 5]])
  func agree(strides: [Int]) throws {
    for size in [[7, 8], [8, 7], [1, 5]] {
      for (padsAfter, groups) in [([0, 0], 1), ([1, 0], 1), ([0, 0], 4), ([0, 2], 12)] {
        let compiled = try CompiledGraph(
          graph(size.map { Dim($0) }, strides: strides, padsAfter: padsAfter, groups: groups))
        defer { compiled.remove() }
        try compiled.expectAgreement([[ramp([2, 20] + size)]])
      }
    }
  }

  @Test func openSizes() throws {
    let compiled = try CompiledGraph(graph(["h", "w"], strides: [2, 2]))
    defer { compiled.remove() }
    try compiled.expectAgreement([(1, 1), (5, 8), (12, 9)].map { h, w in [ramp([2, 20, h, w])] })
  }
}

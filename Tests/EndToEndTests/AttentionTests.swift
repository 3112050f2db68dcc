import Compiler
import GraphIR
import LLVMBackend
import TensorTypes
import Testing

/// Attention whose operands and result lie as projections give and take them, masked in two steps.
@Suite struct AttentionTests {
  /// Inputs `[b, s, heads·4]`, a bias for each head and a mask `[b, 1, s, s]`.
  private func graph(_ batch: Dim, _ size: Dim, heads: Int) throws -> Graph {
    var net = Net()
    let split = try ["q", "k", "v"].map { name in
      let x = net.input(name, [batch, size, Dim(4 * heads)])
      let parts = try net.graph.add(Reshape([batch, size, Dim(heads), 4]), x)
      return try net.graph.add(Transpose([0, 2, 1, 3]), parts)
    }
    var scores = try net.graph.add(MatMul(transposeRight: true), split[0], split[1])
    scores = try net.binary(.add, scores, net.input("bias", [Dim(heads), size, size]))
    scores = try net.binary(.add, scores, net.input("mask", [batch, 1, size, size]))
    let y = try net.graph.add(MatMul(), net.graph.add(Softmax(axis: 3), scores), split[2])
    let rows = try net.graph.add(Transpose([0, 2, 1, 3]), y)
    return net.returning(try net.graph.add(Reshape([batch, size, Dim(4 * heads)]), rows))
  }

  private func inputs(_ b: Int, _ s: Int, heads: Int) -> [HostTensor] {
    let projections = [0.3, 0.9, 1.4].map { ramp([b, s, 4 * heads], from: $0) }
    return projections + [ramp([heads, s, s], from: 0.2), ramp([b, 1, s, s], from: 1.1)]
  }

  /// Masks are joined by one kernel, and the result is written where the output is.
  @Test func nothingIsCopied() throws {
    let target = Target.all.first { $0.name == "x86-64-v3" }!
    let plan = try Compilation(
      optimise(graph(2, 9, heads: 3)), modelHash: "", options: CompileOptions(targets: [target])
    ).plans[0]
    #expect(plan.kernels.map { $0.template.split(separator: ".")[0] } == ["elementwise", "attention"])
  }

  @Test func agrees() throws {
    for (b, s) in [(1, 1), (2, 9), (3, 33)] {
      let compiled = try CompiledGraph(graph(Dim(b), Dim(s), heads: 3))
      defer { compiled.remove() }
      try compiled.expectAgreement([inputs(b, s, heads: 3)])
    }
  }

  @Test func openSizes() throws {
    let compiled = try CompiledGraph(graph("b", "s", heads: 2))
    defer { compiled.remove() }
    try compiled.expectAgreement([(1, 1), (2, 5), (1, 40)].map { inputs($0, $1, heads: 2) })
  }
}

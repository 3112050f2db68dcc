import Compiler
import GraphIR
import LLVMBackend
import TensorTypes
import TesseraRuntime
import Testing

@Suite struct InterfaceTests {
  /// As exporters of decoders write it: a mask has as many columns as there are past positions, and one more.
  @Test func inputSizesThatAreExpressions() throws {
    var net = Net()
    let past = Dim.symbol("past")
    let keys = net.input("keys", [2, past])
    let mask = net.input("mask", [2, past + 1])
    let shifted = try net.graph.add(Slice(axes: [1], starts: [1], sizes: [past], steps: [1]), mask)
    let compiled = try CompiledGraph(net.returning(try net.binary(.add, keys, shifted)))
    defer { compiled.remove() }
    try compiled.expectAgreement([0, 1, 7, 40].map { [ramp([2, $0]), ramp([2, $0 + 1], from: 0.7)] })
    let session = try Session(library: compiled.library)
    let refused = failure { _ = try session.run([ramp([2, 5]), ramp([2, 5])]) }
    #expect(refused?.kind == .badData)
    #expect(refused?.message.contains("'mask': dimension 1 must be past + 1") == true)
  }

  /// One matrix in both branches, and beside them, is stored once.
  @Test func constantsOfSeveralGraphs() throws {
    let matrix = ramp([64, 64])
    func product(_ net: inout Net, _ x: ValueID) throws -> ValueID {
      try net.graph.add(MatMul(), x, net.graph.addConstant(matrix))
    }
    var (then, otherwise, net) = (Net(), Net(), Net())
    let (a, b) = (then.input("x", [3, 64]), otherwise.input("x", [3, 64]))
    let negated = try product(&otherwise, otherwise.unary(.negate, b))
    let branch = If(then: then.returning(try product(&then, a)), otherwise: otherwise.returning(negated))
    let condition = net.input("c", [], .bool)
    let x = try product(&net, net.input("x", [3, 64]))
    let graph = net.returning(try net.graph.add(branch, condition, x))
    let compilation = try Compilation(optimise(graph), modelHash: "", options: CompileOptions(targets: [.avx2]))
    #expect(compilation.plans[0].weights.count == 1)
    let compiled = try CompiledGraph(graph)
    defer { compiled.remove() }
    try compiled.expectAgreement([true, false].map { [flag($0), ramp([3, 64])] })
  }
}

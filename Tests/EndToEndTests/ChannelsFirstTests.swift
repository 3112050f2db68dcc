import Compiler
import GraphIR
import LLVMBackend
import TensorTypes
import Testing

/// Convolutions that stand alone between tensors with channels first, as a model's inputs and outputs lie.
@Suite struct ChannelsFirstTests {
  /// `relu(x ∗ w + bias) + residual` over an image of two channels a group, or of one.
  private func graph(
    channels: Int, outputs: Int, groups: Int, kernel: Int, residual: Bool, _ size: (Dim, Dim)
  ) throws -> Graph {
    var net = Net()
    let x = net.input("x", [2, Dim(channels), size.0, size.1])
    let w = net.graph.addConstant(ramp([outputs, channels / groups, kernel, kernel]))
    let bias = net.graph.addConstant(ramp([outputs, 1, 1], from: 0.1))
    var op = Convolve(
      strides: [1, 1], dilations: [1, 1], padsBefore: [kernel / 2, kernel / 2], padsAfter: [kernel / 2, kernel / 2])
    op.groups = groups
    var y = try net.binary(.add, net.graph.add(op, x, w), bias)
    if residual { y = try net.binary(.add, y, net.input("r", [2, Dim(outputs), size.0, size.1])) }
    return net.returning(y)
  }

  private func kernels(_ graph: Graph) throws -> [String] {
    let target = Target.all.first { $0.name == "x86-64-v3" }!
    let plan = try Compilation(optimise(graph), modelHash: "", options: CompileOptions(targets: [target])).plans[0]
    return plan.kernels.map(\.template)
  }

  @Test(arguments: [true, false])
  func nothingIsCopied(residual: Bool) throws {
    let size: (Dim, Dim) = (9, 21)
    let depthwise = try graph(channels: 6, outputs: 6, groups: 6, kernel: 3, residual: residual, size)
    // A residual with channels first is added by a kernel of its own, which reads what the first one wrote.
    let added = residual ? ["elementwise.strips"] : []
    #expect(try kernels(depthwise) == ["convolution.rows"] + added)
    let grouped = try graph(channels: 8, outputs: 8, groups: 4, kernel: 3, residual: residual, size)
    #expect(try kernels(grouped) == ["convolution.rows"] + added)
    let product = try graph(channels: 7, outputs: 5, groups: 1, kernel: 1, residual: residual, size)
    #expect(try kernels(product) == ["matmul.packed"] + added)
    let inputs = { (c: Int, o: Int) in [ramp([2, c, 9, 21])] + (residual ? [ramp([2, o, 9, 21], from: 0.7)] : []) }
    for (graph, c, o) in [(depthwise, 6, 6), (grouped, 8, 8), (product, 7, 5)] {
      let compiled = try CompiledGraph(graph)
      defer { compiled.remove() }
      try compiled.expectAgreement([inputs(c, o)])
    }
  }

  @Test func openSizes() throws {
    for (groups, kernel) in [(6, 5), (1, 1)] {
      let compiled = try CompiledGraph(
        graph(channels: 6, outputs: 6, groups: groups, kernel: kernel, residual: true, ("h", "w")))
      defer { compiled.remove() }
      try compiled.expectAgreement(
        [(1, 1), (5, 8), (7, 33)].map { h, w in [ramp([2, 6, h, w]), ramp([2, 6, h, w], from: 0.7)] })
    }
  }

  /// Windows of one tap along height and width, which are one dimension where they move by one.
  @Test(arguments: [1, 2])
  func alongTime(step: Int) throws {
    var net = Net()
    let x = net.input("x", [2, 5, 6, 4, 7])
    let op = Convolve(
      strides: [1, step, 1], dilations: [1, 1, 1], padsBefore: [2, 0, 0], padsAfter: [0, 0, 0])
    let y = try net.graph.add(op, x, net.graph.addConstant(ramp([9, 5, 3, 1, 1])))
    let compiled = try CompiledGraph(
      net.returning(net.binary(.add, y, net.graph.addConstant(ramp([9, 1, 1, 1], from: 0.1)))))
    defer { compiled.remove() }
    try compiled.expectAgreement([[ramp([2, 5, 6, 4, 7])]])
  }

  /// A result that is also read with channels last is written so.
  @Test func twoReaders() throws {
    var net = Net()
    let x = net.input("x", [1, 4, 6, 10])
    var op = Convolve(strides: [1, 1], dilations: [1, 1], padsBefore: [1, 1], padsAfter: [1, 1])
    op.groups = 4
    let y = try net.graph.add(op, x, net.graph.addConstant(ramp([4, 1, 3, 3])))
    let wide = Convolve(strides: [1, 1], dilations: [1, 1], padsBefore: [1, 1], padsAfter: [1, 1])
    let z = try net.graph.add(wide, y, net.graph.addConstant(ramp([5, 4, 3, 3], from: 0.2)))
    let compiled = try CompiledGraph(net.returning(y, z))
    defer { compiled.remove() }
    try compiled.expectAgreement([[ramp([1, 4, 6, 10])]])
  }
}

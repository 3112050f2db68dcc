import GraphIR
import TensorTypes
import Testing

/// Tensors of which a dimension is 0: no box was found, no image is in the batch.
@Suite struct EmptyTensorTests {
  @Test(arguments: [[0, 64, 300], [200, 64, 0], [200, 0, 30], [0, 0, 0]], [true, false])
  func products(sizes: [Int], isConstant: Bool) throws {
    let (m, k, n) = (sizes[0], sizes[1], sizes[2])
    var net = Net()
    let a = net.input("a", [Dim(m), Dim(k)])
    let b = isConstant ? net.graph.addConstant(ramp([k, n])) : net.input("b", [Dim(k), Dim(n)])
    try expectAgreement(
      net.returning(net.graph.add(MatMul(), a, b)), isConstant ? [ramp([m, k])] : [ramp([m, k]), ramp([k, n])])
  }

  @Test(arguments: [1, 8])
  func convolutionsOfNoImages(groups: Int) throws {
    var net = Net()
    let x = net.input("x", [0, 8, 16, 16])
    let convolve = Convolve(
      strides: [1, 1], dilations: [1, 1], padsBefore: [1, 1], padsAfter: [1, 1], groups: groups)
    let y = try net.graph.add(convolve, x, net.graph.addConstant(ramp([8, 8 / groups, 3, 3])))
    try expectAgreement(net.returning(y), [ramp([0, 8, 16, 16])])
  }

  @Test func attentionOfNoQueries() throws {
    var net = Net()
    let (q, k, v) = (net.input("q", [1, 4, 0, 64]), net.input("k", [1, 4, 70, 64]), net.input("v", [1, 4, 70, 64]))
    let scores = try net.graph.add(Softmax(axis: 3), net.graph.add(MatMul(transposeRight: true), q, k))
    try expectAgreement(
      net.returning(net.graph.add(MatMul(), scores, v)),
      [ramp([1, 4, 0, 64]), ramp([1, 4, 70, 64]), ramp([1, 4, 70, 64])])
  }

  /// What has elements is computed from what has none.
  @Test func sumsOfNothing() throws {
    var net = Net()
    let x = net.input("x", [5, 0])
    let y = try net.graph.add(Reduce(.sum, axes: [1], keepDims: false), net.unary(.negate, x))
    try expectAgreement(net.returning(y), [ramp([5, 0])])
  }

  private func expectAgreement(_ graph: Graph, _ inputs: [HostTensor]) throws {
    let compiled = try CompiledGraph(graph)
    defer { compiled.remove() }
    try compiled.expectAgreement([inputs])
  }
}

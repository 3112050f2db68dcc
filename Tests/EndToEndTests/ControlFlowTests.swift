import GraphIR
import TensorTypes
import TesseraRuntime
import Testing

@Suite struct ControlFlowTests {
  @Test func oneBranchOfTwo() throws {
    var (then, otherwise) = (Net(), Net())
    let a = then.input("x", ["n"])
    let b = otherwise.input("x", ["n"])
    let branch = If(
      then: then.returning(try then.unary(.exp, a)),
      // The other branch's result is an input of it.
      otherwise: otherwise.returning(b))
    var net = Net()
    let condition = net.input("c", [], .bool)
    let x = net.input("x", ["n"])
    let chosen = try net.graph.add(branch, condition, try net.unary(.negate, x))
    let compiled = try CompiledGraph(net.returning(try net.binary(.add, chosen, x), chosen))
    defer { compiled.remove() }
    try compiled.expectAgreement(
      [1, 8, 9, 300, 0].flatMap { n in [[flag(true), ramp([n])], [flag(false), ramp([n])]] })
  }

  /// The branches' results are of sizes of their own: twice the input, or as many as are not 0.
  @Test func branchesOfDifferentSizes() throws {
    var (then, otherwise) = (Net(), Net())
    let a = then.input("x", ["n"])
    let double = then.returning(try then.graph.add(Concat(axis: 0), a, a))
    let b = otherwise.input("x", ["n"])
    let found = try otherwise.graph.add(NonZero(count: "hits"), b)
    let flat = try otherwise.graph.add(Reshape(["hits"]), found)
    let cast = Expression(inputs: [.int64]) { $0.cast($0.input(0), .float32) }
    let places = otherwise.returning(try otherwise.graph.add(Elementwise(cast), flat))
    let branch = If(then: double, otherwise: places, sizes: ["size"], defined: ["size"])
    var net = Net()
    let condition = net.input("c", [], .bool)
    let x = net.input("x", ["n"])
    let chosen = try net.graph.add(branch, condition, x)
    let size = try net.graph.add(Sizes(["size"]))
    let compiled = try CompiledGraph(net.returning(try net.unary(.exp, chosen), size))
    defer { compiled.remove() }
    let cases = [floats([4], [0, 1, 0, 2]), floats([1], [0]), ramp([70]), floats([0], [])]
    try compiled.expectAgreement(cases.flatMap { [[flag(true), $0], [flag(false), $0]] })
  }

  /// `a, b = b, a + b`, collecting `i · a`: values change places, and outer values are read in every iteration.
  private func fibonacci() throws -> Graph {
    var body = Net()
    let i = body.input("i", [], .int64)
    let goesOn = body.input("go", [], .bool)
    let (a, b, x) = (body.input("a", ["n"]), body.input("b", ["n"]), body.input("x", ["n"]))
    let sum = try body.binary(.add, a, try body.binary(.multiply, b, x))
    let cast = Expression(inputs: [.int64]) { $0.cast($0.input(0), .float32) }
    let scaled = try body.binary(.multiply, a, try body.graph.add(Elementwise(cast), i))
    return body.returning(goesOn, b, sum, scaled)
  }

  @Test func loopOfAnyLength() throws {
    var net = Net()
    let limit = net.input("limit", [], .int64)
    let start = net.input("start", [], .bool)
    let (a, b, x) = (net.input("a", ["n"]), net.input("b", ["n"]), net.input("x", ["n"]))
    let loop = Loop(body: try fibonacci(), carried: 2, sizes: ["n", "n", "trips", "n"], defined: ["trips"])
    let outside = try net.unary(.tanh, x)
    let results = try net.graph.add(loop, [limit, start, a, b, outside])
    let compiled = try CompiledGraph(
      net.returning(results[0], try net.binary(.add, results[1], outside), results[2]))
    defer { compiled.remove() }
    var cases: [[HostTensor]] = []
    for (count, n) in [(0, 3), (1, 3), (2, 9), (7, 40), (-5, 2), (3, 0)] {
      for starts in [true, false] {
        let values = [ramp([n]), ramp([n], from: 0.7), ramp([n], from: 1.1)]
        cases.append([integers([], [Int64(count)]), flag(starts)] + values)
      }
    }
    // Of no iterations the reference says less about the sizes than the graph does.
    try compiled.expectAgreement(cases.filter { $0[0].integers[0] > 0 && $0[1].integers[0] == 1 })
    let session = try Session(library: compiled.library)
    for inputs in cases where inputs[0].integers[0] <= 0 || inputs[1].integers[0] == 0 {
      let y = try session.run(inputs)
      #expect(y[0].doubles == inputs[2].doubles && y[2].shape == [0, inputs[2].shape[0]])
    }
  }

  @Test func loopOfKnownLength() throws {
    var net = Net()
    let limit = net.graph.addConstant(integers([], [5]))
    let start = net.graph.addConstant(flag(true))
    let (a, b, x) = (net.input("a", ["n"]), net.input("b", ["n"]), net.input("x", ["n"]))
    let loop = Loop(body: try fibonacci(), carried: 2, sizes: ["n", "n", 5, "n"], defined: [])
    let results = try net.graph.add(loop, [limit, start, a, b, x])
    let compiled = try CompiledGraph(net.returning(results[0], results[1], results[2]))
    defer { compiled.remove() }
    #expect(compiled.library.outputs.allSatisfy { !$0.isUnknown })
    try compiled.expectAgreement([1, 17].map { n in [ramp([n]), ramp([n], from: 0.7), ramp([n], from: 1.1)] })
  }

  /// Appends to a vector until its sum is large enough: sizes change from one iteration to the next.
  @Test func loopThatGrows() throws {
    var body = Net()
    _ = body.input("i", [], .int64)
    _ = body.input("go", [], .bool)
    let (a, x, enough) = (body.input("a", ["length"]), body.input("x", ["n"]), body.input("enough", []))
    let longer = try body.graph.add(Concat(axis: 0), a, x)
    let sum = try body.graph.add(Reduce(.sum, axes: [0], keepDims: false), longer)
    let inner = body.returning(try body.binary(.less, sum, enough), longer, sum)
    var net = Net()
    let limit = net.graph.addConstant(integers([], [.max]))
    let start = net.graph.addConstant(flag(true))
    let (first, piece, bound) = (net.input("a", ["m"]), net.input("x", ["n"]), net.input("enough", []))
    let loop = Loop(body: inner, carried: 1, sizes: ["end", "trips"], defined: ["end", "trips"])
    let results = try net.graph.add(loop, [limit, start, first, piece, bound])
    let compiled = try CompiledGraph(net.returning(try net.unary(.exp, results[0]), results[1]))
    defer { compiled.remove() }
    try compiled.expectAgreement(
      [(1, 0, 20), (3, 2, 11), (100, 5, -1), (1, 1, 300)].map { (n, m, enough) in
        [ramp([m]), floats([n], [Float](repeating: 0.75, count: n)), floats([], [Float(enough)])]
      })
  }

  /// A branch within a loop, both reading values from outside both.
  @Test func branchWithinLoop() throws {
    var (then, otherwise) = (Net(), Net())
    let (a, x) = (then.input("a", ["n"]), then.input("x", ["n"]))
    let (b, y) = (otherwise.input("a", ["n"]), otherwise.input("x", ["n"]))
    let branch = If(
      then: then.returning(try then.binary(.add, a, x)),
      otherwise: otherwise.returning(try otherwise.binary(.multiply, b, y)))
    var body = Net()
    let i = body.input("i", [], .int64)
    let goesOn = body.input("go", [], .bool)
    let (carried, outer) = (body.input("a", ["n"]), body.input("x", ["n"]))
    let third = Expression(inputs: [.int64]) { e in
      e.binary(.equal, e.binary(.modulo, e.input(0), e.constant(3, .int64)), e.constant(0, .int64))
    }
    let condition = try body.graph.add(Elementwise(third), i)
    let next = try body.graph.add(branch, condition, carried, outer)
    var net = Net()
    let (limit, start) = (net.input("limit", [], .int64), net.graph.addConstant(flag(true)))
    let (first, read) = (net.input("a", ["n"]), net.input("x", ["n"]))
    let loop = Loop(body: body.returning(goesOn, next), carried: 1, sizes: ["n"], defined: [])
    let compiled = try CompiledGraph(net.returning(try net.graph.add(loop, limit, start, first, read)))
    defer { compiled.remove() }
    try compiled.expectAgreement([0, 1, 2, 10].map { [integers([], [$0]), ramp([33]), ramp([33], from: 0.9)] })
  }
}

import GraphIR
import TensorTypes
import Testing

@testable import ONNXImport

/// Graphs of one node, or a few, written as JSON.
@Suite struct ImportTests {
  /// A model with `nodes`; inputs and outputs as `name: TYPE[sizes]`, sizes being numbers or names.
  func model(_ nodes: String, inputs: String = "", outputs: [String] = ["y"], opset: Int = 21, more: String = "") throws
    -> ONNXModel
  {
    let infos = inputs.split(separator: ";").map { info in
      let parts = info.split(separator: ":").map { $0.filter { $0 != " " } }
      let open = parts[1].firstIndex(of: "[")!
      let dims = parts[1][open...].dropFirst().dropLast().split(separator: ",").map {
        Int($0) == nil ? #"{"dimParam": "\#($0)"}"# : #"{"dimValue": \#($0)}"#
      }
      return
        #"{"name": "\#(parts[0])", "type": {"tensorType": {"elemType": "\#(parts[1][..<open])", "shape": {"dim": [\#(dims.joined(separator: ","))]}}}}"#
    }
    let results = outputs.map { #"{"name": "\#($0)"}"# }
    return try readModel(
      json: #"""
        {"opsetImport": [{"version": \#(opset)}], "graph": {"node": [\#(nodes)],
        "input": [\#(infos.joined(separator: ","))], "output": [\#(results.joined(separator: ","))]}\#(more)}
        """#)
  }

  func node(_ op: String, _ inputs: [String], _ outputs: [String] = ["y"], _ attributes: String = "") -> String {
    #"{"opType": "\#(op)", "input": \#(inputs), "output": \#(outputs), "attribute": [\#(attributes)]}"#
  }

  func ints(_ name: String, _ values: [Int]) -> String { #"{"name": "\#(name)", "ints": \#(values), "type": "INTS"}"# }

  func constant(_ name: String, _ values: [Int]) -> String { node("Constant", [], [name], ints("value_ints", values)) }

  func floats(_ shape: [Int], _ values: [Float]? = nil) -> HostTensor {
    HostTensor(.float32, shape, values ?? (0..<shape.reduce(1, *)).map { Float($0) })
  }

  // MARK: Shapes

  @Test func shapeArithmeticIsSettledAtImport() throws {
    // y = reshape(x, concat(shape(x)[0:1], [-1])), as exporters write "flatten all but the batch".
    let graph = try importModel(
      model(
        [
          node("Shape", ["x"], ["s"]), constant("zero", [0]), node("Gather", ["s", "zero"], ["n"]),
          constant("rest", [-1]),
          node("Concat", ["n", "rest"], ["target"], #"{"name": "axis", "i": 0}"#), node("Reshape", ["x", "target"]),
        ].joined(separator: ","), inputs: "x: FLOAT[batch, 3, width]"))
    #expect(graph.nodes.count == 1, "only the reshape is left: \(graph)")
    #expect(graph.type(graph.outputs[0].value).shape == [.symbol("batch"), Dim.symbol("width") * 3])
    #expect(try graph.evaluate([floats([2, 3, 2])])[0].shape == [2, 6])
  }

  @Test func sizesThatDependOnDataGetNames() throws {
    let graph = try importModel(
      model(
        [node("NonZero", ["x"], ["places"]), node("Shape", ["places"], ["s"]), node("ConstantOfShape", ["s"])]
          .joined(separator: ","), inputs: "x: FLOAT[n]"))
    #expect(try graph.evaluate([floats([4])])[0].shape == [1, 3])
  }

  @Test func expressionsInDimensionNamesAreUnderstood() throws {
    let graph = try importModel(
      model(node("Relu", ["b"]), inputs: "a: FLOAT[past]; b: FLOAT[past + 1, other thing]"))
    #expect(graph.type(graph.inputs[1]).shape == [Dim.symbol("past") + 1, .symbol("otherthing")])
  }

  @Test func givenShapesReplaceNamedSizesEverywhere() throws {
    let made = try model(node("Add", ["a", "b"]), inputs: "a: FLOAT[n, 2]; b: FLOAT[n, 2]")
    let graph = try importModel(made, shapes: ["a": [5, 2]])
    #expect(graph.type(graph.inputs[1]).staticShape == [5, 2])
    for wrong in [["a": [5, 3]], ["a": [5]], ["c": [1]], ["a": [1, 2], "b": [2, 2]]] {
      let failure = #expect(throws: Failure.self) { try importModel(made, shapes: wrong) }
      #expect(failure?.kind == .usage)
    }
  }

  // MARK: Versions of operators

  @Test func squeezeTakesAxesAsAttributeThenAsInput() throws {
    let old = try importModel(
      model(node("Squeeze", ["x"], ["y"], ints("axes", [1])), inputs: "x: FLOAT[2, 1, 1]", opset: 11))
    let new = try importModel(
      model(constant("a", [1]) + "," + node("Squeeze", ["x", "a"]), inputs: "x: FLOAT[2, 1, 1]", opset: 13))
    for graph in [old, new] { #expect(graph.type(graph.outputs[0].value).staticShape == [2, 1]) }
  }

  @Test func softmaxFlattenedBeforeVersion13() throws {
    let x = floats([1, 2, 2], [0, 1, 2, 3])
    let attribute = #"{"name": "axis", "i": 1}"#
    let old = try importModel(model(node("Softmax", ["x"], ["y"], attribute), inputs: "x: FLOAT[1, 2, 2]", opset: 11))
    let new = try importModel(model(node("Softmax", ["x"], ["y"], attribute), inputs: "x: FLOAT[1, 2, 2]", opset: 13))
    // Over all four elements, and over pairs.
    #expect(abs(try old.evaluate([x])[0].doubles.reduce(0, +) - 1) < 1e-6)
    #expect(abs(try new.evaluate([x])[0].doubles.reduce(0, +) - 2) < 1e-6)
  }

  @Test func addBroadcastAlongAnAxisBeforeVersion7() throws {
    let attributes = #"{"name": "broadcast", "i": 1}, {"name": "axis", "i": 0}"#
    let graph = try importModel(
      model(node("Add", ["x", "b"], ["y"], attributes), inputs: "x: FLOAT[2, 3]; b: FLOAT[2]", opset: 6))
    #expect(
      try graph.evaluate([floats([2, 3]), floats([2], [10, 20])])[0].array() == [10, 11, 12, 23, 24, 25] as [Float])
  }

  // MARK: Structure

  @Test func branchesReadWhatEnclosesThem() throws {
    func branch(_ op: String) -> String { #"{"node": [\#(node(op, ["x", "x"], ["r"]))], "output": [{"name": "r"}]}"# }
    let attributes =
      #"{"name": "then_branch", "g": \#(branch("Add"))}, {"name": "else_branch", "g": \#(branch("Mul"))}"#
    let graph = try importModel(model(node("If", ["c"], ["y"], attributes), inputs: "c: BOOL[]; x: FLOAT[2]"))
    for (condition, expected) in [(UInt8(1), [6, 8]), (0, [9, 16])] as [(UInt8, [Float])] {
      let results = try graph.evaluate([HostTensor(.bool, [], [condition]), floats([2], [3, 4])])
      #expect(results[0].array() == expected)
    }
  }

  @Test func loopsCarryAndCollect() throws {
    // Powers of two: s ← s + s, collected before.
    let body = #"""
      {"node": [\#(node("Identity", ["go"], ["more"])), \#(node("Add", ["s", "s"], ["t"])), \#(node("Identity", ["s"], ["out"]))],
      "input": [{"name": "i"}, {"name": "go"}, {"name": "s"}], "output": [{"name": "more"}, {"name": "t"}, {"name": "out"}]}
      """#
    let graph = try importModel(
      model(
        constant("n", [4]) + "," + node("Loop", ["n", "", "x"], ["last", "all"], #"{"name": "body", "g": \#(body)}"#),
        inputs: "x: FLOAT[1]", outputs: ["last", "all"]))
    #expect(graph.type(graph.outputs[1].value).staticShape == [4, 1])
    let results = try graph.evaluate([floats([1], [1])])
    #expect(results[0].array() == [16] as [Float] && results[1].array() == [1, 2, 4, 8] as [Float])
  }

  private func chooses(_ then: String, _ otherwise: String) -> String {
    let branches = [("then_branch", then), ("else_branch", otherwise)].map { name, nodes in
      #"{"name": "\#(name)", "g": {"node": [\#(nodes)], "output": [{"name": "r"}]}}"#
    }
    return branches.joined(separator: ",")
  }

  @Test func branchesMayGiveOtherSizes() throws {
    let attributes = chooses(
      node("Concat", ["x", "x"], ["r"], #"{"name": "axis", "i": 0}"#), node("Identity", ["x"], ["r"]))
    let graph = try importModel(
      model(
        node("If", ["c"], ["y"], attributes) + "," + node("Neg", ["y"], ["z"]), inputs: "c: BOOL[]; x: FLOAT[n]",
        outputs: ["z"]))
    try graph.verify()
    let size = try #require(graph.type(graph.outputs[0].value).shape[0].name)
    #expect(size != "n", "the size is known only when the branch is: \(size)")
    for (condition, expected) in [(UInt8(1), [-3, -4, -3, -4]), (0, [-3, -4])] as [(UInt8, [Float])] {
      let results = try graph.evaluate([HostTensor(.bool, [], [condition]), floats([2], [3, 4])])
      #expect(results[0].array() == expected)
    }
  }

  /// `squeeze` as scripting exporters write it: the branch that what follows can read is assumed, and asserted.
  @Test func branchesOfDifferentRanks() throws {
    let squeeze = constant("axes", [1]) + "," + node("Squeeze", ["x", "axes"], ["r"])
    let order = #"{"name": "perm", "ints": [0], "type": "INTS"}"#
    for isFirst in [true, false] {
      let branches = isFirst ? (squeeze, node("Identity", ["x"], ["r"])) : (node("Identity", ["x"], ["r"]), squeeze)
      let nodes =
        node("If", ["c"], ["s"], chooses(branches.0, branches.1)) + "," + node("Transpose", ["s"], ["y"], order)
      let graph = try importModel(model(nodes, inputs: "c: BOOL[]; x: FLOAT[n, m]"))
      try graph.verify()
      #expect(graph.nodes.contains { $0.op is Assert })
      let x = floats([3, 1], [1, 2, 3])
      let good = HostTensor(.bool, [], [UInt8(isFirst ? 1 : 0)])
      #expect(try graph.evaluate([good, x])[0].array() == [1, 2, 3] as [Float])
      #expect(throws: Failure.self) { try graph.evaluate([HostTensor(.bool, [], [UInt8(isFirst ? 0 : 1)]), x]) }
    }
    // What follows fits neither.
    let nodes =
      node("If", ["c"], ["s"], chooses(squeeze, node("Identity", ["x"], ["r"]))) + ","
      + node("Transpose", ["s"], ["y"], #"{"name": "perm", "ints": [0, 1, 2], "type": "INTS"}"#)
    #expect(throws: Failure.self) { try importModel(model(nodes, inputs: "c: BOOL[]; x: FLOAT[n, m]")) }
  }

  @Test func loopsMayChangeSizes() throws {
    // s ← [s, s] while s is shorter than the limit.
    let body = #"""
      {"node": [\#(node("Concat", ["s", "s"], ["t"], #"{"name": "axis", "i": 0}"#)), \#(node("Size", ["t"], ["length"])),
        \#(node("Less", ["length", "limit"], ["more"]))],
      "input": [{"name": "i"}, {"name": "go"}, {"name": "s"}], "output": [{"name": "more"}, {"name": "t"}]}
      """#
    let graph = try importModel(
      model(
        node("Loop", ["", "", "x"], ["y"], #"{"name": "body", "g": \#(body)}"#),
        inputs: "x: FLOAT[2]; limit: INT64[]"))
    try graph.verify()
    #expect(graph.type(graph.outputs[0].value).shape[0].constant == nil)
    for (limit, count) in [(3, 4), (5, 8), (0, 4), (100, 128)] {
      let y = try graph.evaluate([floats([2], [1, 2]), HostTensor(integers: [limit], [])])[0]
      #expect(y.shape == [count] && y.array(of: Float.self).suffix(2) == [1, 2])
    }
  }

  @Test func functionsAreInlinedWithTheirAttributes() throws {
    let function = #"""
      , "functions": [{"name": "Scale", "domain": "own", "input": ["a"], "output": ["b"], "attribute": ["slope"],
        "opsetImport": [{"version": 21}],
        "node": [{"opType": "LeakyRelu", "input": ["a"], "output": ["b"],
          "attribute": [{"name": "alpha", "refAttrName": "slope", "type": "FLOAT"}]}]}]
      """#
    let call =
      #"{"opType": "Scale", "domain": "own", "input": ["x"], "output": ["y"], "attribute": [{"name": "slope", "f": 0.5}]}"#
    let graph = try importModel(model(call, inputs: "x: FLOAT[2]", more: function))
    #expect(try graph.evaluate([floats([2], [-4, 4])])[0].array() == [-2, 4] as [Float])
  }

  @Test func functionsThatCallEachOtherInACircleFail() throws {
    let function = #"""
      , "functions": [{"name": "F", "domain": "own", "input": ["a"], "output": ["b"], "opsetImport": [{"version": 21}],
        "node": [{"opType": "F", "domain": "own", "input": ["a"], "output": ["b"]}]}]
      """#
    let call = #"{"opType": "F", "domain": "own", "input": ["x"], "output": ["y"]}"#
    let made = try model(call, inputs: "x: FLOAT[2]", more: function)
    #expect(throws: Failure.self) { try importModel(made) }
  }

  @Test func everyMissingOperatorIsListed() throws {
    let made = try model(
      [node("Fancy", ["x"], ["a"]), node("Relu", ["a"], ["b"]), node("Fancy", ["b"], ["c"]), node("Odd", ["c"])]
        .joined(separator: ","), inputs: "x: FLOAT[2]")
    #expect(unsupportedOperators(made).map(\.name) == ["Fancy", "Odd"])
    let failure = #expect(throws: Failure.self) { try importModel(made) }
    #expect(failure?.message == "operators not supported: Fancy (a, c); Odd (y)")
  }

  static let malformed: [(String, String, String)] = [
    ("a cycle", #"{"opType": "Add", "input": ["x", "y"], "output": ["y"]}"#, "nothing before it defines"),
    ("a name twice", #"{"opType": "Relu", "input": ["x"], "output": ["x"]}"#, "defined twice"),
    ("a missing output", #"{"opType": "Relu", "input": ["x"], "output": ["w"]}"#, "no node gives output 'y'"),
    ("a missing input", #"{"opType": "Relu", "input": [], "output": ["y"]}"#, "input number 0 is missing"),
    ("types that differ", #"{"opType": "Add", "input": ["x", "i"], "output": ["y"]}"#, "different types"),
    ("shapes that differ", #"{"opType": "Add", "input": ["x", "z"], "output": ["y"]}"#, "do not broadcast"),
    (
      "an axis out of range",
      #"{"opType": "Softmax", "input": ["x"], "output": ["y"], "attribute": [{"name": "axis", "i": 9223372036854775807}]}"#,
      "axis"
    ),
    (
      "an attribute of another kind",
      #"{"opType": "Softmax", "input": ["x"], "output": ["y"], "attribute": [{"name": "axis", "f": 1}]}"#,
      "must be an integer"
    ),
    ("an output too many", #"{"opType": "Relu", "input": ["x"], "output": ["y", "more"]}"#, "has 2 outputs"),
    (
      "a domain not imported", #"{"opType": "Relu", "domain": "other", "input": ["x"], "output": ["y"]}"#,
      "imports no operator set"
    ),
  ]

  @Test(arguments: malformed)
  func sensibleMessagesForNonsense(_ what: String, _ node: String, _ message: String) throws {
    let failure = #expect(throws: Failure.self, "\(what)") {
      try importModel(model(node, inputs: "x: FLOAT[2, 3]; z: FLOAT[4]; i: INT64[2, 3]"))
    }
    #expect(failure?.kind == .badData && failure?.description.contains(message) == true, "\(what): \(failure!)")
  }

  // MARK: Operators against their definitions

  @Test func einsumAgreesWithItsDefinition() throws {
    let (a, b) = (floats([2, 3, 4]), floats([2, 4, 5]))
    let graph = try importModel(
      model(
        node("Einsum", ["a", "b"], ["y"], #"{"name": "equation", "text": "bij,bjk->kbi"}"#),
        inputs: "a: FLOAT[2, 3, 4]; b: FLOAT[2, 4, 5]"))
    let (x, y) = (a.doubles, b.doubles)
    var expected: [Float] = []
    for k in 0..<5 {
      for n in 0..<2 {
        for i in 0..<3 {
          expected.append(Float((0..<4).reduce(0) { $0 + x[n * 12 + i * 4 + $1] * y[n * 20 + $1 * 5 + k] }))
        }
      }
    }
    // Integers of this size are exact in f32.
    #expect(try graph.evaluate([a, b])[0].array() == expected)
  }

  @Test func depthToSpaceInBothOrders() throws {
    let x = floats([1, 4, 1, 1])
    for (mode, expected) in [("DCR", [0, 1, 2, 3]), ("CRD", [0, 1, 2, 3])] as [(String, [Float])] {
      let graph = try importModel(
        model(
          node("DepthToSpace", ["x"], ["y"], #"{"name": "blocksize", "i": 2}, {"name": "mode", "text": "\#(mode)"}"#),
          inputs: "x: FLOAT[n, 4, h, w]"))
      #expect(graph.type(graph.outputs[0].value).shape[2] == Dim.symbol("h") * 2)
      #expect(try graph.evaluate([x])[0].array() == expected)
    }
  }
}

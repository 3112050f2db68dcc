import GraphIR
import TensorTypes
import Testing

@testable import ONNXImport

/// Sequences and optionals inside of a model: what they hold is known while it is imported.
@Suite struct SequenceTests {
  private let tests = ImportTests()
  private let axis0 = #"{"name": "axis", "i": 0}"#

  private func graph(_ nodes: [String], inputs: String) throws -> Graph {
    try importModel(tests.model(nodes.joined(separator: ","), inputs: inputs))
  }

  private func scalar(_ name: String, _ value: Int) -> String {
    tests.node("Constant", [], [name], #"{"name": "value_int", "i": \#(value), "type": "INT"}"#)
  }

  @Test func splitTurnedRoundAndJoined() throws {
    // Pieces of 2, 2 and 1 rows; the last is put first.
    let graph = try graph(
      [
        scalar("two", 2), scalar("last", -1), scalar("zero", 0),
        tests.node("SplitToSequence", ["x", "two"], ["s"], axis0),
        tests.node("SequenceAt", ["s", "last"], ["end"]), tests.node("SequenceErase", ["s"], ["rest"]),
        tests.node("SequenceInsert", ["rest", "end", "zero"], ["t"]), tests.node("Identity", ["t"], ["u"]),
        tests.node("ConcatFromSequence", ["u"], ["y"], axis0),
      ], inputs: "x: FLOAT[5, 2]")
    let y = try graph.evaluate([tests.floats([5, 2])])[0]
    #expect(y.shape == [5, 2] && y.doubles == [8, 9, 0, 1, 2, 3, 4, 5, 6, 7])
  }

  @Test func constructedAndStacked() throws {
    let graph = try graph(
      [
        tests.node("SequenceConstruct", ["a", "b"], ["s"]), tests.node("SequenceLength", ["s"], ["n"]),
        tests.node("ConcatFromSequence", ["s"], ["c"], axis0 + #", {"name": "new_axis", "i": 1}"#),
        tests.node("Cast", ["n"], ["f"], #"{"name": "to", "i": 1}"#), tests.node("Add", ["c", "f"]),
      ], inputs: "a: FLOAT[3]; b: FLOAT[3]")
    let y = try graph.evaluate([tests.floats([3]), tests.floats([3])])[0]
    #expect(y.shape == [2, 3] && y.doubles == [2, 3, 4, 2, 3, 4])
  }

  @Test func piecesWithoutTheirDimension() throws {
    let keep = #", {"name": "keepdims", "i": 0}"#
    let graph = try graph(
      [
        tests.node("SplitToSequence", ["x"], ["s"], axis0 + keep), scalar("one", 1),
        tests.node("SequenceAt", ["s", "one"]),
      ], inputs: "x: FLOAT[3, n]")
    #expect(graph.type(graph.outputs[0].value).shape == [.symbol("n")])
    #expect(try graph.evaluate([tests.floats([3, 2])])[0].doubles == [2, 3])
  }

  @Test func optionals() throws {
    let graph = try graph(
      [
        tests.node("Optional", ["x"], ["o"]), tests.node("OptionalHasElement", ["o"], ["has"]),
        tests.node("OptionalGetElement", ["o"], ["v"]),
        tests.node("Optional", [], ["none"]), tests.node("OptionalHasElement", ["none"], ["hasNone"]),
        tests.node("And", ["has", "hasNone"], ["both"]), tests.node("Where", ["both", "x", "v"]),
      ], inputs: "x: FLOAT[2]")
    #expect(try graph.evaluate([tests.floats([2])])[0].doubles == [0, 1])
  }

  @Test func whatMakesNoSense() {
    let cases: [([String], String)] = [
      ([tests.node("Optional", [], ["o"]), tests.node("OptionalGetElement", ["o"])], "the optional holds nothing"),
      (
        [tests.node("SequenceConstruct", ["x"], ["s"]), scalar("p", 1), tests.node("SequenceAt", ["s", "p"])],
        "position [1] in a sequence of 1"
      ),
      ([tests.node("SequenceConstruct", ["x"], ["s"]), tests.node("Relu", ["s"])], "not a tensor"),
      ([tests.node("ConcatFromSequence", ["x"], ["y"], axis0)], "no sequence"),
      (
        [
          tests.node("SequenceConstruct", ["x"], ["s"]),
          tests.node("ConcatFromSequence", ["s"], ["y"], #"{"name": "axis", "i": 7}"#),
        ], "axis 7"
      ),
    ]
    for (nodes, message) in cases {
      do {
        _ = try graph(nodes, inputs: "x: FLOAT[2]")
        Issue.record("\(message): imported")
      } catch { #expect("\(error)".contains(message), "\(error)") }
    }
  }
}

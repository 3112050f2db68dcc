import Foundation
import GraphIR
import TensorTypes
import Testing

/// An op's text, operands and what ONNX Runtime gives for them: `Fixtures/make-ops.py` made them.
struct OpCase: Decodable, CustomTestStringConvertible {
  struct Tensor: Decodable {
    var type: ElementType
    var shape: [Int]
    var values: [Double]

    var tensor: HostTensor { HostTensor(type, shape) { .float(values[$0]) } }
  }
  var name: String
  var op: String
  var operands: [Tensor]
  var results: [Tensor]

  var testDescription: String { name }

  static let all: [OpCase] = {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    guard let data = try? Data(contentsOf: folder.appending(path: "Fixtures/ops.json")),
      let cases = try? JSONDecoder().decode([OpCase].self, from: data)
    else { preconditionFailure("Fixtures/ops.json beside this file") }
    return cases
  }()

  /// The graph of this op alone, by way of its text: operands as inputs, results as outputs.
  func graph() throws -> Graph {
    var lines = ["graph \"case\" {"]
    for (i, operand) in operands.enumerated() { lines.append("%\(i) = input \"x\(i)\": \(operand.tensor.type)") }
    let labels = results.indices.map { "%\(operands.count + $0)" }
    let types = results.map { result in
      // How many elements are not zero is no part of the type.
      op.hasPrefix("non_zero") ? "i64[\(result.shape[0]), n]" : "\(result.tensor.type)"
    }
    let parts = op.split(separator: " ", maxSplits: 1)
    let arguments = operands.indices.map { "%\($0)" }.joined(separator: ", ")
    lines.append(
      "\(labels.joined(separator: ", ")) = \(parts[0])(\(arguments)) \(parts[1]): \(types.joined(separator: ", "))")
    for (i, label) in labels.enumerated() { lines.append("output \"y\(i)\" = \(label)") }
    return try Graph(parsing: lines.joined(separator: "\n") + "\n}")
  }
}

@Suite struct OpReferenceTests {
  /// Ours rounds once from f64, theirs may sum a few dozen products of numbers of at most 2 in f32.
  @Test(arguments: OpCase.all) func agreesWithONNXRuntime(_ example: OpCase) throws {
    let graph = try example.graph()
    try graph.verify()
    let results = try graph.evaluate(example.operands.map(\.tensor))
    for (result, expected) in zip(results, example.results) {
      #expect(result.shape == expected.shape)
      #expect(result.element == expected.type)
      let peak = expected.values.reduce(1) { max($0, abs($1)) }
      let worst = zip(result.doubles, expected.values).reduce(0) { max($0, abs($1.0 - $1.1)) }
      #expect(worst <= 64 * 0x1p-23 * peak, "error \(worst), got \(result.doubles), expected \(expected.values)")
    }
  }

  @Test(arguments: OpCase.all) func textOfEachOpRoundTrips(_ example: OpCase) throws {
    let graph = try example.graph()
    #expect(try Graph(parsing: graph.text()) == graph)
  }

  @Test func channelsLastAgreesWithChannelsFirst() throws {
    for example in OpCase.all
    where ["convolve ", "convolve_transposed", "pool", "group_norm"].contains(where: { example.op.hasPrefix($0) }) {
      let rank = example.operands[0].shape.count
      let toLast = Transpose([0] + Array(2..<rank) + [1])
      let graph = try example.graph()
      let node = graph[graph.nodeIDs.first!].op
      // The same op with another layout.
      var reader = try AttributeReader(
        node.mnemonic, node.attributes.map { $0.name == "layout" ? ("layout", .word("channelsLast")) : $0 })
      let last = try type(of: node).init(attributes: &reader)
      let operands = example.operands.map(\.tensor)
      let x = try toLast.evaluate([operands[0]])[0]
      let expected = try toLast.evaluate(try node.evaluate(operands))[0]
      let result = try last.evaluate([x] + operands.dropFirst())[0]
      #expect(result.shape == expected.shape, "\(example.name)")
      let worst = zip(result.doubles, expected.doubles).reduce(0) { max($0, abs($1.0 - $1.1)) }
      #expect(worst <= 0x1p-20, "\(example.name): error \(worst)")
    }
  }

  @Test func everyOpIsInTheTable() {
    let tested = Set(OpCase.all.map { String($0.op.prefix { $0 != " " }) })
    // These have tests of their own.
    let elsewhere: Set<String> = [
      "elementwise", "attention", "iota", "sizes", "random", "bind_symbols", "if", "loop", "assert", "bitcast",
      "dequantize", "gather_sum",
    ]
    #expect(Set(allOps.map { $0.mnemonic }) == tested.union(elsewhere))
  }
}

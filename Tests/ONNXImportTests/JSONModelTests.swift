import TensorTypes
import Testing

@testable import ONNXImport

@Suite struct JSONModelTests {
  /// What `MessageToJson` writes for `smallGraph` and a bit more.
  static let small = modelJSON(
    #"""
    "name": "small",
    "node": [{"input": ["x", "w"], "output": ["y"], "name": "conv", "opType": "Conv", "attribute": [
      {"name": "pads", "ints": ["1", "-1", "1", "1"], "type": "INTS"},
      {"name": "auto_pad", "s": "Tk9UU0VU", "type": "STRING"},
      {"name": "alpha", "f": 0.2, "type": "FLOAT"}]}],
    "initializer": [
      {"dims": ["2"], "dataType": 1, "name": "w", "rawData": "AACAPwAAAEA="},
      {"dims": ["2"], "dataType": 1, "name": "f", "floatData": ["NaN", "-Infinity"]},
      {"dims": ["2"], "dataType": 7, "name": "i", "int64Data": ["-9223372036854775808", "7"]}],
    "input": [{"name": "x", "type": {"tensorType": {"elemType": 1, "shape": {"dim": [
      {"dimValue": "3"}, {"dimParam": "width"}, {}]}}}}]
    """#)

  @Test func readsWhatMessageToJsonWrites() throws {
    let graph = try readModel(json: Self.small).graph
    #expect(graph.inputs == [ONNXValueInfo("x", .tensor(.float, shape: [.value(3), .parameter("width"), .unknown]))])
    #expect(try graph.initializers[0].tensor().array() == [1, 2] as [Float])
    let special: [Float] = try graph.initializers[1].tensor().array()
    #expect(special[0].isNaN && special[1] == -.infinity)
    #expect(try graph.initializers[2].tensor().array() == [Int64.min, 7])
    guard case .string("NOTSET")? = graph.nodes[0].attribute("auto_pad")?.value,
      case .float(0.2)? = graph.nodes[0].attribute("alpha")?.value,
      case .ints([1, -1, 1, 1])? = graph.nodes[0].attribute("pads")?.value
    else {
      Issue.record("attributes \(graph.nodes[0].attributes)")
      return
    }
  }

  @Test func readsWhatPeopleWrite() throws {
    let graph = try readModel(
      json: modelJSON(
        #"""
        "node": [{"op_type": "Gemm", "input": ["x"], "output": ["y"], "domain": "ai.onnx", "attribute": [
          {"name": "transB", "i": 1}, {"name": "axes", "ints": [0, -1]}, {"name": "mode", "text": "linear"}]}],
        "initializer": [{"name": "b", "data_type": "FLOAT16", "dims": [2], "int32_data": [15360, 16384]}],
        "doc_string": null
        """#)
    ).graph
    #expect(graph.nodes[0].opType == "Gemm" && graph.nodes[0].domain.isEmpty)
    #expect(graph.initializers[0].dataType == .float16)
    guard case .int(1)? = graph.nodes[0].attribute("transB")?.value,
      case .ints([0, -1])? = graph.nodes[0].attribute("axes")?.value,
      case .string("linear")? = graph.nodes[0].attribute("mode")?.value
    else {
      Issue.record("attributes \(graph.nodes[0].attributes)")
      return
    }
  }

  @Test(arguments: [
    ("duplicate members", #""name": "a", "name": "b""#),
    ("duplicates in both spellings", #""docString": "", "doc_string": """#),
    ("a member no message has", #""nodes": []"#),
    (
      "base64 with a wrong character",
      #""initializer": [{"name": "w", "dims": [1], "dataType": 1, "rawData": "AA*AAA=="}]"#
    ),
    ("base64 cut short", #""initializer": [{"name": "w", "dims": [1], "dataType": 1, "rawData": "AAAAA"}]"#),
    (
      "base64 padded in the middle",
      #""initializer": [{"name": "w", "dims": [1], "dataType": 1, "rawData": "AA==AAAA"}]"#
    ),
    ("data shorter than dims", #""initializer": [{"name": "w", "dims": [2], "dataType": 1, "floatData": [1]}]"#),
    ("data without a type", #""initializer": [{"name": "w", "dims": [1], "floatData": [1]}]"#),
    ("an unknown data type", #""initializer": [{"name": "w", "dims": [1], "dataType": "FLOAT7", "floatData": [1]}]"#),
    ("an integer that is none", #""initializer": [{"name": "w", "dims": [1.5], "dataType": 1, "floatData": [1]}]"#),
    ("a string for an array", #""node": "Conv""#),
    ("a node without operator", #""node": [{"input": ["x"]}]"#),
    ("an attribute of two kinds", #""node": [{"opType": "A", "attribute": [{"name": "a", "i": 1, "f": 1}]}]"#),
    (
      "an attribute given twice",
      #""node": [{"opType": "A", "attribute": [{"name": "a", "i": 1}, {"name": "a", "i": 1}]}]"#
    ),
    ("hexadecimal numbers", #""node": [{"opType": "A", "attribute": [{"name": "a", "f": "0x10"}]}]"#),
    ("half a surrogate pair", #""name": "\ud800""#),
    ("a control character", "\"name\": \"a\nb\""),
    ("a leading zero", #""node": [{"opType": "A", "attribute": [{"name": "a", "i": 01}]}]"#),
    ("a trailing comma", #""name": "a","#),
  ])
  func refuses(_ what: String, _ graph: String) {
    let failure = #expect(throws: Failure.self, "\(what)") { try readModel(json: modelJSON(graph)) }
    #expect(failure?.kind == .badData)
  }

  @Test func cutAtEveryLengthItFails() {
    let bytes = Array(Self.small.utf8)
    for length in 0..<bytes.count {
      #expect(throws: Failure.self, "cut to \(length)") { try readModel(Array(bytes[..<length])) }
    }
    #expect(throws: Failure.self) { try readModel(bytes + Array("}".utf8)) }
  }

  @Test(arguments: ["[", #"{"graph":"#, #"{"graph":{"node":[{"attribute":[{"g":"#])
  func nestedTenThousandDeepFails(_ opening: String) {
    let json = #"{"docString": "# + String(repeating: opening, count: 10_000)
    #expect(throws: Failure.self) { try readModel(json: json) }
    #expect(throws: Failure.self) { try readModel(json: String(repeating: opening, count: 10_000)) }
  }
}

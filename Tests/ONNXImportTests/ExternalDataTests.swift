import TensorTypes
import Testing

@testable import ONNXImport

@Suite struct ExternalDataTests {
  let folder: TemporaryFolder
  let model: String

  init() throws {
    folder = try TemporaryFolder()
    model = "\(folder.path)/model.onnx"
    try folder.write("weights/w.bin", [0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 9])
  }

  func external(_ entries: [(String, String)]) -> [UInt8] {
    modelBytes { w in
      w.message(
        GraphField.initializer,
        tensorMessage("w", [2], .float) { w in
          for (key, value) in entries {
            w.message(TensorField.externalData) { w in
              w.string(StringStringField.key, key)
              w.string(StringStringField.value, value)
            }
          }
          w.int(TensorField.dataLocation, 1)
        })
    }
  }

  @Test(arguments: [[], [("length", "8")], [("offset", "0"), ("length", "8"), ("checksum", "x")]])
  func readsDataBesideTheModel(_ entries: [(String, String)]) throws {
    for location in ["weights/w.bin", "./weights/w.bin"] {
      let bytes = external([("location", location)] + entries)
      let tensor = try readModel(bytes, beside: model).graph.initializers[0].tensor()
      #expect(tensor.array() == [1, 2] as [Float])
    }
  }

  @Test func refusesPathsThatLeaveTheFolder() throws {
    try folder.write("../outside.bin", [UInt8](repeating: 0, count: 8))
    try folder.link("link.bin", to: "weights/w.bin")
    try folder.link("linked", to: "weights")
    let paths = [
      "\(folder.path)/weights/w.bin", "../outside.bin", "weights/../weights/w.bin", "weights//w.bin", "", ".", "..",
      "link.bin", "linked/w.bin", "weights", "missing.bin", "weights/w.bin/x", "weights/w.bin\0", "/etc/passwd",
    ]
    for path in paths {
      let failure = #expect(throws: Failure.self, "\(path)") {
        try readModel(external([("location", path), ("length", "8")]), beside: model)
      }
      #expect(failure?.kind == .badData && failure?.place == "tensor 'w'", "\(path)")
    }
  }

  @Test(arguments: [
    [("offset", "2")], [("length", "9")], [("length", "4")], [("offset", "-1")], [("length", "x")],
    [("offset", "9223372036854775807"), ("length", "9223372036854775807")], [("offset", "10"), ("length", "0")],
  ])
  func refusesRangesThatDoNotFit(_ entries: [(String, String)]) {
    let bytes = external([("location", "weights/w.bin")] + entries)
    #expect(throws: Failure.self) { try readModel(bytes, beside: model) }
  }

  @Test func initializersMayNameTensorFiles() throws {
    let values = HostTensor(.float32, [2, 1], [3, 4] as [Float])
    try values.writeNPY(to: "\(folder.path)/w.npy")
    let header = Array(#"{"a.b":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#.utf8)
    try folder.write("w.safetensors", [UInt8(header.count), 0, 0, 0, 0, 0, 0, 0] + header + [5, 0, 0, 0, 0, 0, 0, 0])
    let graph = try readModel(
      json: modelJSON(
        #"""
        "initializer": [
          {"name": "w", "file": "w.npy"},
          {"name": "v", "file": "w.npy", "dims": [2, 1], "dataType": "FLOAT"},
          {"name": "s", "file": "w.safetensors", "tensor": "a.b"},
          {"name": "a.b", "file": "w.safetensors"}]
        """#), beside: model
    ).graph
    #expect(try graph.initializers[0].tensor().array() == [3, 4] as [Float])
    #expect(graph.initializers[1].dims == [2, 1] && graph.initializers[1].dataType == .float)
    #expect(try graph.initializers[2].tensor().array() == [5] as [Int64])
    #expect(graph.initializers[3].dims == [1])
    for wrong in [
      #"{"name": "w", "file": "w.npy", "dims": [1, 2]}"#, #"{"name": "w", "file": "w.npy", "dataType": 7}"#,
      #"{"name": "w", "file": "w.safetensors"}"#, #"{"name": "w", "file": "../w.npy"}"#,
      #"{"name": "w", "file": "weights/w.bin"}"#,
    ] {
      #expect(throws: Failure.self, "\(wrong)") {
        try readModel(json: modelJSON(#""initializer": [\#(wrong)]"#), beside: model)
      }
    }
  }

  @Test func aMissingModelIsNoInput() {
    let failure = #expect(throws: Failure.self) { try ONNXModelReader.read(path: model) }
    #expect(failure?.kind == .noInput && failure?.file == model)
    let other = #expect(throws: Failure.self) { try ONNXModelReader.read(path: folder.path) }
    #expect(other?.kind == .badData)
  }
}

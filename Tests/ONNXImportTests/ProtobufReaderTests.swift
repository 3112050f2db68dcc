import TensorTypes
import Testing

@testable import ONNXImport

@Suite struct ProtobufReaderTests {
  @Test func readsEveryPartOfASmallModel() throws {
    let model = try readModel(modelBytes(smallGraph))
    #expect(model.irVersion == 10 && model.producerName == "tests" && model.opsetVersions == ["": 21])
    let graph = model.graph
    #expect(graph.name == "small" && graph.nodes.count == 1)
    #expect(graph.nodes[0].opType == "Conv" && graph.nodes[0].inputs == ["x", "w"] && graph.nodes[0].outputs == ["y"])
    #expect(graph.inputs == [ONNXValueInfo("x", .tensor(.float, shape: [.value(3), .parameter("width")]))])
    #expect(try graph.initializers[0].tensor().array(of: Float.self) == [1, 2, 3, 4, 5, 6])
    guard case .ints([1, -1, 1, 1])? = graph.nodes[0].attribute("pads")?.value,
      case .graph(let inner)? = graph.nodes[0].attribute("body")?.value
    else {
      Issue.record("attributes \(graph.nodes[0].attributes)")
      return
    }
    #expect(inner.name == "inner")
  }

  @Test func cutAtEveryLengthItFails() {
    let bytes = modelBytes(smallGraph)
    for length in 0..<bytes.count {
      let failure = #expect(throws: Failure.self, "cut to \(length)") { try readModel(Array(bytes[..<length])) }
      #expect(failure?.kind == .badData)
    }
  }

  /// Whatever is done to a byte, reading ends, with a model or a failure.
  @Test func everyByteChangedReadsOrFails() {
    let bytes = modelBytes(smallGraph)
    var seed = SystemRandomNumberGenerator()
    for position in bytes.indices {
      for value in [0, 0x7f, 0x80, 0xff, UInt8.random(in: 0...255, using: &seed)] {
        var changed = bytes
        changed[position] = value
        do { _ = try readModel(changed) } catch {
          #expect((error as? Failure)?.kind == .badData, "byte \(position) = \(value): \(error)")
        }
      }
    }
  }

  @Test func lengthsBeyondTheFileAreRefusedBeforeAnythingIsAllocated() {
    // Field 9 (raw_data) of a tensor that says it is 2^62 bytes long.
    let huge: [UInt8] = [0x4a] + [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f]
    let model = modelBytes { w in w.data(GraphField.initializer, huge) }
    #expect(throws: Failure.self) { try readModel(model) }
  }

  @Test(arguments: [
    [1 << 40, 1 << 40], [-1, 4], [4, 4], [Int.max, Int.max, Int.max], [Int](repeating: 1, count: 33), [Int.min],
  ])
  func dimensionsThatDoNotFitTheData(_ dims: [Int]) {
    let model = modelBytes { w in
      w.message(
        GraphField.initializer,
        tensorMessage("weight", dims, .float) { $0.fixed(TensorField.rawData, [1, 2, 3, 4] as [Float]) })
    }
    let failure = #expect(throws: Failure.self) { try readModel(model) }
    #expect(failure?.kind == .badData && failure?.place == "tensor 'weight'")
  }

  @Test func graphsNestedTooDeepAreRefused() {
    var attribute = WireWriter { $0.string(AttributeField.name, "g") }
    for _ in 0..<40 {
      let inner = attribute.bytes
      attribute = WireWriter { w in
        w.string(AttributeField.name, "g")
        w.message(AttributeField.g) { w in
          w.message(GraphField.node) { w in
            w.string(NodeField.opType, "If")
            w.data(NodeField.attribute, inner)
          }
        }
      }
    }
    let model = modelBytes { w in
      w.message(GraphField.node) { w in
        w.string(NodeField.opType, "If")
        w.data(NodeField.attribute, attribute.bytes)
      }
    }
    let failure = #expect(throws: Failure.self) { try readModel(model) }
    #expect(failure?.message.contains("nest deeper than 64") == true)
  }

  @Test func nodesAreCounted() {
    let model = modelBytes { w in
      for _ in 0..<11 { w.message(GraphField.node) { $0.string(NodeField.opType, "Relu") } }
    }
    var limits = ONNXLimits()
    limits.nodes = 10
    #expect(throws: Failure.self) { try readModel(model, limits: limits) }
    limits.nodes = 11
    #expect(throws: Never.self) { try readModel(model, limits: limits) }
  }

  @Test func aFieldOfAnotherWireTypeIsRefused() {
    #expect(throws: Failure.self) { try readModel(modelBytes { $0.int(GraphField.node, 7) }) }
    #expect(throws: Failure.self) { try readModel(modelBytes { $0.data(GraphField.name, [0xff, 0xfe]) }) }
  }
}

/// One tensor message of every data type, in the typed field that ONNX gives it.
@Suite struct TypedDataTests {
  func read(_ type: ONNXDataType, _ dims: [Int], _ data: @escaping (inout WireWriter) -> Void) throws -> HostTensor {
    let bytes = modelBytes { $0.message(GraphField.initializer, tensorMessage("t", dims, type, data)) }
    return try readModel(bytes).graph.initializers[0].tensor()
  }

  @Test func floats() throws {
    #expect(
      try read(.float, [2]) { $0.fixed(TensorField.floatData, [1.5, -2] as [Float]) }.array() == [1.5, -2] as [Float])
    #expect(try read(.double, [1]) { $0.fixed(TensorField.doubleData, [0.1] as [Double]) }.array() == [0.1] as [Double])
    // One at a time and in several packed pieces.
    let pieces = try read(.float, [3]) { w in
      w.varint(UInt64(TensorField.floatData.rawValue) << 3 | 5)
      w.bytes += withUnsafeBytes(of: Float(7)) { Array($0) }
      w.fixed(TensorField.floatData, [8, 9] as [Float])
    }
    #expect(pieces.array() == [7, 8, 9] as [Float])
  }

  @Test func integers() throws {
    #expect(try read(.int64, [2]) { $0.packed(TensorField.int64Data, [.min, .max]) }.array() == [Int64.min, .max])
    #expect(try read(.uint64, [1]) { $0.packed(TensorField.uint64Data, [-1]) }.array() == [UInt64.max])
    #expect(try read(.uint32, [1]) { $0.packed(TensorField.uint64Data, [0xffff_ffff]) }.array() == [UInt32.max])
    #expect(try read(.int32, [1]) { $0.packed(TensorField.int32Data, [-5]) }.array() == [Int32(-5)])
    #expect(try read(.int8, [2]) { $0.packed(TensorField.int32Data, [-128, 127]) }.array() == [Int8.min, .max])
    #expect(try read(.uint8, [1]) { $0.packed(TensorField.int32Data, [255]) }.array() == [UInt8.max])
    #expect(try read(.bool, [3]) { $0.packed(TensorField.int32Data, [0, 1, 7]) }.array() == [0, 1, 1] as [UInt8])
    #expect(throws: Failure.self) { try read(.int8, [1]) { $0.packed(TensorField.int32Data, [128]) } }
    #expect(throws: Failure.self) { try read(.int32, [1]) { $0.packed(TensorField.int32Data, [1 << 40]) } }
  }

  @Test func halves() throws {
    #expect(
      try read(.float16, [2]) { $0.packed(TensorField.int32Data, [0x3c00, 0xc000]) }.array() == [0x3c00, 0xc000]
        as [UInt16])
    #expect(try read(.bfloat16, [1]) { $0.packed(TensorField.int32Data, [-16384]) }.array() == [0xc000] as [UInt16])
    #expect(throws: Failure.self) { try read(.float16, [1]) { $0.packed(TensorField.int32Data, [0x10000]) } }
  }

  @Test func typesTesseraLacksFailOnlyWhenNeeded() throws {
    let bytes = modelBytes { w in
      w.message(
        GraphField.initializer,
        tensorMessage("names", [2], .string) { w in
          w.string(TensorField.stringData, "a")
          w.string(TensorField.stringData, "b")
        })
      w.message(
        GraphField.initializer, tensorMessage("q", [3], .float4e2m1) { $0.data(TensorField.rawData, [0x21, 0x03]) })
    }
    let graph = try readModel(bytes).graph
    for tensor in graph.initializers {
      let failure = #expect(throws: Failure.self) { try tensor.tensor() }
      #expect(failure?.place == "tensor '\(tensor.name)'")
    }
  }

  /// Two to a byte, the first in the lower half; as i8 and u8.
  @Test func integersOfFourBits() throws {
    func elements<T: BitwiseCopyable>(_ type: ONNXDataType, as: T.Type) throws -> [T] {
      let bytes = modelBytes { w in
        w.message(GraphField.initializer, tensorMessage("q", [3], type) { $0.data(TensorField.rawData, [0x9F, 0x07]) })
      }
      return try readModel(bytes).graph.initializers[0].tensor().array()
    }
    #expect(try elements(.int4, as: Int8.self) == [-1, -7, 7])
    #expect(try elements(.uint4, as: UInt8.self) == [15, 9, 7])
  }

  @Test func weightsAreSlicesOfTheFile() throws {
    let bytes = storage(modelBytes(smallGraph))
    let model = try ONNXModelReader.read(bytes, beside: "m.onnx")
    let weights = try model.graph.initializers[0].tensor()
    let inside = bytes.bytes.baseAddress!..<bytes.bytes.baseAddress! + bytes.bytes.count
    #expect(inside.contains(weights.bytes.baseAddress!))
  }
}

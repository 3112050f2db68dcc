import TensorTypes

@testable import ONNXImport

/// Writes protobuf's wire format, so that tests need no other program to make models.
struct WireWriter {
  var bytes: [UInt8] = []

  init() {}
  init(_ build: (inout WireWriter) -> Void) { build(&self) }

  mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func int(_ field: some MessageField, _ value: Int) {
    varint(UInt64(field.rawValue) << 3)
    varint(UInt64(bitPattern: Int64(value)))
  }

  mutating func data(_ field: some MessageField, _ content: [UInt8]) {
    varint(UInt64(field.rawValue) << 3 | 2)
    varint(UInt64(content.count))
    bytes += content
  }

  mutating func string(_ field: some MessageField, _ text: String) { data(field, Array(text.utf8)) }
  mutating func message(_ field: some MessageField, _ build: (inout WireWriter) -> Void) {
    data(field, WireWriter(build).bytes)
  }

  mutating func packed(_ field: some MessageField, _ values: [Int]) {
    data(field, WireWriter { w in for v in values { w.varint(UInt64(bitPattern: Int64(v))) } }.bytes)
  }

  mutating func fixed<T: BitwiseCopyable>(_ field: some MessageField, _ values: [T]) {
    data(field, values.withUnsafeBytes { Array($0) })
  }
}

/// The bytes of a tensor message with `dims` and `type`, the rest by `data`.
func tensorMessage(
  _ name: String, _ dims: [Int], _ type: ONNXDataType, _ data: @escaping (inout WireWriter) -> Void
) -> (inout WireWriter) -> Void {
  { w in
    w.packed(TensorField.dims, dims)
    w.int(TensorField.dataType, type.rawValue)
    w.string(TensorField.name, name)
    data(&w)
  }
}

/// A model of which only the graph matters. The operator set comes last, so that a model cut anywhere is not one.
func modelBytes(_ graph: (inout WireWriter) -> Void) -> [UInt8] {
  WireWriter { w in
    w.int(ModelField.irVersion, 10)
    w.string(ModelField.producerName, "tests")
    w.message(ModelField.graph, graph)
    w.message(ModelField.opsetImport) { w in w.int(OperatorSetField.version, 21) }
  }.bytes
}

/// `y = Conv(x, w) ; z = If(c) { … }`, with a bit of everything that messages hold.
func smallGraph(_ w: inout WireWriter) {
  w.message(GraphField.node) { w in
    w.string(NodeField.input, "x")
    w.string(NodeField.input, "w")
    w.string(NodeField.output, "y")
    w.string(NodeField.name, "conv")
    w.string(NodeField.opType, "Conv")
    w.message(NodeField.attribute) { w in
      w.string(AttributeField.name, "pads")
      w.packed(AttributeField.ints, [1, -1, 1, 1])
      w.int(AttributeField.type, AttributeType.ints.rawValue)
    }
    w.message(NodeField.attribute) { w in
      w.string(AttributeField.name, "body")
      w.message(AttributeField.g) { w in w.string(GraphField.name, "inner") }
      w.int(AttributeField.type, AttributeType.graph.rawValue)
    }
  }
  w.string(GraphField.name, "small")
  w.message(
    GraphField.initializer,
    tensorMessage("w", [2, 3], .float) { $0.fixed(TensorField.rawData, [1, 2, 3, 4, 5, 6] as [Float]) })
  w.message(GraphField.input) { w in
    w.string(ValueInfoField.name, "x")
    w.message(ValueInfoField.type) { w in
      w.message(TypeField.tensorType) { w in
        w.int(TensorTypeField.elemType, ONNXDataType.float.rawValue)
        w.message(TensorTypeField.shape) { w in
          w.message(ShapeField.dim) { $0.int(DimensionField.dimValue, 3) }
          w.message(ShapeField.dim) { $0.string(DimensionField.dimParam, "width") }
        }
      }
    }
  }
}

func storage(_ bytes: [UInt8]) -> HostTensor.Storage {
  .make(byteCount: bytes.count) { $0.copyBytes(from: bytes) }
}

func readModel(_ bytes: [UInt8], beside path: String = "model.onnx", limits: ONNXLimits = ONNXLimits()) throws
  -> ONNXModel
{
  try ONNXModelReader.read(storage(bytes), beside: path, limits: limits)
}

func readModel(json: String, beside path: String = "model.json") throws -> ONNXModel {
  try readModel(Array(json.utf8), beside: path)
}

/// A model's JSON of which only the graph's members matter.
func modelJSON(_ graph: String) -> String {
  #"{"irVersion": "10", "opsetImport": [{"version": "21"}], "graph": {\#(graph)}}"#
}

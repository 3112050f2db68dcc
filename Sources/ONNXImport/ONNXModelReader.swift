import TensorTypes

/// Reads ONNX models: the binary encoding, or JSON as protobuf's `MessageToJson` writes it.
public enum ONNXModelReader {
  /// The model in the file at `path`: JSON if its first byte that isn't white space is `{`.
  ///
  /// Weights stay in the mapped file, and in the mapped files beside it that the model names.
  /// - Throws: `Failure` naming the file and, where known, node or tensor.
  public static func read(path: String, limits: ONNXLimits = ONNXLimits()) throws -> ONNXModel {
    do {
      var model = try read(MappedFile.open(path), beside: path, limits: limits)
      model.file = path
      return model
    } catch let failure as Failure { throw failure.inFile(path) }
  }

  /// The model in `bytes`; the files it names lie beside `path`.
  public static func read(
    _ bytes: HostTensor.Storage, beside path: String, limits: ONNXLimits = ONNXLimits()
  ) throws -> ONNXModel {
    let context = ReadContext(limits: limits, files: ExternalFiles(beside: path))
    guard isJSON(bytes) else {
      var reader = WireReader(bytes, context: context)
      return try ONNXModel.read(&reader)
    }
    var reader = JSONFieldReader(bytes, context: context)
    let model = try ONNXModel.read(&reader)
    try reader.end()
    return model
  }

  /// No protobuf message of ONNX's starts with `{`, which would be the start of a group.
  private static func isJSON(_ bytes: HostTensor.Storage) -> Bool {
    bytes.bytes.first { ![0x20, 0x09, 0x0a, 0x0d].contains($0) } == UInt8(ascii: "{")
  }
}

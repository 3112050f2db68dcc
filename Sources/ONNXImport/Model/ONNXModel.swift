import TensorTypes

/// A model as its file says it: ONNX's `ModelProto` in plain values, weights as slices of the mapped files.
///
/// Checked for what reading needs (sizes, limits, presence), not for meaning: the importer does that.
/// Source: onnx.proto of ONNX 1.23 (IR version 14).
public struct ONNXModel: Sendable {
  /// The file it was read from.
  public var file = ""
  public var irVersion: Int64 = 0
  /// Version of each operator set by domain; the default domain is `""`, also where the file says `ai.onnx`.
  public var opsetVersions: [String: Int] = [:]
  public var producerName = ""
  public var producerVersion = ""
  public var domain = ""
  public var modelVersion: Int64 = 0
  public var graph = ONNXGraph()
  public var functions: [ONNXFunction] = []
  public var metadata: [String: String] = [:]

  /// Version of ONNX's operators in ONNX 1.23.
  public static let newestOpset = 28

  public init() {}
}

/// A function local to a model: nodes with such a domain and operator stand for its body.
public struct ONNXFunction: Sendable {
  public var name = ""
  public var domain = ""
  public var overload = ""
  public var inputs: [String] = []
  public var outputs: [String] = []
  /// Attributes a caller must or may give, without default.
  public var attributes: [String] = []
  /// Attributes with a default.
  public var defaults: [ONNXAttribute] = []
  public var nodes: [ONNXNode] = []
  public var opsetVersions: [String: Int] = [:]

  public init() {}
}

/// `GraphProto`: of a model, or of a control-flow operator's attribute.
public struct ONNXGraph: Sendable {
  public var name = ""
  public var nodes: [ONNXNode] = []
  public var initializers: [ONNXTensor] = []
  public var sparseInitializers: [ONNXSparseTensor] = []
  public var inputs: [ONNXValueInfo] = []
  public var outputs: [ONNXValueInfo] = []
  /// Types of values within, where the exporter says them.
  public var valueInfos: [ONNXValueInfo] = []

  public init() {}
}

public struct ONNXNode: Sendable {
  public var name = ""
  public var opType = ""
  /// `""` for ONNX's own operators, also where the file says `ai.onnx`.
  public var domain = ""
  public var overload = ""
  /// Names of values; `""` for an optional one that is absent.
  public var inputs: [String] = []
  public var outputs: [String] = []
  public var attributes: [ONNXAttribute] = []

  public init() {}

  public func attribute(_ name: String) -> ONNXAttribute? { attributes.first { $0.name == name } }

  /// What messages call the node: `node 'conv1' (Conv)`, by its first output if it has no name.
  public var place: String {
    let called = name.isEmpty ? outputs.first.map { " of '\($0)'" } ?? "" : " '\(name)'"
    let kind = domain.isEmpty ? opType : "\(domain).\(opType)"
    return "node\(called) (\(kind))"
  }
}

/// ONNX's default domain has two names.
func canonicalDomain(_ domain: String) -> String { domain == "ai.onnx" ? "" : domain }

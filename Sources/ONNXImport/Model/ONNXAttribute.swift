/// `AttributeProto`: a name and a value.
public struct ONNXAttribute: Sendable {
  /// Strings that are not UTF-8 are repaired.
  public indirect enum Value: Sendable {
    case float(Float)
    case int(Int64)
    case string(String)
    case tensor(ONNXTensor)
    case graph(ONNXGraph)
    case sparseTensor(ONNXSparseTensor)
    case type(ONNXType)
    case floats([Float])
    case ints([Int64])
    case strings([String])
    case tensors([ONNXTensor])
    case graphs([ONNXGraph])
    case sparseTensors([ONNXSparseTensor])
    case types([ONNXType])
    /// Within a function: the value of the caller's attribute of this name.
    case reference(String)
  }

  public var name: String
  public var value: Value

  public init(_ name: String, _ value: Value) {
    self.name = name
    self.value = value
  }
}

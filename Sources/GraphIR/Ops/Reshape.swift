import TensorTypes

/// The same elements in row-major order under another shape.
///
/// - (reshape_c1) One operand, of as many elements as `shape` says.
public struct Reshape: Op {
  public static let mnemonic = "reshape"
  /// Resolved: nothing in it is inferred, no -1 and no 0 that means "as before".
  public var shape: Shape

  public init(_ shape: Shape) { self.shape = shape }

  public var attributes: [(name: String, value: Attribute)] { [("shape", .dims(shape))] }
  public init(attributes: inout AttributeReader) throws { shape = try attributes.dims("shape") }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 1 && mayBeEqual(x[0].elementCount, shape.product), "reshape_c1: operands \(x) to shape \(shape)")
    return [TensorType(x[0].element, shape)]
  }

  public func contents(_ x: [ValueFacts]) -> [[Dim]?] { [x[0].contents] }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] { [x[0].reshaped(try shape.integers())] }

  public func substituting(_ bindings: [String: Dim]) -> Reshape { Reshape(shape.substituting(bindings)) }
}

import TensorTypes

/// Repeats along new outer dimensions and along dimensions of size 1, up to `shape`.
///
/// - (broadcast_c1) One operand of at most the rank of `shape`; aligned at the innermost dimension, its sizes are 1
///   or those of `shape`.
public struct Broadcast: Op {
  public static let mnemonic = "broadcast"
  public var shape: Shape

  public init(_ shape: Shape) { self.shape = shape }

  public var attributes: [(name: String, value: Attribute)] { [("shape", .dims(shape))] }
  public init(attributes: inout AttributeReader) throws { shape = try attributes.dims("shape") }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 1 && x[0].rank <= shape.count
        && zip(x[0].shape.reversed(), shape.reversed()).allSatisfy { $0 == 1 || mayBeEqual($0, $1) },
      "broadcast_c1: operands \(x) to shape \(shape)")
    return [TensorType(x[0].element, shape)]
  }

  public func contents(_ x: [ValueFacts]) -> [[Dim]?] { contentsByMoving(x) }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] { [x[0].broadcast(to: try shape.integers())] }

  public func substituting(_ bindings: [String: Dim]) -> Broadcast { Broadcast(shape.substituting(bindings)) }
}

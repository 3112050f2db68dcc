import TensorTypes

/// The same bits as elements of another type of the same width.
///
/// - (bitcast_c1) One operand; both types are as wide, and neither is bool.
public struct Bitcast: Op {
  public static let mnemonic = "bitcast"
  public var element: ElementType

  public init(_ element: ElementType) { self.element = element }

  public var attributes: [(name: String, value: Attribute)] { [("element", .word(element))] }
  public init(attributes: inout AttributeReader) throws { element = try attributes.word("element") }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 1 && x[0].element.byteCount == element.byteCount && x[0].element != .bool && element != .bool,
      "bitcast_c1: operands \(x) as \(element.rawValue)")
    return [TensorType(element, x[0].shape)]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    [HostTensor(element, x[0].shape, storage: x[0].storage)]
  }
}

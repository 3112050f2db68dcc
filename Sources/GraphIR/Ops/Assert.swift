import TensorTypes

/// Passes a bool on and ends the run with a message unless it is what it must be: an assumption under which the graph
/// was made. Stays in the graph whether or not its result is read.
///
/// - (assert_c1) One bool.
/// - (assert_c2) At run time it is `expected`.
public struct Assert: Op {
  public static let mnemonic = "assert"
  public var expected: Bool
  public var message: String

  public init(_ message: String, expected: Bool) { (self.message, self.expected) = (message, expected) }

  public var attributes: [(name: String, value: Attribute)] {
    [("expected", .bool(expected)), ("message", .string(message))]
  }
  public init(attributes: inout AttributeReader) throws {
    expected = try attributes.bool("expected")
    message = try attributes.string("message")
  }

  public var hasEffect: Bool { true }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(x.count == 1 && x[0].element == .bool && x[0].elementCount == 1, "assert_c1: operands \(x)")
    return x
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    guard (x[0].integers[0] != 0) == expected else { throw Failure.badData(message) }
    return x
  }
}

import TensorTypes

/// `y[i] = Σ_{j ≤ i} x[j]` along `axis`, or the product; `j < i` if exclusive; from the end if reverse.
///
/// - (cumulative_c1) One operand, of which `axis` is a dimension.
/// - (cumulative_c2) The element type is not bool.
public struct Cumulative: Op {
  public static let mnemonic = "cumulative"
  public enum Function: String, Hashable, Sendable, Codable, CaseIterable { case sum, product }

  public var function: Function
  public var axis: Int
  public var exclusive: Bool
  public var reverse: Bool

  public init(_ function: Function = .sum, axis: Int, exclusive: Bool = false, reverse: Bool = false) {
    (self.function, self.axis, self.exclusive, self.reverse) = (function, axis, exclusive, reverse)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [
      ("function", .word(function)), ("axis", .integer(axis)), ("exclusive", .bool(exclusive)),
      ("reverse", .bool(reverse)),
    ]
  }
  public init(attributes: inout AttributeReader) throws {
    function = try attributes.word("function", default: .sum)
    axis = try attributes.integer("axis")
    exclusive = try attributes.bool("exclusive", default: false)
    reverse = try attributes.bool("reverse", default: false)
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(x.count == 1 && areAxes([axis], rank: x[0].rank), "cumulative_c1: axis \(axis) of operands \(x)")
    try require(x[0].element != .bool, "cumulative_c2: elements of type bool")
    return x
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    [x[0].element.isFloat ? accumulate(x[0], Double.self) : accumulate(x[0], Int64.self)]
  }

  private func accumulate<N: ReferenceNumber>(_ x: HostTensor, _: N.Type) -> HostTensor {
    let (outer, inner) = splitPositions(x.shape, [axis])
    var values = N.load(x)
    for start in outer {
      var sum = N.value(.identity(of: function == .sum ? .sum : .product, x.element))
      for step in reverse ? inner.reversed() : inner {
        let value = values[start + step]
        let after = function == .sum ? N.sum(sum, value) : N.product(sum, value)
        values[start + step] = exclusive ? sum : after
        sum = after
      }
    }
    return HostTensor(x.element, x.shape, N.column(values))
  }
}

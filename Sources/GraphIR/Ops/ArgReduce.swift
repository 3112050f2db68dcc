import TensorTypes

/// The index along `axis` of the smallest or largest element, as i64. NaN counts as smaller and as larger than any
/// number. Of equal elements the first is taken, or the last with `selectLast`.
///
/// - (arg_reduce_c1) One operand, of which `axis` is a dimension that is not empty.
public struct ArgReduce: Op {
  public enum Function: String, Hashable, Sendable, Codable, CaseIterable { case minimum, maximum }

  public static let mnemonic = "arg_reduce"
  public var function: Function
  public var axis: Int
  public var keepDims: Bool
  public var selectLast: Bool

  public init(_ function: Function, axis: Int, keepDims: Bool, selectLast: Bool = false) {
    (self.function, self.axis, self.keepDims, self.selectLast) = (function, axis, keepDims, selectLast)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [
      ("function", .word(function)), ("axis", .integer(axis)), ("keep_dims", .bool(keepDims)),
      ("select_last", .bool(selectLast)),
    ]
  }
  public init(attributes: inout AttributeReader) throws {
    function = try attributes.word("function")
    axis = try attributes.integer("axis")
    keepDims = try attributes.bool("keep_dims")
    selectLast = try attributes.bool("select_last", default: false)
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 1 && areAxes([axis], rank: x[0].rank) && x[0].shape[axis] != 0,
      "arg_reduce_c1: axis \(axis) of operands \(x)")
    return [TensorType(.int64, reducedShape(x[0].shape, [axis], keepDims: keepDims))]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    [x[0].element.isFloat ? find(x[0], Double.self) : find(x[0], Int64.self)]
  }

  private func find<N: ReferenceNumber>(_ x: HostTensor, _: N.Type) -> HostTensor {
    let (outer, inner) = splitPositions(x.shape, [axis])
    let values = N.load(x)
    let precedes = ordering(x.element, largestFirst: function == .maximum, nanFirst: true) as (N, N) -> Bool
    let results = outer.map { start in
      inner.indices.reduce(0) { best, i in
        let (candidate, incumbent) = (values[start + inner[i]], values[start + inner[best]])
        return (selectLast ? !precedes(incumbent, candidate) : precedes(candidate, incumbent)) ? i : best
      }
    }
    return HostTensor(integers: results, reducedShape(x.shape, [axis], keepDims: keepDims, one: 1))
  }
}

/// A strict weak order of elements: by value, NaN before all numbers or after them.
func ordering<N: ReferenceNumber>(_ element: ElementType, largestFirst: Bool, nanFirst: Bool) -> (N, N) -> Bool {
  // u64 is held as bits: its order is that of the bits with the sign flipped.
  let isLess: (N, N) -> Bool
  if element == .uint64 {
    let less = N.function(.less, element)
    isLess = { less($0, $1) != N.zero }
  } else {
    isLess = { $0 < $1 }
  }
  return { a, b in
    if a.isNaN || b.isNaN { return nanFirst ? a.isNaN && !b.isNaN : !a.isNaN && b.isNaN }
    return largestFirst ? isLess(b, a) : isLess(a, b)
  }
}

import TensorTypes

/// `y[a…, i…, b…] = x[a…, indices[i…], b…]`: slices of the first operand along `axis`. Negative indices count from
/// the end.
///
/// - (gather_c1) Two operands, data and indices of type i32 or i64.
/// - (gather_c2) `axis` is a dimension of the data.
/// - (gather_c3) Indices are within the dimension (checked when they are known).
public struct Gather: Op {
  public static let mnemonic = "gather"
  public var axis: Int

  public init(axis: Int) { self.axis = axis }

  public var attributes: [(name: String, value: Attribute)] { [("axis", .integer(axis))] }
  public init(attributes: inout AttributeReader) throws { axis = try attributes.integer("axis") }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(x.count == 2 && x[1].element.isIndex, "gather_c1: operands \(x)")
    try require(areAxes([axis], rank: x[0].rank), "gather_c2: axis \(axis) of \(x[0])")
    return [TensorType(x[0].element, x[0].shape[..<axis] + x[1].shape + x[0].shape[(axis + 1)...])]
  }

  public func contents(_ x: [ValueFacts]) -> [[Dim]?] { contentsByMoving(x) }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let (data, size) = (x[0], x[0].shape[axis])
    let indices = try x[1].integers.map { try resolveIndex($0, size, "gather_c3") }
    let inner = data.shape[(axis + 1)...].reduce(1, *)
    var positions: [Int] = []
    for outer in 0..<data.shape[..<axis].reduce(1, *) {
      for index in indices {
        let start = (outer * size + index) * inner
        positions.append(contentsOf: start..<start + inner)
      }
    }
    return [data.picking(positions, Array(data.shape[..<axis] + x[1].shape + data.shape[(axis + 1)...]))]
  }
}

extension ElementType {
  var isIndex: Bool { self == .int64 || self == .int32 }
}

/// The index that `index`, negative from the end, means in a dimension of `size`.
/// - Throws: `Failure` quoting `constraint` if it is outside.
func resolveIndex(_ index: Int64, _ size: Int, _ constraint: String) throws -> Int {
  let resolved = index < 0 ? Int(index) + size : Int(index)
  guard resolved >= 0 && resolved < size else {
    throw Failure.badData("\(constraint): index \(index) of a dimension of \(size)")
  }
  return resolved
}

import TensorTypes

/// `y[i…] = x[i… with i[axis] = indices[i…]]`. Negative indices count from the end.
///
/// - (gather_elements_c1) Two operands of one rank, data and indices of type i32 or i64.
/// - (gather_elements_c2) `axis` is a dimension of them; the other dimensions of the indices are not larger than the
///   data's.
/// - (gather_elements_c3) Indices are within the dimension (checked when they are known).
public struct GatherElements: Op {
  public static let mnemonic = "gather_elements"
  public var axis: Int

  public init(axis: Int) { self.axis = axis }

  public var attributes: [(name: String, value: Attribute)] { [("axis", .integer(axis))] }
  public init(attributes: inout AttributeReader) throws { axis = try attributes.integer("axis") }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 2 && x[1].element.isIndex && x[0].rank == x[1].rank, "gather_elements_c1: operands \(x)")
    let fits = x[0].shape.indices.allSatisfy { i in
      guard i != axis, let size = x[0].shape[i].constant, let wanted = x[1].shape[i].constant else { return true }
      return wanted <= size
    }
    try require(areAxes([axis], rank: x[0].rank) && fits, "gather_elements_c2: axis \(axis) of operands \(x)")
    return [TensorType(x[0].element, x[1].shape)]
  }

  public func contents(_ x: [ValueFacts]) -> [[Dim]?] { contentsByMoving(x) }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let positions = try elementPositions(x[0].shape, x[1], axis: axis, "gather_elements_c3")
    return [x[0].picking(positions, x[1].shape)]
  }
}

/// For each element of `indices`, the row-major position in a tensor of `shape` that it has with its index along
/// `axis` replaced by its value.
func elementPositions(_ shape: [Int], _ indices: HostTensor, axis: Int, _ constraint: String) throws -> [Int] {
  let strides = rowMajorStrides(shape)
  let others = strides.indices.map { $0 == axis ? 0 : strides[$0] }
  let starts = stridedPositions(indices.shape, strides: others)
  return try zip(starts, indices.integers).map { start, index in
    start + (try resolveIndex(index, shape[axis], constraint)) * strides[axis]
  }
}

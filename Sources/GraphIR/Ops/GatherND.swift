import TensorTypes

/// `y[b…, i…] = x[b…, indices[b…, i…, :]]`: each row of the indices, along their last dimension, names a slice of the
/// data. The first `batchDims` dimensions run along with those of the indices. Negative indices count from the end.
///
/// - (gather_nd_c1) Two operands, data and indices of type i32 or i64 and rank 1 or more.
/// - (gather_nd_c2) The last dimension of the indices is an integer, at most the data's rank less `batchDims`.
/// - (gather_nd_c3) The batch dimensions are equal.
/// - (gather_nd_c4) Indices are within their dimensions (checked when they are known).
public struct GatherND: Op {
  public static let mnemonic = "gather_nd"
  public var batchDims: Int

  public init(batchDims: Int = 0) { self.batchDims = batchDims }

  public var attributes: [(name: String, value: Attribute)] { [("batch_dims", .integer(batchDims))] }
  public init(attributes: inout AttributeReader) throws {
    batchDims = try attributes.integer("batch_dims", default: 0)
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(x.count == 2 && x[1].element.isIndex && x[1].rank >= 1, "gather_nd_c1: operands \(x)")
    guard let depth = x[1].shape[x[1].rank - 1].constant, batchDims >= 0, batchDims < x[1].rank,
      depth <= x[0].rank - batchDims
    else { throw Failure.badData("gather_nd_c2: operands \(x), \(batchDims) batch dimensions") }
    try require(
      mayBeEqual(Shape(x[0].shape[..<batchDims]), Shape(x[1].shape[..<batchDims])), "gather_nd_c3: operands \(x)")
    return [TensorType(x[0].element, x[1].shape.dropLast() + x[0].shape[(batchDims + depth)...])]
  }

  public func contents(_ x: [ValueFacts]) -> [[Dim]?] { contentsByMoving(x) }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let shape = try infer(x.map(\.type))[0].shape.integers()
    let starts = try slicePositions(x[0].shape, x[1], batchDims: batchDims, "gather_nd_c4")
    let inner = x[0].shape[(batchDims + x[1].shape.last!)...].reduce(1, *)
    return [x[0].picking(starts.flatMap { Array($0..<$0 + inner) }, shape)]
  }
}

/// The row-major position, in a tensor of `shape`, of the first element of the slice that each row of `indices` names.
func slicePositions(_ shape: [Int], _ indices: HostTensor, batchDims: Int, _ constraint: String) throws -> [Int] {
  let strides = rowMajorStrides(shape)
  let depth = indices.shape.last!
  let values = indices.integers
  let rows = indices.shape.dropLast().reduce(1, *)
  let rowsPerBatch = max(indices.shape[batchDims..<indices.shape.count - 1].reduce(1, *), 1)
  // Consecutive batches are as far apart as the innermost batch dimension's neighbours.
  let batchStride = batchDims == 0 ? 0 : strides[batchDims - 1]
  return try (0..<rows).map { row in
    var position = row / rowsPerBatch * batchStride
    for i in 0..<depth {
      let axis = batchDims + i
      position += try resolveIndex(values[row * depth + i], shape[axis], constraint) * strides[axis]
    }
    return position
  }
}

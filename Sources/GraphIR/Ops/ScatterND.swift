import TensorTypes

/// A copy of the data in which the slice named by each row of the indices is joined with a slice of the updates, in
/// row-major order. Negative indices count from the end.
///
/// - (scatter_nd_c1) Three operands: data, indices of type i32 or i64 and rank 1 or more, updates of the data's type.
/// - (scatter_nd_c2) The last dimension of the indices is an integer, at most the data's rank.
/// - (scatter_nd_c3) The updates have the shape that gathering by these indices gives.
/// - (scatter_nd_c4) Indices are within their dimensions (checked when they are known).
public struct ScatterND: Op {
  public static let mnemonic = "scatter_nd"
  public var reduction: ScatterReduction

  public init(reduction: ScatterReduction = .replace) { self.reduction = reduction }

  public var attributes: [(name: String, value: Attribute)] { [("reduction", .word(reduction))] }
  public init(attributes: inout AttributeReader) throws {
    reduction = try attributes.word("reduction", default: .replace)
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 3 && x[1].element.isIndex && x[1].rank >= 1 && x[2].element == x[0].element,
      "scatter_nd_c1: operands \(x)")
    guard let depth = x[1].shape[x[1].rank - 1].constant, depth <= x[0].rank else {
      throw Failure.badData("scatter_nd_c2: operands \(x)")
    }
    try require(
      mayBeEqual(x[2].shape, x[1].shape.dropLast() + x[0].shape[depth...]), "scatter_nd_c3: operands \(x)")
    return [x[0]]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let starts = try slicePositions(x[0].shape, x[1], batchDims: 0, "scatter_nd_c4")
    let inner = x[0].shape[x[1].shape.last!...].reduce(1, *)
    return [reduction.apply(x[0], starts.flatMap { Array($0..<$0 + inner) }, x[2])]
  }
}

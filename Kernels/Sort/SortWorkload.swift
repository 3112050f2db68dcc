import TensorTypes
import TileIR

/// The first `k` elements along a dimension in order, and where they were.
public struct SortWorkload: Hashable, Sendable, Codable {
  public var x: View
  public var axis: Int
  /// Largest first; NaN counts as larger than any number.
  public var isDescending: Bool
  /// Of x's shape, k along the axis.
  public var output: View
  /// i64, of the output's shape.
  public var indices: View

  public init(x: View, axis: Int, isDescending: Bool, output: View, indices: View) {
    (self.x, self.axis, self.isDescending, self.output, self.indices) = (x, axis, isDescending, output, indices)
  }

  public var operands: [View] { [x] }
}

extension SortWorkload {
  /// k.
  var kept: Dim { output.shape[axis] }

  /// Of x, the output and the indices.
  var space: SlicedSpace { SlicedSpace([x, output, indices], axis: axis) }
}

/// What the programs of sorts read and write, the sorted dimension last.
struct SortOperands {
  let w: SortWorkload
  let space: SlicedSpace
  let b: TileBuilder
  let x, y, indices: TileBuffer

  init(_ w: SortWorkload, in b: TileBuilder) {
    (self.w, self.b, space) = (w, b, w.space)
    x = b.parameter("x", .input, space.views[0].buffer)
    y = b.parameter("y", .output, space.views[1].buffer)
    indices = b.parameter("indices", .output, space.views[2].buffer)
  }

  /// Of a tile of x's elements integers that are the larger the earlier an element comes.
  func rank(_ values: Tile) -> Tile { values.rank(largestFirst: w.isDescending, nanFirst: w.isDescending, in: b) }
}

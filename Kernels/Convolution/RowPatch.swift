import TensorTypes
import TileIR

/// Copies the planes that a rectangle of outputs needs into local memory: row by row, zeros where they reach over the
/// image's border, column c at place c / stride of residue c mod stride.
struct RowPatch {
  /// With three space dimensions, positions of a row side by side.
  let w: ConvolutionWorkload
  let shape: PatchShape
  let lanes: Int
  let b: TileBuilder
  let x: TileBuffer

  /// - Parameters:
  ///   - patch: `[channels · taps[0], shape.height, stride, n]`, n at least `shape.places + lanes`: whole vectors
  ///     may be stored anywhere.
  ///   - position: the rectangle's first output position: d, h, w.
  ///   - height: how many output rows the rectangle has.
  func copy(to patch: TileBuffer, n: Tile, group: Tile, at position: [Tile], height: Tile) {
    let start = (0..<3).map { position[$0] * w.strides[$0] - w.padsBefore[$0] }
    let zero = b.index(0)
    let sizes = (1...3).map { b.size(w.x.shape[$0]) }
    let rows = (height - 1) * w.strides[1] + ((shape.taps[1] - 1) * w.dilations[1] + 1)
    let columns = b.index(shape.places * w.strides[2])
    let (lower, upper) = columns.inside(sizes[2], from: start[2], zero: zero)
    b.loop(to: b.index(shape.planes)) { plane in
      let channel = group * shape.channels + plane / shape.taps[0]
      let d = start[0] + plane % shape.taps[0] * w.dilations[0]
      let isInside = zero.lessEqual(d).and(d.less(sizes[0]))
      // Rows of the patch that lie within the image: from first to end.
      let first = isInside.select((zero - start[1]).maximum(zero).minimum(rows), rows)
      let end = (sizes[1] - start[1]).minimum(rows).maximum(first)
      b.loop(to: first) { clear(patch, plane, $0, from: zero) }
      b.loop(from: first, to: end) { row in
        copyRow(patch, plane, row, [.at(n), .at(d), .at(start[1] + row)], channel, start[2], lower, upper)
      }
      b.loop(from: end, to: rows) { clear(patch, plane, $0, from: zero) }
    }
  }

  /// Columns `lower ..< upper` from the image, zeros before and behind.
  private func copyRow(
    _ patch: TileBuffer, _ plane: Tile, _ row: Tile, _ outer: [TileBuffer.Index], _ channel: Tile, _ start: Tile,
    _ lower: Tile, _ upper: Tile
  ) {
    let (stride, zero) = (w.strides[2], b.index(0))
    // Vectors begin at residue 0; columns before the first such one go one by one, over zeros.
    let firstPlace = lower.ceilDivided(by: stride)
    let leading = (firstPlace * stride).minimum(upper)
    if stride > 1 || w.padsBefore[2] > 0 {
      b.loop(to: firstPlace, step: lanes) { place in store(zeros, patch, plane, row, place) }
    }
    if stride > 1 {
      b.loop(from: lower, to: leading) { column in
        let value = x.load(outer + [.at(start + column), .at(channel)], shape: [])
        patch.store(value, [.at(plane), .at(row), .at(column % stride), .at(column / stride)])
      }
    }
    let width = stride * lanes
    let whole = leading + (upper - leading) / width * width
    func move(_ column: Tile, limit: Tile?) {
      let values = x.load(outer + [.span(start + column, 0), .at(channel)], shape: [width], limits: [limit])
      let residues = stride == 1 ? values.reshape([1, lanes]) : values.reshape([lanes, stride]).transpose([1, 0])
      store(residues, patch, plane, row, column / stride)
    }
    b.loop(from: leading, to: whole, step: width) { move($0, limit: nil) }
    b.when(whole.less(upper)) { move(whole, limit: upper - whole) }
    let covered = whole.less(upper).select(whole + width, whole).maximum(firstPlace * stride)
    clear(patch, plane, row, from: (covered / stride).maximum(zero))
  }

  private var zeros: Tile { b.constant(0, .float32, [w.strides[2], lanes]) }

  private func clear(_ patch: TileBuffer, _ plane: Tile, _ row: Tile, from place: Tile) {
    b.loop(from: place, to: b.index(shape.places), step: lanes) { store(zeros, patch, plane, row, $0) }
  }

  /// A vector of each residue.
  private func store(_ values: Tile, _ patch: TileBuffer, _ plane: Tile, _ row: Tile, _ place: Tile) {
    patch.store(values, [.at(plane), .at(row), .span(b.index(0), 0), .span(place, 1)])
  }
}

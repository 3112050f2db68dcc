import TensorTypes
import TileIR

/// Copies the part of an image that a rectangle of outputs needs into local memory, channels innermost, zeros where
/// it reaches over the image's border.
struct PatchCopy {
  /// With three space dimensions.
  let w: ConvolutionWorkload
  let machine: Machine
  let channels: Int
  let taps: [Int]
  let patchHeight: Int
  let patchWidth: Int
  let b: TileBuilder
  let x: TileBuffer

  /// - Parameters:
  ///   - patch: `[taps[0] · patchHeight, patchWidth · channels, …]`, the last dimension stepping like the one before it.
  ///   - position: the rectangle's first output position: d, h, w.
  ///   - height, width: how many output rows and columns the rectangle has.
  func copy(to patch: TileBuffer, n: Tile, group: Tile, at position: [Tile], height: Tile, width: Tile) {
    let start = (0..<3).map { position[$0] * w.strides[$0] - w.padsBefore[$0] }
    let rows = (height - 1) * w.strides[1] + ((taps[1] - 1) * w.dilations[1] + 1)
    let columns = (width - 1) * w.strides[2] + ((taps[2] - 1) * w.dilations[2] + 1)
    let sizes = (1...3).map { b.size(w.x.shape[$0]) }
    let zero = b.index(0)
    // Columns of the patch that lie within the image: lower ..< upper.
    let lower = (zero - start[2]).maximum(zero).minimum(columns)
    let upper = (sizes[2] - start[2]).minimum(columns).maximum(lower)
    let firstChannel = group * channels
    b.loop(to: b.index(taps[0])) { td in
      let d = start[0] + td * w.dilations[0]
      b.loop(to: rows) { r in
        let h = start[1] + r
        let line = td * patchHeight + r
        let inside = zero.lessEqual(d).and(d.less(sizes[0])).and(zero.lessEqual(h)).and(h.less(sizes[1]))
        b.when(inside) {
          clear(patch, line, from: zero, count: lower)
          row(patch, line, lower, [.at(n), .at(d), .at(h)], start[2] + lower, count: upper - lower, firstChannel)
          clear(patch, line, from: upper, count: columns - upper)
        } otherwise: {
          clear(patch, line, from: zero, count: columns)
        }
      }
    }
  }

  private var isChannelsInnermost: Bool { w.x.strides[4] == 1 || channels == 1 }

  /// `count` positions of one row of the image.
  private func row(
    _ patch: TileBuffer, _ line: Tile, _ to: Tile, _ outer: [TileBuffer.Index], _ from: Tile, count: Tile,
    _ firstChannel: Tile
  ) {
    let lanes = machine.lanes
    if isChannelsInnermost {
      b.loop(to: count) { i in
        vectors(of: channels) { c, length in
          let tile = x.load(outer + [.at(from + i), .span(firstChannel + c, 0)], shape: [length])
          patch.store(tile, [.at(line), .span((to + i) * channels + c, 0), .at(b.index(0))])
        }
      }
      return
    }
    // Another layout: vectors along the row, a channel at a time.
    let whole = count / lanes * lanes
    b.loop(to: b.index(channels)) { c in
      func move(_ i: Tile, limit: Tile?) {
        let tile = x.load(outer + [.span(from + i, 0), .at(firstChannel + c)], shape: [lanes], limits: [limit])
        patch.store(
          tile, [.at(line), .span((to + i) * channels + c, 0, step: channels), .at(b.index(0))], limits: [limit])
      }
      b.loop(to: whole, step: lanes) { move($0, limit: nil) }
      b.when(whole.less(count)) { move(whole, limit: count - whole) }
    }
  }

  private func clear(_ patch: TileBuffer, _ line: Tile, from: Tile, count: Tile) {
    b.loop(to: count) { i in
      vectors(of: channels) { c, length in
        patch.store(
          b.constant(0, .float32, [length]), [.at(line), .span((from + i) * channels + c, 0), .at(b.index(0))])
      }
    }
  }

  /// Pieces of a row of channels: long ones, then what is left.
  private func vectors(of length: Int, _ body: (Int, Int) -> Void) {
    let most = 8 * machine.lanes
    for start in stride(from: 0, to: length, by: most) { body(start, min(most, length - start)) }
  }
}

import TensorTypes
import TileIR

/// Copies the part of an image that a rectangle of outputs needs into local memory, channels innermost, with the
/// border's number where it reaches over the image's edge. Narrow integers become words of two or four channels.
struct PatchCopy {
  /// With three space dimensions.
  let w: ConvolutionWorkload
  let machine: Machine
  /// What the patch's words hold, if it holds words.
  let parts: WordParts?
  let patchHeight: Int
  let patchWidth: Int
  /// How far apart rows of the patch lie in x.
  var rowSpacing = 1
  let b: TileBuilder
  let x: TileBuffer
  private var channels: Int { w.channelsPerGroup }
  private var taps: [Int] { w.taps }
  private var steps: Int { w.steps(of: parts) }

  /// - Parameters:
  ///   - patch: `[taps[0] · patchHeight, patchWidth · channels, at least channels]`, the last dimension stepping like the
  ///     one before it.
  ///   - position: the rectangle's first output position: d, h, w.
  ///   - height, width: how many output rows and columns the rectangle has.
  func copy(to patch: TileBuffer, n: Tile, group: Tile, at position: [Tile], height: Tile, width: Tile) {
    let (start, rows, columns) = reach(at: position, height: height, width: width)
    let sizes = (1...3).map { b.size(w.x.shape[$0]) }
    let zero = b.index(0)
    // Columns of the patch that lie within the image: lower ..< upper.
    let (lower, upper) = columns.inside(sizes[2], from: start[2], zero: zero)
    let firstChannel = group * channels
    b.loop(to: b.index(taps[0])) { td in
      let d = start[0] + td * w.dilations[0]
      b.loop(to: rows) { r in
        let h = start[1] + (rowSpacing == 1 ? r : r * rowSpacing)
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

  /// Rows and columns of what a rectangle reaches over that lie within the image: `lower ..< upper`.
  struct Inside { var rows, columns: (lower: Tile, upper: Tile) }

  /// Copies what lies within the image and nothing else, its first row and column as the patch's; a position of the border's number
  /// is the row after all others. Of windows of one plane; parameters as above.
  func copyInside(to patch: TileBuffer, n: Tile, group: Tile, at position: [Tile], height: Tile, width: Tile) -> Inside
  {
    let (start, rows, columns) = reach(at: position, height: height, width: width)
    let sizes = (1...3).map { b.size(w.x.shape[$0]) }
    let zero = b.index(0)
    let columnsInside = columns.inside(sizes[2], from: start[2], zero: zero)
    var rowsInside = rows.inside(sizes[1], from: start[1], spacing: rowSpacing, zero: zero)
    let isInside = zero.lessEqual(start[0]).and(start[0].less(sizes[0]))
    rowsInside.upper = isInside.select(rowsInside.upper, rowsInside.lower)
    b.loop(from: rowsInside.lower, to: rowsInside.upper) { r in
      row(
        patch, r - rowsInside.lower, zero,
        [.at(n), .at(start[0]), .at(start[1] + (rowSpacing == 1 ? r : r * rowSpacing))],
        start[2] + columnsInside.lower, count: columnsInside.upper - columnsInside.lower, group * channels)
    }
    clear(patch, b.index(patchHeight), from: zero, count: b.index(1))
    return Inside(rows: rowsInside, columns: columnsInside)
  }

  /// Where a rectangle's windows begin in the image, and how many rows and columns they reach over.
  private func reach(at position: [Tile], height: Tile, width: Tile) -> (start: [Tile], rows: Tile, columns: Tile) {
    (
      (0..<3).map { position[$0] * w.strides[$0] - w.padsBefore[$0] },
      (height - 1) * w.strides[1] + ((taps[1] - 1) * w.dilations[1] / rowSpacing + 1),
      (width - 1) * w.strides[2] + ((taps[2] - 1) * w.dilations[2] + 1)
    )
  }

  /// `count` positions of one row of the image.
  private func row(
    _ patch: TileBuffer, _ line: Tile, _ to: Tile, _ outer: [TileBuffer.Index], _ from: Tile, count: Tile,
    _ firstChannel: Tile
  ) {
    let lanes = machine.lanes
    if w.isChannelsInnermost {
      b.loop(to: count) { i in
        vectors(of: steps) { c, length in
          let tile = load(length, c) { c, length, limit in
            x.load(outer + [.at(from + i), .span(firstChannel + c, 0)], shape: [length], limits: [limit])
          }
          patch.store(tile, [.at(line), .span((to + i) * steps + c, 0), .at(b.index(0))])
        }
      }
      return
    }
    // Another layout: squares of some steps of k by some positions of the row, transposed in registers.
    let group = parts?.count ?? 1
    let wholeSteps = channels / group / lanes * lanes
    func square(_ i: Tile, _ step: Tile, rows: Tile?, isLast: Bool) {
      /// Of each step's channels number `j`.
      func numbers(_ j: Int) -> Tile {
        let left = isLast ? b.index((channels - j + group - 1) / group - wholeSteps) : nil
        return x.load(
          outer + [.span(from + i, 1), .span(firstChannel + step * group + j, 0, step: group)],
          shape: [min(lanes, steps), lanes], limits: [left, rows])
      }
      let tile = parts.map { b.words($0, numbers) } ?? numbers(0)
      patch.store(
        tile.transpose([1, 0]), [.at(line), .span((to + i) * steps, 0, step: steps), .span(step, 1)],
        limits: [rows, isLast ? b.index(steps - wholeSteps) : nil])
    }
    func squares(_ i: Tile, rows: Tile?) {
      b.loop(to: b.index(wholeSteps), step: lanes) { square(i, $0, rows: rows, isLast: false) }
      if wholeSteps < steps { square(i, b.index(wholeSteps), rows: rows, isLast: true) }
    }
    let whole = count / lanes * lanes
    b.loop(to: whole, step: lanes) { squares($0, rows: nil) }
    b.when(whole.less(count)) { squares(whole, rows: count - whole) }
  }

  /// Cycles for each element copied: a part of a vector's load and store; of another layout, squares of which are turned around
  /// in registers, 2.7 were measured.
  static func cycles(_ w: ConvolutionWorkload, on machine: Machine) -> Double {
    w.isChannelsInnermost ? 3 / Double(machine.lanes) : 2.7
  }

  private func clear(_ patch: TileBuffer, _ line: Tile, from: Tile, count: Tile) {
    b.loop(to: count) { i in
      vectors(of: steps) { c, length in
        patch.store(
          b.constant(.integer(border), patch.type.element, [length]),
          [.at(line), .span((from + i) * steps + c, 0), .at(b.index(0))])
      }
    }
  }

  /// A step of k around the image.
  private var border: Int64 {
    guard let parts, let border = w.border else { return 0 }
    let bits = 32 / parts.count
    let part = UInt32(truncatingIfNeeded: border) & (1 << UInt32(bits) - 1)
    return Int64(Int32(bitPattern: (0..<parts.count).reduce(0) { word, _ in word << UInt32(bits) | part }))
  }

  /// `count` steps of k from number `first` on, of channels side by side.
  private func load(_ count: Int, _ first: Int, _ numbers: (Int, Int, Tile?) -> Tile) -> Tile {
    guard let parts else { return numbers(first, count, nil) }
    let limit = parts.count * (first + count) > channels ? b.index(channels - parts.count * first) : nil
    return numbers(parts.count * first, parts.count * count, limit).cast(parts.elements.a).bitcast(.int32)
  }

  /// Pieces of a row of channels: long ones, then what is left.
  private func vectors(of length: Int, _ body: (Int, Int) -> Void) {
    let most = 8 * machine.lanes
    for start in stride(from: 0, to: length, by: most) { body(start, min(most, length - start)) }
  }
}

extension Tile {
  /// Of so many positions of a row from `start` on those that are there: lower ..< upper, counted from `start`.
  /// - Parameters:
  ///   - size: how many the row has.
  ///   - spacing: how far apart they lie.
  func inside(_ size: Tile, from start: Tile, spacing: Int = 1, zero: Tile) -> (lower: Tile, upper: Tile) {
    func count(_ distance: Tile) -> Tile {
      spacing == 1 ? distance : distance.maximum(zero).ceilDivided(by: spacing)
    }
    let lower = count(zero - start).maximum(zero).minimum(self)
    return (lower, count(size - start).minimum(self).maximum(lower))
  }
}

extension ConvolutionWorkload {
  /// Positions that windows of `outputs` neighbours along dimension `d` of three reach over.
  /// - Parameter spacing: how far apart those that count lie.
  func reach(of outputs: Int, along d: Int, spacing: Int = 1) -> Int {
    (outputs - 1) * strides[d] + (taps[d] - 1) * dilations[d] / spacing + 1
  }
}

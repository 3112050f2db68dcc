import TensorTypes
import TileIR

/// Copies the part of an image that a rectangle of outputs needs into local memory, channels innermost, with the
/// border's number where it reaches over the image's edge. Narrow integers become words of two or four channels.
struct PatchCopy {
  /// With three space dimensions.
  let w: ConvolutionWorkload
  let machine: Machine
  let patchHeight: Int
  let patchWidth: Int
  let b: TileBuilder
  let x: TileBuffer
  private var channels: Int { w.channelsPerGroup }
  private var taps: [Int] { w.taps }
  private var parts: WordParts? { w.parts(on: machine) }
  private var steps: Int { w.steps(on: machine) }

  /// - Parameters:
  ///   - patch: `[taps[0] · patchHeight, patchWidth · channels, at least channels]`, the last dimension stepping like the
  ///     one before it.
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
        vectors(of: steps) { c, length in
          let tile = load(length, c) { c, length, limit in
            x.load(outer + [.at(from + i), .span(firstChannel + c, 0)], shape: [length], limits: [limit])
          }
          patch.store(tile, [.at(line), .span((to + i) * steps + c, 0), .at(b.index(0))])
        }
      }
      return
    }
    if let parts { return rowOfWords(parts, patch, line, to, outer, from, count: count, firstChannel) }
    // Another layout: squares of some channels by some positions of the row, transposed in registers.
    func square(_ i: Tile, _ c: Tile, rows: Tile?, channels left: Tile?) {
      let tile = x.load(
        outer + [.span(from + i, 1), .span(firstChannel + c, 0)], shape: [lanes, lanes], limits: [left, rows])
      patch.store(
        tile.transpose([1, 0]), [.at(line), .span((to + i) * channels, 0, step: channels), .span(c, 1)],
        limits: [rows, left])
    }
    func squares(_ i: Tile, rows: Tile?) {
      let whole = channels / lanes * lanes
      b.loop(to: b.index(whole), step: lanes) { square(i, $0, rows: rows, channels: nil) }
      if whole < channels { square(i, b.index(whole), rows: rows, channels: b.index(channels - whole)) }
    }
    let whole = count / lanes * lanes
    b.loop(to: whole, step: lanes) { squares($0, rows: nil) }
    b.when(whole.less(count)) { squares(whole, rows: count - whole) }
  }

  /// The same where channels that lie apart make a word: vectors along the row, a word at a time.
  private func rowOfWords(
    _ parts: WordParts, _ patch: TileBuffer, _ line: Tile, _ to: Tile, _ outer: [TileBuffer.Index], _ from: Tile,
    count: Tile,
    _ firstChannel: Tile
  ) {
    let lanes = machine.lanes
    let whole = count / lanes * lanes
    b.loop(to: b.index(steps)) { c in
      func move(_ i: Tile, limit: Tile?) {
        func row(_ channel: Tile) -> Tile {
          x.load(outer + [.span(from + i, 0), .at(firstChannel + channel)], shape: [lanes], limits: [limit])
        }
        patch.store(
          words(parts, c, row),
          [.at(line), .span((to + i) * steps + c, 0, step: steps), .at(b.index(0))], limits: [limit])
      }
      b.loop(to: whole, step: lanes) { move($0, limit: nil) }
      b.when(whole.less(count)) { move(whole, limit: count - whole) }
    }
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

  /// The words of the channels from `parts.count · step` on, of which the last may be missing.
  private func words(_ parts: WordParts, _ step: Tile, _ row: (Tile) -> Tile) -> Tile {
    let (first, bits) = (step * parts.count, 32 / parts.count)
    return (1..<parts.count).reduce(part(row(first), bits)) { word, j in
      // In place of a channel past the last one the last is read, and thrown away.
      let number = row((first + j).minimum(b.index(channels - 1)))
      let nothing = b.constant(0, .int32, number.shape)
      let low = (first + j).less(b.index(channels)).select(part(number, bits), nothing)
      return word.binary(.or, low.binary(.shiftLeft, b.constant(.integer(Int64(j * bits)), .int32, number.shape)))
    }
  }

  /// The lowest bits of each number, in a word.
  private func part(_ numbers: Tile, _ bits: Int) -> Tile {
    numbers.cast(.int32).binary(.and, b.constant(.integer(1 << Int64(bits) - 1), .int32, numbers.shape))
  }

  /// Pieces of a row of channels: long ones, then what is left.
  private func vectors(of length: Int, _ body: (Int, Int) -> Void) {
    let most = 8 * machine.lanes
    for start in stride(from: 0, to: length, by: most) { body(start, min(most, length - start)) }
  }
}

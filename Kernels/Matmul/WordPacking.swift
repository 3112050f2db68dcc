import TensorTypes
import TileIR

/// How operands become words at run time.
extension WordProgram {
  /// All of a's blocks. What stands past the last row is never stored.
  func packBlocks(_ batches: Tile, _ rows: Tile, to blocks: TileBuffer) {
    let grain = LoopWork.elements(mr * w.a.shape[2].estimate).grain
    b.loop(.parallel(grain: grain), to: batches) { batch in
      b.loop(.parallel(grain: grain), to: rows, step: mr) { row in
        if w.a.strides[1] == 1 && w.a.strides[2] != 1 {
          joinRows(batch, row, to: blocks)
        } else {
          transposeRows(batch, row, to: blocks)
        }
      }
    }
  }

  /// Steps of k side by side: transposed in registers.
  private func transposeRows(_ batch: Tile, _ row: Tile, to blocks: TileBuffer) {
    let packedRows = machine.wholeVectors(mr)
    let rows = rowIndices(row, count: packedRows)
    transposing(k) { step, count, limit in
      let numbers = a.load(
        [.at(batch), .gather(rows, 0), .span(step, 1)], shape: [packedRows, count], limits: [nil, limit])
      blocks.store(
        numbers.words(of: parts).transpose([1, 0]),
        [.at(batch), .at(row / mr), .span(step / group, 0), .span(b.index(0), 1)],
        limits: [limit.map { $0.ceilDivided(by: group) }, nil])
    }
  }

  /// Rows side by side: a word's numbers are joined.
  private func joinRows(_ batch: Tile, _ row: Tile, to blocks: TileBuffer) {
    let width = machine.wholeVectors(mr)
    joining(row, width, of: m) { step, limits in
      a.load([.at(batch), .span(row, 1), .span(step, 0)], shape: [1, width], limits: limits)
    } store: {
      blocks.store($0, [.at(batch), .at(row / mr), .span($1, 0), .span(b.index(0), 1)])
    }
  }

  /// Words of numbers that lie apart, `width` from number `first` on of the `size` that lie side by side.
  /// - Parameters:
  ///   - load: the numbers of a step of k, `[1, width]`, with limits to both.
  ///   - store: the words, and which of k's they are.
  private func joining(
    _ first: Tile, _ width: Int, of size: Tile, load: (_ step: Tile, _ limits: [Tile?]) -> Tile,
    store: (_ words: Tile, _ number: Tile) -> Void
  ) {
    func join(_ number: Tile, isLast: Bool, _ limit: Tile?) {
      let words = b.words(parts) { j in
        let step = number * group + j
        return load(step, [isLast ? k - step : nil, limit])
      }
      store(words, number)
    }
    func all(_ limit: Tile?) {
      let whole = k / group
      b.loop(.unrolled(by: 4), to: whole) { join($0, isLast: false, limit) }
      if w.a.shape[2].constant.map({ $0 % group == 0 }) ?? false { return }
      b.when((whole * group).less(k)) { join(whole, isLast: true, limit) }
    }
    b.when((first + width).lessEqual(size)) {
      all(nil)
    } otherwise: {
      all(size - first)
    }
  }

  /// Steps of k in pieces that fill a vector with words: whole ones, then what is left, with a limit.
  private func transposing(_ k: Tile, _ body: (Tile, Int, Tile?) -> Void) {
    let count = group * machine.lanes
    let whole = k / count * count
    b.loop(to: whole, step: count) { body($0, count, nil) }
    if let size = w.a.shape[2].constant, size % count == 0 { return }
    b.when(whole.less(k)) { body(whole, count, k - whole) }
  }

  /// Some of a's rows, rounded.
  struct RoundedRows {
    /// Dimensions row, k.
    let buffer: TileBuffer
    /// Which row of a its first one is.
    let first: Tile
  }

  /// Rows of a up to `end`, at most so many, rounded into a task's own memory: nothing is written for others, and what panels pass by is
  /// near. nil where a is what words hold, or is packed.
  func rounded(_ batch: Tile, from first: Tile, to end: Tile, most: Int) -> RoundedRows? {
    guard blocks == nil, w.roundsRows(on: machine) else { return nil }
    let depth = w.a.shape[2]
    // Rows a power of two apart would share few sets of the level-1 cache.
    let length = depth.ceilDivided(by: 32) * 32 + 32
    let buffer = b.allocate(BufferType(.bfloat16, [Dim(most), length], space: .local))
    b.loop(from: first, to: end) { row in
      b.strips(b.span(depth), lanes: machine.lanes, vectors: 4) { strip in
        let numbers = a.load([.at(batch), .at(row), strip.index(0)], shape: [strip.count], limits: [strip.limit])
        buffer.store(numbers.cast(.bfloat16), [.at(row - first), strip.index(0)], limits: [strip.limit])
      }
    }
    return RoundedRows(buffer: buffer, first: first)
  }

  /// b's columns, a panel at a time. What stands past the last one is never stored.
  func packPanels(_ from: TileBuffer) {
    let batches = w.b.strides[0] == 0 ? b.index(1) : b.size(w.b.shape[0])
    b.loop(.parallel(grain: 1), to: batches) { batch in
      b.loop(.parallel(grain: 1), to: n, step: nr) { j in
        if w.b.strides[1] == 1 && w.b.strides[2] != 1 {
          transposeColumns(from, batch, j)
        } else {
          joinColumns(from, batch, j)
        }
      }
    }
  }

  /// Steps of k side by side: transposed in registers.
  private func transposeColumns(_ from: TileBuffer, _ batch: Tile, _ j: Tile) {
    let columns = (b.iota([nr], dimension: 0) + j).minimum(n - 1)
    transposing(k) { step, count, limit in
      let numbers = from.load(
        [.at(batch), .span(step, 1), .gather(columns, 0)], shape: [nr, count], limits: [nil, limit])
      panels.store(
        numbers.words(of: parts).transpose([1, 0]),
        [.at(batch), .at(j / nr), .span(step / 2, 0), .span(b.index(0), 1)],
        limits: [limit.map { $0.ceilDivided(by: 2) }, nil])
    }
  }

  /// Columns side by side: a word's numbers are joined.
  private func joinColumns(_ from: TileBuffer, _ batch: Tile, _ j: Tile) {
    joining(j, nr, of: n) { step, limits in
      from.load([.at(batch), .span(step, 0), .span(j, 1)], shape: [1, nr], limits: limits)
    } store: {
      panels.store($0, [.at(batch), .at(j / nr), .span($1, 0), .span(b.index(0), 1)])
    }
  }
}

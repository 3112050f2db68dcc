import TensorTypes
import TileIR

/// Fetches the next panel of a packed matrix while blocks of rows pass by the present one: where rows are few, a panel
/// comes from memory in about the time that it is used, and the hardware sees it coming only when it is begun.
struct PanelPrefetch {
  let panels: TileBuffer
  /// The panel to come.
  let matrix, panel: Tile
  /// The part of k that is used: its first step and how many steps.
  let start, count: Tile
  /// How many blocks share in the fetching. 0: none fetches.
  let blocks: Int
  /// Which block of rows this is, from 0.
  let block: Tile

  /// Called at each step of k, from 0: fetches a line, the same for several steps.
  func advance(_ step: Tile, in b: TileBuilder) {
    guard blocks > 0 else { return }
    let width = panels.type.shape[3].constant!
    let first = start + block.minimum(b.index(blocks - 1)) * (count / blocks)
    panels.prefetch([matrix, panel, first, step * max(1, width / blocks)])
  }

  /// What a task reads after `count` steps of a panel from `start` on, where it takes k in pieces and panels
  /// `first ..< end` within each: the next panel's, or the next piece's first. After the last of all the next panel from
  /// its beginning, which is often the same thread's next task.
  static func following(
    _ panel: Tile, of panels: TileBuffer, matrix: Tile, first: Tile, end: Tile, start: Tile, count: Tile, depth: Tile,
    blocks: Int, block: Tile
  ) -> PanelPrefetch {
    let isLast = end.lessEqual(panel + 1)
    let ends = isLast.and(depth.lessEqual(start + count))
    return PanelPrefetch(
      panels: panels, matrix: matrix, panel: ends.select(panel + 1, isLast.select(first, panel + 1)),
      start: ends.select(start - start, isLast.select(start + count, start)), count: count, blocks: blocks, block: block
    )
  }

  /// The values of the knob `prefetch`.
  static let choices = [0, 1, 2, 4, 8]

  /// - Parameter rows: blocks that pass by a panel: as many of them fetch as there are values for.
  static func blocks(passing rows: Int) -> Int { choices.last { $0 <= rows }! }
}

/// Copies part of a matrix known only at run time to panels in local memory.
struct PanelCopy {
  let b: TileBuilder
  /// Dimensions batch, k, n; columns side by side, or else steps of k.
  let from: TileBuffer
  let width: Int
  let lanes: Int
  /// n, and its value if that is known.
  let columns: Tile
  let knownColumns: Int?

  /// Room for `count` panels of `depth` steps, and one step more: panels a power of two apart would share cache sets.
  static func panels(_ count: Dim, depth: Dim, width: Int) -> BufferType {
    BufferType(
      .float32, [count, depth, Dim(width)], strides: [(depth + 1) * Dim(width), Dim(width), 1], space: .local)
  }

  /// Columns `column ..< columnEnd` of `count` steps of k.
  func copy(to panels: TileBuffer, _ matrix: Tile, _ column: Tile, _ columnEnd: Tile, from start: Tile, count: Tile) {
    let whole = column + (columnEnd - column) / width * width
    let fits = knownColumns.map { $0 % width == 0 } ?? false
    let move = from.type.strides[2] != 1 && from.type.strides[1] == 1 ? transposing : rows
    move(panels, matrix, start, count, column, column, whole, false)
    if fits { return }
    b.when(whole.less(columnEnd)) { move(panels, matrix, start, count, column, whole, columnEnd, true) }
  }

  /// A step of k after the other, over all panels: each reads on where the one before ended.
  private func rows(
    _ panels: TileBuffer, _ matrix: Tile, _ start: Tile, _ count: Tile, _ first: Tile, _ column: Tile, _ end: Tile,
    _ isPart: Bool
  ) {
    b.loop(to: count) { step in
      b.loop(from: column, to: end, step: width) { j in
        let row = from.load(
          [.at(matrix), .at(start + step), .span(j, 0)], shape: [width], limits: [isPart ? columns - j : nil])
        panels.store(row, [.at((j - first) / width), .at(step), .span(b.index(0), 0)])
      }
    }
  }

  /// Blocks of `width · lanes`, transposed in registers.
  private func transposing(
    _ panels: TileBuffer, _ matrix: Tile, _ start: Tile, _ count: Tile, _ first: Tile, _ column: Tile, _ end: Tile,
    _ isPart: Bool
  ) {
    let whole = count / lanes * lanes
    b.loop(from: column, to: end, step: width) { j in
      func move(_ step: Tile, limit: Tile?) {
        let block = from.load(
          [.at(matrix), .span(start + step, 1), .span(j, 0)], shape: [width, lanes],
          limits: [isPart ? columns - j : nil, limit])
        panels.store(
          block.transpose([1, 0]), [.at((j - first) / width), .span(step, 0), .span(b.index(0), 1)],
          limits: [limit, nil])
      }
      b.loop(to: whole, step: lanes) { move($0, limit: nil) }
      b.when(whole.less(count)) { move(whole, limit: count - whole) }
    }
  }
}

extension TileBuilder {
  /// A phase that packs a matrix known only at run time as `packing` says: a panel an iteration.
  /// - Parameters:
  ///   - source: of `packing.source`'s dimensions.
  ///   - panels: of `packing.packed`'s.
  func packPanels(_ source: TileBuffer, to panels: TileBuffer, _ packing: WeightPacking) {
    let shape = packing.source.shape
    let columns = size(shape[shape.count - 1])
    let depth = shape[1..<(shape.count - 1)].map { size($0) }
    loop(.parallel(grain: 1), to: size(shape[0])) { batch in
      loop(.parallel(grain: 1), to: columns, step: packing.width) { column in
        if packing.group > 1 {
          packGroups(source, to: panels, packing, batch, column, depth)
          return
        }
        nested(depth) { k in
          let row = zip(k, depth).reduce(index(0)) { $0 * $1.1 + $1.0 }
          let values = source.load(
            [.at(batch)] + k.map { .at($0) } + [.span(column, 0)], shape: [packing.width], limits: [columns - column])
          panels.store(values, [.at(batch), .at(column / packing.width), .at(row), .span(index(0), 0)])
        }
      }
    }
  }

  /// A panel with steps of k's innermost dimension side by side, zeros past its end.
  private func packGroups(
    _ source: TileBuffer, to panels: TileBuffer, _ packing: WeightPacking, _ batch: Tile, _ column: Tile,
    _ depth: [Tile]
  ) {
    let (inner, left) = (depth[depth.count - 1], size(packing.source.shape[depth.count + 1]) - column)
    let groups = inner.ceilDivided(by: packing.group)
    nested(depth.dropLast() + [groups]) { k in
      let row = zip(k, depth.dropLast() + [groups]).reduce(index(0)) { $0 * $1.1 + $1.0 }
      for part in 0..<packing.group {
        let step = k[k.count - 1] * packing.group + part
        let values = source.load(
          [.at(batch)] + k.dropLast().map { .at($0) } + [.span(step, 0), .span(column, 1)], shape: [1, packing.width],
          limits: [inner - step, left])
        panels.store(
          values.reshape([packing.width]).cast(packing.element),
          [.at(batch), .at(column / packing.width), .at(row), .span(index(part), 0, step: packing.group)])
      }
    }
  }
}

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

  /// The values of the knob `prefetch`.
  static let choices = [0, 1, 2, 4, 8]

  /// - Parameter rows: blocks that pass by a panel.
  static func blocks(passing rows: Int) -> Int { choices.last { $0 <= min(4, rows) }! }
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
        nested(depth) { k in
          let row = zip(k, depth).reduce(index(0)) { $0 * $1.1 + $1.0 }
          let values = source.load(
            [.at(batch)] + k.map { .at($0) } + [.span(column, 0)], shape: [packing.width], limits: [columns - column])
          panels.store(values, [.at(batch), .at(column / packing.width), .at(row), .span(index(0), 0)])
        }
      }
    }
  }
}

import TensorTypes
import TileIR

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

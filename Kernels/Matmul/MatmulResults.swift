import TensorTypes
import TileIR

/// The way of a product's sums to memory: through the epilogue, whole blocks without limits.
struct MatmulResults {
  let w: MatmulWorkload
  let operands: [TileBuffer]
  let y: TileBuffer
  let (m, n): (Tile, Tile)
  let b: TileBuilder

  /// Stores the block of results that begins at row i and column j.
  func store(_ sum: Tile, _ batch: Tile, _ i: Tile, _ j: Tile) {
    let sum = sum.cast(w.epilogue.expression.inputTypes[0])
    let (rows, columns) = (sum.shape[0], sum.shape[1])
    let position = BlockPosition(rows: [.at(batch), .span(i, 0)], column: j)
    let rowsFit = w.a.shape[1].constant.map { $0 % rows == 0 } ?? false
    let columnsFit = w.b.shape[2].constant.map { $0 % columns == 0 } ?? false
    func store(rowLimit: Tile?, columnLimit: Tile?) {
      w.epilogue.store(sum, to: y, operands, at: position, rowLimit: rowLimit, columnLimit: columnLimit, in: b)
    }
    if rowsFit && columnsFit { return store(rowLimit: nil, columnLimit: nil) }
    let (rowsLeft, columnsLeft) = (m - i, n - j)
    let whole = b.index(rows).lessEqual(rowsLeft).and(b.index(columns).lessEqual(columnsLeft))
    b.when(whole) {
      store(rowLimit: nil, columnLimit: nil)
    } otherwise: {
      store(rowLimit: rowsFit ? nil : rowsLeft, columnLimit: columnsFit ? nil : columnsLeft)
    }
  }

  /// Stores the rows from `row` on of some panels' results, which stand side by side from `column` on.
  func store(panels sums: [Tile], _ batch: Tile, _ row: Tile, _ column: Tile) {
    let sums = sums.map { $0.cast(w.epilogue.expression.inputTypes[0]) }
    let width = sums[0].shape[1]
    func store(isWhole: Bool) {
      for (i, sum) in sums.enumerated() {
        let first = column + i * width
        w.epilogue.store(
          sum, to: y, operands, at: BlockPosition(rows: [.at(batch), .span(row, 0)], column: first), rowLimit: nil,
          columnLimit: isWhole ? nil : n - first, in: b)
      }
    }
    let all = sums.count * width
    if w.b.shape[2].constant.map({ $0 % all == 0 }) ?? false { return store(isWhole: true) }
    b.when((column + all).lessEqual(n)) {
      store(isWhole: true)
    } otherwise: {
      store(isWhole: false)
    }
  }
}

extension MatmulWorkload {
  /// `count` rows of a from one on; those past the end stand at the last row.
  /// - Precondition: `first` is a multiple of `count`.
  func rowIndices(_ count: Int, from first: Tile, of m: Tile, in b: TileBuilder) -> Tile {
    let rows = b.iota([count], dimension: 0) + first
    if let size = a.shape[1].constant, size % count == 0 { return rows }
    return rows.minimum(m - 1)
  }
}

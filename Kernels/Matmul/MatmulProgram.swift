import TensorTypes
import TileIR

/// Writes the program of a packed matmul.
///
/// A b known only at run time is packed by each task for itself, a piece of k at a time, beside a: that costs a few steps
/// of k per panel, and saves the barrier and the way through memory that a phase before the product would take.
struct MatmulProgram {
  let w: MatmulWorkload
  let knobs: Knobs
  let machine: Machine
  let mr: Int
  let nr: Int
  let b: TileBuilder
  /// In panels if it is a constant, else as it is.
  let a: TileBuffer
  /// b in panels if it is a constant, else as it is.
  let right: TileBuffer
  /// The panels as codes, where b is stored so.
  let codes: CodePanels?
  let operands: [TileBuffer]
  let y: TileBuffer
  let (m, n, k): (Tile, Tile, Tile)
  /// Rows of a packed block lie this far apart: whole vectors, so that packing is a transposition of registers.
  let packedRows: Int
  let splitsK: Bool

  init(_ w: MatmulWorkload, _ knobs: Knobs, _ machine: Machine) {
    self.w = w
    self.knobs = knobs
    self.machine = machine
    mr = knobs["mr"]
    nr = knobs["nr"]
    packedRows = machine.wholeVectors(mr)
    b = TileBuilder("matmul")
    let left = PackedMatmul.leftPanels(w, rows: mr).packed
    a = b.parameter("a", .input, w.aIsConstant ? BufferType(.float32, left.shape) : w.a.buffer)
    let packings = w.packings(width: knobs["nr"]).map { BufferType($0.packed.element, $0.packed.shape) }
    right = b.parameter("b", .input, w.bIsConstant ? packings[0] : w.b.buffer)
    if let scaling = w.scaling, let depth = w.b.shape[1].constant {
      let scales = b.parameter("scales", .input, packings[1])
      let zeros = packings.count > 2 ? b.parameter("zeros", .input, packings[2]) : nil
      codes = CodePanels(
        scaling: scaling, codes: right, scales: scales, zeros: zeros, width: knobs["nr"], depth: depth, b: b)
    } else {
      codes = nil
    }
    (operands, y) = b.parameters(w.epilogue)
    (m, n, k) = (b.size(w.a.shape[1]), b.size(w.b.shape[2]), b.size(w.a.shape[2]))
    splitsK = w.a.shape[2].constant.map { knobs["kc"] < $0 } ?? (knobs["kc"] < 1 << 30)
  }

  var results: MatmulResults { MatmulResults(w: w, operands: operands, y: y, m: m, n: n, b: b) }

  func build() -> TileProgram {
    guard let skinny = SkinnyMatmul(self) else {
      manyRows(m)
      return b.finish()
    }
    guard w.a.shape[1].constant == nil else {
      skinny.phase(columns: n)
      return b.finish()
    }
    // One of the two phases has nothing to do.
    let isSkinny = m.equal(b.index(skinny.rows))
    skinny.phase(columns: isSkinny.select(n, b.index(0)))
    manyRows(isSkinny.select(b.index(0), m))
    return b.finish()
  }

  /// The phase for the first `rows` rows: all, or none.
  private func manyRows(_ rows: Tile) {
    let (mc, nc) = (knobs["mc"] * mr, knobs["nc"] * nr)
    b.loop(.parallel(grain: 1), to: b.size(w.epilogue.output.shape[0])) { batch in
      b.loop(.parallel(grain: 1), to: n, step: nc) { column in
        b.loop(.parallel(grain: 1), to: rows, step: mc) { row in
          task(batch, row, (row + mc).minimum(m), column, (column + nc).minimum(n))
        }
      }
    }
  }

  /// What a task makes of its operands for itself.
  private struct Copies {
    /// Blocks of a's rows, transposed.
    var a: TileBuffer?
    /// Panels of a b that is known only at run time.
    var panels: TileBuffer?
    /// The panel that blocks pass by, where b is stored in fewer bits.
    var expanded: ExpandedPanel?
  }

  private func task(_ batch: Tile, _ row: Tile, _ rowEnd: Tile, _ column: Tile, _ columnEnd: Tile) {
    let kc = splitsK ? knobs["kc"] : (w.a.shape[2].constant ?? 0)
    let depth: Dim = splitsK ? Dim(kc) : w.a.shape[2]
    let blocks = Dim(knobs["mc"])
    let packed =
      knobs["packA"] == 1 && !w.aIsConstant
      ? b.allocate(BufferType(.float32, [blocks, depth, Dim(packedRows)], space: .local)) : nil
    let panels = packsB ? b.allocate(PanelCopy.panels(Dim(knobs["nc"]), depth: depth, width: nr)) : nil
    let expanded = w.isNarrow ? ExpandedPanel(depth: kc, width: nr, in: b) : nil
    let copies = Copies(a: packed, panels: panels, expanded: expanded)
    guard splitsK else {
      piece(batch, row, rowEnd, column, columnEnd, from: b.index(0), count: k, copies, partial: nil)
      return
    }
    // Blocks lie in the order in which they are come to.
    let partial = b.allocate(BufferType(.float32, [Dim(knobs["nc"]), blocks, Dim(mr), Dim(nr)], space: .local))
    let zero = b.constant(0, .float32, [mr, nr])
    forBlocks(row, rowEnd, column, columnEnd) { i, j in
      partial.store(zero, [.at((j - column) / nr), .at((i - row) / mr), .span(b.index(0), 0), .span(b.index(0), 1)])
    }
    b.loop(to: k, step: kc) { start in
      piece(
        batch, row, rowEnd, column, columnEnd, from: start, count: (k - start).minimum(b.index(kc)), copies,
        partial: partial)
    }
  }

  /// Whether blocks follow each other along rows. With few steps of k most of the time goes by for results on their way to
  /// memory, which fetches ahead where they lie side by side; the panels then come from level 2 again and again.
  private var writesAlongRows: Bool { !w.bIsConstant && knobs["columnsInner"] == 1 }

  private func forBlocks(
    _ row: Tile, _ rowEnd: Tile, _ column: Tile, _ columnEnd: Tile, atPanel begin: (Tile) -> Void = { _ in },
    _ body: (Tile, Tile) -> Void
  ) {
    if writesAlongRows {
      b.loop(from: row, to: rowEnd, step: mr) { i in
        b.loop(from: column, to: columnEnd, step: nr) { j in body(i, j) }
      }
      return
    }
    b.loop(from: column, to: columnEnd, step: nr) { j in
      begin(j)
      b.loop(from: row, to: rowEnd, step: mr) { i in body(i, j) }
    }
  }

  /// Adds the products of `count` steps of k to all blocks of a task; after the last piece, stores the results.
  private func piece(
    _ batch: Tile, _ row: Tile, _ rowEnd: Tile, _ column: Tile, _ columnEnd: Tile, from start: Tile, count: Tile,
    _ copies: Copies, partial: TileBuffer?
  ) {
    if let packed = copies.a { pack(batch, row, rowEnd, start, count, packed) }
    let matrix = w.b.strides[0] == 0 ? b.index(0) : batch
    if let panels = copies.panels {
      PanelCopy(b: b, from: right, width: nr, lanes: machine.lanes, columns: n, knownColumns: w.b.shape[2].constant)
        .copy(
          to: panels, matrix, column, columnEnd, from: start, count: count)
    }
    let zeroIndex = b.index(0)
    func widen(_ j: Tile) {
      guard let expanded = copies.expanded else { return }
      if let codes { return expanded.fill(codes, matrix, j / nr, from: start, count: count) }
      expanded.fill(right, matrix, j / nr, from: start, count: count)
    }
    forBlocks(row, rowEnd, column, columnEnd, atPanel: widen) { i, j in
      let (blockRow, blockColumn) = ((i - row) / mr, (j - column) / nr)
      let slot: [TileBuffer.Index] = [.at(blockColumn), .at(blockRow), .span(zeroIndex, 0), .span(zeroIndex, 1)]
      let initial = partial?.load(slot, shape: [mr, nr]) ?? b.constant(0, .float32, [mr, nr])
      if let partial {
        // Of the next block's sums a line a row.
        for r in 0..<mr { partial.prefetch([blockColumn, blockRow + 1, b.index(r), zeroIndex]) }
      }
      let rows = w.rowIndices(mr, from: i, of: m, in: b)
      let prefetch =
        w.bIsConstant && !w.isNarrow
        ? PanelPrefetch.following(
          j / nr, of: right, matrix: matrix, first: column / nr, end: columnEnd.ceilDivided(by: nr), start: start,
          count: count, depth: k, blocks: knobs["prefetch"], block: blockRow) : nil
      let sum = b.accumulate(initial, to: count, unroll: knobs["unroll"]) { step in
        prefetch?.advance(step, in: b)
        if w.aIsConstant {
          let leftMatrix = w.a.strides[0] == 0 ? zeroIndex : batch
          return a.load([.at(leftMatrix), .at(i / mr), .at(start + step), .span(zeroIndex, 0)], shape: [mr, 1])
        }
        if let packed = copies.a {
          return packed.load([.at(blockRow), .at(step), .span(zeroIndex, 0)], shape: [mr, 1])
        }
        return a.load([.at(batch), .gather(rows, 0), .at(start + step)], shape: [mr, 1])
      } _: { step in
        if let expanded = copies.expanded { return expanded.row(step) }
        if let panels = copies.panels {
          return panels.load([.at(blockColumn), .at(step), .span(zeroIndex, 1)], shape: [1, nr])
        }
        if w.bIsConstant {
          return right.load([.at(matrix), .at(j / nr), .at(start + step), .span(zeroIndex, 1)], shape: [1, nr])
        }
        let fits = w.b.shape[2].constant.map { $0 % nr == 0 } ?? false
        return right.load(
          [.at(matrix), .at(start + step), .span(j, 1)], shape: [1, nr], limits: [nil, fits ? nil : n - j])
      }
      guard let partial else { return results.store(sum, batch, i, j) }
      b.when((start + count).less(k)) {
        partial.store(sum, slot)
      } otherwise: {
        results.store(sum, batch, i, j)
      }
    }
  }

  /// Whether a task copies its part of b to panels: where columns do not lie side by side, or enough rows use it.
  private var packsB: Bool { !w.bIsConstant && (knobs["packB"] == 1 || w.b.strides[2] != 1) }

  /// a's block, `[mr rows][k]` as it is, to `[k][packedRows]`.
  private func pack(_ batch: Tile, _ row: Tile, _ rowEnd: Tile, _ start: Tile, _ count: Tile, _ packed: TileBuffer) {
    let lanes = machine.lanes
    b.loop(from: row, to: rowEnd, step: mr) { i in
      let blockRow = (i - row) / mr
      let rows = (b.iota([packedRows], dimension: 0) + i).minimum(m - 1)
      func move(_ step: Tile, limit: Tile?) {
        let block = a.load(
          [.at(batch), .gather(rows, 0), .span(start + step, 1)], shape: [packedRows, lanes], limits: [nil, limit])
        packed.store(
          block.cast(.float32).transpose([1, 0]), [.at(blockRow), .span(step, 0), .span(b.index(0), 1)],
          limits: [limit, nil])
      }
      let whole = count / lanes * lanes
      b.loop(to: whole, step: lanes) { move($0, limit: nil) }
      if let size = w.a.shape[2].constant, size % lanes == 0, !splitsK || knobs["kc"] % lanes == 0 { return }
      b.when(whole.less(count)) { move(whole, limit: count - whole) }
    }
  }
}

import TensorTypes
import TileIR

/// Writes the program of `FlashAttention`.
struct FlashProgram {
  let w: AttentionWorkload
  let knobs: Knobs
  let lanes: Int
  /// Rows and columns of a register tile: queries, and keys or parts of the values' depth.
  let mr: Int
  let nr: Int
  /// Keys of a block.
  let block: Int
  let depth: Int
  /// Panels of the values' depth, the last of which may be partly empty.
  let valuePanels: Int
  /// Columns of the last one that are computed: whole vectors.
  let lastValueWidth: Int
  /// The panel that the keys end in, if that is known and it is not full.
  let lastKeys: (start: Int, count: Int)?
  let element: ElementType
  let b = TileBuilder("attention")
  let (q, k, v, y): (TileBuffer, TileBuffer, TileBuffer, TileBuffer)
  let scores: Scores
  /// Dimensions batch, key head, panel, depth, key within the panel.
  let packedKeys: TileBuffer
  /// Dimensions batch, key head, panel, key, part of the depth within the panel.
  let packedValues: TileBuffer
  let (queries, keys): (Tile, Tile)
  let zero: Tile

  init(_ w: AttentionWorkload, _ knobs: Knobs, _ machine: Machine) {
    (self.w, self.knobs, lanes) = (w, knobs, machine.lanes)
    let (rows, columns) = (knobs["rows"], knobs["columns"])
    (mr, nr, block) = (rows, columns, columns * knobs["keyPanels"])
    guard let depth = w.q.shape[3].constant, let valueDepth = w.v.shape[3].constant else {
      preconditionFailure("known depths")
    }
    (self.depth, valuePanels) = (depth, (valueDepth + columns - 1) / columns)
    let last = valueDepth - (valuePanels - 1) * columns
    lastValueWidth = min(columns, (last + machine.lanes - 1) / machine.lanes * machine.lanes)
    lastKeys =
      w.causalOffset == nil
      ? w.k.shape[2].constant.flatMap { $0 % columns == 0 ? nil : ($0 / columns * columns, $0 % columns) } : nil
    element = w.q.element.accumulator
    q = b.parameter("q", .input, w.q.buffer)
    k = b.parameter("k", .input, w.k.buffer)
    v = b.parameter("v", .input, w.v.buffer)
    let mask = w.mask.map { [b] in b.parameter("mask", .input, $0.buffer) }
    y = b.parameter("y", .output, w.output.buffer)
    let (batch, heads, count) = (w.k.shape[0], w.k.shape[1], w.k.shape[2])
    packedKeys = b.parameter(
      "keys", .scratch,
      BufferType(element, [batch, heads, count.ceilDivided(by: Dim(columns)), Dim(depth), Dim(columns)]))
    packedValues = b.parameter(
      "values", .scratch, BufferType(element, [batch, heads, Dim(valuePanels), count, Dim(columns)]))
    (queries, keys) = (b.size(w.q.shape[2]), b.size(count))
    zero = b.index(0)
    scores = Scores(w: w, b: b, mask: mask, element: element, queries: queries, keys: keys)
  }

  func build() -> TileProgram {
    let (batch, heads, keyHeads) = (b.size(w.q.shape[0]), b.size(w.q.shape[1]), b.size(w.k.shape[1]))
    b.parallel([batch, keyHeads, keys.ceilDivided(by: nr)], grain: max(1, 16_384 / (nr * max(1, depth)))) { i in
      packKeys(i[0], i[1], i[2])
      packValues(i[0], i[1], i[2])
    }
    let rows = mr * knobs["queryBlocks"]
    let work = max(1, rows * w.k.shape[2].estimate * (depth + valuePanels * nr) / 8)
    let groupSize = b.size(w.q.shape[1].floorDivided(by: w.k.shape[1]))
    b.parallel([batch, heads, queries.ceilDivided(by: rows)], grain: max(1, 24_576 / work)) { i in
      let task = FlashTask(self, batch: i[0], head: i[1], keyHead: i[1] / groupSize, start: i[2] * rows)
      task.run()
    }
    return b.finish()
  }

  // MARK: Packing

  /// `nr` rows of k, `[key, depth]`, as columns `[depth, key]`. What stands past the last key is never seen.
  private func packKeys(_ batch: Tile, _ head: Tile, _ panel: Tile) {
    let rows = (b.iota([nr], dimension: 0) + panel * nr).minimum(keys - 1)
    forDepth { start, width in
      let block = k.load([.at(batch), .at(head), .gather(rows, 0), .span(start, 1)], shape: [nr, width]).cast(element)
      packedKeys.store(
        block.transpose([1, 0]), [.at(batch), .at(head), .at(panel), .span(start, 0), .span(zero, 1)])
    }
  }

  /// `nr` rows of v, cut into panels. Rows lie apart in memory, often by a power of two, so that walking down a few
  /// columns of them as they are would use few of the cache's sets.
  private func packValues(_ batch: Tile, _ head: Tile, _ block: Tile) {
    guard let valueDepth = w.v.shape[3].constant else { preconditionFailure("a known depth") }
    b.loop(from: block * nr, to: (block * nr + nr).minimum(keys)) { key in
      for panel in 0..<valuePanels {
        let start = panel * nr
        let limit = start + nr > valueDepth ? b.index(valueDepth - start) : nil
        let row = v.load(
          [.at(batch), .at(head), .at(key), .span(b.index(start), 0)], shape: [nr], limits: [limit])
        packedValues.store(
          row.cast(element), [.at(batch), .at(head), .at(b.index(panel)), .at(key), .span(zero, 0)])
      }
    }
  }

  /// Cuts the depth into vectors and what is left.
  func forDepth(_ body: (Tile, Int) -> Void) {
    let whole = depth / lanes * lanes
    if whole > 0 { b.loop(to: b.index(whole), step: lanes) { body($0, lanes) } }
    if whole < depth { body(b.index(whole), depth - whole) }
  }
}

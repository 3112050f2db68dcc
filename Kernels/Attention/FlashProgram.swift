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
  let valueDepth: Int
  let element: ElementType
  let b = TileBuilder("attention")
  let (q, k, v, y): (TileBuffer, TileBuffer, TileBuffer, TileBuffer)
  let mask: TileBuffer?
  /// Dimensions batch, key head, panel, depth, key within the panel.
  let panels: TileBuffer
  let (queries, keys): (Tile, Tile)
  let zero: Tile

  init(_ w: AttentionWorkload, _ knobs: Knobs, _ machine: Machine) {
    (self.w, self.knobs, lanes) = (w, knobs, machine.lanes)
    (mr, nr, block) = (knobs["rows"], knobs["columns"], knobs["columns"] * knobs["keyPanels"])
    guard let depth = w.q.shape[3].constant, let valueDepth = w.v.shape[3].constant else {
      preconditionFailure("known depths")
    }
    (self.depth, self.valueDepth) = (depth, valueDepth)
    element = w.q.element.accumulator
    q = b.parameter("q", .input, w.q.buffer)
    k = b.parameter("k", .input, w.k.buffer)
    v = b.parameter("v", .input, w.v.buffer)
    mask = w.mask.map { [b] in b.parameter("mask", .input, $0.buffer) }
    y = b.parameter("y", .output, w.output.buffer)
    let panelCount = w.k.shape[2].ceilDivided(by: Dim(knobs["columns"]))
    panels = b.parameter(
      "panels", .scratch,
      BufferType(element, [w.k.shape[0], w.k.shape[1], panelCount, Dim(depth), Dim(knobs["columns"])]))
    (queries, keys) = (b.size(w.q.shape[2]), b.size(w.k.shape[2]))
    zero = b.index(0)
  }

  func build() -> TileProgram {
    let (batch, heads, keyHeads) = (b.size(w.q.shape[0]), b.size(w.q.shape[1]), b.size(w.k.shape[1]))
    b.parallel([batch, keyHeads, keys.ceilDivided(by: nr)], grain: max(1, 16_384 / (nr * max(1, depth)))) { i in
      packKeys(i[0], i[1], i[2])
    }
    let rows = mr * knobs["queryBlocks"]
    let work = max(1, rows * w.k.shape[2].estimate * (depth + valueDepth) / 8)
    let groupSize = b.size(w.q.shape[1].floorDivided(by: w.k.shape[1]))
    b.parallel([batch, heads, queries.ceilDivided(by: rows)], grain: max(1, 24_576 / work)) { i in
      let task = FlashTask(self, batch: i[0], head: i[1], keyHead: i[1] / groupSize, start: i[2] * rows)
      task.run()
    }
    return b.finish()
  }

  // MARK: Packing

  /// Rows `[count, depth]` of q or k, as columns `[depth, count]`: `width` of depth at a time.
  func packKeys(_ batch: Tile, _ head: Tile, _ panel: Tile) {
    let rows = (b.iota([nr], dimension: 0) + panel * nr).minimum(keys - 1)
    forDepth { start, width in
      let block = k.load([.at(batch), .at(head), .gather(rows, 0), .span(start, 1)], shape: [nr, width]).cast(element)
      panels.store(
        block.transpose([1, 0]), [.at(batch), .at(head), .at(panel), .span(start, 0), .span(zero, 1)])
    }
  }

  /// Cuts the depth into vectors and what is left.
  func forDepth(_ body: (Tile, Int) -> Void) {
    let whole = depth / lanes * lanes
    if whole > 0 { b.loop(to: b.index(whole), step: lanes) { body($0, lanes) } }
    if whole < depth { body(b.index(whole), depth - whole) }
  }
}

import TensorTypes
import TileIR

/// Writes the program of `FlashAttention`.
struct FlashProgram {
  let w: AttentionWorkload
  let knobs: Knobs
  let machine: Machine
  /// Rows and columns of a register tile: queries, and keys or parts of the values' depth.
  let mr: Int
  let nr: Int
  /// Keys of a block, and whether there is but one.
  let block: Int
  let isOneBlock: Bool
  /// Tiles of queries that a panel serves at a time.
  let tilesTogether: Int
  let depth: Int
  /// Panels of the values' depth, the last of which may be partly empty.
  let valuePanels: Int
  /// Columns of the last one that are computed: whole vectors.
  let lastValueWidth: Int
  /// The panel that the keys end in, if that is known and it is not full.
  let lastKeys: (start: Int, count: Int)?
  /// What scores and sums are.
  let element: ElementType
  /// What is multiplied at a time, and how many numbers: words, or one.
  let parts: WordParts?
  var group: Int { parts?.count ?? 1 }
  let b = TileBuilder("attention")
  let (q, k, v, y): (TileBuffer, TileBuffer, TileBuffer, TileBuffer)
  let scores: Scores
  /// The panels of all heads, if they are packed before the tasks begin.
  private let shared: (keys: TileBuffer, values: TileBuffer)?
  let (queries, keys): (Tile, Tile)
  let zero: Tile

  init(_ w: AttentionWorkload, _ knobs: Knobs, _ machine: Machine) {
    (self.w, self.knobs, self.machine) = (w, knobs, machine)
    let (rows, columns) = (knobs["rows"], knobs["columns"])
    (mr, nr, block) = (rows, columns, columns * knobs["keyPanels"])
    isOneBlock = w.k.shape[2].constant.map { [block] in $0 <= block } ?? false
    tilesTogether = min(knobs["queryBlocks"], knobs["together"])
    guard let depth = w.q.shape[3].constant, let valueDepth = w.v.shape[3].constant else {
      preconditionFailure("known depths")
    }
    (self.depth, valuePanels) = (depth, (valueDepth + columns - 1) / columns)
    let last = valueDepth - (valuePanels - 1) * columns
    lastValueWidth = min(columns, machine.wholeVectors(last))
    lastKeys =
      w.causalOffset == nil
      ? w.k.shape[2].constant.flatMap { $0 % columns == 0 ? nil : ($0 / columns * columns, $0 % columns) } : nil
    element = w.q.element.accumulator
    parts = w.parts(on: machine)
    q = b.parameter("q", .input, w.q.buffer)
    k = b.parameter("k", .input, w.k.buffer)
    v = b.parameter("v", .input, w.v.buffer)
    let mask = w.mask.map { [b] in b.parameter("mask", .input, $0.buffer) }
    y = b.parameter("y", .output, w.output.buffer)
    if knobs["headTasks"] == 0 {
      let (keys, values) = KeyPanels.types(
        heads: [w.k.shape[0], w.k.shape[1]], keys: w.k.shape[2], depth: depth, valuePanels: valuePanels, width: columns,
        element, parts, .global)
      shared = (b.parameter("keys", .scratch, keys), b.parameter("values", .scratch, values))
    } else {
      shared = nil
    }
    (queries, keys) = (b.size(w.q.shape[2]), b.size(w.k.shape[2]))
    zero = b.index(0)
    scores = Scores(
      w: w, b: b, mask: mask, element: element, queries: queries, keys: keys, scalesProducts: parts != nil)
  }

  func build() -> TileProgram {
    if let shared {
      packFirst(shared.keys, shared.values)
    } else {
      packInTasks()
    }
    return b.finish()
  }

  private var groupSize: Tile { b.size(w.q.shape[1].floorDivided(by: w.k.shape[1])) }
  /// Of a task.
  private var rows: Int { mr * knobs["queryBlocks"] }

  /// A phase that packs the keys and values of all heads; then a task takes some queries of a head.
  private func packFirst(_ packedKeys: TileBuffer, _ packedValues: TileBuffer) {
    let (batch, heads, keyHeads) = (b.size(w.q.shape[0]), b.size(w.q.shape[1]), b.size(w.k.shape[1]))
    func panels(_ batch: Tile, _ keyHead: Tile) -> KeyPanels {
      KeyPanels(keys: packedKeys, values: packedValues, place: [.at(batch), .at(keyHead)])
    }
    b.parallel([batch, keyHeads, keys.ceilDivided(by: nr)], work: .elements(nr * depth)) { i in
      pack(batch: i[0], head: i[1], panel: i[2], to: panels(i[0], i[1]))
    }
    b.parallel([batch, heads, queries.ceilDivided(by: rows)], work: work(queries: rows)) { i in
      let keyHead = i[1] / groupSize
      FlashTask(self, batch: i[0], head: i[1], panels: panels(i[0], keyHead), start: i[2] * rows).run()
    }
  }

  /// A task packs a head's keys and values for itself, and takes all the queries that see them: panels that fit go
  /// through the level-2 cache only.
  private func packInTasks() {
    b.parallel([b.size(w.k.shape[0]), b.size(w.k.shape[1])], work: work(queries: w.q.shape[2].estimate)) { i in
      let types = KeyPanels.types(
        heads: [1, 1], keys: w.k.shape[2], depth: depth, valuePanels: valuePanels, width: nr, element, parts,
        .local)
      let panels = KeyPanels(
        keys: b.allocate(types.keys), values: b.allocate(types.values), place: [.at(zero), .at(zero)])
      b.loop(to: keys.ceilDivided(by: nr)) { pack(batch: i[0], head: i[1], panel: $0, to: panels) }
      b.nested([groupSize, queries.ceilDivided(by: rows)]) { j in
        FlashTask(self, batch: i[0], head: i[1] * groupSize + j[0], panels: panels, start: j[1] * rows).run()
      }
    }
  }

  /// Of a task of so many queries.
  private func work(queries: Int) -> LoopWork {
    .operations(queries * w.k.shape[2].estimate * (depth + valuePanels * nr) / 8)
  }

  // MARK: Packing

  private func pack(batch: Tile, head: Tile, panel: Tile, to panels: KeyPanels) {
    packKeys(batch, head, panel, to: panels)
    packValues(batch, head, panel, to: panels)
  }

  /// `nr` rows of k, `[key, depth]`, as columns `[depth, key]`. What stands past the last key is never seen.
  private func packKeys(_ batch: Tile, _ head: Tile, _ panel: Tile, to panels: KeyPanels) {
    let rows = (b.iota([nr], dimension: 0) + panel * nr).minimum(keys - 1)
    fetchNext(k, batch, head, panel)
    b.strips(b.span(Dim(depth)), lanes: machine.lanes * group, vectors: 1) { strip in
      let block = k.load([.at(batch), .at(head), .gather(rows, 0), strip.index(1)], shape: [nr, strip.count])
      panels.keys.store(
        factors(block).transpose([1, 0]), panels.place + [.at(panel), .span(strip.start / group, 0), .span(zero, 1)])
    }
  }

  /// `nr` rows of v, cut into panels. Rows lie apart in memory, often by a power of two, so that walking down a few
  /// columns of them as they are would use few of the cache's sets.
  private func packValues(_ batch: Tile, _ head: Tile, _ block: Tile, to panels: KeyPanels) {
    guard let valueDepth = w.v.shape[3].constant else { preconditionFailure("a known depth") }
    fetchNext(v, batch, head, block)
    let first = block * nr
    b.loop(from: first / group, to: (first + nr).minimum(keys).ceilDivided(by: group)) { step in
      for panel in 0..<valuePanels {
        let start = panel * nr
        let limit = start + nr > valueDepth ? b.index(valueDepth - start) : nil
        func row(_ key: Tile) -> Tile {
          v.load([.at(batch), .at(head), .at(key), .span(b.index(start), 0)], shape: [nr], limits: [limit])
        }
        let factors = parts.map { b.words($0) { pastLastKey(step * group + $0, row) } } ?? row(step).cast(element)
        panels.values.store(factors, panels.place + [.at(b.index(panel)), .at(step), .span(zero, 0)])
      }
    }
  }

  /// A row of v, or zeros for the key after the last one, which shares its word.
  private func pastLastKey(_ key: Tile, _ row: (Tile) -> Tile) -> Tile {
    if w.k.shape[2].constant.map({ $0 % group == 0 }) ?? false { return row(key) }
    let numbers = row(key.minimum(keys - 1))
    return key.less(keys).broadcast(to: numbers.shape).select(numbers, b.constant(0, numbers.element, numbers.shape))
  }

  /// Numbers as what is multiplied; words have those that lie side by side.
  private func factors(_ numbers: Tile) -> Tile { parts.map { numbers.words(of: $0) } ?? numbers.cast(element) }

  /// Brings the rows of the next panel nearer: each is a stream of its own where heads lie side by side.
  private func fetchNext(_ buffer: TileBuffer, _ batch: Tile, _ head: Tile, _ panel: Tile) {
    let first = (panel + 1) * nr
    b.loop(from: first, to: (first + nr).minimum(keys)) { key in
      buffer.prefetch([batch, head, key], from: zero, count: buffer.type.shape[3].constant!)
    }
  }
}

/// The keys and values of a head as panels, so that both products are register tiles as in a matmul.
struct KeyPanels {
  /// Dimensions batch, key head, panel, depth or words of it, key within the panel.
  let keys: TileBuffer
  /// Dimensions batch, key head, panel of the depth, key or word of keys, place within the panel.
  let values: TileBuffer
  /// The head's batch and number in both.
  let place: [TileBuffer.Index]

  static func types(
    heads: Shape, keys: Dim, depth: Int, valuePanels: Int, width: Int, _ element: ElementType, _ parts: WordParts?,
    _ space: MemorySpace
  ) -> (keys: BufferType, values: BufferType) {
    let (panels, width, group) = (keys.ceilDivided(by: Dim(width)), Dim(width), parts?.count ?? 1)
    let element = parts == nil ? element : .int32
    return (
      BufferType(element, heads + [panels, Dim(depth / group), width], space: space),
      BufferType(element, heads + [Dim(valuePanels), keys.ceilDivided(by: Dim(group)), width], space: space)
    )
  }
}

import TensorTypes
import TileIR

/// Writes the program of `ColumnAttention`.
struct ColumnProgram {
  let w: AttentionWorkload
  let machine: Machine
  let unroll: Int
  /// Vectors of queries of a task, and of the last one of a head; where it is not known how many that has, of one that has no more.
  let vectors: Int
  let lastVectors: Int
  /// Keys of a block.
  let block: Int
  let isOneBlock: Bool
  let (depth, valueDepth): (Int, Int)
  let element: ElementType
  let b = TileBuilder("attention")
  let (q, k, v, y): (TileBuffer, TileBuffer, TileBuffer, TileBuffer)
  let scores: Scores
  let (queries, keys): (Tile, Tile)

  init(_ w: AttentionWorkload, _ knobs: Knobs, _ machine: Machine) {
    guard let depth = w.q.shape[3].constant, let valueDepth = w.v.shape[3].constant else {
      preconditionFailure("known depths")
    }
    (self.w, self.machine, unroll) = (w, machine, knobs["unroll"])
    (self.depth, self.valueDepth, element) = (depth, valueDepth, w.q.element)
    let all = w.q.shape[2].constant.map { machine.vectors(for: $0) }
    vectors = min(knobs["vectors"], all ?? .max)
    lastVectors = all.map { [vectors] in ($0 - 1) % vectors + 1 } ?? (vectors + 1) / 2
    // As many blocks, of the same size.
    let most = knobs["keys"]
    let known = w.k.shape[2].constant
    let count = known.map { max(1, ($0 + most - 1) / most) }
    let size = count.map { (known! + $0 - 1) / $0 } ?? most
    // Whole tiles, of either width.
    let tiles = [vectors, lastVectors].map { Self.mostRows(vectors: $0, machine) }
    let tile = (1...tiles[1]).first { $0 * tiles[0] % tiles[1] == 0 }! * tiles[0]
    block = (max(1, size) + tile - 1) / tile * tile
    isOneBlock = known.map { [block] in $0 <= block } ?? false
    q = b.parameter("q", .input, w.q.buffer)
    k = b.parameter("k", .input, w.k.buffer)
    v = b.parameter("v", .input, w.v.buffer)
    let mask = w.mask.map { [b] in b.parameter("mask", .input, $0.buffer) }
    y = b.parameter("y", .output, w.output.buffer)
    (queries, keys) = (b.size(w.q.shape[2]), b.size(w.k.shape[2]))
    scores = Scores(w: w, b: b, mask: mask, element: element, queries: queries, keys: keys, keysFirst: true)
  }

  /// Rows of the highest register tile of so many vectors.
  static func mostRows(vectors: Int, _ machine: Machine) -> Int {
    let spare = machine.vectorRegisters > 16 ? 3 : 1
    return max(1, min(16, (machine.vectorRegisters - spare) / vectors - 1))
  }

  func build() -> TileProgram {
    let (batch, heads) = (b.size(w.q.shape[0]), b.size(w.q.shape[1]))
    let width = vectors * machine.lanes
    let groupSize = b.size(w.q.shape[1].floorDivided(by: w.k.shape[1]))
    let work = width * w.k.shape[2].estimate * (depth + valueDepth) / 8
    b.parallel([batch, heads, queries.ceilDivided(by: width)], work: .operations(work)) { i in
      let memory = ColumnTask.Memory(self)
      func run(_ vectors: Int) {
        ColumnTask(
          self, memory, batch: i[0], head: i[1], keyHead: i[1] / groupSize, start: i[2] * width, vectors: vectors
        ).run()
      }
      if lastVectors == vectors { return run(vectors) }
      b.when((i[2] * width + lastVectors * machine.lanes).less(queries)) {
        run(vectors)
      } otherwise: {
        run(lastVectors)
      }
    }
    return b.finish()
  }
}

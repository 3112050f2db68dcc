import TensorTypes
import TileIR

/// `y = softmax(scale · q·kᵀ + mask) · v`, without the matrix of scores in memory.
///
/// A task takes a block of queries and passes over the keys in blocks; maximum, sum and output of each query are
/// brought up to date block by block (Milakov & Gimelshein, Online normalizer calculation for softmax, 2018; Dao et
/// al., FlashAttention, 2022). Keys and values are packed into panels, so that both products are register tiles as in a
/// matmul: by a first phase, or by tasks that take all the queries of a head. A query that sees no key gives 0.
///
/// Where the machine multiplies words of two bf16, and factors are bf16 or may be rounded to it, both products are of words: of two
/// parts of the depth, and of two keys. Exponentials are summed before they are rounded.
struct FlashAttention: KernelTemplate {
  let name = "attention.flash"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .attention(let w) = workload, w.q.element.isFloat, w.q.shape[3].constant != nil,
      w.v.shape[3].constant != nil
    else { return nil }
    return KnobSpace([
      ("queryBlocks", Array(1...16) + [20, 24, 32]), ("keyPanels", [1, 2, 4, 8, 16, 32, 64]),
      ("together", [1, 2, 3, 4, 6]),
      ("unroll", [1, 2, 4, 8]),
      ("headTasks", Self.headFits(w, in: machine.cacheBytes[1]) ? [0, 1] : [0]),
    ]).choosing(of: FlashAttention.tiles(w, on: machine), as: ("rows", "columns"))
  }

  private static func tiles(_ w: AttentionWorkload, on machine: Machine) -> [RegisterTile] {
    let queries = w.q.shape[2].constant ?? .max
    return RegisterTile.choices(on: machine).filter { $0.rows <= max(1, queries) } + [preferred(w, machine)]
  }

  /// Of many registers eight rows of three vectors, which a block of scores stays in while it is made weights; or six of four, where
  /// three would leave one vector of the values' depth, in which loads outnumber products. Few queries make low tiles, which are
  /// wide instead to keep as many sums going.
  private static func preferred(_ w: AttentionWorkload, _ machine: Machine) -> RegisterTile {
    let depth = machine.vectors(for: w.v.shape[3].constant!)
    let wide =
      depth > 1 && depth % 3 == 1
      ? RegisterTile(rows: 6, columns: 4 * machine.lanes) : RegisterTile(rows: 8, columns: 3 * machine.lanes)
    let best = machine.vectorRegisters > 16 ? wide : .best(on: machine)
    guard let queries = w.q.shape[2].constant, queries < best.rows else { return best }
    let rows = max(1, queries)
    let vectors = max(2, min(6, (machine.vectorRegisters - 2) / (rows + 1)))
    return RegisterTile(rows: rows, columns: vectors * machine.lanes)
  }

  /// `queryBlocks` and `keyPanels` count register tiles.
  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .attention(let w) = workload else { preconditionFailure("an attention workload") }
    let tile = FlashAttention.preferred(w, machine)
    let tiles = (w.q.shape[2].estimate + tile.rows - 1) / tile.rows
    var queryBlocks = max(1, min(12, tiles))
    let heads = w.q.shape[0].estimate(1) * w.q.shape[1].estimate(8)
    let hasHeadTasks = Self.hasHeadTasks(w, machine)
    // At least 16 tasks where there is the work for them.
    while !hasHeadTasks, queryBlocks > 2, heads * ((tiles + queryBlocks - 1) / queryBlocks) < 16 {
      queryBlocks = (queryBlocks + 1) / 2
    }
    // As many tasks, of the same size.
    let tasks = (tiles + queryBlocks - 1) / queryBlocks
    queryBlocks = (tiles + tasks - 1) / tasks
    let together = tile.columns > 2 * machine.lanes ? 1 : 2
    // Keys and values of a block in a quarter of the level-2 cache, or all in half of it if a tile's scores stay in the level-1 cache.
    let depth = (w.q.shape[3].constant ?? 64) + (w.v.shape[3].constant ?? 64)
    let keys = w.k.shape[2].constant ?? .max
    let fitting = machine.cacheBytes[1] / 4 / (depth * tile.columns * 4)
    let isOneBlock =
      Self.headFits(w, in: machine.cacheBytes[1] / 2) && keys * together * tile.rows * 4 <= machine.cacheBytes[0] / 2
    let keyPanels = isOneBlock ? (keys + tile.columns - 1) / tile.columns : max(2, min(512 / tile.columns, fitting))
    return [
      "rows": tile.rows, "columns": tile.columns, "queryBlocks": queryBlocks, "keyPanels": max(1, keyPanels),
      "together": together, "unroll": 4, "headTasks": hasHeadTasks ? 1 : 0,
    ]
  }

  /// Whether a head's keys and values are known to take no more than so many bytes.
  private static func headFits(_ w: AttentionWorkload, in bytes: Int) -> Bool {
    guard let keys = w.k.shape[2].constant, let depth = w.k.shape[3].constant, let valueDepth = w.v.shape[3].constant
    else { return false }
    return keys * (depth + valueDepth) * w.q.element.accumulator.byteCount <= bytes
  }

  /// Whether tasks pack the keys and values of a head each: where these stay in the level-2 cache, so few queries see
  /// them that packing is a part of the work, and heads share out evenly.
  private static func hasHeadTasks(_ w: AttentionWorkload, _ machine: Machine) -> Bool {
    guard headFits(w, in: machine.cacheBytes[1] / 2), let queries = w.q.shape[2].constant, queries <= 512,
      let keyHeads = (w.k.shape[0] * w.k.shape[1]).constant
    else { return false }
    let workers = machine.workers ?? 4
    let turns = (keyHeads + workers - 1) / workers
    return turns >= 3 && Double(turns * workers) <= 1.05 * Double(keyHeads)
  }

  /// Both products, what lies between them, which has a part for each row of a tile, across its vectors' lanes, and packing.
  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .attention(let w) = workload else { preconditionFailure("an attention workload") }
    let (queries, rows, columns) = (w.q.shape[2].estimate, knobs["rows"], knobs["columns"])
    // Vectors of a row's scores, and of its products.
    var (scores, products) = (0, 0)
    for first in stride(from: 0, to: queries, by: rows) {
      let seen = w.seen(by: first + rows - 1)
      // Of a panel's keys, scores are computed where some are seen; values are weighed by those that are.
      let left = w.causalOffset == nil ? machine.wholeVectors(seen % columns) : (seen % columns > 0 ? columns : 0)
      let vectors = (seen / columns * columns + left) / machine.lanes
      scores += vectors
      products += vectors * w.q.shape[3].estimate + seen * machine.vectors(for: w.v.shape[3].estimate)
    }
    let tiles = (queries + rows - 1) / rows
    let group = Double(w.parts(on: machine)?.count ?? 1)
    let perRow = 0.535 / group * Double(products) + 5 * Double(scores) + 1.75 * Double(machine.lanes * tiles)
    return Double(w.headCount * rows) * perRow + Double(w.keptElements) / 2
  }

  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] {
    declaredScratch(workload, knobs, machine)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .attention(let w) = workload else { preconditionFailure("an attention workload") }
    return FlashProgram(w, knobs, machine).build()
  }
}

extension Dim {
  func estimate(_ guess: Int) -> Int { constant ?? guess }
}

import TensorTypes
import TileIR

/// `y = softmax(scale · q·kᵀ + mask) · v`, with queries as columns: a task turns over a few vectors of queries, and then keys and
/// values are read where they lie, an element at a time, each for all of those queries.
///
/// Nothing is packed that several tasks would share, a register tile holds as many parts of the values' depth as there are, and
/// largest scores and sums of a query stay in its lane. Blocks of keys pass by as in `FlashAttention`. A query that sees no key
/// gives 0.
struct ColumnAttention: KernelTemplate {
  let name = "attention.columns"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .attention(let w) = workload, w.q.element == .float32, w.q.shape[3].constant != nil,
      w.v.shape[3].constant != nil, w.q.shape[2].constant != 0
    else { return nil }
    return KnobSpace([("vectors", [1, 2, 3, 4]), ("keys", [32, 64, 128, 256, 512]), ("unroll", [1, 2, 4, 8])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .attention(let w) = workload else { preconditionFailure("an attention workload") }
    let vectors = [4, 3, 2, 1].min { Self.cycles($0, w, machine) < Self.cycles($1, w, machine) }!
    return ["vectors": vectors, "keys": 128, "unroll": 4]
  }

  /// Of all tasks, and of queries and results that are turned over, and keys and values that come from afar the first time.
  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .attention(let w) = workload else { preconditionFailure("an attention workload") }
    let turned = w.headCount * machine.wholeVectors(w.q.shape[2].estimate) * w.depths
    return Self.cycles(knobs["vectors"], w, machine) + 0.35 * Double(turned) + 0.15 * Double(w.keptElements)
  }

  /// Cycles that tasks of so many vectors of queries take for both products and for what lies between them; more where tasks are too
  /// few for a few threads.
  private static func cycles(_ vectors: Int, _ w: AttentionWorkload, _ machine: Machine) -> Double {
    let perScore = 5 + (w.masksQueries ? turning(w) : 0)
    let all = machine.vectors(for: w.q.shape[2].estimate)
    var (cycles, tasks) = (0.0, 0)
    for first in stride(from: 0, to: all, by: vectors) {
      let own = min(vectors, all - first)
      let keys = w.seen(by: (first + own) * machine.lanes - 1)
      cycles += Double(keys) * (Double(w.depths) * step(own, machine) * reach(w, machine) + perScore * Double(own))
      tasks += w.headCount
    }
    return Double(w.headCount) * cycles * max(1, 4 / Double(max(1, tasks)))
  }

  /// Cycles that turning the mask over takes for a vector of scores: more where numbers are to be made of booleans, or where more keys than
  /// about a hundred leave the level-1 cache no room for it.
  private static func turning(_ w: AttentionWorkload) -> Double {
    w.mask?.element == .bool ? 10 : w.k.shape[2].estimate <= 96 ? 4 : 8
  }

  /// Cycles of a step of a product for each row of a register tile: two products or loads at a time, and a share that does not overlap.
  /// Of few registers tiles are small, and loads are what there is to wait for.
  private static func step(_ vectors: Int, _ machine: Machine) -> Double {
    let rows = ColumnProgram.mostRows(vectors: vectors, machine)
    let (products, loads) = (Double(rows * vectors), Double(rows + vectors))
    let cycles =
      machine.vectorRegisters > 16 ? max(products, loads) / 2 + 0.06 * loads : 0.23 * products + 0.47 * loads
    return cycles / Double(rows)
  }

  /// How much longer products take where keys or values lie a multiple of 4 KiB apart: each has a page of its own then, and all share
  /// the same sets of the level-1 cache. Packed ones do so once; narrow vectors see them more often.
  private static func reach(_ w: AttentionWorkload, _ machine: Machine) -> Double {
    let isFar = [w.k, w.v].contains { view in
      guard let distance = view.strides[2].constant else { return false }
      return distance != 0 && (distance * view.element.byteCount) % 4096 == 0
    }
    return isFar ? 1 + 2.8 / Double(machine.lanes) : 1
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .attention(let w) = workload else { preconditionFailure("an attention workload") }
    return ColumnProgram(w, knobs, machine).build()
  }
}

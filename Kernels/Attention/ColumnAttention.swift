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
      w.v.shape[3].constant != nil, w.q.shape[2].constant != 0,
      // A mask for each query would have to be turned over, too.
      w.mask.map({ $0.strides[2] == 0 }) ?? true
    else { return nil }
    return KnobSpace([("vectors", [1, 2, 3, 4]), ("keys", [32, 64, 128, 256, 512]), ("unroll", [1, 2, 4, 8])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .attention(let w) = workload else { preconditionFailure("an attention workload") }
    let vectors = [4, 3, 2, 1].min { Self.cycles($0, w, machine) < Self.cycles($1, w, machine) }!
    return ["vectors": vectors, "keys": 128, "unroll": 4]
  }

  /// Cycles that both products take in tasks of so many vectors of queries; more where tasks are too few for a few threads.
  private static func cycles(_ vectors: Int, _ w: AttentionWorkload, _ machine: Machine) -> Double {
    // Of a step of k for each row of a register tile: two products or loads at a time, and a share that does not overlap.
    func step(_ vectors: Int) -> Double {
      let rows = ColumnProgram.mostRows(vectors: vectors, machine)
      let (products, loads) = (Double(rows * vectors), Double(rows + vectors))
      return (max(products, loads) / 2 + 0.15 * loads) / Double(rows)
    }
    let all = machine.vectors(for: w.q.shape[2].estimate)
    let (whole, rest) = (all / vectors, all % vectors)
    let heads = w.q.shape[0..<2].product.estimate
    let tasks = heads * (whole + min(1, rest))
    let perRow = Double(whole) * step(vectors) + (rest > 0 ? step(rest) : 0)
    let rows = heads * w.seen(by: vectors * machine.lanes * 3 / 2) * (w.q.shape[3].estimate + w.v.shape[3].estimate)
    return Double(rows) * perRow * max(1, 4 / Double(max(1, tasks)))
  }

  /// Both products, what lies between them, masks where some keys are not seen, and queries and results that are turned over, which
  /// come from afar and go there. Of few registers tiles are small, which leaves loads less hidden.
  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .attention(let w) = workload else { preconditionFailure("an attention workload") }
    let turned = w.q.shape[0..<3].product.estimate * (w.q.shape[3].estimate + w.v.shape[3].estimate)
    let share = (w.causalOffset == nil ? 1.05 : 1.13) + (machine.vectorRegisters > 16 ? 0 : 0.05)
    return share * Self.cycles(knobs["vectors"], w, machine) * Self.reach(w) + 0.4 * Double(turned)
  }

  /// How much longer it takes where keys or values lie a multiple of 4 KiB apart: each has a page of its own then, and all share
  /// the same sets of the level-1 cache. Packed ones do so once.
  private static func reach(_ w: AttentionWorkload) -> Double {
    let isFar = [w.k, w.v].contains { view in
      guard let distance = view.strides[2].constant else { return false }
      return distance != 0 && (distance * view.element.byteCount) % 4096 == 0
    }
    return isFar ? 1.2 : 1
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .attention(let w) = workload else { preconditionFailure("an attention workload") }
    return ColumnProgram(w, knobs, machine).build()
  }
}

extension AttentionWorkload {
  /// How many keys queries see on average, if as many are computed for `rows` neighbours as the last of them sees.
  func seen(by rows: Int) -> Int {
    let keys = k.shape[2].estimate
    return causalOffset == nil ? keys : min(keys, (keys + rows) / 2)
  }
}

import TensorTypes
import TileIR

/// y[m, n] = epilogue(Σₖ a[m, k] · b[k, n]), summed in f32, b in panels: packed at compile time if it is a constant, else by each task,
/// or read in place where rows are few.
///
/// A few rows (`SkinnyMatmul`) are bound by reading b once, many by arithmetic; where the number of rows is known only at
/// run time, the program holds both ways, which share the panels, and takes one.
///
/// The schedule for many rows is that of Goto & van de Geijn (2008): a task takes `mc` rows and `nc` columns; k is cut into pieces
/// of `kc` so that a panel of b stays in the level-1 cache while the blocks of a pass by; a is packed (or read in
/// place where it is used only a few times). Partial sums of all but the last piece wait in local memory.
struct PackedMatmul: KernelTemplate {
  let name = "matmul.packed"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .matmul(let w) = workload, w.isPackable else { return nil }
    return KnobSpace([
      ("mc", [1, 2, 4, 8, 12, 16, 20, 24, 32, 48, 64]), ("nc", [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64]),
      ("kc", [128, 192, 256, 320, 384, 512, 768, 1024, 1 << 30]),
      ("packA", w.aIsConstant ? [0] : w.a.element == .float32 ? [0, 1] : [1]),
      ("unroll", [1, 2, 4, 8]),
      ("prefetch", w.bIsConstant ? PanelPrefetch.choices : [0]),
      ("columnsInner", w.bIsConstant ? [0] : [0, 1]),
      ("packB", w.bIsConstant || w.b.strides[2] != 1 ? [1] : [0, 1]),
      ("skinnyPanels", [1, 2, 3, 4, 6, 8]), ("skinnyUnroll", [1, 2, 4, 8]),
    ]).choosing(of: RegisterTile.choices(on: machine))
  }

  /// `mc` and `nc` count register tiles.
  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    // A sum of nothing is 0, but has its blocks.
    let (k, n) = (max(1, w.a.shape[2].constant ?? 1024), w.b.shape[2].constant ?? 1024)
    let m = w.a.shape[1].constant
    // The few rows that `SkinnyMatmul` does are any block's.
    let isFew = m != nil && SkinnyMatmul.rows(of: w) != nil
    let bytes = k * n * w.b.element.byteCount
    let readsInPlace = Self.readsInPlace(w, on: machine)
    let tile =
      isFew
      ? SkinnyMatmul.tile(rows: m!, of: w, on: machine)
      : .fitting(
        rows: w.a.shape[1].estimate, columns: n, streams: m != nil && w.bIsConstant && !w.isNarrow,
        rowDistance: w.aIsConstant ? nil : w.a.strides[1].constant.map { $0 * w.a.element.byteCount },
        addresses: w.bIsConstant && !w.aIsConstant, inPlace: readsInPlace, on: machine)
    let panels = (n + tile.columns - 1) / tile.columns
    // A panel's piece takes half of the level-1 cache; with the many registers of AVX-512 a step of k lasts so long that
    // its row comes from level 2 in time, and sums are put by and fetched again less often.
    let isFromLevel2 = !w.isNarrow && machine.vectorRegisters > 16
    // A panel that a task copies for itself is alone there.
    let share = !w.aIsConstant && !w.bIsConstant && m != nil && w.a.shape[2].constant != nil ? 3 : 5
    let room = isFromLevel2 ? machine.cacheBytes[1] / share : machine.cacheBytes[0] * 5 / 8
    let pieces = max(1, (k * tile.columns * 4 + room - 1) / room)
    let kc = pieces == 1 ? 1 << 30 : ((k + pieces - 1) / pieces + 7) / 8 * 8
    // Rows: a's block in a part of the level-2 cache, which panels and results pass through, and enough tasks for a
    // few workers.
    let depth = min(kc, k)
    // A panel that is widened by every task that reads it wants more rows to pass by, and brings less from memory.
    let part = isFromLevel2 && w.bIsConstant ? 2 : w.isNarrow ? 3 : 5
    var mc = max(1, min(24, machine.cacheBytes[1] / part / (depth * tile.rows * 4)))
    if let m { mc = max(1, min(mc, (m + tile.rows - 1) / tile.rows)) }
    // Panels that a task packs for itself take a third of the level-2 cache.
    let most = machine.cacheBytes[1] / 3 / (depth * tile.columns * 4)
    var nc = min(panels, w.bIsConstant ? 64 : max(1, min(32, most)))
    let batch = max(1, w.a.shape[0].constant ?? 1)
    // What is not copied may be cut as finely as makes threads end together.
    let sharesPanels = w.aIsConstant && readsInPlace && panels >= 8
    if sharesPanels {
      nc = SharedResults(rows: batch, columns: panels, workers: machine.workers).columnsPerTask(anew: 0.003)
    }
    if w.aIsConstant, let m {
      // All rows in a task where columns make enough of them: b is packed once for all.
      let columnTasks = batch * ((panels + nc - 1) / nc)
      let blocks = (m + tile.rows - 1) / tile.rows
      let enough = sharesPanels ? 1 : (8 + columnTasks - 1) / columnTasks
      let tasks = max(1, enough, (blocks + 63) / 64)
      mc = (blocks + tasks - 1) / tasks
    }
    // Rows whose number is not known may be few.
    let blocks = m.map { ($0 + tile.rows - 1) / tile.rows }
    var rowTasks = blocks.map { ($0 + mc - 1) / mc } ?? 1
    // At least eight tasks where there is the work for them, so that two to four workers finish together.
    func panelsPerTask(_ rowTasks: Int) -> Int {
      var count = nc
      while count > (w.bIsConstant ? 1 : 2), rowTasks * batch * ((panels + count - 1) / count) < 8 {
        count = (count + 1) / 2
      }
      return count
    }
    if let blocks {
      let results = SharedResults(rows: blocks, columns: panels, workers: machine.workers)
      // Threads share rows too where panels alone leave one waiting.
      if w.bIsConstant, batch == 1, rowTasks * panels < 16 {
        let fewest = rowTasks
        func cost(_ parts: Int) -> Double {
          results.stretch(.init(rows: (blocks + parts - 1) / parts, columns: panelsPerTask(parts)))
            + 0.03 * Double(parts - fewest)
        }
        rowTasks = (fewest...min(blocks, 3 * fewest)).min { cost($0) < cost($1) }!
      }
      // Tasks of one size.
      mc = (blocks + rowTasks - 1) / rowTasks
      nc = panelsPerTask(rowTasks)
      if w.bIsConstant, batch == 1 { nc = results.evened(.init(rows: mc, columns: nc)).columns }
    } else {
      nc = panelsPerTask(rowTasks)
    }
    let copiesB = Self.copiesB(w, tile, on: machine)
    let isShort = kc >= k && k <= Self.fewSteps
    if let m, !w.aIsConstant, !w.bIsConstant {
      let task = Self.runTimeTasks(
        RunTimeProduct(
          rows: m, columns: n, batch: batch, tile: tile, copiesB: copiesB, isShort: isShort, isWhole: pieces == 1),
        mostPanels: max(1, machine.cacheBytes[1] / 2 / (depth * tile.columns * 4)), on: machine)
      (mc, nc) = (task.rows, task.columns)
    }
    // What lies in level 2 is there in time. A block that passes alone fetches the first half of a panel: the hardware sees the rest
    // coming, and as much again would push it out of level 1.
    let fetches = w.bIsConstant && bytes > machine.cacheBytes[1]
    return [
      "mr": tile.rows, "nr": tile.columns, "mc": mc, "nc": nc, "kc": kc, "packA": w.a.element == .float32 ? 0 : 1,
      "unroll": 4,
      "prefetch": fetches
        ? max(2, PanelPrefetch.blocks(passing: min(mc, w.a.shape[1].estimate / tile.rows))) : 0,
      // Short rows of results are written as fast in any order.
      "columnsInner": !w.bIsConstant && isShort && (w.aIsConstant ? !readsInPlace : copiesB || n > 128) ? 1 : 0,
      "packB": w.bIsConstant || copiesB ? 1 : 0,
      "skinnyPanels": SkinnyMatmul.panels(
        rows: m ?? 1, tile, panels, on: machine, isNarrow: w.isNarrow, inPlace: !w.bIsConstant),
      "skinnyUnroll": w.scaling.map { max(1, 8 / $0.steps) } ?? (w.isNarrow ? 1 : w.bIsConstant ? 2 : 4),
    ]
  }

  /// That of the register tile, for as many rows; a panel that tasks turn over takes half a cycle an element.
  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    let (m, n, k) = (w.a.shape[1].estimate, w.b.shape[2].estimate, w.a.shape[2].estimate)
    let tile = RegisterTile(rows: min(m, knobs["mr"]), columns: knobs["nr"])
    let isTurned = !w.bIsConstant && w.b.strides[1] == 1 && w.b.strides[2] != 1
    let turning = isTurned ? Double(n) / 2 : 0
    return Double(w.a.shape[0].estimate(1) * k)
      * (turning + tile.cycles(rows: m, columns: n, addresses: w.bIsConstant && !w.aIsConstant, on: machine))
  }

  func packing(for workload: Workload, knobs: Knobs, on machine: Machine) -> [WeightPacking?] {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    let left = w.aIsConstant ? Self.leftPanels(w, rows: knobs["mr"]) : nil
    let constants: [WeightPacking?] = w.bIsConstant ? w.packings(width: knobs["nr"]) : [nil]
    return [left] + constants + w.epilogue.operands.map { _ in nil }
  }

  /// a as panels of blocks of rows: `[batch, ⌈M / rows⌉, K, rows]`.
  static func leftPanels(_ w: MatmulWorkload, rows: Int) -> WeightPacking {
    WeightPacking(source: w.a.permuted([0, 2, 1]), width: rows, element: .float32)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    return MatmulProgram(w, knobs, machine).build()
  }
}

extension MatmulWorkload {
  /// Whether b is stored in fewer bits than it is computed with.
  var isNarrow: Bool { b.element != .float32 }

  /// Whether b is f32, or a constant of 16-bit floats or of codes; a is f32, or of b's 16-bit floats.
  fileprivate var isPackable: Bool {
    switch b.element {
    case .float32: return a.element == .float32
    case .float16, .bfloat16:
      return bIsConstant && b.shape[1].constant != nil && (a.element == .float32 || a.element == b.element)
    case .int8:
      guard a.element == .float32, bIsConstant, let scaling, let depth = b.shape[1].constant else { return false }
      return scaling.fits(depth)
    case .float64, .int64, .int32, .int16, .uint64, .uint32, .uint16, .uint8, .bool: return false
    }
  }

  /// How b lies in panels, and its scales and zeros.
  func packings(width: Int) -> [WeightPacking] {
    guard let scaling else {
      return [WeightPacking(source: b, width: width, element: b.element)]
    }
    var codes = WeightPacking(source: b, width: width, element: scaling.bits == 8 ? .int8 : .int32)
    if scaling.bits < 8 { codes.codeBits = scaling.bits }
    return [codes] + scaling.operands.map { WeightPacking(source: $0, width: width, element: $0.element) }
  }
}

import TensorTypes
import TileIR

/// y[m, n] = epilogue(Σₖ a[m, k] · b[k, n]) of f32, few rows m, b known only at run time with its steps of k side by side.
///
/// Panels would have to be turned over, which takes longer than a few rows' products. So vectors run along k on both sides, each
/// element of b is read where it lies, and the vectors of partial sums are added up at the end. A task takes a few columns and passes
/// by all rows, which finds its part of b in a cache again. `ThinMatmul` is the same for few columns.
struct InnerMatmul: KernelTemplate {
  let name = "matmul.inner"

  /// Rows for which it may be sooner than panels; of few registers blocks are small.
  private static func mostRows(_ machine: Machine) -> Int { machine.vectorRegisters > 16 ? 64 : 32 }

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .matmul(let w) = workload, w.a.element == .float32, w.b.element == .float32, !w.aIsConstant,
      !w.bIsConstant, w.a.strides[2] == 1, w.b.strides[1] == 1, w.b.strides[2] != 1,
      let m = w.a.shape[1].constant, (1...Self.mostRows(machine)).contains(m),
      let n = w.b.shape[2].constant, n > machine.lanes,
      let k = w.a.shape[2].constant, k >= machine.lanes
    else { return nil }
    return KnobSpace([("rows", Array(1...8)), ("columns", Array(1...12)), ("unroll", [1, 2, 4, 8])]) {
      InnerTile(rows: $0["rows"], columns: $0["columns"]).fits(machine)
    }
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    let tile = InnerTile.best(rows: w.a.shape[1].constant!, columns: w.b.shape[2].constant!, on: machine)
    return ["rows": tile.rows, "columns": tile.columns, "unroll": 4]
  }

  /// That of the tiles; a few instructions to add a vector up.
  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    let (m, n) = (w.a.shape[1].constant!, w.b.shape[2].constant!)
    let tile = InnerTile(rows: knobs["rows"], columns: knobs["columns"])
    let steps = Double(machine.vectors(for: w.a.shape[2].constant!))
    return Double(w.a.shape[0].estimate(1))
      * (steps * tile.cycles(rows: m, columns: n) + Double(4 * tile.count(rows: m, columns: n) * tile.sums))
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    return InnerProgram(w, knobs, machine).build()
  }
}

/// A block of results, each a vector of partial sums in a register.
private struct InnerTile {
  var rows: Int
  var columns: Int

  var sums: Int { rows * columns }

  /// Beside sums there are vectors of the shorter side, and one of the other.
  func fits(_ machine: Machine) -> Bool { sums + min(rows, columns) + 1 <= machine.vectorRegisters }

  func count(rows m: Int, columns n: Int) -> Int {
    ((m + rows - 1) / rows) * ((n + columns - 1) / columns)
  }

  /// Of a vector's step along k over a whole result: two multiplications and two loads at a time, results after four cycles.
  func cycles(rows m: Int, columns n: Int) -> Double {
    let loads = rows + columns
    return Double(count(rows: m, columns: n)) * (Double(max(sums, loads, 8)) / 2 + 0.15 * Double(loads))
  }

  /// The soonest. Each row and column is a stream, which often are a multiple of 4 KiB apart: then one set of the level-1 cache has to
  /// hold a line of each.
  static func best(rows m: Int, columns n: Int, on machine: Machine) -> InnerTile {
    let most = machine.vectorRegisters > 16 ? 12 : 8
    let all = (1...min(8, m)).flatMap { rows in (1...8).map { InnerTile(rows: rows, columns: $0) } }
    return all.filter { $0.fits(machine) && $0.rows + $0.columns <= most }.min {
      $0.cycles(rows: m, columns: n) < $1.cycles(rows: m, columns: n)
    }!
  }
}

private struct InnerProgram {
  let w: MatmulWorkload
  let (rows, columns, lanes, unroll): (Int, Int, Int, Int)
  let depth: Int
  let b = TileBuilder("matmul_inner")
  let left, right, y: TileBuffer
  let operands: [TileBuffer]

  init(_ w: MatmulWorkload, _ knobs: Knobs, _ machine: Machine) {
    self.w = w
    (rows, columns, lanes, unroll) = (knobs["rows"], knobs["columns"], machine.lanes, knobs["unroll"])
    depth = w.a.shape[2].constant!
    left = b.parameter("a", .input, w.a.buffer)
    right = b.parameter("b", .input, w.b.buffer)
    (operands, y) = b.parameters(w.epilogue)
  }

  func build() -> TileProgram {
    let (m, n) = (b.size(w.a.shape[1]), b.size(w.b.shape[2]))
    let results = MatmulResults(w: w, operands: operands, y: y, m: m, n: n, b: b)
    let work = LoopWork.products(w.a.shape[1].constant! * columns * depth)
    b.parallel([b.size(w.epilogue.output.shape[0]), n.ceilDivided(by: columns)], work: work) { place in
      let column = place[1] * columns
      b.loop(to: m, step: rows) { row in
        results.store(sum(place[0], row, column, m, n), place[0], row, column)
      }
    }
    return b.finish()
  }

  /// `[rows, columns]`; those past the end stand at the last one.
  private func sum(_ batch: Tile, _ row: Tile, _ column: Tile, _ m: Tile, _ n: Tile) -> Tile {
    let rowPlaces = w.rowIndices(rows, from: row, of: m, in: b)
    let columnPlaces = (b.iota([columns], dimension: 0) + column).minimum(n - 1)
    let matrix = w.b.strides[0] == 0 ? b.index(0) : batch
    let sums = b.addingInnerProducts(
      to: b.constant(0, .float32, [rows, columns, lanes]), depth: depth, unroll: unroll
    ) { step, limit in
      left.load(
        [.at(batch), .gather(rowPlaces, 0), .span(step, 2)], shape: [rows, 1, lanes], limits: [nil, nil, limit])
    } _: { step, limit in
      right.load(
        [.at(matrix), .span(step, 2), .gather(columnPlaces, 1)], shape: [1, columns, lanes], limits: [nil, nil, limit])
    }
    return sums.reduce(.sum, dimension: 2).reshape([rows, columns])
  }
}

import TensorTypes
import TileIR

/// y[m, n] = epilogue(Σₖ a[m, k] · b[k, n]) of f32, few columns n.
///
/// Vectors run along k, so that none of their lanes is idle however few columns there are. A register tile holds a vector of
/// partial sums for each of some rows and all columns; the vectors are added up at the end. What bounds it is reading a once.
/// `InnerProduct` is the same for convolutions.
struct ThinMatmul: KernelTemplate {
  let name = "matmul.thin"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .matmul(let w) = workload, w.a.element == .float32, w.b.element == .float32, !w.aIsConstant,
      w.a.strides[2] == 1, w.bIsConstant || w.b.strides[1] == 1,
      let k = w.a.shape[2].constant, k >= machine.lanes,
      let n = w.b.shape[2].constant, (1...machine.lanes).contains(n)
    else { return nil }
    return KnobSpace([
      ("rows", [1, 2, 3, 4, 5, 6, 8, 10, 12, 16]), ("unroll", [1, 2, 4, 8]), ("prefetch", [0, 1]),
    ]) {
      machine.holdsInnerProducts(rows: $0["rows"], columns: n)
    }
  }

  /// As many sums as keep multiplications busy and leave registers for b's vectors. Rows that level 2 does not hold are fetched while
  /// those before them are multiplied and their sums added up.
  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    let most = min(16, machine.vectorRegisters - 4) / w.b.shape[2].constant!
    let rows = [1, 2, 3, 4, 5, 6, 8, 12, 16].last { $0 <= max(1, most) }!
    let isFar = w.a.shape.estimatedCount * w.a.element.byteCount > machine.cacheBytes[1]
    return ["rows": rows, "unroll": 2, "prefetch": isFar ? 1 : 0]
  }

  /// b turned over: panels of steps of k, whose rows are columns.
  func packing(for workload: Workload, knobs: Knobs, on machine: Machine) -> [WeightPacking?] {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    return [nil, w.bIsConstant ? Self.panels(w, machine) : nil] + w.epilogue.operands.map { _ in nil }
  }

  fileprivate static func panels(_ w: MatmulWorkload, _ machine: Machine) -> WeightPacking {
    WeightPacking(source: w.b.permuted([0, 2, 1]), width: machine.lanes, element: .float32)
  }

  /// Two multiplications of vectors a cycle, less often than in a product of many columns; a few instructions to add a vector up.
  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    let (vectors, n) = (machine.vectors(for: w.a.shape[2].constant!), w.b.shape[2].constant!)
    let rows = w.a.shape[0].estimate(1) * w.a.shape[1].estimate
    return Double(rows) * (Double(vectors * n) / 2 / 0.7 + Double(4 * n))
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    return ThinProgram(w, knobs, machine).build()
  }
}

private struct ThinProgram {
  let w: MatmulWorkload
  let (rows, lanes, unroll): (Int, Int, Int)
  let (columns, depth): (Int, Int)
  /// Whether the rows after a task's are fetched meanwhile.
  let fetchesNext: Bool
  let b = TileBuilder("matmul_thin")
  let left, right, y: TileBuffer
  let operands: [TileBuffer]

  init(_ w: MatmulWorkload, _ knobs: Knobs, _ machine: Machine) {
    self.w = w
    (rows, lanes, unroll) = (knobs["rows"], machine.lanes, knobs["unroll"])
    (columns, depth) = (w.b.shape[2].constant!, w.a.shape[2].constant!)
    fetchesNext = knobs["prefetch"] == 1
    left = b.parameter("a", .input, w.a.buffer)
    right = b.parameter(
      "b", .input, w.bIsConstant ? BufferType(.float32, ThinMatmul.panels(w, machine).packed.shape) : w.b.buffer)
    (operands, y) = b.parameters(w.epilogue)
  }

  func build() -> TileProgram {
    let m = b.size(w.a.shape[1])
    let results = MatmulResults(w: w, operands: operands, y: y, m: m, n: b.size(w.b.shape[2]), b: b)
    b.parallel([b.size(w.epilogue.output.shape[0]), m.ceilDivided(by: rows)], work: .bytes(rows * depth * 4)) { place in
      let row = place[1] * rows
      results.store(sum(place[0], row, m), place[0], row, b.index(0))
    }
    return b.finish()
  }

  /// `[rows, columns]`
  private func sum(_ batch: Tile, _ row: Tile, _ m: Tile) -> Tile {
    let places = w.rowIndices(rows, from: row, of: m, in: b)
    let sums = b.addingInnerProducts(
      to: b.constant(0, .float32, [rows, columns, lanes]), depth: depth, unroll: unroll
    ) { step, limit in
      if fetchesNext { for next in rows..<2 * rows { left.prefetch([batch, row + next, step]) } }
      return left.load(
        [.at(batch), .gather(places, 0), .span(step, 2)], shape: [rows, 1, lanes], limits: [nil, nil, limit])
    } _: { step, limit in
      factors(batch, step, limit: limit)
    }
    return sums.reduce(.sum, dimension: 2).reshape([rows, columns])
  }

  /// A vector of b for each column, `[1, columns, lanes]`.
  private func factors(_ batch: Tile, _ step: Tile, limit: Tile?) -> Tile {
    let (zero, shape) = (b.index(0), [1, columns, lanes])
    let matrix = w.b.strides[0] == 0 ? zero : batch
    if w.bIsConstant {
      return right.load([.at(matrix), .at(step / lanes), .span(zero, 1), .span(zero, 2)], shape: shape)
    }
    return right.load([.at(matrix), .span(step, 2), .span(zero, 1)], shape: shape, limits: [nil, nil, limit])
  }
}

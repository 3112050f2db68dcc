import TensorTypes
import TileIR

/// y[m, n] = epilogue(Σₖ a[m, k] · b[k, n]) for element types without a packed product: integers, which wrap around, f64,
/// and 16-bit floats, summed in f32, whose b is no constant. A block of the result stays in registers while a and b are
/// read in place.
struct PlainMatmul: KernelTemplate {
  let name = "matmul.plain"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .matmul(let w) = workload, w.a.element == w.b.element, w.a.element != .bool, w.a.element != .float32,
      !w.widens
    else { return nil }
    return KnobSpace([("rows", [1, 2, 4]), ("vectors", [1, 2])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    return ["rows": w.a.shape[1] == 1 ? 1 : 4, "vectors": w.a.element.byteCount == 8 ? 1 : 2]
  }

  /// Of 16-bit floats, which others may do: a product of vectors a cycle, and converting what is read.
  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    let products = Double(w.a.shape.map { $0.estimate }.reduce(1, *)) * Double(w.b.shape[2].estimate)
    return 2 * products / Double(machine.lanes)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    return PlainProgram(w, rows: knobs["rows"], width: knobs["vectors"] * machine.lanes).build()
  }
}

private struct PlainProgram {
  let w: MatmulWorkload
  let rows: Int
  let width: Int
  let b = TileBuilder("matmul")
  let left, right, y: TileBuffer
  let operands: [TileBuffer]

  init(_ w: MatmulWorkload, rows: Int, width: Int) {
    (self.w, self.rows, self.width) = (w, rows, width)
    left = b.parameter("a", .input, w.a.buffer)
    right = b.parameter("b", .input, w.b.buffer)
    (operands, y) = b.parameters(w.epilogue)
  }

  func build() -> TileProgram {
    let (m, n, k) = (w.a.shape[1], w.b.shape[2], w.a.shape[2])
    let work = LoopWork.operations(k.estimate * rows * width)
    let extents = [b.size(w.a.shape[0]), b.size(m).ceilDivided(by: rows), b.size(n).ceilDivided(by: width)]
    b.parallel(extents, work: work) { place in
      let (i, j) = (place[1] * rows, place[2] * width)
      let rowLimit = m.divided(exactlyBy: Dim(rows)) == nil ? b.size(m) - i : nil
      let columnLimit = n.divided(exactlyBy: Dim(width)) == nil ? b.size(n) - j : nil
      let accumulator = w.a.element.accumulator
      let start = b.constant(0, accumulator, [rows, width])
      let sum = b.loop(.unrolled(by: 2), to: b.size(k), carrying: [start]) { step, sums in
        let column = left.load([.at(place[0]), .span(i, 0), .at(step)], shape: [rows, 1], limits: [rowLimit, nil])
        let row = right.load([.at(place[0]), .at(step), .span(j, 1)], shape: [1, width], limits: [nil, columnLimit])
        return [add(column.cast(accumulator), row.cast(accumulator), to: sums[0])]
      }[0]
      w.epilogue.store(
        sum.cast(w.epilogue.expression.inputTypes[0]), to: y, operands,
        at: BlockPosition(rows: [.at(place[0]), .span(i, 0)], column: j), rowLimit: rowLimit, columnLimit: columnLimit,
        in: b)
    }
    return b.finish()
  }

  private func add(_ column: Tile, _ row: Tile, to sum: Tile) -> Tile {
    if sum.element.isFloat { return sum.addingDot(column, row) }
    return sum + column.broadcast(to: sum.shape) * row.broadcast(to: sum.shape)
  }
}

import TensorTypes
import TileIR

/// `y[kept…] = epilogue(reduce(prologue(x[kept…, reduced…])))`, vectors along the reduced dimensions.
///
/// Few results of many elements each are shared out in pieces, whose partial results are joined in a second phase:
/// the pieces depend on sizes alone, so that the number of threads does not change the result.
///
/// Short rows wait for the last steps of their reductions: several side by side (knob `rows`) wait together.
struct ReduceRows: KernelTemplate {
  let name = "reduction.rows"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .reduction(let w) = workload, !ReductionSpace(w).isAcross else { return nil }
    return KnobSpace([("vectors", [1, 2, 4, 8]), ("pieces", [1, 4, 16, 64]), ("rows", [1, 2, 4, 8])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .reduction(let w) = workload else { preconditionFailure("a reduction") }
    let space = ReductionSpace(w)
    let rows = space.pieces == 1 ? space.rowsSideBySide(machine) : 1
    let vectors = space.element.byteCount == 8 ? 2 : 4
    return [
      "vectors": rows == 1 ? vectors : max(1, min(vectors, machine.vectorRegisters / 4 / rows)), "pieces": space.pieces,
      "rows": rows,
    ]
  }

  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] {
    declaredScratch(workload, knobs, machine)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .reduction(let w) = workload else { preconditionFailure("a reduction") }
    return RowReduction(ReductionSpace(w), knobs, machine).build()
  }
}

extension ReductionSpace {
  /// Into how many pieces each result's work is cut by default.
  var pieces: Int {
    let work = length * max(1, w.prologue.cost)
    if resultCount >= 64 || work < 1 << 16 { return 1 }
    return min(64, max(1, work >> 14))
  }

  fileprivate func rowsSideBySide(_ machine: Machine) -> Int {
    guard reducedShape.allSatisfy({ $0.constant != nil }), length < 4 * machine.lanes else { return 1 }
    return machine.rowsSideBySide(bytes: length * element.byteCount, of: keptShape.last!)
  }
}

private struct RowReduction {
  let space: ReductionSpace
  let pieces: Int
  /// Rows side by side.
  let sideBySide: Int
  let b = TileBuilder("reduce")
  let buffers: ReductionBuffers
  let lanes: Int
  let vectors: Int
  let cost: Int

  init(_ space: ReductionSpace, _ knobs: Knobs, _ machine: Machine) {
    self.space = space
    (pieces, sideBySide, lanes) = (knobs["pieces"], knobs["rows"], machine.lanes)
    buffers = ReductionBuffers(space, b)
    let length = space.reducedShape.last!.constant ?? .max
    vectors = max(1, min(knobs["vectors"], length / machine.lanes))
    cost = space.w.prologue.cost
  }

  func build() -> TileProgram {
    if pieces > 1 { inPieces() } else { atOnce() }
    return b.finish()
  }

  private func partial(rows: Int? = nil) -> PartialReduction {
    PartialReduction(
      function: space.w.function, element: space.element, lanes: lanes, vectors: vectors, b: b, rows: rows)
  }

  private func atOnce() {
    b.parallelRows(space.keptShape, sideBySide: sideBySide, operations: space.length * cost) { first, rows in
      let partial = partial(rows: rows)
      let outer = space.reducedShape.dropLast().map { b.size($0) }
      let sums = b.nested(outer, carrying: partial.start()) { outer, carried in
        partial.adding(b.span(space.reducedShape.last!), to: carried) { value(first, rows: rows, outer, $0) }
      }
      buffers.epilogue.store(partial.finish(sums), places(first, rows), in: b)
    }
  }

  /// Of one row, or of several from `first` on.
  private func places(_ first: [Tile], _ rows: Int?) -> [TileBuffer.Index] {
    first.dropLast().map { .at($0) } + [rows == nil ? .at(first.last!) : .span(first.last!, 0)]
  }

  private func value(_ first: [Tile], rows: Int? = nil, _ outer: [Tile], _ strip: Strip) -> Tile {
    buffers.value(
      places(first, rows) + outer.map { .at($0) } + [strip.index(rows == nil ? 0 : 1)],
      leading: rows.map { [$0] } ?? [],
      count: strip.count, limit: strip.limit)
  }

  /// The reduced dimension with the most to share is cut: the outermost one, or the innermost if it is alone.
  private func inPieces() {
    let scratch = b.parameter("partial", .scratch, BufferType(space.element, [space.keptShape.product, Dim(pieces)]))
    let extents = space.keptShape.map { b.size($0) }
    let isAlone = space.reducedShape.count == 1
    let cut = b.size(space.reducedShape[0])
    let partial = partial()
    // Whole vectors in all pieces but the last.
    let unit = isAlone ? partial.lanes * partial.vectors : 1
    let step = (cut + (pieces * unit - 1)) / (pieces * unit) * unit
    b.parallel(extents + [b.index(pieces)], grain: 1) { indices in
      let kept = Array(indices.dropLast())
      let begin = (indices.last! * step).minimum(cut)
      let end = (begin + step).minimum(cut)
      var sums = partial.start()
      if isAlone {
        sums = partial.adding(Span(begin, end, length: nil), to: sums) { value(kept, [], $0) }
      } else {
        sums = b.loop(from: begin, to: end, carrying: sums) { first, carried in
          b.nested(space.reducedShape[1...].dropLast().map { b.size($0) }, carrying: carried) { outer, carried in
            partial.adding(b.span(space.reducedShape.last!), to: carried) { value(kept, [first] + outer, $0) }
          }
        }
      }
      scratch.store(partial.finish(sums), [.at(position(kept, extents)), .at(indices.last!)])
    }
    b.parallel(extents, grain: 64) { kept in
      let all = scratch.load([.at(position(kept, extents)), .span(b.index(0), 0)], shape: [pieces])
      buffers.epilogue.store(
        all.reduce(space.w.function, dimension: 0).reshape([]), places(kept, nil), in: b)
    }
  }

  private func position(_ kept: [Tile], _ extents: [Tile]) -> Tile {
    zip(kept, extents).reduce(b.index(0)) { $0 * $1.1 + $1.0 }
  }
}

import TensorTypes
import TileIR

/// As `ReduceRows`, where neighbours in memory belong to different results (a sum over the pixels of `[n, h, w, c]`):
/// a vector holds partial results of several.
///
/// Few results stay in registers while rows pass. More wait in local memory: `rows` rows are joined to them at a time,
/// over a page's width, so that memory is read in long runs; a strip's width at a time would open a page for each row.
struct ReduceAcross: KernelTemplate {
  let name = "reduction.across"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .reduction(let w) = workload, ReductionSpace(w).isAcross else { return nil }
    return KnobSpace([("vectors", [1, 2, 4, 8]), ("pieces", [1, 4, 16, 64]), ("rows", [1, 4, 8, 16])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .reduction(let w) = workload else { preconditionFailure("a reduction") }
    let space = ReductionSpace(w)
    let work = space.length * max(1, w.prologue.cost)
    let vectors = space.element.byteCount == 8 ? 2 : 4
    let inner = space.keptShape.last!.estimate
    let rows = inner > vectors * machine.lanes && space.reducedShape.last!.estimate >= 16 ? 8 : 1
    // Results side by side already share out the work where there are many.
    let blocks = AcrossReduction.blocks(of: space, rows: rows, on: machine)
    let isShared = space.resultCount / max(1, inner) * blocks.count >= 16
    let elements = Double(space.length) * Double(space.resultCount)
    let pieces =
      isShared || work < 1 << 9
      ? 1 : max(1, min(16, space.length / (4 * rows), Int(min(elements, 0x1p40)) >> 15))
    return ["vectors": vectors, "pieces": pieces, "rows": rows]
  }

  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] {
    declaredScratch(workload, knobs, machine)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .reduction(let w) = workload else { preconditionFailure("a reduction") }
    return AcrossReduction(ReductionSpace(w), knobs, machine).build()
  }
}

private struct AcrossReduction {
  let space: ReductionSpace
  let vectors: Int
  let pieces: Int
  /// Rows that are joined to the results at a time; 1: results stay in registers.
  let rows: Int
  /// Results side by side of a task.
  let block: Int
  let lanes: Int
  let b = TileBuilder("reduce")
  let buffers: ReductionBuffers

  init(_ space: ReductionSpace, _ knobs: Knobs, _ machine: Machine) {
    (self.space, lanes) = (space, machine.lanes)
    (vectors, pieces, rows) = (knobs["vectors"], knobs["pieces"], knobs["rows"])
    block = AcrossReduction.blocks(of: space, rows: rows, on: machine).size
    buffers = ReductionBuffers(space, b)
  }

  /// Results side by side are cut into blocks of about equal size.
  static func blocks(of space: ReductionSpace, rows: Int, on machine: Machine) -> (count: Int, size: Int) {
    let unit = 8 * machine.lanes
    let most = rows == 1 ? unit : 16 * unit
    let inner = max(1, space.keptShape.last!.constant ?? most)
    let count = (inner + most - 1) / most
    return (count, ((inner + count - 1) / count + unit - 1) / unit * unit)
  }

  private var inner: Dim { space.keptShape.last! }

  func build() -> TileProgram {
    let scratch =
      pieces > 1
      ? b.parameter("partial", .scratch, BufferType(space.element, [Dim(pieces)] + space.keptShape)) : nil
    let outer = space.keptShape.dropLast().map { b.size($0) }
    let innerSize = b.size(inner)
    let blocks = innerSize.ceilDivided(by: block)
    let work = LoopWork.operations(
      space.length / pieces * max(1, space.w.prologue.cost) * min(block, inner.estimate))
    guard let scratch else {
      b.parallel(outer + [blocks], work: work) { indices in
        let kept = Array(indices[..<outer.count])
        reduce(
          kept, span(indices[outer.count], innerSize), from: b.index(0), to: b.size(space.reducedShape[0])
        ) { store($0, kept, $1) }
      }
      return b.finish()
    }
    inPieces(scratch, outer, innerSize, blocks, work)
    return b.finish()
  }

  /// The outermost reduced dimension is cut into pieces, joined in a second phase.
  private func inPieces(
    _ scratch: TileBuffer, _ outer: [Tile], _ innerSize: Tile, _ blocks: Tile, _ work: LoopWork
  ) {
    let cut = b.size(space.reducedShape[0])
    let step = (cut + (pieces - 1)) / pieces
    b.parallel([b.index(pieces)] + outer + [blocks], work: work) { indices in
      let kept = Array(indices[1..<(outer.count + 1)])
      let begin = (indices[0] * step).minimum(cut)
      reduce(
        kept, span(indices[outer.count + 1], innerSize), from: begin, to: (begin + step).minimum(cut)
      ) { sum, strip in
        scratch.store(sum, ([indices[0]] + kept).map { .at($0) } + [strip.index(0)], limits: [strip.limit])
      }
    }
    b.parallel(outer + [blocks], work: .operations(block * pieces)) { indices in
      let kept = Array(indices[..<outer.count])
      b.strips(span(indices[outer.count], innerSize), lanes: lanes, vectors: vectors) { strip in
        let sum = b.loop(to: b.index(pieces), carrying: [start(strip)]) { piece, carried in
          let part = scratch.load(
            ([piece] + kept).map { .at($0) } + [strip.index(0)], shape: [strip.count], limits: [strip.limit])
          return [carried[0].binary(space.w.function.combiner, part)]
        }[0]
        store(sum, kept, strip)
      }
    }
  }

  private func span(_ number: Tile, _ size: Tile) -> Span {
    if let known = inner.constant, known <= block { return Span(b.index(0), size, length: known) }
    let begin = number * block
    if let known = inner.constant, known % block == 0 { return Span(begin, begin + block, length: block) }
    return Span(begin, (begin + block).minimum(size), length: nil, multiple: inner.constant.map { $0 & -$0 } ?? 1)
  }

  /// Reduces the columns of a span over a part of the outermost reduced dimension, and hands on each strip's results.
  private func reduce(
    _ kept: [Tile], _ columns: Span, from begin: Tile, to end: Tile, _ finish: (Tile, Strip) -> Void
  ) {
    if rows > 1 { return reduceInRows(kept, columns, from: begin, to: end, finish) }
    b.strips(columns, lanes: lanes, vectors: vectors) { strip in
      let sum = b.loop(from: begin, to: end, carrying: [start(strip)]) { first, carried in
        b.nested(space.reducedShape.dropFirst().map { b.size($0) }, carrying: carried) { rest, carried in
          [join(carried[0], kept, strip, [first] + rest)]
        }
      }[0]
      finish(sum, strip)
    }
  }

  private func reduceInRows(
    _ kept: [Tile], _ columns: Span, from begin: Tile, to end: Tile, _ finish: (Tile, Strip) -> Void
  ) {
    let sums = b.allocate(BufferType(space.element, [Dim(block)], space: .local))
    func place(_ strip: Strip) -> [TileBuffer.Index] { [.span(strip.start - columns.begin, 0)] }
    func forStrips(_ body: (Strip) -> Void) { b.strips(columns, lanes: lanes, vectors: vectors, body) }
    func joinRows(_ outer: [Tile], from begin: Tile, to end: Tile) {
      func add(_ count: Int, at row: Tile) {
        forStrips { strip in
          let sum = sums.load(place(strip), shape: [strip.count])
          sums.store((0..<count).reduce(sum) { join($0, kept, strip, outer + [row + $1]) }, place(strip))
        }
      }
      let whole = begin + (end - begin) / rows * rows
      b.loop(from: begin, to: whole, step: rows) { add(rows, at: $0) }
      b.loop(from: whole, to: end) { add(1, at: $0) }
    }
    forStrips { sums.store(start($0), place($0)) }
    if space.reduced.count == 1 {
      joinRows([], from: begin, to: end)
    } else {
      b.loop(from: begin, to: end) { first in
        b.nested(space.reducedShape.dropFirst().dropLast().map { b.size($0) }) { rest in
          joinRows([first] + rest, from: b.index(0), to: b.size(space.reducedShape.last!))
        }
      }
    }
    forStrips { finish(sums.load(place($0), shape: [$0.count]), $0) }
  }

  private func start(_ strip: Strip) -> Tile {
    b.constant(.identity(of: space.w.function, space.element), space.element, [strip.count])
  }

  private func join(_ sum: Tile, _ kept: [Tile], _ strip: Strip, _ reduced: [Tile]) -> Tile {
    let indices = kept.map { TileBuffer.Index.at($0) } + [strip.index(0)] + reduced.map { .at($0) }
    return sum.joined(space.w.function, value(indices, strip))
  }

  private func value(_ indices: [TileBuffer.Index], _ strip: Strip) -> Tile {
    let place = space.kept.upperBound - 1
    let arguments = buffers.inputs.map { input in
      if input.type.strides[place] == 0 {
        var scalar = indices
        scalar[place] = .at(strip.start)
        return input.load(scalar, shape: [])
      }
      return input.load(indices, shape: [strip.count], limits: [strip.limit])
    }
    return b.apply(space.w.prologue, arguments, shape: [strip.count]).cast(space.element)
  }

  private func store(_ sum: Tile, _ kept: [Tile], _ strip: Strip) {
    buffers.epilogue.store(sum, kept.map { .at($0) } + [strip.index(0)], limits: [strip.limit], in: b)
  }
}

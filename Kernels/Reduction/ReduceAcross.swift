import TensorTypes
import TileIR

/// As `ReduceRows`, where neighbours in memory belong to different results (a sum over the pixels of `[n, h, w, c]`):
/// a vector holds partial results of several.
struct ReduceAcross: KernelTemplate {
  let name = "reduction.across"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .reduction(let w) = workload, ReductionSpace(w).isAcross else { return nil }
    return KnobSpace([("vectors", [1, 2, 4, 8]), ("pieces", [1, 4, 16, 64])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .reduction(let w) = workload else { preconditionFailure("a reduction") }
    let space = ReductionSpace(w)
    let work = space.length * w.prologue.cost
    // Results side by side already share out the work where there are many.
    let pieces =
      space.resultCount >= 2048 || work < 1 << 9 ? 1 : max(1, min(16, space.length * space.resultCount >> 15))
    return ["vectors": space.element.byteCount == 8 ? 2 : 4, "pieces": pieces]
  }

  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] {
    declaredScratch(workload, knobs, machine)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .reduction(let w) = workload else { preconditionFailure("a reduction") }
    return AcrossReduction(ReductionSpace(w), knobs["vectors"], knobs["pieces"], machine).build()
  }
}

private struct AcrossReduction {
  let space: ReductionSpace
  let vectors: Int
  let pieces: Int
  let lanes: Int
  let b = TileBuilder("reduce")
  let buffers: ReductionBuffers

  init(_ space: ReductionSpace, _ vectors: Int, _ pieces: Int, _ machine: Machine) {
    (self.space, self.vectors, self.pieces, lanes) = (space, vectors, pieces, machine.lanes)
    buffers = ReductionBuffers(space, b)
  }

  private var block: Int { 8 * lanes }
  private var inner: Dim { space.keptShape.last! }

  func build() -> TileProgram {
    let scratch =
      pieces > 1
      ? b.parameter("partial", .scratch, BufferType(space.element, [Dim(pieces)] + space.keptShape)) : nil
    let outer = space.keptShape.dropLast().map { b.size($0) }
    let innerSize = b.size(inner)
    let blocks = innerSize.ceilDivided(by: block)
    let work = max(1, min(1 << 30, space.length / pieces * space.w.prologue.cost * min(block, inner.estimate)))
    let grain = max(1, 24_576 / work)
    guard let scratch else {
      b.parallel(outer + [blocks], grain: grain) { indices in
        let kept = Array(indices[..<outer.count])
        b.strips(span(indices[outer.count], innerSize), lanes: lanes, vectors: vectors) { strip in
          let sum = reduce(kept, strip, from: b.index(0), to: b.size(space.reducedShape[0]))
          store(sum, kept, strip)
        }
      }
      return b.finish()
    }
    inPieces(scratch, outer, innerSize, blocks, grain)
    return b.finish()
  }

  /// The outermost reduced dimension is cut into pieces, joined in a second phase.
  private func inPieces(
    _ scratch: TileBuffer, _ outer: [Tile], _ innerSize: Tile, _ blocks: Tile, _ grain: Int
  ) {
    let cut = b.size(space.reducedShape[0])
    let step = (cut + (pieces - 1)) / pieces
    b.parallel([b.index(pieces)] + outer + [blocks], grain: grain) { indices in
      let kept = Array(indices[1..<(outer.count + 1)])
      let begin = (indices[0] * step).minimum(cut)
      b.strips(span(indices[outer.count + 1], innerSize), lanes: lanes, vectors: vectors) { strip in
        let sum = reduce(kept, strip, from: begin, to: (begin + step).minimum(cut))
        scratch.store(sum, ([indices[0]] + kept).map { .at($0) } + [strip.index(0)], limits: [strip.limit])
      }
    }
    b.parallel(outer + [blocks], grain: max(1, 24_576 / (block * pieces))) { indices in
      let kept = Array(indices[..<outer.count])
      b.strips(span(indices[outer.count], innerSize), lanes: lanes, vectors: vectors) { strip in
        let start = b.constant(.identity(of: space.w.function, space.element), space.element, [strip.count])
        let sum = b.loop(to: b.index(pieces), carrying: [start]) { piece, carried in
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

  private func reduce(_ kept: [Tile], _ strip: Strip, from begin: Tile, to end: Tile) -> Tile {
    let start = b.constant(.identity(of: space.w.function, space.element), space.element, [strip.count])
    return b.loop(from: begin, to: end, carrying: [start]) { first, carried in
      b.nested(space.reducedShape.dropFirst().map { b.size($0) }, carrying: carried) { rest, carried in
        let indices = kept.map { TileBuffer.Index.at($0) } + [strip.index(0)] + ([first] + rest).map { .at($0) }
        return [carried[0].binary(space.w.function.combiner, value(indices, strip))]
      }
    }[0]
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

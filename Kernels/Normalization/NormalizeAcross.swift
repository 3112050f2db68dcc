import TensorTypes
import TileIR

/// As `NormalizeRows`, where neighbours in memory belong to different rows (a softmax over the channels of `[n, c, h,
/// w]`): a vector holds one element of each of several rows.
struct NormalizeAcross: KernelTemplate {
  let name = "normalization.across"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .normalization(let w) = workload, w.x.element.isFloat, NormalizationSpace(w).isAcross else { return nil }
    return KnobSpace([("vectors", [1, 2, 4])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs { ["vectors": 2] }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .normalization(let w) = workload else { preconditionFailure("a normalization") }
    return AcrossProgram(NormalizationSpace(w), knobs["vectors"], machine).build()
  }
}

private struct AcrossProgram {
  let space: NormalizationSpace
  let vectors: Int
  let lanes: Int
  let b: TileBuilder
  let x: TileBuffer
  let epilogue: EpilogueBuffers
  let element: ElementType

  init(_ space: NormalizationSpace, _ vectors: Int, _ machine: Machine) {
    self.space = space
    self.vectors = vectors
    lanes = machine.lanes
    element = space.element
    b = TileBuilder("normalize")
    (x, epilogue) = space.buffers(b)
  }

  func build() -> TileProgram {
    let shape = space.loops.shape
    let (outer, inner) = (space.rows.dropLast().map { shape[$0] }, shape[space.rows.upperBound - 1])
    let innerSize = b.size(inner)
    let block = 16 * lanes
    let length = shape[space.elements].estimatedCount
    let work = LoopWork.operations(min(inner.estimate, block) * length * 4)
    b.parallel(outer.map { b.size($0) } + [innerSize.ceilDivided(by: block)], work: work) { indices in
      let begin = indices[outer.count] * block
      let isWhole = inner.constant.map { $0 % block == 0 } ?? false
      let span = Span(
        begin, isWhole ? begin + block : (begin + block).minimum(innerSize), length: isWhole ? block : nil,
        multiple: inner.constant.map { $0 & -$0 } ?? 1)
      b.strips(span, lanes: lanes, vectors: vectors) { rows(Array(indices[..<outer.count]), $0) }
    }
    return b.finish()
  }

  /// A strip's index in each of the loop's dimensions.
  private func indices(_ outer: [Tile], _ strip: Strip, _ elements: [Tile]) -> [TileBuffer.Index] {
    outer.map { .at($0) } + [strip.index(0)] + elements.map { .at($0) }
  }

  private var extents: [Tile] { space.elements.map { b.size(space.loops.shape[$0]) } }

  private func reduce(
    _ function: ReductionFunction, _ outer: [Tile], _ strip: Strip, _ value: ([Tile], Tile) -> Tile
  ) -> Tile {
    let start = b.constant(.identity(of: function, element), element, [strip.count])
    return b.nested(extents, carrying: [start]) { elements, carried in
      let loaded = x.load(indices(outer, strip, elements), shape: [strip.count], limits: [strip.limit]).cast(element)
      return [carried[0].binary(function.combiner, value(elements, loaded))]
    }[0]
  }

  private func finish(_ outer: [Tile], _ strip: Strip, _ value: (Tile) -> Tile) {
    b.nested(extents) { elements in
      let place = indices(outer, strip, elements)
      let loaded = x.load(place, shape: [strip.count], limits: [strip.limit]).cast(element)
      epilogue.store(value(loaded), place, limits: [strip.limit], in: b)
    }
  }

  private func rows(_ outer: [Tile], _ strip: Strip) {
    switch space.w.kind {
    case .softmax: softmax(outer, strip)
    case .logSoftmax:
      let largest = reduce(.maximum, outer, strip) { $1 }
      let sum = reduce(.sum, outer, strip) { ($1 - largest).expOfNonPositive }
      let shift = largest + sum.unary(.log)
      finish(outer, strip) { $0 - shift }
    case .layer(let epsilon), .rms(let epsilon):
      let count = b.size(space.elements.map { space.loops.shape[$0] }.product).cast(element)
      var mean = b.constant(0, element, [strip.count])
      if case .layer = space.w.kind { mean = reduce(.sum, outer, strip) { $1 } / count }
      let squares = reduce(.sum, outer, strip) { ($1 - mean) * ($1 - mean) }
      let factor = (squares / count + b.constant(epsilon, element)).unary(.sqrt).unary(.reciprocal)
      finish(outer, strip) { ($0 - mean) * factor }
    }
  }

  private func softmax(_ outer: [Tile], _ strip: Strip) {
    let largest = reduce(.maximum, outer, strip) { $1 }
    let shape = space.elements.map { space.loops.shape[$0] } + [Dim(vectors * lanes)]
    let terms = b.allocate(BufferType(element, shape, space: .local))
    let first = TileBuffer.Index.span(b.index(0), 0)
    let sum = reduce(.sum, outer, strip) { elements, value in
      let term = (value - largest).expOfNonPositive
      terms.store(term, elements.map { .at($0) } + [first])
      return term
    }
    let factor = sum.unary(.reciprocal)
    b.nested(extents) { elements in
      let term = terms.load(elements.map { .at($0) } + [first], shape: [strip.count])
      epilogue.store(term * factor, indices(outer, strip, elements), limits: [strip.limit], in: b)
    }
  }
}

import TensorTypes
import TileIR

/// softmax: `y = exp(x − max x) / Σ exp(x − max x)`; log-softmax: `y = x − max x − log Σ exp(x − max x)`;
/// layer: `y = (x − mean x) / √(mean (x − mean x)² + ε)`; rms: `y = x / √(mean x² + ε)`, then the epilogue.
///
/// A worker takes a row at a time and passes over it two or three times, which finds it in the cache: passes fetch the next
/// row and room for this one's results, or else memory would wait for arithmetic and arithmetic for memory (rows of a page
/// each are a new stream to the hardware's prefetcher). Softmax does both where it computes most; norms, which compute
/// little, each in a pass of its own. The variance is summed from differences to the mean, which does not cancel.
/// Exponentials wait in local memory for their sum.
struct NormalizeRows: KernelTemplate {
  let name = "normalization.rows"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .normalization(let w) = workload, w.x.element.isFloat, !NormalizationSpace(w).isAcross else {
      return nil
    }
    return KnobSpace([("vectors", [1, 2, 4, 8]), ("prefetch", [0, 1])])
  }

  /// Tensors that a core's cache holds are taken to be there.
  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .normalization(let w) = workload else { preconditionFailure("a normalization") }
    let bytes = w.x.shape.estimatedCount * w.x.element.byteCount
    return ["vectors": w.x.element == .float64 ? 2 : 4, "prefetch": bytes > machine.cacheBytes[1] ? 1 : 0]
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .normalization(let w) = workload else { preconditionFailure("a normalization") }
    return RowsProgram(NormalizationSpace(w), knobs, machine).build()
  }
}

/// A normalization's loops: class 0 are the rows, class 1 the elements of a row.
struct NormalizationSpace {
  let w: NormalizationWorkload
  let loops: LoopSpace

  init(_ w: NormalizationWorkload) {
    self.w = w
    let classes = w.x.shape.indices.map { $0 < w.x.rank - w.rowRank ? 0 : 1 }
    loops = LoopSpace([w.x] + w.epilogue.operands + [w.epilogue.output], classes: classes, leaders: [0, 0])
  }

  var rows: Range<Int> { loops.range(0) }
  var elements: Range<Int> { loops.range(1) }

  /// Whether neighbours in memory belong to different rows, so that vectors run across rows.
  var isAcross: Bool {
    let strides = loops.views[0].strides
    return strides[elements.upperBound - 1] != 1 && strides[rows.upperBound - 1] == 1
      && loops.shape[elements.upperBound - 1] != 1
  }

  /// The type that is computed in.
  var element: ElementType { w.x.element.accumulator }

  func buffers(_ b: TileBuilder) -> (x: TileBuffer, epilogue: EpilogueBuffers) {
    let x = b.parameter("x", .input, loops.views[0].buffer)
    let operands = loops.views[1..<(loops.views.count - 1)].enumerated().map {
      b.parameter("e\($0)", .input, $1.buffer)
    }
    let y = b.parameter("y", .output, loops.views.last!.buffer)
    return (x, EpilogueBuffers(epilogue: w.epilogue, operands: operands, output: y))
  }
}

private struct RowsProgram {
  let space: NormalizationSpace
  let vectors: Int
  let lanes: Int
  let b: TileBuilder
  let x: TileBuffer
  let epilogue: EpilogueBuffers
  let element: ElementType
  let fetches: Bool

  init(_ space: NormalizationSpace, _ knobs: Knobs, _ machine: Machine) {
    self.space = space
    let length = space.loops.shape.last!.constant ?? .max
    lanes = machine.lanes
    // Short rows would leave wide vectors empty.
    vectors = max(1, min(knobs["vectors"], length / machine.lanes))
    fetches = knobs["prefetch"] == 1
    element = space.element
    b = TileBuilder("normalize")
    (x, epilogue) = space.buffers(b)
  }

  private var elements: Range<Int> { space.elements }

  func build() -> TileProgram {
    let shape = space.loops.shape
    let work = shape[elements].estimatedCount * (isSoftmax ? 8 : 2)
    b.parallel(space.rows.map { b.size(shape[$0]) }, grain: max(1, 24_576 / work)) { row in
      switch space.w.kind {
      case .softmax: softmax(row, isLogarithm: false)
      case .logSoftmax: softmax(row, isLogarithm: true)
      case .layer(let epsilon): standardize(row, epsilon, subtractsMean: true)
      case .rms(let epsilon): standardize(row, epsilon, subtractsMean: false)
      }
    }
    return b.finish()
  }

  private var isSoftmax: Bool {
    switch space.w.kind {
    case .softmax, .logSoftmax: true
    case .layer, .rms: false
    }
  }

  // MARK: Loops over a row

  private var outerElements: [Tile] { elements.dropLast().map { b.size(space.loops.shape[$0]) } }
  private var innerSpan: Span { b.span(space.loops.shape[elements.upperBound - 1]) }

  private func load(_ row: [Tile], _ outer: [Tile], _ strip: Strip) -> Tile {
    x.load((row + outer).map { .at($0) } + [strip.index(0)], shape: [strip.count], limits: [strip.limit]).cast(element)
  }

  private func reduce(_ function: ReductionFunction, _ value: ([Tile], Strip) -> Tile) -> Tile {
    // A NaN that the maximum passes over still makes the sum of exponentials NaN.
    let partial = PartialReduction(
      function: function, element: element, lanes: lanes, vectors: vectors, b: b, ignoresNaN: function == .maximum)
    let sums = b.nested(outerElements, carrying: partial.start()) { outer, carried in
      partial.adding(innerSpan, to: carried) { value(outer, $0) }
    }
    return partial.finish(sums)
  }

  private func forStrips(_ body: ([Tile], Strip) -> Void) {
    b.nested(outerElements) { outer in
      b.strips(innerSpan, lanes: lanes, vectors: vectors) { body(outer, $0) }
    }
  }

  /// Brings nearer where this row's results go.
  private func fetchResults(_ row: [Tile], _ outer: [Tile], _ strip: Strip) {
    fetch(epilogue.output, row, outer, strip)
  }

  /// Brings the next row's elements nearer.
  private func fetchNext(_ row: [Tile], _ outer: [Tile], _ strip: Strip) {
    guard let last = row.last else { return }
    let size = b.size(space.loops.shape[space.rows.upperBound - 1])
    fetch(x, Array(row.dropLast()) + [(last + 1).minimum(size - 1)], outer, strip)
  }

  private func fetch(_ buffer: TileBuffer, _ row: [Tile], _ outer: [Tile], _ strip: Strip) {
    if fetches { buffer.prefetch(row + outer, from: strip.start, count: strip.count) }
  }

  private func store(_ value: Tile, _ row: [Tile], _ outer: [Tile], _ strip: Strip) {
    epilogue.store(value, (row + outer).map { .at($0) } + [strip.index(0)], limits: [strip.limit], in: b)
  }

  // MARK: Kinds

  private func softmax(_ row: [Tile], isLogarithm: Bool) {
    let largest = reduce(.maximum) { load(row, $0, $1) }
    if isLogarithm {
      let sum = reduce(.sum) { outer, strip in
        fetchNext(row, outer, strip)
        fetchResults(row, outer, strip)
        return (load(row, outer, strip) - largest).expOfNonPositive
      }
      let shift = largest + sum.unary(.log)
      forStrips { store(load(row, $0, $1) - shift, row, $0, $1) }
      return
    }
    let terms = b.allocate(BufferType(element, elements.map { space.loops.shape[$0] }, space: .local))
    let sum = reduce(.sum) { outer, strip in
      fetchNext(row, outer, strip)
      fetchResults(row, outer, strip)
      let term = (load(row, outer, strip) - largest).expOfNonPositive
      terms.store(term, outer.map { .at($0) } + [strip.index(0)], limits: [strip.limit])
      return term
    }
    let factor = sum.unary(.reciprocal)
    forStrips { outer, strip in
      let term = terms.load(outer.map { .at($0) } + [strip.index(0)], shape: [strip.count], limits: [strip.limit])
      store(term * factor, row, outer, strip)
    }
  }

  private func standardize(_ row: [Tile], _ epsilon: Double, subtractsMean: Bool) {
    let count = b.size(elements.map { space.loops.shape[$0] }.product).cast(element)
    let mean = subtractsMean ? reduce(.sum) { load(row, $0, $1) } / count : nil
    func centred(_ outer: [Tile], _ strip: Strip) -> Tile {
      let value = load(row, outer, strip)
      return mean.map { value - $0 } ?? value
    }
    let squares = reduce(.sum) { outer, strip in
      fetchResults(row, outer, strip)
      let value = centred(outer, strip)
      return value * value
    }
    let factor = (squares / count + b.constant(epsilon, element)).unary(.sqrt).unary(.reciprocal)
    forStrips { outer, strip in
      fetchNext(row, outer, strip)
      store(centred(outer, strip) * factor, row, outer, strip)
    }
  }
}

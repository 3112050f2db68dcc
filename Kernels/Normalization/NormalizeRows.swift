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
///
/// A short row is over before its reductions are: their last steps, each of which waits for the one before, take as long as all the
/// rest. Several rows side by side (knob `rows`) wait together.
struct NormalizeRows: KernelTemplate {
  let name = "normalization.rows"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .normalization(let w) = workload, w.x.element.isFloat, !NormalizationSpace(w).isAcross else {
      return nil
    }
    return KnobSpace([("vectors", [1, 2, 4, 8]), ("prefetch", [0, 1, 2, 4, 8]), ("rows", [1, 2, 4, 8])])
  }

  /// Tensors that a core's cache holds are taken to be there. A row of softmax fetches the one after next where it is over before
  /// memory has brought the next.
  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .normalization(let w) = workload else { preconditionFailure("a normalization") }
    let space = NormalizationSpace(w)
    let bytes = w.x.shape.estimatedCount * w.x.element.byteCount
    let row = space.loops.shape[space.elements].estimatedCount * w.x.element.byteCount
    let rows = rowsSideBySide(space, machine)
    let vectors = w.x.element == .float64 ? 2 : 4
    let ahead = w.kind.isSoftmax && rows == 1 && row <= 6144 ? 2 : 1
    return [
      "vectors": rows == 1 ? vectors : max(1, min(vectors, machine.vectorRegisters / 4 / rows)),
      "prefetch": bytes > machine.cacheBytes[1] ? ahead : 0, "rows": rows,
    ]
  }

  private func rowsSideBySide(_ space: NormalizationSpace, _ machine: Machine) -> Int {
    let shape = space.loops.shape
    guard shape[space.elements].allSatisfy({ $0.constant != nil }) else { return 1 }
    return machine.rowsSideBySide(
      bytes: shape[space.elements].estimatedCount * space.element.byteCount, of: shape[space.rows.upperBound - 1])
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .normalization(let w) = workload else { preconditionFailure("a normalization") }
    return RowsProgram(NormalizationSpace(w), knobs, machine).build()
  }
}

extension NormalizationWorkload.Kind {
  /// Softmax or its logarithm.
  var isSoftmax: Bool {
    switch self {
    case .softmax, .logSoftmax: true
    case .layer, .rms: false
    }
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
  /// How many rows, or groups of them, before its own a row is fetched; 0: not at all.
  let ahead: Int
  /// Rows side by side.
  let sideBySide: Int

  init(_ space: NormalizationSpace, _ knobs: Knobs, _ machine: Machine) {
    self.space = space
    let length = space.loops.shape.last!.constant ?? .max
    lanes = machine.lanes
    // Short rows would leave wide vectors empty.
    vectors = max(1, min(knobs["vectors"], length / machine.lanes))
    ahead = knobs["prefetch"]
    sideBySide = knobs["rows"]
    element = space.element
    b = TileBuilder("normalize")
    (x, epilogue) = space.buffers(b)
  }

  private var elements: Range<Int> { space.elements }

  func build() -> TileProgram {
    let shape = space.loops.shape
    let work = shape[elements].estimatedCount * (space.w.kind.isSoftmax ? 8 : 2)
    b.parallelRows(Array(shape[space.rows]), sideBySide: sideBySide, operations: work) {
      normalize(Rows(first: $0, count: $1))
    }
    return b.finish()
  }

  private func normalize(_ rows: Rows) {
    switch space.w.kind {
    case .softmax: softmax(rows, isLogarithm: false)
    case .logSoftmax: softmax(rows, isLogarithm: true)
    case .layer(let epsilon): standardize(rows, epsilon, subtractsMean: true)
    case .rms(let epsilon): standardize(rows, epsilon, subtractsMean: false)
    }
  }

  // MARK: Loops over rows

  /// One row, or several that follow each other along the innermost dimension of rows, as the first dimension of every tile.
  private struct Rows {
    let first: [Tile]
    let count: Int?

    var leading: [Int] { count.map { [$0] } ?? [] }

    func indices(_ outer: [Tile], _ strip: Strip) -> [TileBuffer.Index] {
      var rows = first.map { TileBuffer.Index.at($0) }
      if count != nil { rows[rows.count - 1] = .span(first.last!, 0) }
      return rows + outer.map { .at($0) } + [strip.index(leading.count)]
    }

    func limits(_ strip: Strip) -> [Tile?] { leading.map { _ in nil } + [strip.limit] }

    /// A number for each row beside what a tile holds of it.
    func spread(_ value: Tile, over tile: Tile) -> Tile {
      count.map { value.reshape([$0, 1]).broadcast(to: tile.shape) } ?? value
    }
  }

  private var outerElements: [Tile] { elements.dropLast().map { b.size(space.loops.shape[$0]) } }
  private var innerSpan: Span { b.span(space.loops.shape[elements.upperBound - 1]) }

  private func load(_ rows: Rows, _ outer: [Tile], _ strip: Strip) -> Tile {
    x.load(rows.indices(outer, strip), shape: rows.leading + [strip.count], limits: rows.limits(strip)).cast(element)
  }

  private func reduce(_ function: ReductionFunction, _ rows: Rows, _ value: ([Tile], Strip) -> Tile) -> Tile {
    // A NaN that the maximum passes over still makes the sum of exponentials NaN.
    let partial = PartialReduction(
      function: function, element: element, lanes: lanes, vectors: vectors, b: b, ignoresNaN: function == .maximum,
      rows: rows.count)
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

  /// Brings nearer where results go, one group before the elements they are made of.
  private func fetchResults(_ rows: Rows, _ outer: [Tile], _ strip: Strip) {
    fetch(epilogue.output, ahead - 1, rows, outer, strip)
  }

  /// Brings elements of rows to come nearer.
  private func fetchNext(_ rows: Rows, _ outer: [Tile], _ strip: Strip) {
    fetch(x, ahead, rows, outer, strip)
  }

  /// - Parameter groups: how many before its own.
  private func fetch(_ buffer: TileBuffer, _ groups: Int, _ rows: Rows, _ outer: [Tile], _ strip: Strip) {
    guard ahead > 0 else { return }
    func row(_ place: Int) -> Tile {
      let first = rows.first.last!
      if place == 0 { return first }
      let size = b.size(space.loops.shape[space.rows.upperBound - 1])
      return (first + place).minimum(size - 1)
    }
    let count = rows.count ?? 1
    for place in groups * count..<(groups + 1) * count {
      buffer.prefetch(rows.first.dropLast() + [row(place)] + outer, from: strip.start, count: strip.count)
    }
  }

  private func store(_ value: Tile, _ rows: Rows, _ outer: [Tile], _ strip: Strip) {
    epilogue.store(value, rows.indices(outer, strip), limits: rows.limits(strip), in: b)
  }

  // MARK: Kinds

  private func softmax(_ rows: Rows, isLogarithm: Bool) {
    let largest = reduce(.maximum, rows) { load(rows, $0, $1) }
    /// x − max x.
    func below(_ outer: [Tile], _ strip: Strip) -> Tile {
      let value = load(rows, outer, strip)
      return value - rows.spread(largest, over: value)
    }
    if isLogarithm {
      let sum = reduce(.sum, rows) { outer, strip in
        fetchNext(rows, outer, strip)
        fetchResults(rows, outer, strip)
        return below(outer, strip).expOfNonPositive
      }
      let shift = largest + sum.unary(.log)
      forStrips { outer, strip in
        let value = load(rows, outer, strip)
        store(value - rows.spread(shift, over: value), rows, outer, strip)
      }
      return
    }
    let terms = b.allocate(
      BufferType(element, rows.leading.map { Dim($0) } + elements.map { space.loops.shape[$0] }, space: .local))
    func indices(_ outer: [Tile], _ strip: Strip) -> [TileBuffer.Index] {
      rows.leading.map { _ in .span(b.index(0), 0) } + outer.map { .at($0) } + [strip.index(rows.leading.count)]
    }
    let sum = reduce(.sum, rows) { outer, strip in
      fetchNext(rows, outer, strip)
      fetchResults(rows, outer, strip)
      let term = below(outer, strip).expOfNonPositive
      terms.store(term, indices(outer, strip), limits: rows.limits(strip))
      return term
    }
    let factor = sum.unary(.reciprocal)
    forStrips { outer, strip in
      let term = terms.load(
        indices(outer, strip), shape: rows.leading + [strip.count], limits: rows.limits(strip))
      store(term * rows.spread(factor, over: term), rows, outer, strip)
    }
  }

  private func standardize(_ rows: Rows, _ epsilon: Double, subtractsMean: Bool) {
    let count = b.size(elements.map { space.loops.shape[$0] }.product).cast(element)
    let mean = subtractsMean ? reduce(.sum, rows) { load(rows, $0, $1) } / count : nil
    func centred(_ outer: [Tile], _ strip: Strip) -> Tile {
      let value = load(rows, outer, strip)
      return mean.map { value - rows.spread($0, over: value) } ?? value
    }
    let squares = reduce(.sum, rows) { outer, strip in
      fetchResults(rows, outer, strip)
      let value = centred(outer, strip)
      return value * value
    }
    let factor = (squares / count + b.constant(epsilon, element)).unary(.sqrt).unary(.reciprocal)
    forStrips { outer, strip in
      fetchNext(rows, outer, strip)
      let value = centred(outer, strip)
      store(value * rows.spread(factor, over: value), rows, outer, strip)
    }
  }
}

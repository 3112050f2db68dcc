import TensorTypes
import TileIR

/// Layer and RMS normalisation of rows too large for a core's cache (a group of channels of a large image): each row
/// is cut into pieces that fit.
///
/// 1. Each piece's mean and sum of squared differences to it, in one pass: sums of differences to a number `k` near the mean, and of
///    their squares. `k` is the mean of the piece's first elements, so that little cancels: of `n` elements of which the first `m`
///    have the mean `k`, `(k − μ)²` is at most `n / m` times the variance.
/// 2. Each row's, joined from its pieces (Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for
///    Computing Sample Variances, 1979): `M = Σ Mₚ + Σ nₚ·(μₚ − μ)²`, which cancels no more than the textbook's two
///    passes over the row.
/// 3. `y = (x − μ) · factor`, then the epilogue.
///
/// Either all pieces are shared out at each step, and memory is read twice, or whole rows are (knob `wholeRows`: how many a task
/// takes): one that fits in a thread's caches is read once. A task of several rows measures the next while it finishes one, strip by
/// strip: memory brings the next, which needs no room for results, while the caches bring this one. Pieces depend on sizes alone:
/// neither the number of threads nor that knob changes a result.
struct NormalizePieces: KernelTemplate {
  let name = "normalization.pieces"

  /// Elements of a row from which on it is cut.
  private static let smallestRow = 1 << 15

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .normalization(let w) = workload, w.x.element.isFloat, !w.kind.isSoftmax else { return nil }
    let space = NormalizationSpace(w)
    let shape = space.elements.map { space.loops.shape[$0] }
    let length = shape.estimatedCount
    // What is cut is the innermost dimension: a short one makes pieces that are not worth it.
    guard !space.isAcross, length >= Self.smallestRow, shape.last!.estimate >= 256,
      space.loops.views[0].strides.last == 1
    else { return nil }
    return KnobSpace([
      ("vectors", [2, 4, 8]), ("block", [4096, 8192, 16384, 32768]), ("wholeRows", [0, 1, 2, 4, 8, 16]),
    ])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .normalization(let w) = workload else { preconditionFailure("a normalization") }
    return [
      "vectors": w.x.element == .float64 ? 2 : 4, "block": 4096,
      "wholeRows": wholeRows(NormalizationSpace(w), machine),
    ]
  }

  /// Rows of a task: several, of tensors too large for the caches, where the caches hold a row for each thread; at least two tasks
  /// a thread. Not of rows that level 2 holds together with what their epilogue reads at each row anew: two rows would push it out.
  private func wholeRows(_ space: NormalizationSpace, _ machine: Machine) -> Int {
    let elements = space.elements.map { space.loops.shape[$0] }.estimatedCount
    let rows = space.rows.map { space.loops.shape[$0] }.estimatedCount
    let (bytes, workers) = (elements * space.w.x.element.byteCount, machine.workers ?? 4)
    let fitsLevel2 = bytes <= machine.cacheBytes[1] / 2 && rows >= 4 * workers
    let hasOperands = space.loops.views.dropFirst().dropLast().contains { $0.strides.last != 0 }
    let isLarge = rows * elements * space.w.epilogue.output.element.byteCount >= machine.keptBytes
    if isLarge, !(fitsLevel2 && hasOperands), bytes * workers <= machine.keptBytes,
      let neighbours = space.loops.shape[space.rows].last!.constant
    {
      let most = min(neighbours, rows / (2 * workers))
      if let count = [16, 8, 4, 2].first(where: { $0 <= most }) { return count }
    }
    return fitsLevel2 ? 1 : 0
  }

  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] {
    declaredScratch(workload, knobs, machine)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .normalization(let w) = workload else { preconditionFailure("a normalization") }
    return PiecesProgram(NormalizationSpace(w), knobs["vectors"], knobs["block"], machine)
      .build(wholeRows: knobs["wholeRows"])
  }
}

private struct PiecesProgram {
  let space: NormalizationSpace
  let block: Int
  let b: TileBuilder
  let x: TileBuffer
  let epilogue: EpilogueBuffers
  let element: ElementType
  let partial: PartialReduction
  /// Pieces of a row: one for each index of the row's outer dimensions and block of the innermost one.
  let pieceCount: Dim
  /// Per row and piece: 0 elements, 1 mean, 2 sum of squared differences to it.
  let pieces: TileBuffer
  /// Per row: 0 mean, 1 one over the standard deviation.
  let rows: TileBuffer

  init(_ space: NormalizationSpace, _ vectors: Int, _ block: Int, _ machine: Machine) {
    self.space = space
    self.block = block
    element = space.element
    b = TileBuilder("normalize")
    (x, epilogue) = space.buffers(b)
    partial = PartialReduction(function: .sum, element: element, lanes: machine.lanes, vectors: vectors, b: b)
    let shape = space.loops.shape
    let outer = space.elements.dropLast().map { shape[$0] }.product
    pieceCount = outer * shape[space.elements.upperBound - 1].ceilDivided(by: Dim(block))
    let rowCount = space.rows.map { shape[$0] }.product
    pieces = b.parameter("pieces", .scratch, BufferType(element, [rowCount, 3, pieceCount]))
    rows = b.parameter("rows", .scratch, BufferType(element, [rowCount, 2]))
  }

  private var rowExtents: [Tile] { space.rows.map { b.size(space.loops.shape[$0]) } }
  private var outerExtents: [Tile] { space.elements.dropLast().map { b.size(space.loops.shape[$0]) } }
  private var inner: Dim { space.loops.shape[space.elements.upperBound - 1] }
  private var subtractsMean: Bool { if case .layer = space.w.kind { true } else { false } }
  private var epsilon: Double {
    switch space.w.kind {
    case .layer(let epsilon), .rms(let epsilon): epsilon
    case .softmax, .logSoftmax: preconditionFailure("a standardisation")
    }
  }

  /// - Parameter wholeRows: rows of a task; 0: tasks are pieces.
  func build(wholeRows: Int) -> TileProgram {
    let pieceExtents = outerExtents + [b.size(inner).ceilDivided(by: block)]
    let (pieceWork, pieceEstimate) = (2 * max(1, min(block, inner.estimate)), min(1 << 20, max(1, pieceCount.estimate)))
    if wholeRows > 0 {
      let (outer, rowCount) = (rowExtents.dropLast(), rowExtents.last!)
      let work = min(1 << 40, 2 * pieceWork * pieceEstimate * wholeRows)
      b.parallel(outer + [rowCount.ceilDivided(by: wholeRows)], work: .operations(work)) { task in
        let first = task.last! * wholeRows
        let end = (first + wholeRows).minimum(rowCount)
        func row(_ number: Tile) -> [Tile] { task.dropLast() + [number] }
        b.nested(pieceExtents) { measure(row(first), $0) }
        b.loop(from: first, to: end) { number in
          join(row(number))
          // The last row is its own next one: its statistics are known by then, and come out the same.
          let next = wholeRows > 1 ? row((number + 1).minimum(end - 1)) : nil
          b.nested(pieceExtents) { finish(row(number), $0, measuring: next) }
        }
      }
      return b.finish()
    }
    func forPieces(_ body: ([Tile], [Tile]) -> Void) {
      let rank = rowExtents.count
      b.parallel(rowExtents + pieceExtents, work: .operations(pieceWork)) {
        body(Array($0[..<rank]), Array($0[rank...]))
      }
    }
    forPieces { measure($0, $1) }
    b.parallel(rowExtents, work: .operations(2 * pieceEstimate), join)
    forPieces { finish($0, $1) }
    return b.finish()
  }

  /// A piece's part of the innermost dimension.
  private func span(_ piece: [Tile]) -> Span { b.part(piece.last!, of: inner, b.size(inner), by: block) }

  private func load(_ indices: [Tile], _ strip: Strip) -> Tile {
    x.load(indices.map { .at($0) } + [strip.index(0)], shape: [strip.count], limits: [strip.limit]).cast(element)
  }

  private func sum(_ span: Span, _ value: (Strip) -> Tile) -> Tile {
    partial.finish(partial.adding(span, to: partial.start(), value))
  }

  /// - Parameters:
  ///   - row: indices of the row.
  ///   - piece: those of the row's outer dimensions, and the block's number.
  ///   - besides: what else is done at each strip.
  private func measure(_ row: [Tile], _ piece: [Tile], besides: (Strip) -> Void = { _ in }) {
    let (indices, span) = (row + piece.dropLast(), span(piece))
    let count = (span.end - span.begin).cast(element)
    let near = subtractsMean ? meanOfFirst(indices, span) : b.constant(0, element)
    let sums = partial.finishEach(
      partial.addingEach(span, to: partial.start(subtractsMean ? 2 : 1)) { strip in
        x.prefetch(indices, from: strip.start + 2 * Fetching.distance / x.type.element.byteCount, count: strip.count)
        let difference = load(indices, strip) - near
        besides(strip)
        return [difference * difference] + (subtractsMean ? [difference] : [])
      })
    var (mean, squares) = (near, sums[0])
    if subtractsMean {
      let rest = sums[1] / count
      (mean, squares) = (near + rest, squares - sums[1] * rest)
    }
    let number = position(piece, outerExtents + [b.size(inner).ceilDivided(by: block)])
    for (i, value) in [count, mean, squares].enumerated() {
      pieces.store(value, [.at(position(row, rowExtents)), .at(b.index(i)), .at(number)])
    }
  }

  /// The mean of as many elements as a strip has, or all if there are fewer.
  private func meanOfFirst(_ indices: [Tile], _ span: Span) -> Tile {
    let most = partial.vectors * partial.lanes
    if let length = span.length {
      let count = min(most, length)
      return load(indices, Strip(start: span.begin, count: count, limit: nil)).reduce(.sum, dimension: 0)
        / b.constant(Double(count), element)
    }
    // What lies past the limit is read as 0.
    let count = (span.end - span.begin).minimum(b.index(most))
    return load(indices, Strip(start: span.begin, count: most, limit: count)).reduce(.sum, dimension: 0)
      / count.cast(element)
  }

  private func join(_ indices: [Tile]) {
    let row = position(indices, rowExtents)
    func part(_ i: Int, _ strip: Strip) -> Tile {
      pieces.load([.at(row), .at(b.index(i)), strip.index(0)], shape: [strip.count], limits: [strip.limit])
    }
    let all = b.span(pieceCount)
    let count = b.size(space.elements.map { space.loops.shape[$0] }.product).cast(element)
    let mean = subtractsMean ? sum(all) { part(0, $0) * part(1, $0) } / count : b.constant(0, element)
    let squares = sum(all) { strip in
      let difference = part(1, strip) - mean
      return part(2, strip) + part(0, strip) * difference * difference
    }
    rows.store(mean, [.at(row), .at(b.index(0))])
    let factor = (squares / count + b.constant(epsilon, element)).unary(.sqrt).unary(.reciprocal)
    rows.store(factor, [.at(row), .at(b.index(1))])
  }

  /// - Parameter next: a row of which the same piece is measured meanwhile.
  private func finish(_ row: [Tile], _ piece: [Tile], measuring next: [Tile]? = nil) {
    let (indices, number) = (row + piece.dropLast(), position(row, rowExtents))
    let mean = rows.load([.at(number), .at(b.index(0))], shape: [])
    let factor = rows.load([.at(number), .at(b.index(1))], shape: [])
    func finish(_ strip: Strip) {
      for buffer in [x, epilogue.output] { buffer.prefetch(indices, after: strip) }
      let value = load(indices, strip)
      let centred = subtractsMean ? value - mean : value
      epilogue.store(centred * factor, indices.map { .at($0) } + [strip.index(0)], limits: [strip.limit], in: b)
    }
    if let next { return measure(next, piece, besides: finish) }
    b.strips(span(piece), lanes: partial.lanes, vectors: partial.vectors, finish)
  }

  private func position(_ indices: [Tile], _ extents: [Tile]) -> Tile {
    zip(indices, extents).reduce(b.index(0)) { $0 * $1.1 + $1.0 }
  }
}

extension TileBuffer {
  /// The size of a dimension.
  func size(_ dimension: Int, _ b: TileBuilder) -> Tile { b.size(type.shape[dimension]) }
}

import TensorTypes
import TileIR

/// Layer and RMS normalisation of rows too large for a core's cache (a group of channels of a large image): each row
/// is cut into pieces that fit.
///
/// 1. Each piece's mean and sum of squared differences to it, in two passes of which the second finds it in cache.
/// 2. Each row's, joined from its pieces (Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for
///    Computing Sample Variances, 1979): `M = Σ Mₚ + Σ nₚ·(μₚ − μ)²`, which cancels no more than the textbook's two
///    passes over the row.
/// 3. `y = (x − μ) · factor`, then the epilogue.
///
/// Either all pieces are shared out at each step, and memory is read twice, or whole rows are (knob `wholeRows`): one that fits in
/// level 2 is read once. Pieces depend on sizes alone: neither the number of threads nor that knob changes a result.
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
    return KnobSpace([("vectors", [2, 4, 8]), ("block", [4096, 8192, 16384, 32768]), ("wholeRows", [0, 1])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .normalization(let w) = workload else { preconditionFailure("a normalization") }
    let space = NormalizationSpace(w)
    let bytes = space.elements.map { space.loops.shape[$0] }.estimatedCount * w.x.element.byteCount
    let rows = space.rows.map { space.loops.shape[$0] }.estimatedCount
    let isWhole = bytes <= machine.cacheBytes[1] / 2 && rows >= 4 * (machine.workers ?? 4)
    return ["vectors": w.x.element == .float64 ? 2 : 4, "block": 4096, "wholeRows": isWhole ? 1 : 0]
  }

  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] {
    declaredScratch(workload, knobs, machine)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .normalization(let w) = workload else { preconditionFailure("a normalization") }
    return PiecesProgram(NormalizationSpace(w), knobs["vectors"], knobs["block"], machine)
      .build(wholeRows: knobs["wholeRows"] == 1)
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

  func build(wholeRows: Bool) -> TileProgram {
    let pieceExtents = outerExtents + [b.size(inner).ceilDivided(by: block)]
    let (pieceWork, pieceEstimate) = (2 * max(1, min(block, inner.estimate)), min(1 << 20, max(1, pieceCount.estimate)))
    if wholeRows {
      b.parallel(rowExtents, work: .operations(2 * pieceWork * pieceEstimate)) { row in
        b.nested(pieceExtents) { measure(row, $0) }
        join(row)
        b.nested(pieceExtents) { finish(row, $0) }
      }
      return b.finish()
    }
    func forPieces(_ body: ([Tile], [Tile]) -> Void) {
      let rank = rowExtents.count
      b.parallel(rowExtents + pieceExtents, work: .operations(pieceWork)) {
        body(Array($0[..<rank]), Array($0[rank...]))
      }
    }
    forPieces(measure)
    b.parallel(rowExtents, work: .operations(2 * pieceEstimate), join)
    forPieces(finish)
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
  private func measure(_ row: [Tile], _ piece: [Tile]) {
    let (indices, span) = (row + piece.dropLast(), span(piece))
    let count = (span.end - span.begin).cast(element)
    let mean = subtractsMean ? sum(span) { load(indices, $0) } / count : b.constant(0, element)
    let squares = sum(span) { strip in
      // The next piece, while this one's elements come from the cache.
      x.prefetch(indices, from: strip.start + block, count: strip.count)
      let difference = load(indices, strip) - mean
      return difference * difference
    }
    let number = position(piece, outerExtents + [b.size(inner).ceilDivided(by: block)])
    for (i, value) in [count, mean, squares].enumerated() {
      pieces.store(value, [.at(position(row, rowExtents)), .at(b.index(i)), .at(number)])
    }
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

  private func finish(_ row: [Tile], _ piece: [Tile]) {
    let (indices, number) = (row + piece.dropLast(), position(row, rowExtents))
    let mean = rows.load([.at(number), .at(b.index(0))], shape: [])
    let factor = rows.load([.at(number), .at(b.index(1))], shape: [])
    b.strips(span(piece), lanes: partial.lanes, vectors: partial.vectors) { strip in
      for buffer in [x, epilogue.output] { buffer.prefetch(indices, after: strip) }
      let value = load(indices, strip)
      let centred = subtractsMean ? value - mean : value
      epilogue.store(centred * factor, indices.map { .at($0) } + [strip.index(0)], limits: [strip.limit], in: b)
    }
  }

  private func position(_ indices: [Tile], _ extents: [Tile]) -> Tile {
    zip(indices, extents).reduce(b.index(0)) { $0 * $1.1 + $1.0 }
  }
}

extension TileBuffer {
  /// The size of a dimension.
  func size(_ dimension: Int, _ b: TileBuilder) -> Tile { b.size(type.shape[dimension]) }
}

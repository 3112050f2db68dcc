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
/// Memory is read twice, whatever a row's size. Pieces depend on sizes alone: the number of threads does not change a
/// result.
struct NormalizePieces: KernelTemplate {
  let name = "normalization.pieces"

  /// Elements of a row from which on it is cut.
  private static let smallestRow = 1 << 15

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .normalization(let w) = workload, w.x.element.isFloat else { return nil }
    switch w.kind {
    case .softmax, .logSoftmax: return nil
    case .layer, .rms: break
    }
    let space = NormalizationSpace(w)
    let shape = space.elements.map { space.loops.shape[$0] }
    let length = shape.estimatedCount
    // What is cut is the innermost dimension: a short one makes pieces that are not worth it.
    guard !space.isAcross, length >= Self.smallestRow, shape.last!.estimate >= 256,
      space.loops.views[0].strides.last == 1
    else { return nil }
    return KnobSpace([("vectors", [2, 4, 8]), ("block", [4096, 8192, 16384, 32768])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    ["vectors": workload.operands[0].element == .float64 ? 2 : 4, "block": 8192]
  }

  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] {
    declaredScratch(workload, knobs, machine)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .normalization(let w) = workload else { preconditionFailure("a normalization") }
    return PiecesProgram(NormalizationSpace(w), knobs["vectors"], knobs["block"], machine).build()
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

  func build() -> TileProgram {
    forPieces(cost: 2) { measure(Array($0), $1, $2) }
    b.parallel([rows.size(0, b)], grain: max(1, 24_576 / (2 * max(1, min(1 << 20, pieceCount.estimate))))) {
      join(row: $0[0])
    }
    forPieces(cost: 2) { indices, span, _ in
      let row = position(Array(indices[..<rowExtents.count]), rowExtents)
      let mean = rows.load([.at(row), .at(b.index(0))], shape: [])
      let factor = rows.load([.at(row), .at(b.index(1))], shape: [])
      b.strips(span, lanes: partial.lanes, vectors: partial.vectors) { strip in
        let value = load(indices, strip)
        let centred = subtractsMean ? value - mean : value
        epilogue.store(centred * factor, indices.map { .at($0) } + [strip.index(0)], limits: [strip.limit], in: b)
      }
    }
    return b.finish()
  }

  /// Runs `body` for each piece with its indices in the dimensions outside of the innermost one, its part of that,
  /// and its block's number.
  private func forPieces(cost: Int, _ body: ([Tile], Span, Tile) -> Void) {
    let size = b.size(inner)
    let outer = rowExtents + outerExtents
    let work = max(1, min(block, inner.estimate)) * cost
    b.parallel(outer + [size.ceilDivided(by: block)], grain: max(1, 24_576 / work)) { indices in
      let number = indices[outer.count]
      let begin = number * block
      let span: Span
      if let known = inner.constant, known <= block {
        span = Span(b.index(0), size, length: known)
      } else if let known = inner.constant, known % block == 0 {
        span = Span(begin, begin + block, length: block)
      } else {
        span = Span(begin, (begin + block).minimum(size), length: nil, multiple: inner.constant.map { $0 & -$0 } ?? 1)
      }
      body(Array(indices[..<outer.count]), span, number)
    }
  }

  private func load(_ indices: [Tile], _ strip: Strip) -> Tile {
    x.load(indices.map { .at($0) } + [strip.index(0)], shape: [strip.count], limits: [strip.limit]).cast(element)
  }

  private func sum(_ span: Span, _ value: (Strip) -> Tile) -> Tile {
    partial.finish(partial.adding(span, to: partial.start(), value))
  }

  private func measure(_ indices: [Tile], _ span: Span, _ number: Tile) {
    let count = (span.end - span.begin).cast(element)
    let mean = subtractsMean ? sum(span) { load(indices, $0) } / count : b.constant(0, element)
    let squares = sum(span) { strip in
      let difference = load(indices, strip) - mean
      return difference * difference
    }
    let row = position(Array(indices[..<rowExtents.count]), rowExtents)
    let outer = position(Array(indices[rowExtents.count...]), outerExtents)
    let piece = outer * b.size(inner).ceilDivided(by: block) + number
    for (i, value) in [count, mean, squares].enumerated() {
      pieces.store(value, [.at(row), .at(b.index(i)), .at(piece)])
    }
  }

  private func join(row: Tile) {
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

  private func position(_ indices: [Tile], _ extents: [Tile]) -> Tile {
    zip(indices, extents).reduce(b.index(0)) { $0 * $1.1 + $1.0 }
  }
}

extension TileBuffer {
  /// The size of a dimension.
  func size(_ dimension: Int, _ b: TileBuilder) -> Tile { b.size(type.shape[dimension]) }
}

import TensorTypes
import TileIR

/// A few rows times codes, which are widened in registers: for each panel a block of results.
///
/// Scale and zero point are taken out of the sum over a block of k, `Σ a · (q − z) · s = (Σ a · q − z · Σ a) · s`, so that a
/// weight costs a mask, a conversion and an fma. What the mask leaves codes multiplied by, a power of two, a is divided
/// by beforehand: both are exact.
struct CodedRows {
  let codes: CodePanels
  let a: TileBuffer
  let rows: Int
  let unroll: Int
  /// Row-major, what a's rows are for 4-bit codes: f32 `[row, step]`, 0 past the end of k.
  private let factors: TileBuffer?
  /// Sums of a's rows over blocks: f32 `[row, block]`.
  private let sums: TileBuffer?
  private var b: TileBuilder { codes.b }

  /// Elements of a that are taken at a time.
  private static let strip = 8

  /// - Parameter batch: a's.
  init(_ codes: CodePanels, _ a: TileBuffer, batch: Tile, rows: Int, unroll: Int) {
    (self.codes, self.a, self.rows, self.unroll) = (codes, a, rows, unroll)
    let b = codes.b
    func local(_ columns: Int) -> TileBuffer {
      b.allocate(BufferType(.float32, [Dim(rows), Dim(columns)], space: .local))
    }
    factors = codes.scaling.bits == 4 ? local(codes.rowCount * codes.steps) : nil
    sums = codes.hasZeros ? local(codes.blockCount) : nil
    if codes.hasZeros { prepare(batch) }
  }

  private func prepare(_ batch: Tile) {
    let (zero, strip) = (b.index(0), Self.strip)
    let blockSteps = codes.blockRows * codes.steps
    let isWhole = codes.depth % strip == 0 && (codes.blockCount == 1 || blockSteps % strip == 0)
    let inverse = factors == nil ? nil : codes.inverseFactors().broadcast(to: [rows, strip])
    b.loop(to: b.index(codes.blockCount)) { block in
      let end = ((block + 1) * blockSteps).minimum(b.index(codes.depth))
      let start = b.constant(0, .float32, [rows, strip])
      let total = b.loop(from: block * blockSteps, to: end, step: strip, carrying: [start]) { k, carried in
        let part = a.load(
          [.at(batch), .span(zero, 0), .span(k, 1)], shape: [rows, strip], limits: isWhole ? [] : [nil, end - k])
        if let factors, let inverse { factors.store(part * inverse, [.span(zero, 0), .span(k, 1)]) }
        return [carried[0] + part]
      }[0]
      sums?.store(total.reduce(.sum, dimension: 1), [.span(zero, 0), .span(block, 1)])
    }
  }

  /// - Parameter panels: numbers of panels.
  /// - Returns: f32 `[rows, width]` each.
  func results(_ batch: Tile, _ matrix: Tile, _ panels: [Tile]) -> [Tile] {
    let start = panels.map { _ in b.constant(0, .float32, [rows, codes.width]) }
    if codes.blockCount == 1 { return adding(b.index(0), batch, matrix, panels, to: start) }
    return b.loop(to: b.index(codes.blockCount), carrying: start) { block, results in
      adding(block, batch, matrix, panels, to: results)
    }
  }

  private func adding(_ block: Tile, _ batch: Tile, _ matrix: Tile, _ panels: [Tile], to results: [Tile]) -> [Tile] {
    let (size, zeroIndex) = (codes.blockRows, b.index(0))
    let end = ((block + 1) * size).minimum(b.index(codes.rowCount))
    let start = panels.map { _ in b.constant(0, .float32, [rows, codes.width]) }
    let parts = b.loop(.unrolled(by: unroll), from: block * size, to: end, carrying: start) { index, carried in
      let rows = panels.map { codes.row(matrix, $0, index) }
      var parts = carried
      for step in 0..<codes.steps {
        let factor = factor(batch, index * codes.steps + step)
        for (i, row) in rows.enumerated() { parts[i] = parts[i].addingDot(factor, codes.scaledCode(row, step: step)) }
      }
      return parts
    }
    let group = codes.group(ofRow: block * size)
    return panels.indices.map { i in
      var part = parts[i]
      if let sums, let zero = codes.zero(matrix, panels[i], group) {
        let sum = sums.load([.span(zeroIndex, 0), .span(block, 1)], shape: [rows, 1])
        part = part - zero.broadcast(to: part.shape) * sum.broadcast(to: part.shape)
      }
      return part.fma(codes.scale(matrix, panels[i], group), results[i])
    }
  }

  /// a's elements at a step of k, `[rows, 1]`, as codes of that step want them.
  private func factor(_ batch: Tile, _ k: Tile) -> Tile {
    if let factors { return factors.load([.span(b.index(0), 0), .at(k)], shape: [rows, 1]) }
    return a.load([.at(batch), .span(b.index(0), 0), .at(k)], shape: [rows, 1])
  }
}

import TensorTypes
import TileIR

/// Constant weights as integers, in panels of rows. A row of 8-bit codes is a step of k; one of 4-bit codes is a row of
/// 32-bit words, each 8 steps of a column, the first in the lowest bits, stored as q + 8. So a step of all of a panel's
/// columns is a mask and a conversion, and nothing moves between lanes.
struct CodePanels {
  let scaling: WeightScaling
  /// i8 `[batch, panel, step, column]`, or i32 `[batch, panel, word, column]`.
  let codes: TileBuffer
  /// f32 and i8 `[batch, panel, group, column]`.
  let scales: TileBuffer
  let zeros: TileBuffer?
  let width: Int
  /// Of k.
  let depth: Int
  let b: TileBuilder

  /// Steps of k in a row.
  var steps: Int { scaling.steps }
  var rowCount: Int { (depth + steps - 1) / steps }
  var groupCount: Int { scaling.groups(depth) }
  /// Rows in a group.
  var groupRows: Int { groupCount == 1 ? rowCount : scaling.group / steps }
  /// Rows that are summed up before scale and zero point: a group's, or fewer. Codes stored as q + 8 make sums that drift
  /// where a's elements have one sign, which is taken back often enough.
  var blockRows: Int {
    let few = 128 / steps
    return scaling.bits == 4 && groupRows > few && (groupCount == 1 || groupRows % few == 0) ? few : groupRows
  }
  var blockCount: Int { (rowCount + blockRows - 1) / blockRows }

  /// A row of a panel, `[1, width]`.
  func row(_ matrix: Tile, _ panel: Tile, _ index: Tile) -> Tile { load(codes, matrix, panel, index) }

  /// Step number `step` of a row as f32, times `factor(step)`.
  func scaledCode(_ row: Tile, step: Int) -> Tile {
    if scaling.bits == 8 { return row.cast(.float32) }
    // The last step has no steps above it: a shift leaves nothing else, and no sign.
    if step == steps - 1 { return shifted(row, by: 4 * step).cast(.float32) }
    return row.binary(.and, b.constant(.integer(0xF << Int64(4 * step)), .int32, row.shape)).cast(.float32)
  }

  /// What `scaledCode` multiplies codes of 4 bits by: `[1, steps]` of its inverses, powers of two.
  func inverseFactors() -> Tile {
    func constant(_ value: Int) -> Tile { b.constant(.integer(Int64(value)), .int32, [1, steps]) }
    let step = b.iota([1, steps], dimension: 1).cast(.int32)
    let exponent = step.equal(constant(steps - 1)).select(constant(127), constant(127) - step * constant(4))
    return exponent.binary(.shiftLeft, constant(23)).bitcast(.float32)
  }

  /// The number that a step of a row stands for but for the scale: `q − zero`.
  func number(_ row: Tile, step: Int, less zero: Tile?) -> Tile {
    var code = row
    if scaling.bits == 4 {
      code = shifted(row, by: 4 * step).binary(.and, b.constant(.integer(0xF), .int32, row.shape))
    }
    return zero.map { code.cast(.float32) - $0 } ?? code.cast(.float32)
  }

  /// Zeros come in from the left.
  private func shifted(_ row: Tile, by amount: Int) -> Tile {
    if amount == 0 { return row }
    let bits = row.bitcast(.uint32).binary(.shiftRight, b.constant(.integer(Int64(amount)), .uint32, row.shape))
    return bits.bitcast(.int32)
  }

  /// Which group a row is of.
  func group(ofRow row: Tile) -> Tile { groupCount == 1 ? b.index(0) : row / groupRows }

  func scale(_ matrix: Tile, _ panel: Tile, _ group: Tile) -> Tile { load(scales, matrix, panel, group) }

  /// The zero point of codes as they are stored; nil if it is 0.
  func zero(_ matrix: Tile, _ panel: Tile, _ group: Tile) -> Tile? {
    let own = zeros.map { load($0, matrix, panel, group).cast(.float32) }
    if scaling.bits == 8 { return own }
    let middle = b.constant(8, .float32, [1, width])
    return own.map { $0 + middle } ?? middle
  }

  /// Whether `zero` is ever something.
  var hasZeros: Bool { scaling.bits == 4 || zeros != nil }

  private func load(_ buffer: TileBuffer, _ matrix: Tile, _ panel: Tile, _ index: Tile) -> Tile {
    buffer.load([.at(matrix), .at(panel), .at(index), .span(b.index(0), 1)], shape: [1, width])
  }
}

/// A piece of a panel as f32, in memory that stays in the level-1 cache: what many rows share is widened once.
struct ExpandedPanel {
  /// f32 `[step, column]`.
  let buffer: TileBuffer
  let width: Int
  let b: TileBuilder

  /// - Parameter depth: the most steps that a piece has.
  init(depth: Int, width: Int, in b: TileBuilder) {
    // The last row may hold steps past the end of k.
    buffer = b.allocate(BufferType(.float32, [Dim((depth + 7) / 8 * 8), Dim(width)], space: .local))
    (self.width, self.b) = (width, b)
  }

  func row(_ step: Tile) -> Tile { buffer.load([.at(step), .span(b.index(0), 1)], shape: [1, width]) }

  private func store(_ row: Tile, _ step: Tile) { buffer.store(row, [.at(step), .span(b.index(0), 1)]) }

  /// Steps `start..<start + count` of a panel of 16-bit floats.
  func fill(_ panels: TileBuffer, _ matrix: Tile, _ panel: Tile, from start: Tile, count: Tile) {
    b.loop(.unrolled(by: 4), to: count) { step in
      let row = panels.load([.at(matrix), .at(panel), .at(start + step), .span(b.index(0), 1)], shape: [1, width])
      store(row.cast(.float32), step)
    }
  }

  /// The same of codes: `(q − zero) · scale`, rounded once.
  /// - Precondition: `start` is a multiple of a row's steps.
  func fill(_ codes: CodePanels, _ matrix: Tile, _ panel: Tile, from start: Tile, count: Tile) {
    let first = start / codes.steps
    let end = first + count.ceilDivided(by: codes.steps)
    b.loop(from: codes.group(ofRow: first), to: codes.group(ofRow: end - 1) + 1) { group in
      let (scale, zero) = (codes.scale(matrix, panel, group), codes.zero(matrix, panel, group))
      let rows = (first.maximum(group * codes.groupRows), end.minimum((group + 1) * codes.groupRows))
      b.loop(.unrolled(by: codes.steps == 1 ? 4 : 1), from: rows.0, to: rows.1) { index in
        let row = codes.row(matrix, panel, index)
        for step in 0..<codes.steps {
          store(codes.number(row, step: step, less: zero) * scale, (index - first) * codes.steps + step)
        }
      }
    }
  }
}

import TensorTypes
import TileIR

/// The loops of elementwise kernels and of copies: an expression on each element of strided operands.
struct StripMap {
  private let expression: Expression
  private let space: LoopSpace
  private let vectors: Int
  private let lanes: Int
  private let fetches: Bool
  /// Whether transposed results are stored past the caches: large ones whose rows all begin with a line, where two vectors fill one.
  private let streams: Bool
  private let b: TileBuilder
  private let inputs: [TileBuffer]
  private let output: TileBuffer

  /// Vectors in flight: enough to hide latency, few enough for their values to stay in registers.
  static func defaultVectors(_ expression: Expression, _ views: [View]) -> Int {
    let widest = views.map(\.element.byteCount).max() ?? 4
    if widest == 8 { return 2 }
    if expression.cost > 2 { return 2 }
    return widest == 4 ? 4 : 8
  }

  static func program(
    _ name: String, _ expression: Expression, _ operands: [View], _ output: View, vectors: Int, on machine: Machine
  ) -> TileProgram {
    let b = TileBuilder(name)
    let space = LoopSpace(operands + [output], leaders: [operands.count])
    let inputs = space.views.dropLast().enumerated().map { b.parameter("x\($0)", .input, $1.buffer) }
    let y = b.parameter("y", .output, space.views.last!.buffer)
    let bytes = space.shape.estimatedCount * output.element.byteCount
    func fillsLines(_ count: Int) -> Bool { count * output.element.byteCount % 64 == 0 }
    let areLines =
      fillsLines(2 * machine.lanes)
      && space.views.last!.strides.dropLast().allSatisfy { $0.constant.map(fillsLines) ?? false }
    StripMap(
      expression: expression, space: space, vectors: vectors, lanes: machine.lanes,
      fetches: bytes > machine.cacheBytes[1] / 4, streams: bytes >= machine.keptBytes && areLines, b: b,
      inputs: inputs, output: y
    ).emit()
    return b.finish()
  }

  private var inner: Int { space.shape.count - 1 }

  private func emit() {
    if let other = transposedDimension { emitTransposing(other) } else { emitRows() }
  }

  /// The dimension along which operands that are not walked by vectors have their unit stride.
  private var transposedDimension: Int? {
    guard space.views.last!.strides[inner] == 1 else { return nil }
    let odd = space.views.dropLast().filter { $0.strides[inner] != 1 && $0.strides[inner] != 0 }
    return (0..<inner).last { dimension in odd.contains { $0.strides[dimension] == 1 } }
  }

  // MARK: Rows

  private func emitRows() {
    let outer = Array(space.shape.dropLast())
    let division = Division(outer: outer, inner: space.shape[inner], cost: expression.cost)
    b.divided(division, outer: outer, inner: space.shape[inner]) { indices, span in row(indices, span) }
  }

  private func row(_ indices: [Tile], _ span: Span) {
    let outer = indices.map { TileBuffer.Index.at($0) }
    // What is the same along the row is read once, unless the row may be empty: then there may be nothing to read.
    let isFull = space.shape[inner].constant.map { $0 > 0 } ?? false
    let repeated = zip(space.views, inputs).map { view, buffer -> Tile? in
      guard view.strides[inner] == 0 else { return nil }
      if isFull { return buffer.load(outer + [.at(b.index(0))], shape: []) }
      let length = span.length.map { b.index($0) } ?? span.end - span.begin
      return buffer.load(outer + [.span(b.index(0), 0)], shape: [1], limits: [length.minimum(b.index(1))])
    }
    b.strips(span, lanes: lanes, vectors: vectors) { strip in
      if fetches {
        for (buffer, known) in zip(inputs + [output], repeated + [nil]) where known == nil {
          fetch(buffer, indices, strip)
        }
      }
      let arguments = zip(inputs, repeated).map { buffer, known in
        known ?? buffer.load(outer + [strip.index(0)], shape: [strip.count], limits: [strip.limit])
      }
      let value = b.apply(expression, arguments, shape: [strip.count])
      output.store(value, outer + [strip.index(0)], limits: [strip.limit])
    }
  }

  /// Brings nearer what comes some way after a strip: later in a long row, in a row to come where they are short.
  private func fetch(_ buffer: TileBuffer, _ indices: [Tile], _ strip: Strip) {
    let (distance, length) = (Fetching.distance / buffer.type.element.byteCount, max(1, space.shape[inner].estimate))
    if length >= 4 * distance { return buffer.prefetch(indices, after: strip) }
    let rows = (distance + length - 1) / length
    guard let last = indices.last, space.shape[inner - 1].estimate >= 4 * rows else { return }
    buffer.prefetch(indices.dropLast() + [last + rows], from: strip.start, count: strip.count)
  }

  // MARK: Transposing

  /// Tiles of `lanes × lanes`; two side by side, so that the output's cache lines are written whole.
  private func emitTransposing(_ other: Int) {
    let order = space.shape.indices.filter { $0 != other && $0 != inner }
    let (rows, columns) = (space.shape[other], space.shape[inner])
    // Rows of a task: about 4096 elements, in groups that keep the cache lines of both sides. Columns: so few that the
    // pages of the transposed operand, often one a column, are known to the TLB while the next groups of rows pass by. Fewer, in more
    // rows, where lines are stored past the caches: nothing of the output has to stay, and what is fetched is used sooner.
    let isThin = rows.constant.map { $0 <= 64 } ?? false
    let streams = streams && !isThin && !losesHalves
    let (group, columnsAtATime) = (16, streams ? 128 : 512)
    let columnBlock = columns.constant.map { $0 > columnsAtATime * 3 / 2 } ?? true ? columnsAtATime : nil
    let width = columnBlock ?? columns.estimate
    // Few rows whose columns lie one after the other in the transposed operand are taken together: it is then read as it lies. Not
    // by vectors of less than a cache line: the many lines of the output that are written in parts would not stay until they are whole.
    let isFew =
      columnBlock != nil && lanes >= 16 && isThin
      && space.views.dropLast().allSatisfy { !isTransposed($0, other) || $0.strides[inner] == rows }
    let block = isFew ? rows.estimate : max(group, min(256, 4096 / max(1, width) / group * group))
    let (rowCount, columnCount) = (b.size(rows), b.size(columns))
    let work = min(columns.estimate, columnBlock ?? .max) * min(block, rows.estimate) * expression.cost * 2
    let extents =
      order.map { b.size(space.shape[$0]) } + [
        columnBlock.map { columnCount.ceilDivided(by: $0) } ?? b.index(1), rowCount.ceilDivided(by: block),
      ]
    b.parallel(extents, work: .operations(work)) { indices in
      let columnSpan = b.part(indices[order.count], of: columns, columnCount, by: columnBlock)
      let rowSpan = b.part(indices[order.count + 1], of: rows, rowCount, by: block)
      func forColumns(_ body: (Strip) -> Void) { b.strips(columnSpan, lanes: lanes, vectors: 2, body) }
      func forRows(_ body: (Strip) -> Void) { b.strips(rowSpan, lanes: lanes, vectors: 1, body) }
      func strip(_ row: Strip, _ column: Strip) {
        let outer = Array(zip(order, indices))
        if fetches { fetch(outer, other, row, by: isFew ? nil : block, column) }
        tiles(outer, other, row, column)
      }
      if streams {
        forRows { row in forColumns { strip(row, $0) } }
      } else {
        forColumns { column in forRows { strip($0, column) } }
      }
    }
  }

  /// Whether a vector is less than a line of a transposed operand whose columns lie a multiple of 4 KiB apart: they share few of the
  /// cache's sets, which seem to lose a line before its other half is read. Row by row was 1.1 to 1.25 times as slow there.
  private var losesHalves: Bool {
    space.views.dropLast().contains { view in
      guard view.strides[inner] != 1, let stride = view.strides[inner].constant, stride != 0 else { return false }
      let bytes = view.element.byteCount
      return lanes * bytes < 64 && stride * bytes % 4096 == 0
    }
  }

  /// Brings nearer what the next task reads, `block` rows on, and the lines that the next strip of columns writes: the one is a
  /// page a column, the other a page a row, and the hardware's prefetcher follows no more than some thirty.
  /// - Parameter block: nil where tasks take all rows: what they read next lies next.
  private func fetch(_ outer: [(Int, Tile)], _ other: Int, _ row: Strip, by block: Int?, _ column: Strip) {
    func rest(row: Tile) -> [Tile] {
      var indices = [Tile](repeating: row, count: inner)
      for (dimension, index) in outer { indices[dimension] = index }
      return indices
    }
    if let block {
      for (view, buffer) in zip(space.views, inputs) where isTransposed(view, other) {
        for number in 0..<column.count { buffer.prefetch(rest(row: row.start + block) + [column.start + number]) }
      }
    }
    guard space.shape[inner].estimate >= 4 * column.count else { return }
    for number in 0..<row.count {
      output.prefetch(rest(row: row.start + number), from: column.start + column.count, count: column.count)
    }
  }

  private func isTransposed(_ view: View, _ other: Int) -> Bool {
    view.strides[inner] != 1 && view.strides[inner] != 0 && view.strides[other] == 1
  }

  /// A strip of columns tile by tile, so that each one's rows fit in registers.
  private func tiles(_ outer: [(Int, Tile)], _ other: Int, _ row: Strip, _ column: Strip) {
    var done = 0
    while done < column.count {
      let count = min(lanes, column.count - done)
      tile(outer, other, row, Strip(start: column.start + done, count: count, limit: column.limit))
      done += count
    }
  }

  private func tile(_ outer: [(Int, Tile)], _ other: Int, _ row: Strip, _ column: Strip) {
    let shape = [row.count, column.count]
    func indices(row rowDimension: Int, column columnDimension: Int) -> [TileBuffer.Index] {
      var indices = [TileBuffer.Index](repeating: .at(row.start), count: inner + 1)
      for (dimension, index) in outer { indices[dimension] = .at(index) }
      indices[other] = row.index(rowDimension)
      indices[inner] = column.index(columnDimension)
      return indices
    }
    let arguments = zip(space.views, inputs).map { view, buffer in
      if isTransposed(view, other) {
        return buffer.load(
          indices(row: 1, column: 0), shape: [column.count, row.count], limits: [column.limit, row.limit]
        ).transpose([1, 0])
      }
      return buffer.load(indices(row: 0, column: 1), shape: shape, limits: [row.limit, column.limit])
    }
    let value = b.apply(expression, arguments, shape: shape)
    output.store(value, indices(row: 0, column: 1), limits: [row.limit, column.limit])
  }
}

import TensorTypes
import TileIR

// Windows along the last space dimension, whose places are neighbours in memory: taps of all other dimensions are joined first,
// column by column into a row in local memory, then the row's neighbours. For 3 × 3 that is 3 + 3 joins in place of 9, and the row
// has room on both sides for what stands outside of x, so that no result is at an edge. Several short rows are filled before their
// windows are joined: a load across two stores waits until both have reached the cache.

extension PoolProgram {
  private var last: Int { rank - 1 }

  /// How many short rows, neighbours along the dimension before the last one, a task takes; nil: rows are not known to be short.
  var rowsTogether: Int? {
    guard rank >= 2, let length = w.output.shape[rank].constant, (1...256).contains(length),
      let count = w.output.shape[last].constant, count > 1
    else { return nil }
    // About 1024 results, of no more room than a cache holds: long steps make it many times as much.
    let together = min(count, 1024 / length, 8192 / extent(of: length).width)
    return together > 1 ? together : nil
  }

  /// The results of short rows from `place` on, at most `count` and before row `end`.
  func rows(_ place: [Tile], _ count: Int, end: Tile) {
    let length = w.output.shape[rank]
    let first = place[last]
    let room = windowRow(length.constant!, rows: count)
    func forEach(_ body: (WindowRow, [Tile]) -> Void) {
      b.loop(from: first, to: end) { number in
        var (row, place) = (room, place)
        (row.number, place[last]) = (number - first, number)
        body(row, place)
      }
    }
    forEach { fill($0, $1, zero) }
    forEach { windows($0, $1, zero, b.span(length)) }
  }

  /// The results at `place` along the last space dimension, of a long row some at a time.
  func rows(_ place: [Tile]) {
    let length = w.output.shape[rank]
    let block = min(1024, length.constant ?? 1024)
    let row = windowRow(block)
    func part(_ start: Tile, _ span: Span) {
      fill(row, place, start)
      windows(row, place, start, span)
    }
    if block == length.constant { return part(zero, b.span(length)) }
    let size = b.size(length)
    b.loop(to: size, step: block) { part($0, Span($0, ($0 + block).minimum(size), length: nil)) }
  }

  /// What a row in local memory holds for so many results, as `WindowRow` says.
  private func extent(of count: Int) -> (before: Int, reached: Int, width: Int) {
    let results = (count + lanes - 1) / lanes * lanes
    let reached = (results - 1) * w.strides[last] + (w.window[last] - 1) * w.dilations[last] + 1 - w.padsBefore[last]
    let before = (w.padsBefore[last] + lanes - 1) / lanes * lanes
    return (before, reached, before + reached + lanes)
  }

  /// - Parameter rows: nil for one.
  private func windowRow(_ count: Int, rows: Int? = nil) -> WindowRow {
    let (before, reached, width) = extent(of: count)
    let shape = (rows.map { [Dim($0)] } ?? []) + [Dim(width)]
    return WindowRow(before: before, reached: reached, buffer: b.allocate(BufferType(element, shape, space: .local)))
  }

  /// A row in local memory, with a vector's room at its end.
  private struct WindowRow {
    /// Places before the one at which the first result's position in x stands: whole vectors, as much as the padding.
    let before: Int
    /// Places from there on that windows reach.
    let reached: Int
    let buffer: TileBuffer
    /// Which of several rows it is; nil: there is one.
    var number: Tile?

    func place(_ index: TileBuffer.Index) -> [TileBuffer.Index] { (number.map { [.at($0)] } ?? []) + [index] }
  }

  /// Joins all dimensions but the last. The first of the results is at `start`.
  private func fill(_ row: WindowRow, _ place: [Tile], _ start: Tile) {
    let origin = start * w.strides[last]
    let width = b.size(w.x.shape[rank])
    // Positions of x that are there, from `origin` on.
    let begin = (zero - origin).maximum(b.index(-w.padsBefore[last]))
    let end = (width - origin).minimum(b.index(row.reached)).maximum(begin)
    /// From one place to another, and past it to the end of a vector.
    func fillWithNothing(from: Tile, to: Tile) {
      b.loop(from: from + row.before, to: to + row.before, step: lanes) {
        row.buffer.store(b.constant(.identity(of: function, element), element, [lanes]), row.place(.span($0, 0)))
      }
    }
    fillWithNothing(from: b.index(-row.before), to: begin)
    fillWithNothing(from: end, to: b.index(row.reached))
    let columns =
      b.integer(origin) == nil
      ? Span(begin + origin, end + origin, length: nil)
      : Span(zero, end, length: w.x.shape[rank].constant.map { min($0, row.reached) })
    let outer = (0..<last).map { taps($0, at: place[1 + $0]) }
    b.strips(columns, lanes: lanes, vectors: vectors) { strip in
      let joined = join(outer, count: strip.count) { tap in
        let position = (0..<last).map { TileBuffer.Index.at(source($0, place[1 + $0], tap[$0])) }
        return x.load(
          [.at(place[0])] + position + [strip.index(0), .at(place[channels])], shape: [strip.count],
          limits: [strip.limit]
        ).cast(element)
      }
      row.buffer.store(joined, row.place(.span(strip.start - origin + row.before, 0)), limits: [strip.limit])
    }
  }

  /// Joins the windows of each result within the row.
  private func windows(_ row: WindowRow, _ place: [Tile], _ start: Tile, _ span: Span) {
    let stride = w.strides[last]
    let outer = (0..<last).map { taps($0, at: place[1 + $0]) }
    func results(_ from: Tile, limit: Tile?) {
      let first = (from - start) * stride + (row.before - w.padsBefore[last])
      func tap(_ number: Int) -> Tile {
        row.buffer.load(row.place(.span(first + number * w.dilations[last], 0, step: stride)), shape: [lanes])
      }
      let result = (1..<w.window[last]).reduce(tap(0)) { $0.joined(function, tap($1)) }
      func store(_ result: Tile) {
        y.store(
          result.cast(y.type.element),
          place[..<rank].map { .at($0) } + [.span(from, 0), .at(place[channels])], limits: [limit])
      }
      guard isMean else { return store(result) }
      func storeMean(_ taps: Taps) { store(result / counted(outer + [taps])) }
      let all = Taps(begin: zero, end: b.index(w.window[last]), counted: b.index(w.window[last]))
      if isAlwaysInside(last) { return storeMean(all) }
      // Counting taps result by result takes longer than joining them.
      let origin = from * stride - w.padsBefore[last]
      let reached = origin + ((lanes - 1) * stride + (w.window[last] - 1) * w.dilations[last])
      b.when(zero.lessEqual(origin).and(reached.less(b.size(w.x.shape[rank])))) {
        storeMean(all)
      } otherwise: {
        storeMean(taps(last, at: b.iota([lanes], dimension: 0) + from))
      }
    }
    let whole = span.begin + (span.end - span.begin) / lanes * lanes
    b.loop(from: span.begin, to: whole, step: lanes) { results($0, limit: nil) }
    if span.multiple % lanes != 0 { b.when(whole.less(span.end)) { results(whole, limit: span.end - whole) } }
  }
}

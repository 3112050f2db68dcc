import TensorTypes
import TileIR

/// `y[n, p…, c] = max or mean over t… of x[n, p·stride + t·dilation − pad, c]`, outside of x left out.
///
/// Vectors run along the channels where these are neighbours in memory, else along the last space dimension: there
/// the places whose windows lie inside; places at the edge go one by one.
struct Pool: KernelTemplate {
  let name = "pool.windows"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .pool(let w) = workload, w.x.rank >= 3 else { return nil }
    return KnobSpace([("vectors", [1, 2, 4])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .pool(let w) = workload else { preconditionFailure("a pool") }
    return ["vectors": w.x.element.byteCount == 8 ? 2 : 4]
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .pool(let w) = workload else { preconditionFailure("a pool") }
    return PoolProgram(w, knobs["vectors"], machine).build()
  }
}

private struct PoolProgram {
  let w: PoolWorkload
  let vectors: Int
  let lanes: Int
  let b = TileBuilder("pool")
  let x: TileBuffer
  let y: TileBuffer
  /// What is computed in.
  let element: ElementType
  let function: ReductionFunction
  /// Space dimensions.
  let rank: Int
  let zero: Tile

  init(_ w: PoolWorkload, _ vectors: Int, _ machine: Machine) {
    (self.w, self.vectors, lanes, rank) = (w, vectors, machine.lanes, w.window.count)
    x = b.parameter("x", .input, w.x.buffer)
    y = b.parameter("y", .output, w.output.buffer)
    switch w.kind {
    case .maximum: (element, function) = (w.x.element, .maximum)
    case .average: (element, function) = (w.x.element.accumulator, .sum)
    }
    zero = b.index(0)
  }

  private var channels: Int { rank + 1 }

  func build() -> TileProgram {
    let alongChannels = w.x.strides[channels] == 1 || w.x.strides[rank] != 1
    let shape = w.output.shape
    // The dimensions that tasks are made of: all but the one that vectors run along.
    let outer = alongChannels ? Array(0...rank) : [0, channels] + Array(1..<rank)
    let inner = alongChannels ? channels : rank
    let work = max(1, shape[inner].estimate * w.window.reduce(1, *))
    b.parallel(outer.map { b.size(shape[$0]) }, grain: max(1, 24_576 / work)) { indices in
      var place = [Tile](repeating: zero, count: rank + 2)
      for (dimension, index) in zip(outer, indices) { place[dimension] = index }
      if alongChannels { channelStrips(place) } else { columnStrips(place) }
    }
    return b.finish()
  }

  // MARK: Taps

  /// Taps of a window that lie inside.
  private struct Taps {
    var begin: Tile
    var end: Tile
    /// How many count in the mean.
    var counted: Tile
  }

  private func taps(_ d: Int, at position: Tile) -> Taps {
    let (size, window, dilation) = (b.size(w.x.shape[1 + d]), b.index(w.window[d]), w.dilations[d])
    let origin = position * w.strides[d] - w.padsBefore[d]
    if isAlwaysInside(d) { return Taps(begin: zero, end: window, counted: window) }
    let begin = (zero - origin).maximum(zero).ceilDivided(by: dilation).minimum(window)
    let end = (size - origin).maximum(zero).ceilDivided(by: dilation).minimum(window)
    guard case .average(countsPadding: true) = w.kind else { return Taps(begin: begin, end: end, counted: end - begin) }
    let padded = (size + w.padsAfter[d] - origin).maximum(zero).ceilDivided(by: dilation).minimum(window)
    return Taps(begin: begin, end: end, counted: padded)
  }

  private func isAlwaysInside(_ d: Int) -> Bool {
    guard w.padsBefore[d] == 0, let input = w.x.shape[1 + d].constant, let output = w.output.shape[1 + d].constant
    else {
      return false
    }
    return (output - 1) * w.strides[d] + (w.window[d] - 1) * w.dilations[d] < input
  }

  /// Joins the values of all taps; `value` gives those of a tap.
  private func join(_ taps: [Taps], count: Int?, _ value: ([Tile]) -> Tile) -> Tile {
    let start = b.constant(.identity(of: function, element), element, count.map { [$0] } ?? [])
    func nest(_ tap: [Tile], _ sum: Tile) -> Tile {
      if tap.count == rank { return sum.binary(function.combiner, value(tap)) }
      return b.loop(from: taps[tap.count].begin, to: taps[tap.count].end, carrying: [sum]) {
        [nest(tap + [$0], $1[0])]
      }[0]
    }
    let sum = nest([], start)
    guard case .average = w.kind else { return sum }
    return sum / taps.reduce(b.index(1)) { $0 * $1.counted }.cast(element)
  }

  private func source(_ d: Int, _ position: Tile, _ tap: Tile) -> Tile {
    position * w.strides[d] + tap * w.dilations[d] - w.padsBefore[d]
  }

  // MARK: Along channels

  private func channelStrips(_ place: [Tile]) {
    let taps = (0..<rank).map { self.taps($0, at: place[1 + $0]) }
    b.strips(b.span(w.output.shape[channels]), lanes: lanes, vectors: vectors) { strip in
      let result = join(taps, count: strip.count) { tap in
        let position = (0..<rank).map { TileBuffer.Index.at(source($0, place[1 + $0], tap[$0])) }
        return x.load([.at(place[0])] + position + [strip.index(0)], shape: [strip.count], limits: [strip.limit]).cast(
          element)
      }
      y.store(
        result.cast(y.type.element), place.dropLast().map { .at($0) } + [strip.index(0)], limits: [strip.limit])
    }
  }

  // MARK: Along the last space dimension

  private func columnStrips(_ place: [Tile]) {
    let last = rank - 1
    let width = b.size(w.output.shape[rank])
    let taps = (0..<last).map { self.taps($0, at: place[1 + $0]) }
    if isAlwaysInside(last) {
      inside(place, taps, Span(zero, width, length: w.output.shape[rank].constant))
      return
    }
    let stride = w.strides[last]
    let reach = (w.window[last] - 1) * w.dilations[last]
    let first = b.index((w.padsBefore[last] + stride - 1) / stride).minimum(width)
    let room = b.size(w.x.shape[rank]) + (w.padsBefore[last] - reach)
    let end = room.maximum(zero).ceilDivided(by: stride).minimum(width).maximum(first)
    b.loop(to: first) { edge(place, taps, $0) }
    inside(place, taps, Span(first, end, length: nil))
    b.loop(from: end, to: width) { edge(place, taps, $0) }
  }

  private func inside(_ place: [Tile], _ taps: [Taps], _ span: Span) {
    let last = rank - 1
    let window = b.index(w.window[last])
    let all = taps + [Taps(begin: zero, end: window, counted: window)]
    b.strips(span, lanes: lanes, vectors: w.strides[last] == 1 ? vectors : 1) { strip in
      let result = join(all, count: strip.count) { tap in
        let position = (0..<last).map { TileBuffer.Index.at(source($0, place[1 + $0], tap[$0])) }
        let column = TileBuffer.Index.span(source(last, strip.start, tap[last]), 0, step: w.strides[last])
        return x.load(
          [.at(place[0])] + position + [column, .at(place[channels])], shape: [strip.count], limits: [strip.limit]
        ).cast(element)
      }
      store(result, place, strip.index(0), limits: [strip.limit])
    }
  }

  private func edge(_ place: [Tile], _ taps: [Taps], _ column: Tile) {
    let last = rank - 1
    let result = join(taps + [self.taps(last, at: column)], count: nil) { tap in
      let position = (0..<rank).map { TileBuffer.Index.at(source($0, $0 == last ? column : place[1 + $0], tap[$0])) }
      return x.load([.at(place[0])] + position + [.at(place[channels])], shape: []).cast(element)
    }
    store(result, place, .at(column), limits: [])
  }

  private func store(_ result: Tile, _ place: [Tile], _ column: TileBuffer.Index, limits: [Tile?]) {
    let outer = place[..<rank].map { TileBuffer.Index.at($0) }
    y.store(result.cast(y.type.element), outer + [column, .at(place[channels])], limits: limits)
  }
}

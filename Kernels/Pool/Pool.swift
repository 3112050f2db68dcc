import TensorTypes
import TileIR

/// `y[n, p…, c] = max or mean over t… of x[n, p·stride + t·dilation − pad, c]`, outside of x left out.
///
/// Vectors run along the channels where these are neighbours in memory, else along the last space dimension (PoolRows.swift).
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

struct PoolProgram {
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

  var channels: Int { rank + 1 }

  func build() -> TileProgram {
    let alongChannels = w.x.strides[channels] == 1 || w.x.strides[rank] != 1
    let shape = w.output.shape
    // The dimensions that tasks are made of: all but the one that vectors run along.
    let outer = alongChannels ? Array(0...rank) : [0, channels] + Array(1..<rank)
    let inner = alongChannels ? channels : rank
    let together = alongChannels ? nil : rowsTogether
    var extents = outer.map { b.size(shape[$0]) }
    if let together { extents[extents.count - 1] = extents.last!.ceilDivided(by: together) }
    let work = LoopWork.operations(shape[inner].estimate * w.window.reduce(1, *) * (together ?? 1))
    b.parallel(extents, work: work) { indices in
      var place = [Tile](repeating: zero, count: rank + 2)
      for (dimension, index) in zip(outer, indices) { place[dimension] = index }
      guard let together else { return alongChannels ? channelStrips(place) : rows(place) }
      place[rank - 1] = place[rank - 1] * together
      rows(place, together, end: (place[rank - 1] + together).minimum(b.size(shape[rank - 1])))
    }
    return b.finish()
  }

  // MARK: Taps

  /// Taps of a window that lie inside.
  struct Taps {
    var begin: Tile
    var end: Tile
    /// How many count in the mean.
    var counted: Tile
  }

  func taps(_ d: Int, at position: Tile) -> Taps {
    let (size, window, dilation) = (b.size(w.x.shape[1 + d]), b.index(w.window[d]), w.dilations[d])
    let origin = position * w.strides[d] - w.padsBefore[d]
    if isAlwaysInside(d) { return Taps(begin: zero, end: window, counted: window) }
    let begin = (zero - origin).maximum(zero).ceilDivided(by: dilation).minimum(window)
    let end = (size - origin).maximum(zero).ceilDivided(by: dilation).minimum(window)
    guard case .average(countsPadding: true) = w.kind else { return Taps(begin: begin, end: end, counted: end - begin) }
    let padded = (size + w.padsAfter[d] - origin).maximum(zero).ceilDivided(by: dilation).minimum(window)
    return Taps(begin: begin, end: end, counted: padded)
  }

  func isAlwaysInside(_ d: Int) -> Bool {
    guard w.padsBefore[d] == 0, let input = w.x.shape[1 + d].constant, let output = w.output.shape[1 + d].constant
    else {
      return false
    }
    return (output - 1) * w.strides[d] + (w.window[d] - 1) * w.dilations[d] < input
  }

  /// Joins the values of all taps; `value` gives those of a tap.
  func join(_ taps: [Taps], count: Int, _ value: ([Tile]) -> Tile) -> Tile {
    func nest(_ tap: [Tile], _ sum: Tile) -> Tile {
      if tap.count == taps.count { return sum.joined(function, value(tap)) }
      return b.loop(from: taps[tap.count].begin, to: taps[tap.count].end, carrying: [sum]) {
        [nest(tap + [$0], $1[0])]
      }[0]
    }
    return nest([], b.constant(.identity(of: function, element), element, [count]))
  }

  /// How many taps count.
  func counted(_ taps: [Taps]) -> Tile { taps.reduce(b.index(1)) { $0 * $1.counted }.cast(element) }

  var isMean: Bool { if case .average = w.kind { true } else { false } }

  func source(_ d: Int, _ position: Tile, _ tap: Tile) -> Tile {
    position * w.strides[d] + tap * w.dilations[d] - w.padsBefore[d]
  }

  // MARK: Along channels

  private func channelStrips(_ place: [Tile]) {
    let taps = (0..<rank).map { self.taps($0, at: place[1 + $0]) }
    b.strips(b.span(w.output.shape[channels]), lanes: lanes, vectors: vectors) { strip in
      var result = join(taps, count: strip.count) { tap in
        let position = (0..<rank).map { TileBuffer.Index.at(source($0, place[1 + $0], tap[$0])) }
        return x.load([.at(place[0])] + position + [strip.index(0)], shape: [strip.count], limits: [strip.limit]).cast(
          element)
      }
      if isMean { result = result / counted(taps) }
      y.store(
        result.cast(y.type.element), place.dropLast().map { .at($0) } + [strip.index(0)], limits: [strip.limit])
    }
  }
}

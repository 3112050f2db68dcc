import TensorTypes
import TileIR

/// The position along a dimension of the element that comes first: the smallest or the largest, NaN before either.
public struct ArgReduceWorkload: Hashable, Sendable, Codable {
  public var x: View
  public var axis: Int
  public var isMaximum: Bool
  /// Of equal elements the last is taken, not the first.
  public var selectsLast: Bool
  /// i64, of x's shape with the axis as 1.
  public var output: View

  public init(x: View, axis: Int, isMaximum: Bool, selectsLast: Bool, output: View) {
    (self.x, self.axis, self.isMaximum, self.selectsLast) = (x, axis, isMaximum, selectsLast)
    self.output = output
  }

  public var operands: [View] { [x] }
}

/// The best so far and where it was, in vectors along the axis if its elements are neighbours, else along another
/// dimension.
struct ArgReduce: KernelTemplate {
  let name = "sort.arg_reduce"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .argReduce = workload else { return nil }
    return KnobSpace([("vectors", [1, 2, 4])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs { ["vectors": 1] }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .argReduce(let w) = workload else { preconditionFailure("a search for the first") }
    return ArgReduceProgram(w, knobs["vectors"] * machine.lanes, machine).build()
  }
}

private struct ArgReduceProgram {
  let w: ArgReduceWorkload
  let width: Int
  let lanes: Int
  let b = TileBuilder("arg_reduce")
  let space: SlicedSpace
  let x, y: TileBuffer
  let count: Tile

  init(_ w: ArgReduceWorkload, _ width: Int, _ machine: Machine) {
    (self.w, self.width, lanes) = (w, width, machine.lanes)
    space = SlicedSpace([w.x, w.output], axis: w.axis)
    x = b.parameter("x", .input, space.views[0].buffer)
    y = b.parameter("y", .output, space.views[1].buffer)
    count = b.size(space.length)
  }

  /// Whether elements along the axis are neighbours in memory.
  private var isAlong: Bool { w.x.strides[w.axis] == 1 }

  func build() -> TileProgram {
    if isAlong { along() } else { across() }
    return b.finish()
  }

  private func rank(_ value: Tile) -> Tile { value.rank(largestFirst: w.isMaximum, nanFirst: true, in: b) }

  /// Whether a later element takes the place of the best so far.
  private func wins(_ candidate: Tile, _ best: Tile) -> Tile {
    candidate.binary(w.selectsLast ? .greaterEqual : .greater, best)
  }

  private func across() {
    space.forEachStrip(b, cost: 4, lanes: lanes, vectors: width / lanes) { strip, place in
      b.whenNotEmpty([space.length]) { column(strip, place) }
    }
  }

  private func column(_ strip: Strip, _ place: (Tile) -> [TileBuffer.Index]) {
    let first = rank(x.load(place(b.index(0)), shape: [strip.count], limits: [strip.limit]))
    let zero = b.constant(0, .int64, [strip.count])
    let found = b.loop(from: b.index(1), to: count, carrying: [first, zero]) { i, best in
      let candidate = rank(x.load(place(i), shape: [strip.count], limits: [strip.limit]))
      let isBetter = wins(candidate, best[0])
      return [isBetter.select(candidate, best[0]), isBetter.select(i.broadcast(to: [strip.count]), best[1])]
    }
    y.store(found[1], place(b.index(0)), limits: [strip.limit])
  }

  private func along() {
    let extents = space.views[0].shape.dropLast().map { b.size($0) }
    b.parallel(Array(extents), work: .operations(space.length.estimate)) { place in
      let row = place.map { TileBuffer.Index.at($0) }
      let iota = b.iota([width], dimension: 0)
      func candidates(_ start: Tile, _ limit: Tile?) -> Tile {
        rank(x.load(row + [.span(start, 0)], shape: [width], limits: limit.map { [$0] } ?? []))
      }
      // Lanes that have no element lose to any other and never win.
      let opening = candidates(b.index(0), count)
      let nothing = b.constant(.integer(opening.element.smallestInteger), opening.element, [width])
      let inside = iota.less(count.broadcast(to: [width]))
      let start = [inside.select(opening, nothing), iota]
      func step(_ i: Tile, _ limit: Tile?, _ best: [Tile]) -> [Tile] {
        let candidate = candidates(i, limit)
        var isBetter = wins(candidate, best[0])
        if let limit { isBetter = isBetter.and(iota.less(limit.broadcast(to: [width]))) }
        return [isBetter.select(candidate, best[0]), isBetter.select(iota + i, best[1])]
      }
      let whole = count / width * width
      var best = b.loop(from: b.index(width), to: whole, step: width, carrying: start) { i, best in step(i, nil, best) }
      best = b.loop(from: whole.maximum(b.index(width)), to: count, step: width, carrying: best) { i, best in
        step(i, count - i, best)
      }
      y.store(first(best, inside), row + [.at(b.index(0))])
    }
  }

  /// Of the lanes' best ones the best, and of equal ones the first or last.
  private func first(_ best: [Tile], _ inside: Tile) -> Tile {
    let top = best[0].reduce(.maximum, dimension: 0).broadcast(to: [width])
    let isTop = best[0].equal(top).and(inside)
    let other = b.constant(.integer(w.selectsLast ? -1 : .max), .int64, [width])
    return isTop.select(best[1], other).reduce(w.selectsLast ? .maximum : .minimum, dimension: 0).reshape([])
  }
}

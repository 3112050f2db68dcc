import TensorTypes
import TileIR

/// The first `k` elements along a dimension in order, and where they were.
public struct SortWorkload: Hashable, Sendable, Codable {
  public var x: View
  public var axis: Int
  /// Largest first; NaN counts as larger than any number.
  public var isDescending: Bool
  /// Of x's shape, k along the axis.
  public var output: View
  /// i64, of the output's shape.
  public var indices: View

  public init(x: View, axis: Int, isDescending: Bool, output: View, indices: View) {
    (self.x, self.axis, self.isDescending, self.output, self.indices) = (x, axis, isDescending, output, indices)
  }

  public var operands: [View] { [x] }
}

/// Merges of neighbouring runs, bottom up, of which only the first k elements are kept: n·log k + 2n steps for k of n
/// elements. Stable: of equal elements the first stays first. Rows are shared out.
struct MergeSort: KernelTemplate {
  let name = "sort.merge"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .sort = workload else { return nil }
    return KnobSpace([])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs { [:] }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .sort(let w) = workload else { preconditionFailure("a sort") }
    return MergeProgram(w, lanes: machine.lanes).build()
  }
}

private struct MergeProgram {
  let w: SortWorkload
  let lanes: Int
  let b = TileBuilder("sort")
  let space: SlicedSpace
  let x, y, indices: TileBuffer
  let n, k: Tile

  init(_ w: SortWorkload, lanes: Int) {
    (self.w, self.lanes) = (w, lanes)
    space = SlicedSpace([w.x, w.output, w.indices], axis: w.axis)
    x = b.parameter("x", .input, space.views[0].buffer)
    y = b.parameter("y", .output, space.views[1].buffer)
    indices = b.parameter("indices", .output, space.views[2].buffer)
    n = b.size(space.length)
    k = b.size(w.output.shape[w.axis])
  }

  func build() -> TileProgram {
    let extents = space.views[0].shape.dropLast().map { b.size($0) }
    let work = max(1, min(1 << 30, space.length.estimate * 16))
    b.parallel(Array(extents), grain: max(1, 24_576 / work)) { place in
      let row = place.map { TileBuffer.Index.at($0) }
      // Two halves, in turn source and target: an element's rank and its position.
      let ranks = b.allocate(BufferType(.int64, [2, space.length], space: .local))
      let positions = b.allocate(BufferType(.int64, [2, space.length], space: .local))
      fill(row, ranks, positions)
      // A run of width w keeps min(w, k) elements; runs start at multiples of w.
      let zero = b.index(0)
      let last = b.loop(to: b.index(48), carrying: [b.index(1), zero]) { _, state in
        let (width, half) = (state[0], state[1])
        let isUnsorted = width.less(n)
        let pairs = isUnsorted.select((n + width * 2 - 1) / (width * 2), zero)
        b.loop(to: pairs) { pair in merge(ranks, positions, from: half, start: pair * width * 2, width: width) }
        return [isUnsorted.select(width * 2, width), isUnsorted.select(b.index(1) - half, half)]
      }
      finish(row, positions, half: last[1])
    }
    return b.finish()
  }

  private func fill(_ row: [TileBuffer.Index], _ ranks: TileBuffer, _ positions: TileBuffer) {
    let first = TileBuffer.Index.at(b.index(0))
    b.strips(b.span(space.length), lanes: lanes, vectors: 1) { strip in
      let value = x.load(row + [strip.index(0)], shape: [strip.count], limits: [strip.limit])
      let rank = value.rank(largestFirst: w.isDescending, nanFirst: w.isDescending, in: b).cast(.int64)
      ranks.store(rank, [first, strip.index(0)], limits: [strip.limit])
      positions.store(
        b.iota([strip.count], dimension: 0) + strip.start, [first, strip.index(0)], limits: [strip.limit])
    }
  }

  /// Merges two neighbouring runs of `width` from one half of the buffers into a run of twice the width in the other.
  private func merge(
    _ ranks: TileBuffer, _ positions: TileBuffer, from half: Tile, start: Tile, width: Tile
  ) {
    let other = b.index(1) - half
    let second = (start + width).minimum(n)
    let leftEnd = start + k.minimum(second - start)
    let rightEnd = second + k.minimum((start + width * 2).minimum(n) - second)
    let count = k.minimum((leftEnd - start) + (rightEnd - second))
    // Past the end of what a run keeps nothing was written: the first element stands in and is not chosen.
    func rank(_ i: Tile, before end: Tile) -> Tile {
      ranks.load([.at(half), .at(i.less(end).select(i, start))], shape: [])
    }
    b.when(b.index(0).less(count)) {
      _ = b.loop(
        to: count, carrying: [start, second, rank(start, before: leftEnd), rank(second, before: rightEnd)]
      ) { i, state in
        let (left, right) = (state[0], state[1])
        let (leftRank, rightRank) = (state[2], state[3])
        // The right one only if it is there and comes first for certain.
        let takesRight = right.less(rightEnd).and(left.less(leftEnd).unary(.not).binary(.or, leftRank.less(rightRank)))
        let chosen = takesRight.select(right, left)
        ranks.store(takesRight.select(rightRank, leftRank), [.at(other), .at(start + i)])
        positions.store(positions.load([.at(half), .at(chosen)], shape: []), [.at(other), .at(start + i)])
        let next = chosen + 1
        let nextRank = rank(next, before: takesRight.select(rightEnd, leftEnd))
        return [
          takesRight.select(left, next), takesRight.select(next, right), takesRight.select(leftRank, nextRank),
          takesRight.select(nextRank, rightRank),
        ]
      }
    }
  }

  private func finish(_ row: [TileBuffer.Index], _ positions: TileBuffer, half: Tile) {
    b.strips(b.span(w.output.shape[w.axis]), lanes: lanes, vectors: 1) { strip in
      let order = positions.load([.at(half), strip.index(0)], shape: [strip.count], limits: [strip.limit])
      let values = x.load(row + [.gather(order, 0)], shape: [strip.count], limits: [strip.limit])
      y.store(values, row + [strip.index(0)], limits: [strip.limit])
      indices.store(order, row + [strip.index(0)], limits: [strip.limit])
    }
  }
}

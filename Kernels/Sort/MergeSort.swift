import TensorTypes
import TileIR

/// Where few of many are asked for, those alone are sorted. Blocks are sorted by counting, for each element, those that come
/// before it, which takes neither branches nor waits; then neighbouring runs are merged, bottom up, of which only the first k elements are kept. Stable: of equal
/// elements the first stays first. Rows are shared out.
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
  let operands: SortOperands
  let n, k: Tile

  /// Elements that are sorted by counting.
  private static let block = 64

  init(_ w: SortWorkload, lanes: Int) {
    (self.w, self.lanes) = (w, lanes)
    operands = SortOperands(w, in: b)
    n = b.size(operands.space.length)
    k = b.size(w.kept)
  }

  private var space: SlicedSpace { operands.space }

  /// Whether the first k are found before they are sorted; nil: as it turns out when sizes are known.
  private var selects: Bool? {
    if w.kept == space.length { return false }
    if let n = space.length.constant, n <= FirstElements.shortRow { return false }
    guard let n = space.length.constant, let k = w.kept.constant else { return nil }
    return k < n
  }

  func build() -> TileProgram {
    let extents = space.views[0].shape.dropLast().map { b.size($0) }
    b.parallel(Array(extents), work: .operations(space.length.estimate * 16)) { place in
      let row = place.map { TileBuffer.Index.at($0) }
      // Two halves, in turn source and target.
      let most = selects == true ? w.kept : space.length
      let elements = RankedElements(b, w.x.element.rank, [2, most + 1])
      let count = open(row, elements)
      orderBlocks(elements, count)
      // A run of width w keeps min(w, k) elements; runs start at multiples of w.
      let zero = b.index(0)
      let last = b.loop(to: b.index(merges(of: most)), carrying: [b.index(Self.block), b.index(1)]) { _, state in
        let (width, half) = (state[0], state[1])
        let isUnsorted = width.less(count)
        let pairs = isUnsorted.select((count + width * 2 - 1) / (width * 2), zero)
        b.loop(to: pairs) { merge(elements, from: half, start: $0 * width * 2, width: width, count: count) }
        return [isUnsorted.select(width * 2, width), isUnsorted.select(b.index(1) - half, half)]
      }
      finish(row, elements.positions, half: last[1])
    }
    return b.finish()
  }

  /// How often widths of runs are doubled, at most, until one holds all.
  private func merges(of count: Dim) -> Int {
    var (width, merges) = (Self.block, 0)
    while width < count.constant ?? 1 << 48 { (width, merges) = (width * 2, merges + 1) }
    return merges
  }

  /// Stores in the first half the elements that are to be sorted; returns how many there are.
  private func open(_ row: [TileBuffer.Index], _ elements: RankedElements) -> Tile {
    func rank(_ strip: Strip) -> Tile {
      operands.rank(operands.x.load(row + [strip.index(0)], shape: [strip.count], limits: [strip.limit]))
    }
    func selectFirst() {
      FirstElements(b, space.length, w.kept, lanes: lanes).find(into: elements, rank)
    }
    func takeAll() {
      b.strips(b.span(space.length), lanes: lanes, vectors: 1) { strip in
        let positions = b.iota([strip.count], dimension: 0) + strip.start
        elements.store(rank(strip), positions, [.at(b.index(0)), strip.index(0)], limits: [strip.limit])
      }
    }
    switch selects {
    case true?:
      selectFirst()
      return k
    case false?:
      takeAll()
      return n
    case nil:
      let isWorth = k.less(n).and(b.index(FirstElements.shortRow).less(n))
      b.when(isWorth, selectFirst, otherwise: takeAll)
      return isWorth.select(k, n)
    }
  }

  /// Sorts each block of the first half into the second: an element's place is the number of those before it.
  private func orderBlocks(_ elements: RankedElements, _ count: Tile) {
    let (from, to) = (TileBuffer.Index.at(b.index(0)), TileBuffer.Index.at(b.index(1)))
    b.loop(from: b.index(0), to: count, step: Self.block) { begin in
      let end = (begin + Self.block).minimum(count)
      b.strips(Span(begin, end, length: nil), lanes: lanes, vectors: 1) { strip in
        let shape = [strip.count]
        let ranks = elements.ranks.load([from, strip.index(0)], shape: shape, limits: [strip.limit])
        /// Adds those of a range of the block that come before the strip's.
        func adding(_ start: Tile, _ end: Tile, to places: Tile, _ precedes: (Tile, Tile) -> Tile) -> Tile {
          b.loop(from: start, to: end, carrying: [places]) { i, places in
            let other = elements.ranks.load([from, .at(i)], shape: []).broadcast(to: shape)
            return [places[0] + precedes(other, i).cast(.int32)]
          }[0]
        }
        // Of equal ones the first comes first.
        let stripEnd = (strip.start + strip.count).minimum(end)
        var places = b.constant(.integer(0), .int32, shape)
        places = adding(begin, strip.start, to: places) { other, _ in ranks.lessEqual(other) }
        places = adding(strip.start, stripEnd, to: places) { other, i in
          let isBefore = (i - strip.start).broadcast(to: shape).less(b.iota(shape, dimension: 0))
          return ranks.less(other).binary(.or, isBefore.and(ranks.equal(other)))
        }
        places = adding(stripEnd, end, to: places) { other, _ in ranks.less(other) }
        let positions = elements.positions.load([from, strip.index(0)], shape: shape, limits: [strip.limit])
        elements.store(ranks, positions, [to, .gather(places.cast(.int64) + begin, 0)], limits: [strip.limit])
      }
    }
  }

  /// Merges two neighbouring runs of `width` from one half of the buffers into a run of twice the width in the other.
  private func merge(_ elements: RankedElements, from half: Tile, start: Tile, width: Tile, count: Tile) {
    let (ranks, positions) = (elements.ranks, elements.positions)
    let other = b.index(1) - half
    let second = (start + width).minimum(count)
    let leftEnd = start + k.minimum(second - start)
    let rightEnd = second + k.minimum((start + width * 2).minimum(count) - second)
    let merged = k.minimum((leftEnd - start) + (rightEnd - second))
    // Past the end of what a run keeps nothing was written: the first element stands in and is not chosen.
    func rank(_ i: Tile, before end: Tile) -> Tile {
      ranks.load([.at(half), .at(i.less(end).select(i, start))], shape: [])
    }
    b.when(b.index(0).less(merged)) {
      _ = b.loop(
        to: merged, carrying: [start, second, rank(start, before: leftEnd), rank(second, before: rightEnd)]
      ) { i, state in
        let (left, right) = (state[0], state[1])
        let (leftRank, rightRank) = (state[2], state[3])
        // The right one only if it is there and comes first for certain.
        let takesRight = right.less(rightEnd).and(left.less(leftEnd).unary(.not).binary(.or, leftRank.less(rightRank)))
        let chosen = takesRight.select(right, left)
        let position = positions.load([.at(half), .at(chosen)], shape: [])
        elements.store(takesRight.select(rightRank, leftRank), position, [.at(other), .at(start + i)])
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
    b.strips(b.span(w.kept), lanes: lanes, vectors: 1) { strip in
      let order = positions.load([.at(half), strip.index(0)], shape: [strip.count], limits: [strip.limit])
      let values = operands.x.load(row + [.gather(order, 0)], shape: [strip.count], limits: [strip.limit])
      operands.y.store(values, row + [strip.index(0)], limits: [strip.limit])
      operands.indices.store(order, row + [strip.index(0)], limits: [strip.limit])
    }
  }
}

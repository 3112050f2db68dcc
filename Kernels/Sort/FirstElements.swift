import TensorTypes
import TileIR

/// Finds which k of a row's n elements come first, without their order, in time that hardly depends on k: the rank of the
/// last of them is found a bit after the other by counting.
///
/// Counting all elements for every bit would take most of the time. The maxima of blocks give a bound first: those of k blocks
/// reach it, so k elements do, and not many more; the other blocks are passed over.
struct FirstElements {
  let b: TileBuilder
  let lanes: Int
  let n: Tile
  let k: Tile
  private let length: Dim
  /// Elements of a block.
  private let block: Int

  /// Rows of which it takes longer to find the first elements than to sort all.
  static let shortRow = 128

  /// - Parameters:
  ///   - length: n.
  ///   - kept: k.
  init(_ b: TileBuilder, _ length: Dim, _ kept: Dim, lanes: Int) {
    (self.b, self.lanes, self.length) = (b, lanes, length)
    (n, k) = (b.size(length), b.size(kept))
    // Blocks that are no more than the elements asked for would show nothing.
    let perKept = length.estimate / max(1, kept.estimate)
    block = (24..<96).contains(perKept) ? 16 : 64
  }

  /// Stores the first k in `target`'s first half by their positions. One place more is written to.
  /// - Parameter rank: the ranks of a strip.
  func find(into target: RankedElements, _ rank: (Strip) -> Tile) {
    let type = target.ranks.type.element
    let all = RankedElements(b, type, [length])
    let maxima = b.allocate(BufferType(type, [length.ceilDivided(by: Dim(block))], space: .local))
    let blocks = n.ceilDivided(by: block)
    storeRanks(all.ranks, maxima, rank)
    let count = gather(all, from: blocks, maxima, reaching: bound(maxima, count: blocks))
    keepFirst(all, count: count, target)
  }

  private func storeRanks(_ ranks: TileBuffer, _ maxima: TileBuffer, _ rank: (Strip) -> Tile) {
    let type = ranks.type.element
    func store(_ number: Tile, limit: Tile?) {
      let strip = Strip(start: number * block, count: block, limit: limit)
      var values = rank(strip)
      ranks.store(values, [strip.index(0)], limits: [limit])
      if let limit {
        let isThere = b.iota([block], dimension: 0).less(limit.broadcast(to: [block]))
        values = isThere.select(values, b.constant(.integer(type.smallestInteger), type, [block]))
      }
      maxima.store(values.reduce(.maximum, dimension: 0).reshape([]), [.at(number)])
    }
    let whole = n / block
    b.loop(to: whole) { store($0, limit: nil) }
    b.when((whole * block).less(n)) { store(whole, limit: n - whole * block) }
  }

  /// The largest number that k of the first `count` ranks reach, the smallest of its type if there are no k.
  private func bound(_ ranks: TileBuffer, count: Tile) -> Tile {
    let type = ranks.type.element
    let bits = type.byteCount * 8
    let one = b.constant(.integer(1), type)
    let smallest = b.constant(.integer(type.smallestInteger), type)
    return b.loop(to: b.index(bits), carrying: [smallest]) { bit, bound in
      // The highest bit, a sign, is added to the smallest number: 0.
      let raised = bound[0] + one.binary(.shiftLeft, (b.index(bits - 1) - bit).cast(type))
      let isReached = k.lessEqual(number(of: ranks, count) { raised.broadcast(to: $0.shape).lessEqual($0) })
      return [isReached.select(raised, bound[0])]
    }[0]
  }

  /// How many of the first `count` ranks satisfy a condition.
  private func number(of ranks: TileBuffer, _ count: Tile, where condition: (Tile) -> Tile) -> Tile {
    let partial = PartialReduction(function: .sum, element: .int32, lanes: lanes, vectors: 4, b: b)
    let sums = partial.adding(Span(b.index(0), count, length: nil), to: partial.start()) { strip in
      condition(ranks.load([strip.index(0)], shape: [strip.count], limits: [strip.limit])).cast(.int32)
    }
    return partial.finish(sums).cast(.int64)
  }

  /// Moves elements that reach `bound` to the front; returns how many there are. After k blocks that have elements equal to it and
  /// none above it, further ones are passed over.
  private func gather(_ all: RankedElements, from blocks: Tile, _ maxima: TileBuffer, reaching bound: Tile) -> Tile {
    b.loop(to: blocks, carrying: [b.index(0), b.index(0)]) { number, found in
      let start = number * block
      let most = maxima.load([.at(number)], shape: [])
      let isEqual = bound.equal(most)
      let counts = bound.less(most).binary(.or, isEqual.and(found[1].less(k)))
      let end = counts.select((start + block).minimum(n), start)
      let count = b.loop(from: start, to: end, carrying: [found[0]]) { position, count in
        // What does not count is overwritten by the next one.
        let rank = all.ranks.load([.at(position)], shape: [])
        all.store(rank, position, [.at(count[0])])
        return [count[0] + bound.lessEqual(rank).cast(.int64)]
      }
      return [count[0], found[1] + isEqual.cast(.int64)]
    }[0]
  }

  /// Of `count` elements those whose rank is above the last one's, and of those equal to it as many as are missing.
  private func keepFirst(_ all: RankedElements, count: Tile, _ target: RankedElements) {
    let last = bound(all.ranks, count: count)
    let above = number(of: all.ranks, count) { last.broadcast(to: $0.shape).less($0) }
    let zero = b.index(0)
    _ = b.loop(to: count, carrying: [zero, k - above]) { i, state in
      let rank = all.ranks.load([.at(i)], shape: [])
      target.store(rank, all.positions.load([.at(i)], shape: []), [.at(zero), .at(state[0])])
      let isEqual = rank.equal(last)
      let isFirst = last.less(rank).binary(.or, isEqual.and(zero.less(state[1])))
      return [state[0] + isFirst.cast(.int64), state[1] - isEqual.cast(.int64)]
    }
  }
}

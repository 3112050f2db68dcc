import TensorTypes
import TileIR

/// One task of `FlashProgram`: some queries of one head against all keys that they see.
///
/// Keys are taken in blocks; within a block, a few tiles of queries at a time, so that each panel of keys and values
/// comes from the level-2 cache once for all of them.
struct FlashTask {
  let p: FlashProgram
  let b: TileBuilder
  let batch: Tile
  let head: Tile
  let panels: KeyPanels
  /// The first query.
  let start: Tile
  /// The task's tiles of queries.
  let tiles: Tile
  /// Scaled queries: tile, depth, query.
  let packedQueries: TileBuffer
  /// Scores of a few tiles of queries with a block of keys, then their exponentials: tile, query, key.
  let scores: TileBuffer
  /// Per tile of queries: largest score so far, sum of exponentials so far.
  let largest: TileBuffer
  let sums: TileBuffer
  /// Per query of those few tiles: what is taken from its scores, then what its earlier results are scaled by.
  let fresh: TileBuffer
  /// Weighted sums of values so far: tile, panel, query, part of the depth.
  let outputs: TileBuffer

  init(_ p: FlashProgram, batch: Tile, head: Tile, panels: KeyPanels, start: Tile) {
    (self.p, b) = (p, p.b)
    (self.batch, self.head, self.panels, self.start) = (batch, head, panels, start)
    let count = p.knobs["queryBlocks"]
    tiles = (p.queries - start).ceilDivided(by: p.mr).minimum(b.index(count))
    let (tileCount, together, mr) = (Dim(count), Dim(min(count, p.knobs["together"])), Dim(p.mr))
    func local(_ shape: Shape) -> TileBuffer { p.b.allocate(BufferType(p.element, shape, space: .local)) }
    packedQueries = local([tileCount, Dim(p.depth), Dim(p.machine.wholeVectors(p.mr))])
    scores = local([together, mr, Dim(p.block)])
    largest = local([tileCount, mr])
    sums = local([tileCount, mr])
    fresh = local([together, mr])
    outputs = local([tileCount, Dim(p.valuePanels), mr, Dim(p.nr)])
  }

  private var zero: Tile { p.zero }

  func run() {
    b.loop(to: tiles) { begin($0) }
    let seen = p.scores.seen(by: start + tiles * p.mr - 1)
    let together = min(p.knobs["queryBlocks"], p.knobs["together"])
    b.loop(to: seen, step: p.block) { key in
      let count = (seen - key).minimum(b.index(p.block))
      b.loop(to: tiles, step: together) { first in
        let end = (first + together).minimum(tiles)
        func scorePanel(_ column: Tile, width: Int, isWhole: Bool?) {
          b.loop(from: first, to: end) {
            score($0, slot: $0 - first, key, column, width: width, isWhole: isWhole)
          }
        }
        if let last = p.lastKeys {
          let full = count.minimum(b.index(last.start) - key)
          b.loop(to: full, step: p.nr) { scorePanel($0, width: p.nr, isWhole: true) }
          let width = p.machine.wholeVectors(last.count)
          b.when(full.less(count)) { scorePanel(full, width: width, isWhole: width == last.count) }
        } else {
          b.loop(to: count, step: p.nr) { scorePanel($0, width: p.nr, isWhole: nil) }
        }
        b.loop(from: first, to: end) { exponentiate($0, slot: $0 - first, keys(of: $0, from: key)) }
        func weighPanel(_ panel: Tile, width: Int) {
          b.loop(from: first, to: end) { weigh($0, slot: $0 - first, panel, width, key, keys(of: $0, from: key)) }
        }
        let last = b.index(p.valuePanels - 1)
        b.loop(to: last) { weighPanel($0, width: p.nr) }
        weighPanel(last, width: p.lastValueWidth)
      }
    }
    b.loop(to: tiles) { finish($0) }
  }

  /// How many keys of the block that starts at `key` some query of the tile sees.
  private func keys(of tile: Tile, from key: Tile) -> Tile {
    let seen = p.scores.seen(by: start + tile * p.mr + (p.mr - 1))
    return (seen - key).minimum(b.index(p.block)).maximum(zero)
  }

  /// Packs and scales a tile's queries; nothing has been seen yet.
  private func begin(_ tile: Tile) {
    let padded = p.machine.wholeVectors(p.mr)
    // Rows past the end stand at the last one.
    let rows = (b.iota([padded], dimension: 0) + (start + tile * p.mr)).minimum(p.queries - 1)
    p.forDepth { depth, width in
      let queries = p.q.load([.at(batch), .at(head), .gather(rows, 0), .span(depth, 1)], shape: [padded, width])
      let scaled = queries.cast(p.element).transpose([1, 0]) * b.constant(p.w.scale, p.element)
      packedQueries.store(scaled, [.at(tile), .span(depth, 0), .span(zero, 1)])
    }
    largest.store(b.constant(.float(-.infinity), p.element, [p.mr]), [.at(tile), .span(zero, 0)])
    sums.store(b.constant(0, p.element, [p.mr]), [.at(tile), .span(zero, 0)])
    let nothing = b.constant(0, p.element, [p.mr, p.nr])
    b.loop(to: b.index(p.valuePanels)) { outputs.store(nothing, [.at(tile), .at($0), .span(zero, 0), .span(zero, 1)]) }
  }

  // MARK: Scores

  /// scores[i, j] = scale · q[i]·k[j], capped and masked, for the first `width` keys of a panel. Tiles of which nothing is seen
  /// are left out.
  /// - Parameter isWhole: whether all of those keys are there, if that is known.
  private func score(_ tile: Tile, slot: Tile, _ key: Tile, _ column: Tile, width: Int, isWhole: Bool?) {
    func compute() {
      let panel = (key + column) / p.nr
      let products = b.accumulate(
        b.constant(0, p.element, [p.mr, width]), to: b.index(p.depth), unroll: p.knobs["unroll"]
      ) { depth in
        packedQueries.load([.at(tile), .at(depth), .span(zero, 0)], shape: [p.mr, 1])
      } _: { depth in
        panels.keys.load(panels.place + [.at(panel), .at(depth), .span(zero, 1)], shape: [1, width])
      }
      let place = Scores.Place(batch: batch, head: head, query: start + tile * p.mr, key: key + column)
      p.scores.store(
        products, at: place, isWhole: isWhole, to: scores, [.at(slot), .span(zero, 0), .span(column, 1)])
    }
    if p.w.causalOffset == nil { return compute() }
    b.when(column.less(keys(of: tile, from: key))) { compute() }
  }

  // MARK: Softmax

  /// Brings the largest scores up to date, makes exponentials of the block's scores, and adds up their sums.
  private func exponentiate(_ tile: Tile, slot: Tile, _ count: Tile) {
    // Scores past the last key are −∞, up to a whole panel, or a vector where the last one is not full.
    let known = p.w.k.shape[2].constant.flatMap { p.w.causalOffset == nil && $0 % p.block == 0 ? p.block : nil }
    let multiple = p.lastKeys == nil ? p.nr : p.machine.lanes
    let end = known.map { b.index($0) } ?? (count + (multiple - 1)) / multiple * multiple
    let span = Span(zero, end, length: known, multiple: multiple)
    func partial(_ function: ReductionFunction) -> PartialReduction {
      PartialReduction(
        function: function, element: p.element, lanes: p.machine.lanes, vectors: min(4, p.block / p.machine.lanes),
        b: b, ignoresNaN: function == .maximum)
    }
    func load(_ row: Tile, _ strip: Strip) -> Tile {
      scores.load([.at(slot), .at(row), strip.index(0)], shape: [strip.count])
    }
    let rowCount = b.index(p.mr)
    b.loop(to: rowCount) { row in
      let joined = partial(.maximum)
      fresh.store(joined.finish(joined.adding(span, to: joined.start()) { load(row, $0) }), [.at(slot), .at(row)])
    }
    let place: [TileBuffer.Index] = [.at(tile), .span(zero, 0)]
    let freshPlace: [TileBuffer.Index] = [.at(slot), .span(zero, 0)]
    let before = largest.load(place, shape: [p.mr])
    let now = before.larger(fresh.load(freshPlace, shape: [p.mr]))
    largest.store(now, place)
    // Where nothing is seen yet, −∞ − −∞ would not be a number.
    let hidden = b.constant(.float(-.infinity), p.element, [p.mr])
    let shift = now.equal(hidden).select(b.constant(0, p.element, [p.mr]), now)
    let correction = (before - shift).expOfNonPositive
    sums.store(sums.load(place, shape: [p.mr]) * correction, place)
    fresh.store(shift, freshPlace)
    b.loop(to: rowCount) { row in
      let shift = fresh.load([.at(slot), .at(row)], shape: [])
      let joined = partial(.sum)
      let sum = joined.adding(span, to: joined.start()) { strip in
        let term = (load(row, strip) - shift).expOfNonPositive
        scores.store(term, [.at(slot), .at(row), strip.index(0)])
        return term
      }
      let place: [TileBuffer.Index] = [.at(tile), .at(row)]
      sums.store(sums.load(place, shape: []) + joined.finish(sum), place)
    }
    fresh.store(correction, freshPlace)
  }

  // MARK: Values

  /// outputs[i] = correction[i] · outputs[i] + Σⱼ scores[i, j] · v[j], for the first `width` columns of a panel.
  private func weigh(_ tile: Tile, slot: Tile, _ panel: Tile, _ width: Int, _ key: Tile, _ count: Tile) {
    let correction = fresh.load([.at(slot), .span(zero, 0)], shape: [p.mr, 1])
    let place: [TileBuffer.Index] = [.at(tile), .at(panel), .span(zero, 0), .span(zero, 1)]
    let before = outputs.load(place, shape: [p.mr, width]) * correction.broadcast(to: [p.mr, width])
    let after = b.accumulate(before, to: count, unroll: p.knobs["unroll"]) { j in
      scores.load([.at(slot), .span(zero, 0), .at(j)], shape: [p.mr, 1])
    } _: { j in
      panels.values.load(panels.place + [.at(panel), .at(key + j), .span(zero, 1)], shape: [1, width])
    }
    outputs.store(after, place)
  }

  private func finish(_ tile: Tile) {
    guard let valueDepth = p.w.v.shape[3].constant else { preconditionFailure("a known depth") }
    let sum = sums.load([.at(tile), .span(zero, 0)], shape: [p.mr, 1])
    let none = b.constant(0, p.element, [p.mr, 1])
    let factor = sum.equal(none).select(none, sum.unary(.reciprocal))
    let first = start + tile * p.mr
    func store(limit: Tile?) {
      for panel in 0..<p.valuePanels {
        let value = outputs.load(
          [.at(tile), .at(b.index(panel)), .span(zero, 0), .span(zero, 1)], shape: [p.mr, p.nr])
        let scaled = (value * factor.broadcast(to: [p.mr, p.nr])).cast(p.w.output.element)
        let column = panel * p.nr
        let columnLimit = column + p.nr > valueDepth ? b.index(valueDepth - column) : nil
        p.y.store(
          scaled, [.at(batch), .at(head), .span(first, 0), .span(b.index(column), 1)], limits: [limit, columnLimit])
      }
    }
    if let count = p.w.q.shape[2].constant, count % p.mr == 0 { return store(limit: nil) }
    b.when((first + p.mr).lessEqual(p.queries)) {
      store(limit: nil)
    } otherwise: {
      store(limit: p.queries - first)
    }
  }
}

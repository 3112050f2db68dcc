import TensorTypes
import TileIR

/// One task of `FlashProgram`: some queries of one head against all keys.
struct FlashTask {
  let p: FlashProgram
  let b: TileBuilder
  let batch: Tile
  let head: Tile
  let keyHead: Tile
  /// The first query.
  let start: Tile
  /// The task's tiles of queries.
  let tiles: Tile
  /// Scaled queries: tile, depth, query.
  let packedQueries: TileBuffer
  /// Scores of one tile of queries with a block of keys, then their exponentials: query, key.
  let scores: TileBuffer
  /// Per tile of queries: largest score so far, sum of exponentials so far.
  let largest: TileBuffer
  let sums: TileBuffer
  /// What the largest scores and sums of the block at hand come to, per query of a tile.
  let fresh: TileBuffer
  /// Weighted sums of values so far: tile, query, depth.
  let outputs: TileBuffer

  init(_ p: FlashProgram, batch: Tile, head: Tile, keyHead: Tile, start: Tile) {
    (self.p, b) = (p, p.b)
    (self.batch, self.head, self.keyHead, self.start) = (batch, head, keyHead, start)
    let count = p.knobs["queryBlocks"]
    tiles = (p.queries - start).ceilDivided(by: p.mr).minimum(b.index(count))
    let (tileCount, mr) = (Dim(count), Dim(p.mr))
    func local(_ shape: Shape) -> TileBuffer { p.b.allocate(BufferType(p.element, shape, space: .local)) }
    packedQueries = local([tileCount, Dim(p.depth), Dim((p.mr + p.lanes - 1) / p.lanes * p.lanes)])
    scores = local([mr, Dim(p.block)])
    largest = local([tileCount, mr])
    sums = local([tileCount, mr])
    fresh = local([mr])
    outputs = local([tileCount, mr, Dim(p.valueDepth)])
  }

  private var zero: Tile { p.zero }

  func run() {
    b.loop(to: tiles) { tile in
      pack(tile)
      largest.store(b.constant(.float(-.infinity), p.element, [p.mr]), [.at(tile), .span(zero, 0)])
      sums.store(b.constant(0, p.element, [p.mr]), [.at(tile), .span(zero, 0)])
      forValueColumns { column, width in
        outputs.store(b.constant(0, p.element, [p.mr, width]), [.at(tile), .span(zero, 0), .span(column, 1)])
      }
    }
    // The last query's last key, where later ones are not seen.
    let seen =
      p.w.isCausal
      ? (start + tiles * p.mr + (p.keys - p.queries)).minimum(p.keys).maximum(zero) : p.keys
    b.loop(to: seen, step: p.block) { key in
      let count = (seen - key).minimum(b.index(p.block))
      b.loop(to: tiles) { tile in
        score(tile, key, count)
        exponentiate(tile, count)
        weigh(tile, key, count)
      }
    }
    b.loop(to: tiles) { finish($0) }
  }

  /// The queries' rows, those past the end standing at the last one.
  private func rows(_ tile: Tile, _ count: Int) -> Tile {
    (b.iota([count], dimension: 0) + (start + tile * p.mr)).minimum(p.queries - 1)
  }

  private func pack(_ tile: Tile) {
    let padded = (p.mr + p.lanes - 1) / p.lanes * p.lanes
    let rows = rows(tile, padded)
    p.forDepth { depth, width in
      let queries = p.q.load([.at(batch), .at(head), .gather(rows, 0), .span(depth, 1)], shape: [padded, width])
      let scaled = queries.cast(p.element).transpose([1, 0]) * b.constant(p.w.scale, p.element)
      packedQueries.store(scaled, [.at(tile), .span(depth, 0), .span(zero, 1)])
    }
  }

  /// Cuts the values' depth into tiles and what is left.
  private func forValueColumns(_ body: (Tile, Int) -> Void) {
    let whole = p.valueDepth / p.nr * p.nr
    if whole > 0 { b.loop(to: b.index(whole), step: p.nr) { body($0, p.nr) } }
    if whole < p.valueDepth { body(b.index(whole), p.valueDepth - whole) }
  }

  // MARK: Scores

  /// scores[i, j] = scale · q[i]·k[j] + mask[i, j]
  private func score(_ tile: Tile, _ key: Tile, _ count: Tile) {
    b.loop(to: count, step: p.nr) { column in
      let panel = (key + column) / p.nr
      let products = b.accumulate(
        b.constant(0, p.element, [p.mr, p.nr]), to: b.index(p.depth), unroll: p.knobs["unroll"]
      ) { depth in
        packedQueries.load([.at(tile), .at(depth), .span(zero, 0)], shape: [p.mr, 1])
      } _: { depth in
        p.panels.load([.at(batch), .at(keyHead), .at(panel), .at(depth), .span(zero, 1)], shape: [1, p.nr])
      }
      let place: [TileBuffer.Index] = [.span(zero, 0), .span(column, 1)]
      guard p.mask != nil || p.w.isCausal else { return scores.store(products, place) }
      let first = key + column
      let isWhole = (column + p.nr).lessEqual(count)
      b.when(isWhole) {
        scores.store(masked(products, tile, first, limit: nil), place)
      } otherwise: {
        scores.store(masked(products, tile, first, limit: count - column), place)
      }
    }
  }

  private func masked(_ products: Tile, _ tile: Tile, _ key: Tile, limit: Tile?) -> Tile {
    var result = products
    let hidden = b.constant(.float(-.infinity), p.element, [p.mr, p.nr])
    if let mask = p.mask {
      let values = load(mask, tile, key, limit)
      if mask.type.element == .bool {
        result = values.broadcast(to: [p.mr, p.nr]).select(result, hidden)
      } else {
        result = result + values.cast(p.element).broadcast(to: [p.mr, p.nr])
      }
    }
    if p.w.isCausal {
      // In 32 bits, so that a comparison fills one register and not two.
      let last = (start + tile * p.mr + (p.keys - p.queries) - key).cast(.int32)
      let (row, column) = (b.iota([p.mr, 1], dimension: 0).cast(.int32), b.iota([p.nr], dimension: 0).cast(.int32))
      let isSeen = column.broadcast(to: [p.mr, p.nr]).lessEqual(
        (row + last.broadcast(to: [p.mr, 1])).broadcast(to: [p.mr, p.nr]))
      result = isSeen.select(result, hidden)
    }
    return result
  }

  /// The mask's values for a tile, as few as its strides of 0 leave.
  private func load(_ mask: TileBuffer, _ tile: Tile, _ key: Tile, _ limit: Tile?) -> Tile {
    let outer: [TileBuffer.Index] = [.at(batch), .at(head)]
    if mask.type.strides[2] == 0 {
      return mask.load(outer + [.at(zero), .span(key, 0)], shape: [p.nr], limits: [limit])
    }
    return mask.load(
      outer + [.gather(rows(tile, p.mr), 0), .span(key, 1)], shape: [p.mr, p.nr], limits: [nil, limit])
  }

  // MARK: Softmax

  /// Brings the largest scores up to date, makes exponentials of the block's scores, and adds up their sums.
  private func exponentiate(_ tile: Tile, _ count: Tile) {
    let known = p.w.k.shape[2].constant.flatMap { !p.w.isCausal && $0 % p.block == 0 ? p.block : nil }
    let span = Span(zero, known.map { b.index($0) } ?? count, length: known)
    func partial(_ function: ReductionFunction) -> PartialReduction {
      PartialReduction(
        function: function, element: p.element, lanes: p.lanes, vectors: min(4, p.block / p.lanes), b: b,
        ignoresNaN: function == .maximum)
    }
    func load(_ row: Tile, _ strip: Strip) -> Tile {
      scores.load([.at(row), strip.index(0)], shape: [strip.count], limits: [strip.limit])
    }
    let rowCount = b.index(p.mr)
    b.loop(to: rowCount) { row in
      let joined = partial(.maximum)
      fresh.store(joined.finish(joined.adding(span, to: joined.start()) { load(row, $0) }), [.at(row)])
    }
    let slot: [TileBuffer.Index] = [.at(tile), .span(zero, 0)]
    let before = largest.load(slot, shape: [p.mr])
    let now = before.larger(fresh.load([.span(zero, 0)], shape: [p.mr]))
    largest.store(now, slot)
    // Where nothing is seen yet, −∞ − −∞ would not be a number.
    let hidden = b.constant(.float(-.infinity), p.element, [p.mr])
    let shift = now.equal(hidden).select(b.constant(0, p.element, [p.mr]), now)
    let correction = (before - shift).unary(.exp)
    sums.store(sums.load(slot, shape: [p.mr]) * correction, slot)
    fresh.store(shift, [.span(zero, 0)])
    b.loop(to: rowCount) { row in
      let shift = fresh.load([.at(row)], shape: [])
      let joined = partial(.sum)
      let sum = joined.adding(span, to: joined.start()) { strip in
        let term = (load(row, strip) - shift).unary(.exp)
        scores.store(term, [.at(row), strip.index(0)], limits: [strip.limit])
        return term
      }
      let place: [TileBuffer.Index] = [.at(tile), .at(row)]
      sums.store(sums.load(place, shape: []) + joined.finish(sum), place)
    }
    fresh.store(correction, [.span(zero, 0)])
  }

  // MARK: Values

  /// outputs[i] = correction[i] · outputs[i] + Σⱼ scores[i, j] · v[j]
  private func weigh(_ tile: Tile, _ key: Tile, _ count: Tile) {
    let correction = fresh.load([.span(zero, 0)], shape: [p.mr, 1])
    forValueColumns { column, width in
      let place: [TileBuffer.Index] = [.at(tile), .span(zero, 0), .span(column, 1)]
      let before = outputs.load(place, shape: [p.mr, width]) * correction.broadcast(to: [p.mr, width])
      let after = b.accumulate(before, to: count, unroll: p.knobs["unroll"]) { j in
        scores.load([.span(zero, 0), .at(j)], shape: [p.mr, 1])
      } _: { j in
        p.v.load([.at(batch), .at(keyHead), .at(key + j), .span(column, 1)], shape: [1, width]).cast(p.element)
      }
      outputs.store(after, place)
    }
  }

  private func finish(_ tile: Tile) {
    let sum = sums.load([.at(tile), .span(zero, 0)], shape: [p.mr, 1])
    let none = b.constant(0, p.element, [p.mr, 1])
    let factor = sum.equal(none).select(none, sum.unary(.reciprocal))
    let first = start + tile * p.mr
    func store(limit: Tile?) {
      forValueColumns { column, width in
        let value = outputs.load([.at(tile), .span(zero, 0), .span(column, 1)], shape: [p.mr, width])
        let scaled = (value * factor.broadcast(to: [p.mr, width])).cast(p.w.output.element)
        p.y.store(scaled, [.at(batch), .at(head), .span(first, 0), .span(column, 1)], limits: [limit, nil])
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

import TensorTypes
import TileIR

/// One task of `FlashProgram`: some queries of one head against all keys that they see, a few tiles of queries at a time, so that
/// each panel of keys and values comes from the level-2 cache once for all of them.
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
  /// Scaled queries, or rounded ones: place of the tile, query, depth.
  private let packedQueries: TileBuffer
  /// Scores of a few tiles of queries with a block of keys: slot of the tile, query, key.
  private let scores: TileBuffer
  /// Their exponentials: in the same place, or rounded.
  private let exponentials: TileBuffer
  /// Numbers of the queries of those few tiles.
  let perQuery: TileBuffer

  init(_ p: FlashProgram, batch: Tile, head: Tile, panels: KeyPanels, start: Tile) {
    (self.p, b) = (p, p.b)
    (self.batch, self.head, self.panels, self.start) = (batch, head, panels, start)
    let count = p.knobs["queryBlocks"]
    tiles = (p.queries - start).ceilDivided(by: p.mr).minimum(b.index(count))
    let (together, mr) = (Dim(p.tilesTogether), Dim(p.mr))
    func local(_ shape: Shape, _ element: ElementType? = nil) -> TileBuffer {
      p.b.allocate(BufferType(element ?? p.element, shape, space: .local))
    }
    let rounded = p.parts?.elements.a
    packedQueries = local([p.isOneBlock ? together : Dim(count), mr, Dim(p.depth)], rounded)
    scores = local([together, mr, Dim(p.block)])
    exponentials = rounded.map { local([together, mr, Dim(p.block)], $0) } ?? scores
    perQuery = local([together, mr])
  }

  var zero: Tile { p.zero }

  func run() {
    if p.isOneBlock {
      takeAllKeys()
    } else {
      RunningSoftmax(self).run()
    }
  }

  /// Where all keys are one block, its exponentials' weighted sums are the results but for a factor.
  private func takeAllKeys() {
    let seen = p.scores.seen(by: start + tiles * p.mr - 1)
    forFewTiles { first, end in
      b.loop(from: first, to: end) { packQueries($0, place: $0 - first) }
      b.loop(from: first * p.mr, to: end * p.mr) { fetch(row: start + p.tilesTogether * p.mr + $0) }
      score(first, end, firstPlace: zero, from: zero, count: seen)
      b.loop(from: first, to: end) { exponentiateAll($0, slot: $0 - first) }
      forValuePanels { panel, width, isWhole in
        b.loop(from: first, to: end) { tile in
          let nothing = b.constant(0, p.element, [p.mr, width])
          let sum = weighted(
            slot: tile - first, panel, from: zero, count: keys(of: tile, from: zero), addedTo: nothing)
          let factor = perQuery.load([.at(tile - first), .span(zero, 0)], shape: [p.mr, 1])
          store(sum * factor.broadcast(to: [p.mr, width]), tile, column: panel * p.nr, isWhole: isWhole)
        }
      }
    }
  }

  /// Exponentials of a tile's scores; the inverse of their sums goes to `perQuery`.
  private func exponentiateAll(_ tile: Tile, slot: Tile) {
    let place: [TileBuffer.Index] = [.at(slot), .span(zero, 0)]
    let span = span(keys(of: tile, from: zero))
    findLargest(slot: slot, span)
    perQuery.store(p.scores.shift(perQuery.load(place, shape: [p.mr])), place)
    exponentiate(slot: slot, span) { row, sum in perQuery.store(sum, [.at(slot), .at(row)]) }
    perQuery.store(p.scores.inverse(perQuery.load(place, shape: [p.mr])), place)
  }

  /// Tiles `first ..< end` at a time.
  func forFewTiles(_ body: (_ first: Tile, _ end: Tile) -> Void) {
    b.loop(to: tiles, step: p.tilesTogether) { body($0, ($0 + p.tilesTogether).minimum(tiles)) }
  }

  /// Panels of the values' depth, how many of their columns are computed, and whether there are as many.
  func forValuePanels(_ body: (_ panel: Tile, _ width: Int, _ isWhole: Bool) -> Void) {
    let last = b.index(p.valuePanels - 1)
    b.loop(to: last) { body($0, p.nr, true) }
    body(last, p.lastValueWidth, p.w.v.shape[3].constant! % p.machine.lanes == 0)
  }

  /// How many keys of the block that starts at `key` some query of the tile sees.
  func keys(of tile: Tile, from key: Tile) -> Tile {
    let seen = p.scores.seen(by: start + tile * p.mr + (p.mr - 1))
    return (seen - key).minimum(b.index(p.block)).maximum(zero)
  }

  /// Copies a tile's queries, scaled or rounded.
  func packQueries(_ tile: Tile, place: Tile) {
    // Rows past the end stand at the last one.
    let rows = (b.iota([p.mr], dimension: 0) + (start + tile * p.mr)).minimum(p.queries - 1)
    b.strips(b.span(Dim(p.depth)), lanes: p.machine.lanes, vectors: 1) { strip in
      let queries = p.q.load([.at(batch), .at(head), .gather(rows, 0), strip.index(1)], shape: [p.mr, strip.count])
      let factors = p.parts.map { queries.cast($0.elements.a) } ?? queries.cast(p.element) * p.scores.scale
      packedQueries.store(factors, [.at(place), .span(zero, 0), strip.index(1)])
    }
  }

  /// Brings a query nearer, and the room for its results.
  func fetch(row: Tile) {
    p.q.prefetch([batch, head, row], from: zero, count: p.depth)
    p.y.prefetch([batch, head, row], from: zero, count: p.w.v.shape[3].constant!)
  }

  // MARK: Scores

  /// Scores of the queries of tiles `first ..< end` with `count` keys from `key` on.
  /// - Parameter firstPlace: where the first tile's queries are.
  func score(_ first: Tile, _ end: Tile, firstPlace: Tile, from key: Tile, count: Tile) {
    func panel(_ column: Tile, width: Int, isWhole: Bool?) {
      b.loop(from: first, to: end) { tile in
        let slot = tile - first
        score(tile, slot: slot, place: firstPlace + slot, key, column, width: width, isWhole: isWhole)
      }
    }
    guard let last = p.lastKeys else {
      return b.loop(to: count, step: p.nr) { panel($0, width: p.nr, isWhole: nil) }
    }
    let full = count.minimum(b.index(last.start) - key)
    b.loop(to: full, step: p.nr) { panel($0, width: p.nr, isWhole: true) }
    let width = p.machine.wholeVectors(last.count)
    b.when(full.less(count)) { panel(full, width: width, isWhole: width == last.count) }
  }

  /// scores[i, j] = scale · q[i]·k[j], capped and masked, for the first `width` keys of a panel. Tiles of which nothing is seen
  /// are left out.
  /// - Parameter isWhole: whether all of those keys are there, if that is known.
  private func score(
    _ tile: Tile, slot: Tile, place: Tile, _ key: Tile, _ column: Tile, width: Int, isWhole: Bool?
  ) {
    func compute() {
      let panel = (key + column) / p.nr
      let corner = Scores.Place(batch: batch, head: head, query: start + tile * p.mr, key: key + column)
      // Arrives while the products are computed.
      if p.w.maskIsFar(p.machine) { p.scores.fetchMask(queries: p.mr, keys: width, at: corner) }
      let products = accumulate(
        b.constant(0, p.element, [p.mr, width]), to: b.index(p.depth / p.group), packedQueries, place
      ) { step in
        panels.keys.load(panels.place + [.at(panel), .at(step), .span(zero, 1)], shape: [1, width])
      }
      p.scores.store(
        products, at: corner, isWhole: isWhole, to: scores, [.at(slot), .span(zero, 0), .span(column, 1)])
    }
    if p.w.causalOffset == nil { return compute() }
    b.when(column.less(keys(of: tile, from: key))) { compute() }
  }

  // MARK: Softmax

  /// A row's scores with `count` keys: those past the last key are −∞, up to a whole panel, or a vector where the last one is not
  /// full.
  func span(_ count: Tile) -> Span {
    let multiple = p.lastKeys == nil ? p.nr : p.machine.lanes
    let known = knownCount.map { ($0 + multiple - 1) / multiple * multiple }
    let end = known.map { b.index($0) } ?? count.ceilDivided(by: multiple) * multiple
    return Span(zero, end, length: known, multiple: multiple)
  }

  /// How many keys every query sees of every block, where that is known.
  private var knownCount: Int? {
    guard p.w.causalOffset == nil, let keys = p.w.k.shape[2].constant else { return nil }
    if p.isOneBlock { return keys }
    return keys % p.block == 0 ? p.block : nil
  }

  private func partial(_ function: ReductionFunction, rows: Int? = nil) -> PartialReduction {
    PartialReduction(
      function: function, element: p.element, lanes: p.machine.lanes,
      vectors: max(1, min(4 / (rows ?? 1), p.block / p.machine.lanes)), b: b, ignoresNaN: function == .maximum,
      rows: rows)
  }

  private func load(_ slot: Tile, _ row: Tile, _ strip: Strip) -> Tile {
    scores.load([.at(slot), .at(row), strip.index(0)], shape: [strip.count])
  }

  /// Each row's largest score, to `perQuery`. Rows side by side wait together for the last steps.
  func findLargest(slot: Tile, _ span: Span) {
    let joined = partial(.maximum, rows: p.mr)
    let sums = joined.adding(span, to: joined.start()) { strip in
      scores.load([.at(slot), .span(zero, 0), strip.index(1)], shape: [p.mr, strip.count])
    }
    perQuery.store(joined.finish(sums), [.at(slot), .span(zero, 0)])
  }

  /// Exponentials of scores less what `perQuery` says.
  /// - Parameter take: what becomes of a row's sum.
  func exponentiate(slot: Tile, _ span: Span, _ take: (_ row: Tile, _ sum: Tile) -> Void) {
    b.loop(to: b.index(p.mr)) { row in
      let shift = perQuery.load([.at(slot), .at(row)], shape: [])
      let joined = partial(.sum)
      let sum = joined.adding(span, to: joined.start()) { strip in
        let term = p.scores.exponential(load(slot, row, strip) - shift)
        exponentials.store(term.cast(exponentials.type.element), [.at(slot), .at(row), strip.index(0)])
        return term
      }
      take(row, joined.finish(sum))
    }
  }

  // MARK: Values

  /// sums[i] + Σⱼ scores[i, j] · v[j], for the first columns of a panel.
  func weighted(slot: Tile, _ panel: Tile, from key: Tile, count: Tile, addedTo sums: Tile) -> Tile {
    accumulate(sums, to: count.ceilDivided(by: p.group), exponentials, slot) { step in
      panels.values.load(
        panels.place + [.at(panel), .at(key / p.group + step), .span(zero, 1)], shape: [1, sums.shape[1]])
    }
  }

  /// sums[i] + Σ rows[place, i, step] · factors(step), over steps of one number or one word.
  private func accumulate(
    _ sums: Tile, to steps: Tile, _ rows: TileBuffer, _ place: Tile, factors: (_ step: Tile) -> Tile
  ) -> Tile {
    guard let parts = p.parts else {
      return b.accumulate(sums, to: steps, unroll: p.knobs["unroll"]) { step in
        rows.load([.at(place), .span(zero, 0), .at(step)], shape: [p.mr, 1])
      } _: {
        factors($0)
      }
    }
    return b.loop(.unrolled(by: p.knobs["unroll"]), to: steps, carrying: [sums]) { step, sums in
      let numbers = rows.load([.at(place), .span(zero, 0), .span(step * parts.count, 1)], shape: [p.mr, parts.count])
      return [sums[0].addingDot(numbers.words(of: parts), factors(step), of: parts)]
    }[0]
  }

  /// Stores a tile's results from a column on.
  /// - Parameter isWhole: whether there are as many columns.
  func store(_ results: Tile, _ tile: Tile, column: Tile, isWhole: Bool) {
    let first = start + tile * p.mr
    let columnLimit = isWhole ? nil : b.index(p.w.v.shape[3].constant!) - column
    func store(limit: Tile?) {
      p.y.store(
        results.cast(p.w.output.element), [.at(batch), .at(head), .span(first, 0), .span(column, 1)],
        limits: [limit, columnLimit])
    }
    if let count = p.w.q.shape[2].constant, count % p.mr == 0 { return store(limit: nil) }
    b.when((first + p.mr).lessEqual(p.queries)) {
      store(limit: nil)
    } otherwise: {
      store(limit: p.queries - first)
    }
  }
}

import TensorTypes
import TileIR

/// One task of `ColumnProgram`: a few vectors of queries of one head against all keys that they see.
struct ColumnTask {
  let p: ColumnProgram
  let b: TileBuilder
  let memory: Memory
  let (batch, head, keyHead): (Tile, Tile, Tile)
  /// The first query.
  let start: Tile
  /// Queries that are computed.
  let width: Int
  /// Rows of a register tile: keys, or parts of the values' depth.
  let rows: Int

  /// A worker's buffers.
  struct Memory {
    /// Scaled queries: depth, query.
    let queries: TileBuffer
    /// Scores of a block of keys, then their exponentials: key, query.
    let scores: TileBuffer
    /// Largest score and sum of exponentials so far, and what to multiply results so far by.
    let (largest, sums, correction): (TileBuffer, TileBuffer, TileBuffer)
    /// Weighted sums of values so far: depth, query.
    let outputs: TileBuffer

    init(_ p: ColumnProgram) {
      let width = Dim(p.vectors * p.machine.lanes)
      func local(_ shape: Shape) -> TileBuffer { p.b.allocate(BufferType(p.element, shape, space: .local)) }
      queries = local([Dim(p.depth), width])
      scores = local([Dim(p.w.masksQueries ? p.machine.wholeVectors(p.block) : p.block), width])
      (largest, sums, correction) = (local([width]), local([width]), local([width]))
      outputs = local([Dim(p.valueDepth), width])
    }
  }

  init(_ p: ColumnProgram, _ memory: Memory, batch: Tile, head: Tile, keyHead: Tile, start: Tile, vectors: Int) {
    (self.p, b, self.memory) = (p, p.b, memory)
    (self.batch, self.head, self.keyHead, self.start) = (batch, head, keyHead, start)
    width = vectors * p.machine.lanes
    rows = ColumnProgram.mostRows(vectors: vectors, p.machine)
  }

  private var zero: Tile { b.index(0) }
  private var all: [TileBuffer.Index] { [.span(zero, 0)] }

  func run() {
    packQueries()
    memory.largest.store(b.constant(.float(-.infinity), p.element, [width]), all)
    memory.sums.store(b.constant(0, p.element, [width]), all)
    if !p.isOneBlock {
      let nothing = b.constant(0, p.element, [width])
      b.loop(to: b.index(p.valueDepth)) { memory.outputs.store(nothing, [.at($0), .span(zero, 0)]) }
    }
    let seen = p.scores.seen(by: start + (width - 1))
    if p.isOneBlock {
      take(zero, seen)
    } else {
      b.loop(to: seen, step: p.block) { key in take(key, (seen - key).minimum(b.index(p.block))) }
    }
    finish()
  }

  /// A block of keys.
  private func take(_ key: Tile, _ count: Tile) {
    if p.w.masksQueries { turnMask(key, count) }
    exponentiate(count, largest: score(key, count))
    let left = p.valueDepth % rows
    b.loop(to: b.index(p.valueDepth - left), step: rows) { weigh(key, count, $0, rows: rows) }
    if left > 0 { weigh(key, count, b.index(p.valueDepth - left), rows: left) }
  }

  /// The task's queries; those past the last one stand at it.
  private var positions: Tile { (b.iota([width], dimension: 0) + start).minimum(p.queries - 1) }

  /// Scales queries and turns them over.
  private func packQueries() {
    let positions = positions
    b.strips(b.span(Dim(p.depth)), lanes: p.machine.lanes, vectors: 1) { strip in
      let block = p.q.load(
        [.at(batch), .at(head), .gather(positions, 0), strip.index(1)], shape: [width, strip.count])
      memory.queries.store((block * p.scores.scale).transpose([1, 0]), [strip.index(0), .span(zero, 1)])
    }
  }

  /// Puts what the mask says of a block's keys where their scores will stand, turned over as those are. Tiles of scores that reach past
  /// the last key that is seen find something there, too.
  private func turnMask(_ key: Tile, _ count: Tile) {
    let positions = positions
    b.loop(to: count.ceilDivided(by: rows) * rows, step: p.machine.lanes) { j in
      let place = Scores.Place(batch: batch, head: head, query: start, key: key + j)
      let values = p.scores.maskValues(at: place, queries: positions, p.machine.lanes)
      memory.scores.store(values.transpose([1, 0]), [.span(j, 0), .span(zero, 1)])
    }
  }

  /// Brings a part of what the mask says of the next block's keys nearer: of a query and `width` keys, so that there are as many parts as
  /// keys of a block, each for what is computed of one.
  private func fetchMask(from key: Tile, part: Tile) {
    let place = Scores.Place(batch: batch, head: head, query: start + part % width, key: key + part / width * width)
    p.scores.fetchMask(queries: 1, keys: width, at: place)
  }

  /// Brings a query of the task that comes next nearer, and the room for a result of this one.
  private func fetchQuery(_ number: Tile) {
    p.q.prefetch([batch, head, start + width + number], from: zero, count: p.depth)
    p.y.prefetch([batch, head, start + number], from: zero, count: p.valueDepth)
  }

  // MARK: Scores

  /// Scores of a block of keys; returns the largest ones so far. The tile that the keys end in is as high as they are, or where
  /// their number is not known clamped.
  private func score(_ key: Tile, _ count: Tile) -> Tile {
    let known = p.w.k.shape[2].constant
    let left = known.map { $0 % rows }
    let whole =
      left == 0 ? count : count.minimum(known.map { b.index($0 - left!) - key } ?? (p.keys - key) / rows * rows)
    let largest = b.loop(to: whole, step: rows, carrying: [memory.largest.load(all, shape: [width])]) { j, largest in
      [score(key, j, rows: rows, clamped: false, largest[0])]
    }[0]
    func end() -> Tile { score(key, whole, rows: left ?? rows, clamped: left == nil, largest) }
    if left == 0 { return largest }
    if left != nil, p.isOneBlock, p.w.causalOffset == nil { return end() }
    memory.correction.store(largest, all)
    b.when(whole.less(count)) { memory.correction.store(end(), all) }
    return memory.correction.load(all, shape: [width])
  }

  /// Of some keys, from the block's key j on.
  /// - Parameter clamped: there may be fewer keys; rows past the last one stand at it.
  private func score(_ key: Tile, _ j: Tile, rows: Int, clamped: Bool, _ largest: Tile) -> Tile {
    let first = key + j
    let positions: TileBuffer.Index =
      clamped ? .gather((b.iota([rows], dimension: 0) + first).minimum(p.keys - 1), 0) : .span(first, 0)
    if !p.isOneBlock, p.w.maskIsFar(p.machine) {
      for row in 0..<rows { fetchMask(from: key + p.block, part: j + row) }
    }
    if p.isOneBlock, p.w.queriesAreFar(p.machine) { for row in 0..<rows { fetchQuery(j + row) } }
    let products = b.accumulate(b.constant(0, p.element, [rows, width]), to: b.index(p.depth), unroll: p.unroll) { d in
      p.k.load([.at(batch), .at(keyHead), positions, .at(d)], shape: [rows, 1])
    } _: { d in
      memory.queries.load([.at(d), .span(zero, 1)], shape: [1, width])
    }
    let place = Scores.Place(batch: batch, head: head, query: start, key: first)
    let isWhole = clamped || p.w.causalOffset != nil ? nil : true
    let own: [TileBuffer.Index] = [.span(j, 0), .span(zero, 1)]
    let mask = p.w.masksQueries ? { memory.scores.load(own, shape: [rows, width]) } : nil
    p.scores.store(products, at: place, isWhole: isWhole, mask: mask, to: memory.scores, own)
    return (0..<rows).reduce(largest) { largest, row in
      largest.larger(memory.scores.load([.at(j + row), .span(zero, 0)], shape: [width]))
    }
  }

  /// Makes exponentials of a block's scores, and brings largest scores, their sums and the correction up to date.
  private func exponentiate(_ count: Tile, largest: Tile) {
    let shift = p.scores.shift(largest)
    let nothing = b.constant(0, p.element, [width])
    let sum = b.loop(to: count, carrying: [nothing]) { j, sum in
      let place: [TileBuffer.Index] = [.at(j), .span(zero, 0)]
      let term = p.scores.exponential(memory.scores.load(place, shape: [width]) - shift)
      memory.scores.store(term, place)
      return [sum[0] + term]
    }[0]
    if p.isOneBlock { return memory.sums.store(sum, all) }
    let correction = p.scores.exponential(memory.largest.load(all, shape: [width]) - shift)
    memory.correction.store(correction, all)
    memory.largest.store(largest, all)
    memory.sums.store(correction.fma(memory.sums.load(all, shape: [width]), sum), all)
  }

  // MARK: Values

  /// outputs[e] = correction · outputs[e] + Σⱼ v[j, e] · scores[j], for some parts of the values' depth.
  private func weigh(_ key: Tile, _ count: Tile, _ first: Tile, rows: Int) {
    let place: [TileBuffer.Index] = [.span(first, 0), .span(zero, 1)]
    let shape = [rows, width]
    let before =
      p.isOneBlock
      ? b.constant(0, p.element, shape)
      : memory.outputs.load(place, shape: shape) * memory.correction.load(all, shape: [width]).broadcast(to: shape)
    let sums = b.accumulate(before, to: count, unroll: p.unroll) { j in
      p.v.load([.at(batch), .at(keyHead), .at(key + j), .span(first, 0)], shape: [rows, 1])
    } _: { j in
      memory.scores.load([.at(j), .span(zero, 1)], shape: [1, width])
    }
    memory.outputs.store(sums, place)
  }

  /// Divides results by the sums of exponentials and turns them back.
  private func finish() {
    let factor = p.scores.inverse(memory.sums.load(all, shape: [width]))
    b.strips(b.span(Dim(p.valueDepth)), lanes: p.machine.lanes, vectors: 1) { strip in
      let shape = [strip.count, width]
      let results = memory.outputs.load([strip.index(0), .span(zero, 1)], shape: shape) * factor.broadcast(to: shape)
      func store(limit: Tile?) {
        p.y.store(
          results.transpose([1, 0]).cast(p.w.output.element),
          [.at(batch), .at(head), .span(start, 0), strip.index(1)], limits: [limit, nil])
      }
      if let count = p.w.q.shape[2].constant, count % width == 0 { return store(limit: nil) }
      b.when((start + width).lessEqual(p.queries)) {
        store(limit: nil)
      } otherwise: {
        store(limit: p.queries - start)
      }
    }
  }
}

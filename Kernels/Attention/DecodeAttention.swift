import TensorTypes
import TileIR

/// `y = softmax(cap(scale · q·kᵀ) + mask) · v` for so few queries that reading keys and values takes much of the time: a step
/// of a decoder, or a few queries that sum a picture up.
///
/// Values stay as they are, and keys, unless several queries make it worth turning some of them over at a time. The queries that
/// share a key head are done together. The keys are cut into pieces, each a task with a softmax of its own, so that few heads
/// still keep many workers busy; a second phase joins the pieces in their order (Dao et al., Flash-Decoding, 2023). The pieces'
/// size does not depend on the number of workers, so neither does the result.
struct DecodeAttention: KernelTemplate {
  let name = "attention.decode"

  /// Whether so few queries share a key head. Of many keys more are few: packed ones would go through memory twice more. Small
  /// tiles of few registers leave less to gain.
  private static func areFew(_ rows: Int, _ w: AttentionWorkload, on machine: Machine) -> Bool {
    if rows <= 24 { return true }
    guard let keys = w.k.shape[2].constant, w.causalOffset == nil else { return false }
    return rows <= (machine.vectorRegisters > 16 ? 128 : 32) && keys >= max(512, 16 * rows)
  }

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .attention(let w) = workload, w.q.element.isFloat, let queries = w.q.shape[2].constant,
      let heads = w.q.shape[1].constant, let keyHeads = w.k.shape[1].constant,
      let depth = w.q.shape[3].constant, let valueDepth = w.v.shape[3].constant,
      queries > 0, keyHeads > 0, Self.areFew(heads / keyHeads * queries, w, on: machine),
      (1...512).contains(depth), (1...512).contains(valueDepth)
    else { return nil }
    return KnobSpace([("split", [64, 128, 256, 512, 1024]), ("unroll", [1, 2, 4, 8]), ("turned", [0, 1])])
  }

  /// Turning keys over takes as long as the scores of some rows. Of several rows sums of values are worth keeping for long: pieces as
  /// large as leave a few workers enough of them.
  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .attention(let w) = workload else { preconditionFailure("an attention workload") }
    let isTurned = w.rowsPerKeyHead >= 5
    let heads = w.k.shape[0..<2].product.estimate
    let keys = w.k.shape[2].constant ?? 0
    let split = [512, 256].first { isTurned && heads * ((keys + $0 - 1) / $0) >= 16 } ?? 128
    return ["split": split, "unroll": 4, "turned": isTurned ? 1 : 0]
  }

  /// Of keys as they are an fma a load, each row by itself; else as in `FlashAttention`, but that values are not packed. A piece has
  /// sums, exponentials and joining of its own for each row.
  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .attention(let w) = workload else { preconditionFailure("an attention workload") }
    let (depth, valueDepth) = (w.q.shape[3].estimate, w.v.shape[3].estimate)
    let keys = w.k.shape[0..<3].product.estimate
    let rows = DecodeProgram.tiling(of: w.rowsPerKeyHead, machine).padded
    let products = Double(rows * keys) / Double(machine.lanes)
    let pieces = w.k.shape[0..<2].product.estimate * w.k.shape[2].ceilDivided(by: Dim(knobs["split"])).estimate
    let perPiece = Double(110 * rows * pieces)
    if knobs["turned"] == 0 { return products * Double(depth + valueDepth) + perPiece }
    // Of few registers tiles are small, which costs loads.
    let perCycle = machine.vectorRegisters > 16 ? 1.5 : 1.2
    return products * Double(depth + valueDepth) / perCycle + Double(keys * depth) / 2 + perPiece
  }

  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] {
    declaredScratch(workload, knobs, machine)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .attention(let w) = workload else { preconditionFailure("an attention workload") }
    return DecodeProgram(w, knobs, machine).build()
  }
}

extension AttentionWorkload {
  /// Queries of the heads that share a key head. Of known sizes.
  fileprivate var rowsPerKeyHead: Int { q.shape[1].constant! / k.shape[1].constant! * q.shape[2].constant! }
}

/// Writes the program of `DecodeAttention`. A *row* is a query of one of the heads that share a key head, head by head.
private struct DecodeProgram {
  let w: AttentionWorkload
  let lanes: Int
  let split: Int
  let unroll: Int
  let isTurned: Bool
  let element: ElementType
  let (queryCount, group): (Int, Int)
  /// Rows are taken `tileRows` at a time in register tiles; the last tile may have too many.
  let (rows, tileRows, paddedRows): (Int, Int, Int)
  let (depth, valueDepth, paddedDepth): (Int, Int, Int)
  /// Vectors of the values' depth in a register tile, and of turned keys.
  let (vectors, keyVectors): (Int, Int)
  let b = TileBuilder("attention")
  let (q, k, v, y): (TileBuffer, TileBuffer, TileBuffer, TileBuffer)
  let scores: Scores
  /// Of each piece, per row: largest score, sum of exponentials. Dimensions batch, key head, piece, 2, row.
  let statistics: TileBuffer
  /// Of each piece: weighted sums of values. Dimensions batch, key head, piece, row, depth.
  let partial: TileBuffer
  let (keys, zero): (Tile, Tile)

  init(_ w: AttentionWorkload, _ knobs: Knobs, _ machine: Machine) {
    guard let queries = w.q.shape[2].constant, let heads = w.q.shape[1].constant,
      let keyHeads = w.k.shape[1].constant, let depth = w.q.shape[3].constant, let valueDepth = w.v.shape[3].constant
    else { preconditionFailure("known sizes") }
    (self.w, lanes, split, unroll) = (w, machine.lanes, knobs["split"], knobs["unroll"])
    isTurned = knobs["turned"] != 0
    element = w.q.element.accumulator
    (queryCount, group, rows) = (queries, heads / keyHeads, w.rowsPerKeyHead)
    (tileRows, paddedRows) = Self.tiling(of: rows, machine)
    (self.depth, self.valueDepth) = (depth, valueDepth)
    paddedDepth = machine.wholeVectors(depth)
    vectors = min(8, max(1, (machine.vectorRegisters - 4) / (tileRows + 1)))
    keyVectors = machine.vectorRegisters > 16 ? 4 : 2
    q = b.parameter("q", .input, w.q.buffer)
    k = b.parameter("k", .input, w.k.buffer)
    v = b.parameter("v", .input, w.v.buffer)
    let mask = w.mask.map { [b] in b.parameter("mask", .input, $0.buffer) }
    y = b.parameter("y", .output, w.output.buffer)
    let outer: Shape = [w.k.shape[0], w.k.shape[1], w.k.shape[2].ceilDivided(by: Dim(split))]
    statistics = b.parameter("statistics", .scratch, BufferType(element, outer + [2, Dim(paddedRows)]))
    partial = b.parameter("partial", .scratch, BufferType(element, outer + [Dim(paddedRows), Dim(valueDepth)]))
    (keys, zero) = (b.size(w.k.shape[2]), b.index(0))
    scores = Scores(w: w, b: b, mask: mask, element: element, queries: b.index(queries), keys: keys)
  }

  /// Rows of a register tile, and of all tiles: as few as may be, then the highest tiles.
  static func tiling(of rows: Int, _ machine: Machine) -> (tile: Int, padded: Int) {
    let most = min(rows, machine.vectorRegisters > 16 ? 6 : 4)
    func padded(_ tile: Int) -> Int { (rows + tile - 1) / tile * tile }
    let tile = (max(1, most - 2)...most).reversed().min { padded($0) < padded($1) }!
    return (tile, padded(tile))
  }

  func build() -> TileProgram {
    let (batch, heads, keyHeads) = (b.size(w.q.shape[0]), b.size(w.q.shape[1]), b.size(w.k.shape[1]))
    let work = LoopWork.elements(min(split, w.k.shape[2].estimate) * rows * (depth + valueDepth) / 8)
    b.parallel([batch, keyHeads, keys.ceilDivided(by: split)], work: work) { piece(i: $0) }
    b.parallel([batch, heads], work: .elements(valueDepth * queryCount)) { i in
      for query in 0..<queryCount { join(i[0], i[1], query) }
    }
    return b.finish()
  }

  // MARK: A piece

  private func piece(i: [Tile]) {
    let (outer, start) = ([TileBuffer.Index.at(i[0]), .at(i[1]), .at(i[2])], i[2] * split)
    let count = (keys - start).minimum(b.index(split))
    let scaled = b.allocate(BufferType(element, [Dim(paddedRows), Dim(paddedDepth)], space: .local))
    let products = b.allocate(BufferType(element, [Dim(paddedRows), Dim(split)], space: .local))
    b.loop(to: b.index(paddedRows)) { row in
      let (head, query) = place(row, i[1])
      let values = q.load(
        [.at(i[0]), .at(head), .at(query), .span(zero, 0)], shape: [paddedDepth],
        limits: [paddedDepth == depth ? nil : b.index(depth)])
      scaled.store(values.cast(element) * scores.scale, [.at(row), .span(zero, 0)])
    }
    if isTurned {
      scoreTurned(i, start, count, scaled, products)
    } else {
      b.loop(to: count, step: lanes) { j in
        b.loop(to: b.index(paddedRows)) { row in score(i, row, start + j, j, scaled, products) }
      }
    }
    b.loop(to: b.index(paddedRows)) { exponentiate($0, count, products, outer) }
    for first in stride(from: 0, to: paddedRows, by: tileRows) {
      for column in stride(from: 0, to: valueDepth, by: vectors * lanes) {
        let width = min(vectors * lanes, valueDepth - column)
        let sum = b.accumulate(b.constant(0, element, [tileRows, width]), to: count, unroll: unroll) { j in
          products.load([.span(b.index(first), 0), .at(j)], shape: [tileRows, 1])
        } _: { j in
          v.load([.at(i[0]), .at(i[1]), .at(start + j), .span(b.index(column), 1)], shape: [1, width]).cast(element)
        }
        partial.store(sum, outer + [.span(b.index(first), 0), .span(b.index(column), 1)])
      }
    }
  }

  /// Head and query of a row; rows past the last stand at the last one.
  private func place(_ row: Tile, _ keyHead: Tile) -> (head: Tile, query: Tile) {
    let row = row.minimum(b.index(rows - 1))
    return (keyHead * group + row / queryCount, row % queryCount)
  }

  /// products[row, j...] = the row's query times each of a vector of keys, capped and masked.
  private func score(
    _ i: [Tile], _ row: Tile, _ key: Tile, _ j: Tile, _ scaled: TileBuffer, _ products: TileBuffer
  ) {
    let keyRows = (b.iota([lanes], dimension: 0) + key).minimum(keys - 1)
    func adding(_ d: Tile, to sum: Tile, limit: Tile?) -> Tile {
      let block = k.load(
        [.at(i[0]), .at(i[1]), .gather(keyRows, 0), .span(d, 1)], shape: [lanes, lanes], limits: [nil, limit]
      ).cast(element)
      let query = scaled.load([.at(row), .span(d, 0)], shape: [lanes])
      return block.fma(query, sum)
    }
    let whole = depth / lanes * lanes
    var sum = b.constant(0, element, [lanes, lanes])
    if whole > 0 {
      sum =
        b.loop(to: b.index(whole), step: lanes, carrying: [sum]) { d, sums in [adding(d, to: sums[0], limit: nil)] }[0]
    }
    if whole < depth { sum = adding(b.index(whole), to: sum, limit: b.index(depth - whole)) }
    store(sum.reduce(.sum, dimension: 1), i, row, key, j, products)
  }

  /// Stores a row's products with a vector of keys, capped and masked.
  private func store(_ sums: Tile, _ i: [Tile], _ row: Tile, _ key: Tile, _ j: Tile, _ products: TileBuffer) {
    let (head, query) = place(row, i[1])
    scores.store(
      sums.reshape([1, lanes]), at: Scores.Place(batch: i[0], head: head, query: query, key: key), isWhole: nil,
      to: products, [.span(row, 0), .span(j, 1)])
  }

  /// The same of all rows and a piece's keys, a few vectors of which are turned over, `[depth, key]`, at a time.
  private func scoreTurned(_ i: [Tile], _ start: Tile, _ count: Tile, _ scaled: TileBuffer, _ products: TileBuffer) {
    let width = keyVectors * lanes
    let turned = b.allocate(BufferType(element, [Dim(depth), Dim(width)], space: .local))
    b.loop(to: count, step: width) { j in
      turn(i, start + j, to: turned)
      b.loop(to: b.index(paddedRows), step: tileRows) { first in
        let sums = b.accumulate(b.constant(0, element, [tileRows, width]), to: b.index(depth), unroll: unroll) { d in
          scaled.load([.span(first, 0), .at(d)], shape: [tileRows, 1])
        } _: { d in
          turned.load([.at(d), .span(zero, 1)], shape: [1, width])
        }
        products.store(sums, [.span(first, 0), .span(j, 1)])
      }
    }
    b.loop(to: b.index(paddedRows)) { row in
      b.loop(to: count, step: lanes) { j in
        store(products.load([.at(row), .span(j, 0)], shape: [lanes]), i, row, start + j, j, products)
      }
    }
  }

  /// Keys from `first` on; what stands past the last key is never seen.
  private func turn(_ i: [Tile], _ first: Tile, to turned: TileBuffer) {
    b.strips(b.span(Dim(depth)), lanes: lanes, vectors: 1) { strip in
      for vector in 0..<keyVectors {
        let rows = (b.iota([lanes], dimension: 0) + (first + vector * lanes)).minimum(keys - 1)
        let block = k.load([.at(i[0]), .at(i[1]), .gather(rows, 0), strip.index(1)], shape: [lanes, strip.count])
        turned.store(
          block.cast(element).transpose([1, 0]), [strip.index(0), .span(b.index(vector * lanes), 1)])
      }
    }
  }

  /// Makes exponentials of a row's scores; notes the largest score and their sum.
  private func exponentiate(_ row: Tile, _ count: Tile, _ products: TileBuffer, _ outer: [TileBuffer.Index]) {
    // Scores past the last key are −∞, up to a whole vector.
    let span = Span(zero, (count + (lanes - 1)) / lanes * lanes, length: nil, multiple: lanes)
    func partial(_ function: ReductionFunction) -> PartialReduction {
      PartialReduction(
        function: function, element: element, lanes: lanes, vectors: min(4, split / lanes), b: b,
        ignoresNaN: function == .maximum)
    }
    func load(_ strip: Strip) -> Tile { products.load([.at(row), strip.index(0)], shape: [strip.count]) }
    let maximum = partial(.maximum)
    let largest = maximum.finish(maximum.adding(span, to: maximum.start()) { load($0) })
    let shift = scores.shift(largest)
    let total = partial(.sum)
    let sum = total.adding(span, to: total.start()) { strip in
      let term = scores.exponential(load(strip) - shift)
      products.store(term, [.at(row), strip.index(0)])
      return term
    }
    statistics.store(largest, outer + [.at(zero), .at(row)])
    statistics.store(total.finish(sum), outer + [.at(b.index(1)), .at(row)])
  }

  // MARK: Joining

  private func join(_ batch: Tile, _ head: Tile, _ query: Int) {
    let row = head % group * queryCount + query
    let keyHead = head / group
    let pieces = keys.ceilDivided(by: split)
    func statistic(_ piece: Tile, _ which: Int) -> Tile {
      statistics.load([.at(batch), .at(keyHead), .at(piece), .at(b.index(which)), .at(row)], shape: [])
    }
    let largest = b.loop(to: pieces, carrying: [b.constant(.float(-.infinity), element)]) { piece, largest in
      [largest[0].larger(statistic(piece, 0))]
    }[0]
    let shift = scores.shift(largest)
    let sums = b.loop(to: pieces, carrying: [b.constant(0, element), b.constant(0, element, [valueDepth])]) {
      piece, sums in
      let factor = scores.exponential(statistic(piece, 0) - shift)
      let values = partial.load([.at(batch), .at(keyHead), .at(piece), .at(row), .span(zero, 0)], shape: [valueDepth])
      return [factor.fma(statistic(piece, 1), sums[0]), values.fma(factor, sums[1])]
    }
    y.store(
      (sums[1] * scores.inverse(sums[0])).cast(w.output.element),
      [.at(batch), .at(head), .at(b.index(query)), .span(zero, 0)])
  }
}

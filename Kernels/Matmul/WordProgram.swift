import TensorTypes
import TileIR

/// Writes the program of a matmul by words.
struct WordProgram {
  let w: MatmulWorkload
  let knobs: Knobs
  let machine: Machine
  let (mr, nr): (Int, Int)
  let b = TileBuilder("matmul")
  let a: TileBuffer
  /// b as it is, where it is not a constant.
  let unpacked: TileBuffer?
  /// b's columns in panels of `nr`: words `[batch, panel, step][nr]`, or their numbers where b is a constant.
  let panels: TileBuffer
  let operands: [TileBuffer]
  let y: TileBuffer
  /// a's rows in blocks of `mr`, as words `[batch, block, step][packedRows]`; nil where a is read as it lies.
  let blocks: TileBuffer?
  let (m, n, k): (Tile, Tile, Tile)
  /// What a word holds, and how many numbers.
  let parts: WordParts
  var group: Int { parts.count }

  init(_ w: MatmulWorkload, _ knobs: Knobs, _ machine: Machine) {
    self.w = w
    self.knobs = knobs
    self.machine = machine
    (mr, nr) = (knobs["mr"], knobs["nr"])
    parts = w.parts(on: machine)!
    a = b.parameter("a", .input, w.a.buffer)
    if w.bIsConstant {
      let packing = Self.packing(w, knobs, machine)
      panels = b.parameter("b", .input, BufferType(packing.element, packing.packed.shape))
      unpacked = nil
      (operands, y) = b.parameters(w.epilogue)
    } else {
      unpacked = b.parameter("b", .input, w.b.buffer)
      (operands, y) = b.parameters(w.epilogue)
      panels = b.parameter("panels", .scratch, Self.panels(w, knobs))
    }
    blocks = Self.blocks(w, knobs, machine).map { [b] in b.parameter("blocks", .scratch, $0) }
    (m, n, k) = (b.size(w.a.shape[1]), b.size(w.b.shape[2]), b.size(w.a.shape[2]))
  }

  private var results: MatmulResults { MatmulResults(w: w, operands: operands, y: y, m: m, n: n, b: b) }

  // MARK: Memory

  static func packing(_ w: MatmulWorkload, _ knobs: Knobs, _ machine: Machine) -> WeightPacking {
    let parts = w.parts(on: machine)!
    let element = knobs["bytes"] == 1 ? w.b.element : parts.elements.b
    return WeightPacking(
      source: w.b, width: knobs["nr"], element: parts.count == 2 ? element : .int32, group: parts.count)
  }

  /// Where b's panels are made at run time.
  static func panels(_ w: MatmulWorkload, _ knobs: Knobs) -> BufferType {
    let batches: Dim = w.b.strides[0] == 0 ? 1 : w.b.shape[0]
    let (nr, k) = (Dim(knobs["nr"]), w.b.shape[1])
    return BufferType(.int32, [batches, w.b.shape[2].ceilDivided(by: nr), k.ceilDivided(by: 2), nr])
  }

  static func blocks(_ w: MatmulWorkload, _ knobs: Knobs, _ machine: Machine) -> BufferType? {
    if SkinnyMatmul.areFew(w.a.shape[1].constant) || knobs["packA"] == 0 { return nil }
    let mr = Dim(knobs["mr"])
    return BufferType(
      .int32,
      [
        w.a.shape[0], w.a.shape[1].ceilDivided(by: mr), w.a.shape[2].ceilDivided(by: Dim(w.parts(on: machine)!.count)),
        // Whole vectors, so that packing is a transposition of registers.
        Dim(machine.wholeVectors(knobs["mr"])),
      ])
  }

  // MARK: Phases

  func build() -> TileProgram {
    if let unpacked { packPanels(unpacked) }
    guard let rows = SkinnyMatmul.rows(of: w) else {
      manyRows(m)
      return b.finish()
    }
    guard w.a.shape[1].constant == nil else {
      fewRows(rows, columns: n)
      return b.finish()
    }
    // One of the two ways has nothing to do.
    let isSkinny = m.equal(b.index(rows))
    fewRows(rows, columns: isSkinny.select(n, b.index(0)))
    manyRows(isSkinny.select(b.index(0), m))
    return b.finish()
  }

  /// For the first `rows` rows: all, or none.
  private func manyRows(_ rows: Tile) {
    let batches = b.size(w.epilogue.output.shape[0])
    let (mc, nc) = (knobs["mc"] * mr, knobs["nc"] * nr)
    if let blocks { packBlocks(batches, rows, to: blocks) }
    b.loop(.parallel(grain: 1), to: batches) { batch in
      b.loop(.parallel(grain: 1), to: n, step: nc) { column in
        b.loop(.parallel(grain: 1), to: rows, step: mc) { row in
          let end = (row + mc).minimum(m)
          let rounded = self.rounded(batch, from: row, to: end, most: mc)
          b.loop(from: column, to: (column + nc).minimum(n), step: nr) { j in
            b.loop(from: row, to: end, step: mr) { i in block(batch, i, j, rounded) }
          }
        }
      }
    }
  }

  private func block(_ batch: Tile, _ i: Tile, _ j: Tile, _ rounded: RoundedRows?) {
    let (zero, panel) = (b.index(0), j / nr)
    let rows = rowIndices(i, count: mr)
    /// - Parameter limit: numbers of the step, if not all.
    func column(_ step: Tile, limit: Tile?) -> Tile {
      if let blocks { return blocks.load([.at(batch), .at(i / mr), .at(step), .span(zero, 0)], shape: [mr, 1]) }
      let places = TileBuffer.Index.gather(rounded.map { rows - $0.first } ?? rows, 0)
      return words(rounded, batch, places, count: mr, step, limit: limit)
    }
    func add(_ step: Tile, to sum: Tile, limit: Tile?) -> Tile {
      sum.addingDot(column(step, limit: limit), words(matrix(batch), panel, step), of: parts)
    }
    let isWhole = blocks != nil || w.a.shape[2].constant.map { $0 % group == 0 } ?? false
    let steps = isWhole ? b.size(w.a.shape[2].ceilDivided(by: Dim(group))) : k / group
    var sum = b.loop(
      .unrolled(by: knobs["unroll"]), to: steps, carrying: [b.constant(0, parts.accumulator, [mr, nr])]
    ) { [add($0, to: $1[0], limit: nil)] }[0]
    if !isWhole {
      sum =
        b.loop(from: steps, to: k.ceilDivided(by: group), carrying: [sum]) {
          [add($0, to: $1[0], limit: k - steps * group)]
        }[0]
    }
    results.store(sum, batch, i, j)
  }

  /// `count` rows of a from a block's first on; past a's end its last row is repeated.
  func rowIndices(_ first: Tile, count: Int) -> Tile {
    let rows = b.iota([count], dimension: 0) + first
    if count == mr, let size = w.a.shape[1].constant, size % mr == 0 { return rows }
    return rows.minimum(m - 1)
  }

  /// Which matrix of b's goes with a's.
  private func matrix(_ batch: Tile) -> Tile { w.b.strides[0] == 0 ? b.index(0) : batch }

  /// Words of a step, of some of the rounded rows, or of a's if there are none.
  /// - Parameter limit: numbers of the step, if not all.
  private func words(
    _ rounded: RoundedRows?, _ batch: Tile, _ rows: TileBuffer.Index, count: Int, _ step: Tile, limit: Tile?
  ) -> Tile {
    let (place, shape) = ([rows, TileBuffer.Index.span(step * group, 1)], [count, group])
    let numbers =
      rounded?.buffer.load(place, shape: shape, limits: [nil, limit])
      ?? a.load([.at(batch)] + place, shape: shape, limits: [nil, limit])
    return numbers.words(of: parts)
  }

  /// A row of a panel: a word of each of its columns.
  private func words(_ matrix: Tile, _ panel: Tile, _ step: Tile) -> Tile {
    let indices: [TileBuffer.Index] = [.at(matrix), .at(panel), .at(step), .span(b.index(0), 1)]
    if panels.type.element == .int32 { return panels.load(indices, shape: [1, nr]) }
    return panels.load(indices, shape: [1, 2 * nr]).cast(parts.elements.b).bitcast(.int32)
  }

  // MARK: Few rows

  /// All rows at once, several panels side by side: each is a stream that the hardware fetches ahead.
  /// - Parameter columns: all of them, or none.
  private func fewRows(_ rows: Int, columns: Tile) {
    let together = knobs["skinnyPanels"]
    let width = together * nr
    let grain = LoopWork.bytes(width * w.a.shape[2].estimate * knobs["bytes"]).grain
    b.loop(.parallel(grain: grain), to: b.size(w.epilogue.output.shape[0])) { batch in
      b.loop(.parallel(grain: grain), to: columns, step: width) { column in
        fewRows(rows, batch, column, together)
      }
    }
  }

  private func fewRows(_ rows: Int, _ batch: Tile, _ column: Tile, _ together: Int) {
    let zero = b.index(0)
    // Panels past the last one stand at the last one; nothing is stored for them.
    let last = n.ceilDivided(by: nr) - 1
    let places = (0..<together).map { (column / nr + $0).minimum(last) }
    let rounded = self.rounded(batch, from: zero, to: b.index(rows), most: rows)
    func add(_ step: Tile, to sums: [Tile], limit: Tile?) -> [Tile] {
      let factors = words(rounded, batch, .span(zero, 0), count: rows, step, limit: limit)
      return zip(sums, places).map { $0.addingDot(factors, words(matrix(batch), $1, step), of: parts) }
    }
    let steps = k / group
    var sums = b.loop(
      .unrolled(by: knobs["skinnyUnroll"]), to: steps,
      carrying: places.map { _ in b.constant(0, parts.accumulator, [rows, nr]) }
    ) { add($0, to: $1, limit: nil) }
    if w.a.shape[2].constant.map({ $0 % group != 0 }) ?? true {
      sums = b.loop(from: steps, to: k.ceilDivided(by: group), carrying: sums) {
        add($0, to: $1, limit: k - steps * group)
      }
    }
    results.store(panels: sums, batch, zero, column)
  }
}

import TensorTypes
import TileIR

// What matmul and implicit-GEMM convolution share: a block of the result in registers, and its way to memory.

/// Rows and columns of a result block that is kept in registers over the whole of k.
public struct RegisterTile: Hashable, Sendable {
  public var rows: Int
  public var columns: Int

  /// Blocks that leave room for a row of b and an element of a: `rows · columns / lanes + columns / lanes + 1`
  /// registers. Wide ones first.
  static func choices(on machine: Machine) -> [RegisterTile] {
    let lanes = machine.lanes
    return [1, 2, 3, 4].flatMap { vectors in
      (1...max(1, (machine.vectorRegisters - 1) / vectors - 1)).compactMap { rows in
        rows * vectors + vectors + 1 <= machine.vectorRegisters
          ? RegisterTile(rows: rows, columns: vectors * lanes) : nil
      }
    }
  }

  /// The block with the best ratio of arithmetic to loads on this machine: 6×16 for AVX2, 14×32 for AVX-512, 6×8
  /// for SSE (Goto & van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008).
  static func best(on machine: Machine) -> RegisterTile {
    RegisterTile(rows: (machine.vectorRegisters - 3) / 2, columns: 2 * machine.lanes)
  }

  /// The block that does a result of `rows` by `columns` soonest: one that it fills, of good ratio.
  /// - Parameter streams: b comes from memory and is used for these rows alone. Then a block that has all of them, if there is one of good
  ///     ratio, is what keeps the memory busy; of more rows than caches have ways or registers there are, two blocks.
  /// - Parameter rowDistance: bytes between rows of a, if that is known.
  /// - Parameter addresses: each row of a has an address of its own, of which a core holds no more than a dozen in registers.
  /// - Parameter inPlace: b is not packed.
  /// - Parameter parts: what is multiplied, if words.
  static func fitting(
    rows: Int, columns: Int, streams: Bool, rowDistance: Int? = nil, addresses: Bool, inPlace: Bool = false,
    of parts: WordParts? = nil, on machine: Machine
  ) -> RegisterTile {
    let all = choices(on: machine)
    // Sixteen registers may all be taken, unless a product needs one until it is added.
    let spare = machine.vectorRegisters == 16 && machine.hasFMA && parts == nil ? 0 : 3
    let (most, best) = (16, best(on: machine))
    let half = RegisterTile(rows: (rows + 1) / 2, columns: best.columns)
    // Sets of the level-1 cache come again every 4 KiB; one has eight to twelve lines, of which b takes some.
    func inSet(_ rows: Int) -> Int {
      rowDistance.map { rows * greatestPowerOfTwo(dividing: $0, atMost: 4096) / 4096 } ?? 0
    }
    let isWhole = rows <= best.rows && inSet(rows) <= 10
    let whole = !streams ? [] : isWhole ? all.filter { $0.rows == rows } : rows <= 2 * best.rows ? [half] : []
    // More rows are more streams of a than the caches have ways; wide blocks need a few registers more.
    let others = all.filter { tile in
      let vectors = tile.columns / machine.lanes
      let fits = !inPlace || inSet(tile.rows) <= 10
      return tile.rows <= most && fits
        && (vectors <= 2 || (tile.rows + 1) * vectors + 1 + spare <= machine.vectorRegisters)
    }
    return (whole.isEmpty ? others : whole).min {
      $0.cycles(rows: rows, columns: columns, addresses: addresses, inPlace: inPlace, on: machine)
        < $1.cycles(rows: rows, columns: columns, addresses: addresses, inPlace: inPlace, on: machine)
    }!
  }

  /// Cycles of a step of k over a whole result: two multiplications of vectors and two loads at a time, results after four,
  /// 24 bytes of b from the level-2 cache, 20 if its rows lie apart; and a share for what doesn't
  /// overlap, addresses that come from the stack among it.
  func cycles(rows: Int, columns: Int, addresses: Bool, inPlace: Bool = false, on machine: Machine) -> Double {
    let vectors = self.columns / machine.lanes
    let (high, panels) = ((rows + self.rows - 1) / self.rows, (columns + self.columns - 1) / self.columns)
    // Of few rows panels are what threads share: the one that has more of them counts.
    let shared = rows <= 64 ? machine.workers.map { (panels + $0 - 1) / $0 * $0 } ?? panels : panels
    let blocks = high * shared
    let (products, loads) = (self.rows * vectors, self.rows + vectors)
    let step = Double(max(products, loads, 8, self.columns * 2 / (inPlace ? 5 : 6))) / 2 + 0.15 * Double(loads)
    if addresses { return Double(blocks) * (step + 1.2 * Double(max(0, self.rows - 12))) }
    return Double(blocks) * step * (self == .best(on: machine) ? 0.98 : 1)
  }
}

extension TileBuilder {
  /// acc + Σ over `count` steps of a's column times b's row; `column(k)` is `[rows, 1]`, `row(k)` is `[1, columns]`.
  /// - Parameter parts: what the elements of both hold, if they are words.
  func accumulate(
    _ accumulator: Tile, to count: Tile, unroll: Int, of parts: WordParts? = nil, _ column: (Tile) -> Tile,
    _ row: (Tile) -> Tile
  ) -> Tile {
    loop(.unrolled(by: unroll), to: count, carrying: [accumulator]) { k, carried in
      let (x, y) = (column(k), row(k))
      return [parts.map { carried[0].addingDot(x, y, of: $0) } ?? carried[0].addingDot(x, y)]
    }[0]
  }
}

/// Where a block of results goes: which index each dimension of the output has for its rows and columns.
struct BlockPosition {
  /// Indices of all of the output's dimensions but the last, for a tile whose dimension 0 is the block's rows.
  var rows: [TileBuffer.Index]
  /// The block's first column in the output's last dimension.
  var column: Tile
}

extension Epilogue {
  /// Applies the epilogue to a block and stores it.
  /// - Parameters:
  ///   - rowLimit, columnLimit: how many rows and columns there are, if not all.
  func store(
    _ block: Tile, to output: TileBuffer, _ buffers: [TileBuffer], at position: BlockPosition, rowLimit: Tile?,
    columnLimit: Tile?, in b: TileBuilder
  ) {
    let shape = block.shape
    var arguments = [block]
    for (view, buffer) in zip(operands, buffers) {
      arguments.append(load(view, buffer, shape, position, rowLimit, columnLimit))
    }
    let value = b.apply(expression, arguments, shape: shape)
    output.store(value, position.rows + [.span(position.column, 1)], limits: [rowLimit, columnLimit])
  }

  /// An operand's elements for a block, as few as its strides of 0 leave: a row, a column, one, or all.
  private func load(
    _ view: View, _ buffer: TileBuffer, _ shape: [Int], _ position: BlockPosition, _ rowLimit: Tile?,
    _ columnLimit: Tile?
  ) -> Tile {
    let last = view.rank - 1
    let variesAlongColumns = view.strides[last] != 0
    let variesAlongRows = zip(position.rows, view.strides).contains { index, stride in
      if case .at = index { return false }
      return stride != 0
    }
    // Where a stride is 0 any index will do: the first one.
    let zero = position.column - position.column
    let outer: [TileBuffer.Index] = zip(position.rows, view.strides).map { index, stride in
      stride == 0 ? .at(zero) : index
    }
    switch (variesAlongRows, variesAlongColumns) {
    case (false, false): return buffer.load(outer + [.at(zero)], shape: [])
    case (false, true):
      return buffer.load(outer + [.span(position.column, 0)], shape: [shape[1]], limits: [columnLimit]).reshape([
        1, shape[1],
      ])
    case (true, false):
      return buffer.load(outer + [.at(zero)], shape: [shape[0]], limits: [rowLimit]).reshape([shape[0], 1])
    case (true, true):
      return buffer.load(outer + [.span(position.column, 1)], shape: shape, limits: [rowLimit, columnLimit])
    }
  }
}

extension KnobSpace {
  /// These knobs and a register tile.
  /// - Parameter names: of the knobs that are its rows and columns.
  func choosing(of tiles: [RegisterTile], as names: (rows: String, columns: String) = ("mr", "nr")) -> KnobSpace {
    let sizes = [
      (names.rows, Set(tiles.map(\.rows)).sorted()), (names.columns, Set(tiles.map(\.columns)).sorted()),
    ]
    return KnobSpace(sizes + choices) { [isLegal] knobs in
      isLegal(knobs) && tiles.contains(RegisterTile(rows: knobs[names.rows], columns: knobs[names.columns]))
    }
  }
}

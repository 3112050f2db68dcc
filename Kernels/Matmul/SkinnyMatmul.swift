import TensorTypes
import TileIR

/// The phase of a matmul that has but a few rows: y[m, n] = epilogue(Σₖ a[m, k] · b[k, n]) for all rows at once.
///
/// b is read once, and that takes all of the time. So a task goes down several panels side by side: each is a stream
/// that the hardware fetches ahead, where a single one leaves half of the bandwidth unused. A b known only at run time is read
/// where it lies: then panels side by side are one, whose rows are longer.
struct SkinnyMatmul {
  /// Rows that it does.
  let rows: Int
  private let p: MatmulProgram
  private var b: TileBuilder { p.b }
  /// Panels side by side.
  private let together: Int

  /// Most rows for which arithmetic costs no more than reading: known in number, or open.
  static let most = (known: 4, open: 1)

  /// nil where there is no way for few rows.
  init?(_ p: MatmulProgram) {
    guard let rows = Self.rows(of: p.w) else { return nil }
    (self.p, self.rows, together) = (p, rows, p.knobs["skinnyPanels"])
  }

  /// How many rows are few: all, where their number is known; one, where it is not; nil: there is no way for few rows.
  static func rows(of w: MatmulWorkload) -> Int? {
    guard let m = w.a.shape[1].constant else { return w.bIsConstant ? most.open : nil }
    guard w.bIsConstant || w.b.strides[2] == 1 && !w.aIsConstant else { return nil }
    // Four rows of a b of run time are a block of four vectors, whose rows are long enough.
    return (1...(w.bIsConstant ? most.known : 3)).contains(m) ? m : nil
  }

  /// Whether all rows are few, where their number is known.
  static func areFew(_ rows: Int?) -> Bool { rows.map { $0 <= most.known } ?? false }

  /// A block as wide as the panels should be: the best one, or a vector where two such panels have more sums than there are registers. One
  /// or two rows of what is widened by an instruction or two take whole lines of 16-bit floats, several at a time.
  static func tile(rows: Int, of w: MatmulWorkload, on machine: Machine) -> RegisterTile {
    var tile = RegisterTile.best(on: machine)
    if w.isNarrow, w.scaling == nil, rows <= 2, machine.vectorRegisters > 16 {
      tile = RegisterTile(rows: 6, columns: 4 * machine.lanes)
    }
    if !w.isNarrow, 2 * rows * tile.columns / machine.lanes + 3 > machine.vectorRegisters {
      tile.columns = machine.lanes
    }
    return tile
  }

  /// As many panels as there are registers for sums: from two, whatever the registers, to four, or eight where b is read in place,
  /// whose rows lie apart. What is stored in fewer bits needs registers to be widened in.
  static func panels(rows: Int, _ tile: RegisterTile, _ count: Int, on machine: Machine, isNarrow: Bool, inPlace: Bool)
    -> Int
  {
    let sums = min(max(1, rows), most.known) * tile.columns / machine.lanes
    if isNarrow {
      // Besides sums and rows of b: a mask, an element of a, a row on its way.
      return max(1, min(4, (machine.vectorRegisters - 3) / (sums + tile.columns / machine.lanes), count))
    }
    return max(1, min(inPlace ? 8 : 4, max(2, (machine.vectorRegisters - 3) / sums), count))
  }

  /// - Parameter columns: all of them, or none.
  func phase(columns: Tile) {
    let width = together * p.nr
    let bits = p.w.scaling?.bits ?? p.w.b.element.byteCount * 8
    let grain = LoopWork.bytes(width * (p.w.a.shape[2].constant ?? 512) * bits / 8).grain
    b.loop(.parallel(grain: grain), to: b.size(p.w.epilogue.output.shape[0])) { batch in
      b.loop(.parallel(grain: grain), to: columns, step: width) { column in task(batch, column) }
    }
  }

  private func task(_ batch: Tile, _ column: Tile) {
    let matrix = p.w.b.strides[0] == 0 ? b.index(0) : batch
    guard p.w.bIsConstant else { return inPlace(batch, matrix, column) }
    let zero = b.index(0)
    // Panels past the last one stand at the last one; nothing is stored for them.
    let last = p.n.ceilDivided(by: p.nr) - 1
    let panels = (0..<together).map { (column / p.nr + $0).minimum(last) }
    let coded = p.codes.map {
      CodedRows($0, p.a, batch: batch, rows: rows, unroll: p.knobs["skinnyUnroll"]).results(batch, matrix, panels)
    }
    let sums = coded ?? plain(batch, matrix, panels)
    p.results.store(panels: sums, batch, zero, column)
  }

  /// Results of as many columns as there are panels side by side, or those that are left.
  private func inPlace(_ batch: Tile, _ matrix: Tile, _ column: Tile) {
    let zero = b.index(0)
    func run(isWhole: Bool) {
      let columns = (0..<together).map { column + $0 * p.nr }
      let sums = adding(batch, columns.map { _ in start }) { step, i in
        p.right.load(
          [.at(matrix), .at(step), .span(columns[i], 1)], shape: [1, p.nr],
          limits: [nil, isWhole ? nil : p.n - columns[i]])
      }
      p.results.store(panels: sums, batch, zero, column)
    }
    let width = together * p.nr
    if p.w.b.shape[2].constant.map({ $0 % width == 0 }) ?? false { return run(isWhole: true) }
    b.when((column + width).lessEqual(p.n)) {
      run(isWhole: true)
    } otherwise: {
      run(isWhole: false)
    }
  }

  private var start: Tile { b.constant(0, .float32, [rows, p.nr]) }

  /// A panel's block of results each, from panels of floats.
  private func plain(_ batch: Tile, _ matrix: Tile, _ panels: [Tile]) -> [Tile] {
    adding(batch, panels.map { _ in start }) { step, i in
      p.right.load([.at(matrix), .at(panels[i]), .at(step), .span(b.index(0), 1)], shape: [1, p.nr])
    }
  }

  /// sums[i] + Σₖ a[k] · row(k, i)
  private func adding(_ batch: Tile, _ sums: [Tile], _ row: (_ step: Tile, _ i: Int) -> Tile) -> [Tile] {
    b.loop(.unrolled(by: p.knobs["skinnyUnroll"]), to: p.k, carrying: sums) { step, sums in
      let factors = p.a.load([.at(batch), .span(b.index(0), 0), .at(step)], shape: [rows, 1])
      return sums.enumerated().map { i, sum in sum.addingDot(factors, row(step, i)) }
    }
  }
}

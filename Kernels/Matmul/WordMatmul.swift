import TensorTypes
import TileIR

/// y[m, n] = epilogue(Σₖ a[m, k] · b[k, n]) by short dot products: for i8, u8 and i16 in any combination, summed in i32, which
/// wraps around; for bf16 by a constant of bf16, and f32 that may be rounded to that, summed in f32.
///
/// Two steps of k make a word of two i16, and a vector of words is multiplied and added pairwise by one instruction
/// (`vpmaddwd`): on machines with 256-bit vectors 32 multiplications a cycle, twice those of f32. Every zero point is
/// exact that way: what was centred has 9 bits and a sign. a becomes words in blocks of rows by a phase before the
/// product, unless its numbers are parts of words as they lie; b's panels are made at compile time if b is a constant.
///
/// Where a is u8 and b a constant of i8, and the machine has the instruction (`vpdpbusd`), a word holds four steps as they are:
/// twice the products. Where it has not, but b has 7 bits, as quantisers make it for such machines, words hold four as well
/// (`dot u8i7x4`): three instructions for 32 products instead of four.
///
/// Two bf16 are a word as well where the machine has an instruction for them (`vdpbf16ps`); subnormal numbers count as zeros. f32 that may
/// be rounded is so by the tasks, a's rows, or as b is packed.
///
/// A few rows are bound by reading b once: its panels then keep the numbers' own width, widened where they are used.
struct WordMatmul: KernelTemplate {
  let name = "matmul.words"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .matmul(let w) = workload, w.parts(on: machine) != nil else { return nil }
    return KnobSpace([
      ("mc", [1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64]), ("nc", [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128]),
      ("packA", w.readsWords(on: machine) ? [0, 1] : [1]), ("unroll", [1, 2, 4, 8]),
      ("bytes", w.bIsConstant && w.b.element.byteCount == 1 ? [1, 2] : [2]),
      ("skinnyPanels", [1, 2, 3, 4, 6, 8]), ("skinnyUnroll", [1, 2, 4, 8]),
    ]).choosing(of: RegisterTile.choices(on: machine))
  }

  /// `mc` and `nc` count register tiles, `bytes` those of a number in b's panels. Where sums are instructions of their own nothing
  /// is unrolled: LLVM may add integers in any order, and would keep products of several steps in registers that the sums need.
  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    // A sum of nothing is 0, but has its blocks.
    let (k, n) = (max(1, w.a.shape[2].constant ?? 1024), w.b.shape[2].constant ?? 1024)
    let m = w.a.shape[1].constant
    let isOneInstruction = [.u8i8x4, .bf16x2].contains(w.parts(on: machine)!)
    let isSkinny = SkinnyMatmul.areFew(m)
    let tile =
      isSkinny
      ? RegisterTile.best(on: machine)
      : .fitting(
        rows: w.a.shape[1].estimate, columns: n, streams: false, addresses: true, of: w.parts(on: machine), on: machine)
    let panels = (n + tile.columns - 1) / tile.columns
    let blocks = (w.a.shape[1].estimate + tile.rows - 1) / tile.rows
    // Blocks of a in half of the level-2 cache while panels of b pass by.
    let packs = !w.readsWords(on: machine)
    let rows = packs ? machine.wholeVectors(tile.rows) : tile.rows
    let block = rows * k * 4 / w.parts(on: machine)!.count
    var mc = max(1, min(64, machine.cacheBytes[1] / 2 / max(1, block), blocks))
    // Each block of columns rounds a's rows again.
    var nc = min(panels, w.roundsRows(on: machine) ? 128 : 32)
    // At least eight tasks, so that a few workers finish together: first fewer rows, which cost only reading b again. Rows whose
    // number is not known may be few.
    let (fewestRows, fewestPanels) = m == nil ? (mc, 1) : (4, 2)
    func tasks() -> Int { (m == nil ? 1 : (blocks + mc - 1) / mc) * ((panels + nc - 1) / nc) }
    while tasks() < 8, mc > fewestRows || nc > fewestPanels {
      if mc > fewestRows { mc = (mc + 1) / 2 } else { nc = (nc + 1) / 2 }
    }
    if m != nil {
      nc =
        SharedResults(rows: blocks, columns: panels, workers: machine.workers).evened(.init(rows: mc, columns: nc))
        .columns
    }
    return [
      "mr": tile.rows, "nr": tile.columns, "mc": mc, "nc": nc, "packA": packs ? 1 : 0,
      "unroll": isOneInstruction ? 4 : 1,
      "bytes": isSkinny && w.bIsConstant ? w.b.element.byteCount : 2,
      "skinnyPanels": SkinnyMatmul.panels(rows: m ?? 1, tile, panels, on: machine, isNarrow: false, inPlace: false),
      "skinnyUnroll": (m ?? 1) == 1 ? 2 : 1,
    ]
  }

  /// That of the register tile, for as many rows: words of integers have no rivals.
  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .matmul(let w) = workload, w.parts(on: machine) == .bf16x2 else { return 0 }
    let (m, n, k) = (w.a.shape[1].estimate, w.b.shape[2].estimate, w.a.shape[2].estimate)
    let tile = RegisterTile(rows: min(m, knobs["mr"]), columns: knobs["nr"])
    let steps = Double((k + 1) / 2)
    // Once for each block of columns.
    let passes = Double((n - 1) / (knobs["nc"] * knobs["nr"]) + 1)
    let rounding = w.a.element == .float32 ? passes * 0.15 * Double(m * k) : 0
    let packing = w.bIsConstant ? 0 : 0.5 * Double(k * n)
    return Double(w.a.shape[0].estimate(1))
      * (rounding + packing + steps * tile.cycles(rows: m, columns: n, addresses: true, on: machine))
  }

  func packing(for workload: Workload, knobs: Knobs, on machine: Machine) -> [WeightPacking?] {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    return [nil, w.bIsConstant ? WordProgram.packing(w, knobs, machine) : nil] + w.epilogue.operands.map { _ in nil }
  }

  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    let types = [w.bIsConstant ? nil : WordProgram.panels(w, knobs), WordProgram.blocks(w, knobs, machine)]
    return types.compactMap { $0 }.map { TensorType($0.element, $0.shape) }
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .matmul(let w) = workload else { preconditionFailure("a matmul") }
    return WordProgram(w, knobs, machine).build()
  }
}

extension MatmulWorkload {
  /// What words of k's steps hold; nil if they are not for short dot products.
  func parts(on machine: Machine) -> WordParts? {
    let isWhole = a.element == .bfloat16 && b.element == .bfloat16
    let isRounded = mayRound && a.element == .float32 && (b.element == .bfloat16 || b.element == .float32)
    if isWhole && bIsConstant || isRounded, machine.wordDots.contains(.bf16x2) {
      // One row, or a few where b is to become words, is bound by reading b, however it is multiplied.
      let rows = a.shape[1].constant
      return rows == 1 || !bIsConstant && SkinnyMatmul.areFew(rows) ? nil : .bf16x2
    }
    return widens ? machine.parts(a.element, b.element, bIsConstant: bIsConstant, bLimit: bLimit) : nil
  }

  /// Whether a's numbers lie as parts of words do: then it need not be copied, or only to be rounded.
  func readsWords(on machine: Machine) -> Bool {
    a.strides[2] == 1 && (a.element == parts(on: machine)?.elements.a || roundsRows(on: machine))
  }

  /// Whether a is rounded before it is multiplied.
  func roundsRows(on machine: Machine) -> Bool { a.element == .float32 && parts(on: machine) == .bf16x2 }

  /// Whether products of narrow integers are summed in i32.
  var widens: Bool {
    epilogue.expression.inputTypes[0] == .int32 && a.element.isNarrowInteger && b.element.isNarrowInteger
  }
}

extension Machine {
  /// What words of narrow integers hold, a's beside b's: four numbers if an instruction takes them as they are, else two.
  /// - Parameter bLimit: no number of a constant b is larger in size, where that is known.
  func parts(_ a: ElementType, _ b: ElementType, bIsConstant: Bool, bLimit: Int?) -> WordParts {
    guard bIsConstant, a == .uint8, b == .int8 else { return .i16x2 }
    if wordDots.contains(.u8i8x4) { return .u8i8x4 }
    return bLimit == 64 ? .u8i7x4 : .i16x2
  }

  /// Cycles that a core needs at best for a vector's products with what stands in one lane of another: f32, or words.
  func cyclesPerStep(of parts: WordParts?) -> Double {
    // Two units multiply; what is no single instruction finds others busy too.
    switch parts {
    case .i16x2 where !wordDots.contains(.u8i8x4): 0.7
    case .u8i7x4 where !wordDots.contains(.u8i8x4): 1.1
    case nil, .i16x2, .u8i7x4, .u8i8x4, .bf16x2: 0.5
    }
  }
}

import TensorTypes
import TileIR

/// Random numbers that depend on seed and position only, as GraphIR's `Random` defines them.
public struct RandomWorkload: Hashable, Sendable, Codable {
  public enum Kind: Hashable, Sendable, Codable { case uniform, normal }
  public var kind: Kind
  /// As bits.
  public var seed: Int
  /// Of rank 1, elements side by side.
  public var output: View

  public init(kind: Kind, seed: Int, output: View) {
    (self.kind, self.seed, self.output) = (kind, seed, output)
  }
}

/// y[4c + i] = word i of Philox-4x32-10 at counter c (Salmon et al., 2011), made uniform or normal: a vector of
/// counters at once.
struct Philox: KernelTemplate {
  let name = "random.philox"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .random(let w) = workload, w.output.element.isFloat, w.output.rank == 1 else { return nil }
    return KnobSpace([])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs { [:] }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .random(let w) = workload else { preconditionFailure("random numbers") }
    return PhiloxProgram(w, lanes: machine.lanes).build()
  }
}

private struct PhiloxProgram {
  let w: RandomWorkload
  let lanes: Int
  let b = TileBuilder("random")
  let y: TileBuffer

  init(_ w: RandomWorkload, lanes: Int) {
    (self.w, self.lanes) = (w, lanes)
    y = b.parameter("y", .output, w.output.buffer)
  }

  func build() -> TileProgram {
    let size = b.size(w.output.shape[0])
    let blocks = size.ceilDivided(by: 4 * lanes)
    b.parallel([blocks], grain: 16) { index in
      let first = index[0] * (4 * lanes)
      let words = philox(b.iota([lanes], dimension: 0) + index[0] * lanes)
      let values = w.kind == .uniform ? words.map { uniform($0) } : pair(words[0], words[1]) + pair(words[2], words[3])
      for (i, value) in values.enumerated() {
        // Elements first + i, first + i + 4, …: as many as lie before the end.
        let limit = (size - first + (3 - i)) / 4
        let isWhole = w.output.shape[0].constant.map { $0 % (4 * lanes) == 0 } ?? false
        y.store(value.cast(w.output.element), [.span(first + i, 0, step: 4)], limits: [isWhole ? nil : limit])
      }
    }
    return b.finish()
  }

  /// The four words, as u64 below 2³².
  private func philox(_ counter: Tile) -> [Tile] {
    func constant(_ value: UInt64) -> Tile { b.constant(.integer(Int64(bitPattern: value)), .uint64, [lanes]) }
    let (low, upper) = (constant(0xFFFF_FFFF), constant(32))
    let bits = counter.bitcast(.uint64)
    var words = [bits.binary(.and, low), bits.binary(.shiftRight, upper), constant(0), constant(0)]
    let key = UInt64(bitPattern: Int64(w.seed))
    var (k0, k1) = (UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32))
    for _ in 0..<10 {
      let a = words[0] * constant(0xD251_1F53)
      let c = words[2] * constant(0xCD9E_8D57)
      words = [
        c.binary(.shiftRight, upper).binary(.xor, words[1]).binary(.xor, constant(UInt64(k0))), c.binary(.and, low),
        a.binary(.shiftRight, upper).binary(.xor, words[3]).binary(.xor, constant(UInt64(k1))), a.binary(.and, low),
      ]
      k0 = k0 &+ 0x9E37_79B9
      k1 = k1 &+ 0xBB67_AE85
    }
    return words
  }

  private var element: ElementType { w.output.element.accumulator }

  /// The upper 24 bits · 2⁻²⁴.
  private func uniform(_ word: Tile) -> Tile {
    let integer = word.cast(.uint32).binary(.shiftRight, b.constant(8, .uint32, [lanes])).cast(.int32)
    return integer.cast(element) * b.constant(0x1p-24, element, [lanes])
  }

  /// Box and Muller's pair of two words.
  private func pair(_ first: Tile, _ second: Tile) -> [Tile] {
    let one = b.constant(1, element, [lanes])
    let radius = ((one - uniform(first)).unary(.log) * b.constant(-2, element, [lanes])).unary(.sqrt)
    let angle = uniform(second) * b.constant(2 * Double.pi, element, [lanes])
    return [radius * angle.unary(.cos), radius * angle.unary(.sin)]
  }
}

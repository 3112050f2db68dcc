import Glibc
import Kernels
import TensorTypes

/// Philox's numbers, uniform or normal.
public struct RandomCase: Sendable {
  public var kind: RandomWorkload.Kind
  public var type: ElementType
  public var (count, seed): (Int, Int)
  public var isSymbolic: Bool

  public init(_ kind: RandomWorkload.Kind, _ type: ElementType, count: Int, seed: Int, isSymbolic: Bool) {
    (self.kind, self.type, self.count, self.seed) = (kind, type, count, seed)
    self.isSymbolic = isSymbolic
  }

  public static func random(_ g: inout SeededGenerator) -> RandomCase {
    RandomCase(
      g.pick(.uniform, .normal), g.pick(.float32, .float32, .float64, .float16),
      count: g.flip(0.03) ? 0 : g.edge([4, 16, 32], most: 521), seed: .random(in: .min ... .max, using: &g),
      isSymbolic: g.flip(0.3))
  }

  public func kernelCase() -> KernelCase {
    var sizes = DrawnSizes(isSymbolic)
    let w = RandomWorkload(kind: kind, seed: seed, output: View(type, [sizes.dim("n", count)]))
    let (kind, type, seed) = (kind, type, seed)
    return KernelCase(.random(w), sizes: sizes.values, inputs: []) { index in
      let value = draw(kind, seed, index[0])
      // Of a normal one: log, root and product in f32, an angle of up to 2π rounded to f32 (values below 6).
      let unit = type == .float64 ? 0x1p-50 : 0x1p-20
      let tolerance = (kind == .normal ? 6 * unit : 0) + type.epsilon * abs(value)
      return Expected(value: .float(value), tolerance: tolerance)
    }
  }
}

private func draw(_ kind: RandomWorkload.Kind, _ seed: Int, _ i: Int) -> Double {
  func uniform(_ i: Int) -> Double {
    Double(word(UInt64(i / 4), UInt64(bitPattern: Int64(seed)), i % 4) >> 8) * 0x1p-24
  }
  if kind == .uniform { return uniform(i) }
  let radius = (-2 * log(1 - uniform(i & ~1))).squareRoot()
  let angle = 2 * Double.pi * uniform(i | 1)
  return radius * (i & 1 == 0 ? cos(angle) : sin(angle))
}

/// Written from the paper's description of a round, on 64-bit products.
private func word(_ counter: UInt64, _ key: UInt64, _ number: Int) -> UInt32 {
  var x: [UInt64] = [counter & 0xFFFF_FFFF, counter >> 32, 0, 0]
  var (left, right) = (key & 0xFFFF_FFFF, key >> 32)
  for _ in 0..<10 {
    let (p, q) = (x[0] * 0xD251_1F53, x[2] * 0xCD9E_8D57)
    x = [q >> 32 ^ x[1] ^ left, q & 0xFFFF_FFFF, p >> 32 ^ x[3] ^ right, p & 0xFFFF_FFFF]
    left = (left + 0x9E37_79B9) & 0xFFFF_FFFF
    right = (right + 0xBB67_AE85) & 0xFFFF_FFFF
  }
  return UInt32(x[number])
}

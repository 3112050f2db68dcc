import Glibc
import TensorTypes

/// Random numbers that depend on seed and position only, so that any device in any order draws the same.
///
/// The 32-bit number `i` is word `i mod 4` of Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy as
/// 1, 2, 3", 2011) at counter `⌊i / 4⌋` under the key `seed`. A uniform element is its upper 24 bits · 2⁻²⁴, in
/// [0, 1). Normal elements 2j and 2j + 1 are Box and Muller's pair of the uniform ones: radius √(−2 ln(1 − u)) from
/// the even one, angle 2π·u from the odd one, cosine first.
///
/// - (random_c1) No operands; the element type is a float type.
public struct Random: Op {
  public enum Kind: String, Hashable, Sendable, Codable, CaseIterable { case uniform, normal }

  public static let mnemonic = "random"
  public var kind: Kind
  public var element: ElementType
  public var shape: Shape
  /// As bits.
  public var seed: Int

  public init(_ kind: Kind, _ element: ElementType, _ shape: Shape, seed: Int) {
    (self.kind, self.element, self.shape, self.seed) = (kind, element, shape, seed)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [("kind", .word(kind)), ("element", .word(element)), ("shape", .dims(shape)), ("seed", .integer(seed))]
  }
  public init(attributes: inout AttributeReader) throws {
    kind = try attributes.word("kind")
    element = try attributes.word("element")
    shape = try attributes.dims("shape")
    seed = try attributes.integer("seed")
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(x.isEmpty && element.isFloat, "random_c1: element type \(element), operands \(x)")
    return [TensorType(element, shape)]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let shape = try shape.integers()
    let key = UInt64(bitPattern: Int64(seed))
    func uniform(_ i: Int) -> Double { Double(philox(counter: UInt64(i / 4), key: key)[i % 4] >> 8) * 0x1p-24 }
    let values = (0..<shape.product).map { i in
      switch kind {
      case .uniform: return uniform(i)
      case .normal:
        let radius = (-2 * log(1 - uniform(i & ~1))).squareRoot()
        let angle = 2 * Double.pi * uniform(i | 1)
        return radius * (i & 1 == 0 ? cos(angle) : sin(angle))
      }
    }
    return [HostTensor(element, shape, .floats(values))]
  }

  public func substituting(_ bindings: [String: Dim]) -> Random {
    Random(kind, element, shape.substituting(bindings), seed: seed)
  }
}

/// The four words of Philox-4x32-10 for a counter whose upper 64 bits are 0.
public func philox(counter: UInt64, key: UInt64) -> [UInt32] {
  var words = [UInt32(truncatingIfNeeded: counter), UInt32(truncatingIfNeeded: counter >> 32), 0, 0]
  var (k0, k1) = (UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32))
  for _ in 0..<10 {
    let a = words[0].multipliedFullWidth(by: 0xD251_1F53)
    let b = words[2].multipliedFullWidth(by: 0xCD9E_8D57)
    words = [b.high ^ words[1] ^ k0, b.low, a.high ^ words[3] ^ k1, a.low]
    k0 = k0 &+ 0x9E37_79B9
    k1 = k1 &+ 0xBB67_AE85
  }
  return words
}

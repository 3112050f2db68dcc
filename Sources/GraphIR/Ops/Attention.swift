import Glibc
import TensorTypes

/// `y = softmax(q·kᵀ · scale + mask) · v`, a head each: q `[B, H, Sq, D]`, k `[B, Hkv, Sk, D]`, v `[B, Hkv, Sk, E]`
/// give `[B, H, Sq, E]`. Consecutive H / Hkv query heads share a key head.
///
/// With `causal`, query `i` sees keys `j ≤ i + causalOffset`. A `softcap` other than 0 bounds scores before they are
/// masked: `softcap · tanh(score / softcap)`. The mask is added, or, if bool, says which keys are seen. A query that
/// sees no key (all scores −∞) gives 0.
///
/// If it may round, f32 factors of both products (queries, keys, exponentials and values) may be rounded to bf16 before they are
/// multiplied, each off by at most 2⁻⁸ of itself.
///
/// - (attention_c1) Operands q, k, v and optionally a mask; q, k, v of one float type and rank 4.
/// - (attention_c2) Equal B; Hkv divides H; equal D of q and k; equal Sk of k and v.
/// - (attention_c3) The mask is bool or of q's type and broadcasts to `[B, H, Sq, Sk]`.
public struct Attention: Op {
  public static let mnemonic = "attention"
  public var scale: Double
  public var causal: Bool
  public var causalOffset: Dim
  public var softcap: Double
  public var mayRound = false

  public init(scale: Double, causal: Bool = false, causalOffset: Dim = 0, softcap: Double = 0) {
    (self.scale, self.causal, self.causalOffset, self.softcap) = (scale, causal, causalOffset, softcap)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [
      ("scale", .float(scale)), ("causal", .bool(causal)), ("causal_offset", .dim(causalOffset)),
      ("softcap", .float(softcap)),
    ] + (mayRound ? [("may_round", .bool(true))] : [])
  }
  public init(attributes: inout AttributeReader) throws {
    scale = try attributes.float("scale")
    causal = try attributes.bool("causal", default: false)
    causalOffset = try attributes.dim("causal_offset", default: 0)
    softcap = try attributes.float("softcap", default: 0)
    mayRound = try attributes.bool("may_round", default: false)
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      (3...4).contains(x.count) && x[0].element.isFloat
        && x[..<3].allSatisfy { $0.element == x[0].element && $0.rank == 4 },
      "attention_c1: operands \(x)")
    let (q, k, v) = (x[0].shape, x[1].shape, x[2].shape)
    let heads = (q[1].constant ?? 0) % max(k[1].constant ?? 1, 1) == 0
    try require(
      mayBeEqual(q[0], k[0]) && mayBeEqual(k[0], v[0]) && mayBeEqual(k[1], v[1]) && heads && mayBeEqual(q[3], k[3])
        && mayBeEqual(k[2], v[2]), "attention_c2: operands \(x)")
    if x.count == 4 {
      let scores = [q[0], q[1], q[2], k[2]]
      let fits =
        x[3].rank <= 4
        && zip(x[3].shape.reversed(), scores.reversed()).allSatisfy { $0 == 1 || mayBeEqual($0, $1) }
      try require(
        fits && (x[3].element == .bool || x[3].element == x[0].element), "attention_c3: mask \(x[3]) for \(scores)")
    }
    return [TensorType(x[0].element, [q[0], q[1], q[2], v[3]])]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let (batch, heads, queries, depth) = (x[0].shape[0], x[0].shape[1], x[0].shape[2], x[0].shape[3])
    let (keyHeads, keys, width) = (x[1].shape[1], x[1].shape[2], x[2].shape[3])
    let (q, k, v) = (x[0].doubles, x[1].doubles, x[2].doubles)
    let mask = x.count > 3 ? additive(x[3].broadcast(to: [batch, heads, queries, keys])) : nil
    let offset = try [causalOffset].integers()[0]
    var result = [Double](repeating: 0, count: batch * heads * queries * width)
    for b in 0..<batch {
      for h in 0..<heads {
        let keyStart = (b * keyHeads + h * keyHeads / heads) * keys
        for i in 0..<queries {
          let row = (b * heads + h) * queries + i
          var scores = (0..<keys).map { j in
            let dot = (0..<depth).reduce(0) { $0 + q[row * depth + $1] * k[(keyStart + j) * depth + $1] }
            return softcap == 0 ? dot * scale : softcap * tanh(dot * scale / softcap)
          }
          for j in 0..<keys {
            if let mask { scores[j] += mask[row * keys + j] }
            if causal && j > i + offset { scores[j] = -.infinity }
          }
          let largest = scores.max() ?? -.infinity
          if largest == -.infinity { continue }
          let weights = scores.map { exp($0 - largest) }
          let sum = weights.reduce(0, +)
          for e in 0..<width {
            result[row * width + e] = (0..<keys).reduce(0) { $0 + weights[$1] * v[(keyStart + $1) * width + e] } / sum
          }
        }
      }
    }
    return [HostTensor(x[0].element, [batch, heads, queries, width], .floats(result))]
  }

  private func additive(_ mask: HostTensor) -> [Double] {
    mask.element == .bool ? mask.integers.map { $0 != 0 ? 0 : -.infinity } : mask.doubles
  }

  public func substituting(_ bindings: [String: Dim]) -> Attention {
    var copy = self
    copy.causalOffset = causalOffset.substituting(bindings)
    return copy
  }
}

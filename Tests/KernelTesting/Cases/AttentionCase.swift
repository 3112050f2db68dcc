import Glibc
import Kernels
import TensorTypes

/// Attention of f32 queries, keys and values.
public struct AttentionCase: Sendable {
  public var batch = 1
  public var heads = 2
  public var keyHeads = 2
  public var queries = 1
  public var keys = 1
  public var depth = 32
  public var valueDepth = 32
  public var mask: ElementType?
  public var masksRows = true
  /// Query i sees keys j ≤ i + keys − queries.
  public var isCausal = false
  public var softcap = 0.0
  public var isSymbolic = false
  /// The number of keys is known only at run time, that of queries in advance, as in a decoder's step.
  public var isStep = false
  public var headsInside = false
  public var mayRound = false

  public init(
    batch: Int = 1, heads: Int = 2, keyHeads: Int = 2, queries: Int = 1, keys: Int = 1, depth: Int = 32,
    valueDepth: Int = 32, mask: ElementType? = nil, masksRows: Bool = true, isCausal: Bool = false,
    softcap: Double = 0, isSymbolic: Bool = false, isStep: Bool = false, headsInside: Bool = false
  ) {
    (self.batch, self.heads, self.keyHeads) = (batch, heads, keyHeads)
    (self.queries, self.keys, self.depth, self.valueDepth) = (queries, keys, depth, valueDepth)
    (self.mask, self.masksRows, self.isCausal, self.softcap) = (mask, masksRows, isCausal, softcap)
    (self.isSymbolic, self.isStep, self.headsInside) = (isSymbolic, isStep, headsInside)
  }

  /// - Parameter decode: few queries over many keys.
  public static func random(decode: Bool, _ g: inout SeededGenerator) -> AttentionCase {
    let keyHeads = g.size(1...2)
    let depth = g.edge([8, 16], most: 40)
    var drawn = AttentionCase(
      batch: g.pick(1, 1, 2), heads: keyHeads * g.size(1...(decode ? 4 : 2)), keyHeads: keyHeads,
      queries: decode
        ? g.size(1...(g.flip() ? 4 : 24)) : g.flip(0.3) ? g.edge([16, 32, 64], most: 130) : g.edge([4, 6], most: 29),
      keys: g.flip(0.15) ? g.edge([64, 128], most: 300) : g.edge([8, 16], most: 67), depth: depth,
      valueDepth: g.flip() ? depth : g.edge([8, 16], most: 40), mask: g.pick(nil, .bool, .float32),
      masksRows: g.flip(), isCausal: g.flip(0.4), softcap: g.flip(0.2) ? 3 : 0, isSymbolic: !decode && g.flip(0.3),
      isStep: decode && g.flip(), headsInside: g.flip())
    drawn.mayRound = !decode && g.flip(0.4)
    return drawn
  }

  /// `[batch, head, length, depth]`, in memory either so or as `[batch, length, head, depth]`.
  private func view(_ heads: Int, _ length: Dim, _ depth: Int) -> View {
    headsInside
      ? .transposed(.float32, [Dim(batch), length, Dim(heads), Dim(depth)], [0, 2, 1, 3])
      : View(.float32, [Dim(batch), Dim(heads), length, Dim(depth)])
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    let (sq, sk): (Dim, Dim) =
      isSymbolic ? (.symbol("q"), .symbol("k")) : (Dim(queries), isStep ? .symbol("k") : Dim(keys))
    let sizes = isSymbolic ? ["q": queries, "k": keys] : isStep ? ["k": keys] : [:]
    let maskView = mask.map { type in
      View(type, [Dim(batch), 1, masksRows ? sq : 1, sk]).broadcast(to: [Dim(batch), Dim(heads), sq, sk])
    }
    let w = AttentionWorkload(
      q: view(heads, sq, depth), k: view(keyHeads, sk, depth), v: view(keyHeads, sk, valueDepth), mask: maskView,
      scale: 0.3, softcap: softcap, causalOffset: isCausal ? sk - sq : nil, mayRound: mayRound,
      output: view(heads, sq, valueDepth))
    let inputs = samples(w.operands, sizes: sizes, &generator)
    let rounding = mayRound ? allowRounding(inputs, count: 3, &generator) : 0
    let results = results(inputs)
    // A score of size s = Σ|q·k| has an error of depth·ε·s, and a few ulp of the cap from tanh, which the exponential
    // makes relative; values are below 2.
    var tolerance = 2 * (Double(depth) * 4 * 0.3 * Double(depth) + Double(keys) + 4 * softcap) * 0x1p-24 + 1e-6
    // The same of rounded queries and keys, of numerators and sums, and of values; exponentials are rounded in any case.
    tolerance += 2 * rounding * (2 * 4 * 0.3 * Double(depth) + 0.5) + (mayRound ? 2 * 0x1.01p-8 : 0)
    return KernelCase(.attention(w), sizes: sizes, inputs: inputs) {
      Expected(value: .float(results[$0]!), tolerance: tolerance)
    }
  }

  private func results(_ inputs: [Sample]) -> [[Int]: Double] {
    var results: [[Int]: Double] = [:]
    forEachIndex([batch, heads, queries]) { i in
      let keyHead = i[1] / (heads / keyHeads)
      let scores = (0..<keys).map { j in
        var score =
          0.3 * (0..<depth).reduce(0) { $0 + inputs[0][i + [$1]].double * inputs[1][[i[0], keyHead, j, $1]].double }
        if softcap != 0 { score = softcap * tanh(score / softcap) }
        if let mask {
          let value = inputs[3][i + [j]].double
          score = mask == .bool ? (value != 0 ? score : -.infinity) : score + value
        }
        return isCausal && j > i[2] + keys - queries ? -.infinity : score
      }
      let largest = scores.max() ?? -.infinity
      let weights = scores.map { largest == -.infinity ? 0 : exp($0 - largest) }
      let sum = weights.reduce(0, +)
      for e in 0..<valueDepth {
        let weighted = (0..<keys).reduce(0) { $0 + weights[$1] * inputs[2][[i[0], keyHead, $1, e]].double }
        results[i + [e]] = sum == 0 ? 0 : weighted / sum
      }
    }
    return results
  }
}

import Kernels
import TensorTypes

/// How far a Winograd convolution may be from the exact result.
///
/// Every number that is added up on the way is rounded at most as often as the longest chain has steps: one for each
/// product of a point, `depth`; a handful in each of the two passes of either transform; one for the weights. So the
/// error is at most `steps · ε/2` times the result of the same algorithm on absolute values,
/// `|Aᵀ| Σ (|G||w||Gᵀ| ⊙ |Bᵀ||x||B|) |A|` (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3).
struct WinogradBound {
  private let w: ConvolutionWorkload
  private let (x, weights): (Sample, Sample)
  private let m: Int
  /// Sums over channels for each point, by image, depth, tile and output channel.
  private var known: [[Int]: [Double]] = [:]

  init(_ workload: ConvolutionWorkload, m: Int, _ inputs: [Sample]) {
    w = workload
    (x, weights) = (inputs[0], inputs[1])
    self.m = m
  }

  private static let one: [[Double]] = [[1]]

  /// Matrices along a dimension: it may be one that is not transformed.
  private func matrices(_ dimension: Int) -> (input: [[Double]], weights: [[Double]], inverse: [[Double]]) {
    let isTransformed = dimension >= w.strides.count - 2 && weights.shape[1 + dimension] >= 3
    guard isTransformed else { return (Self.one, Self.one, Self.one) }
    let transform = WinogradTransform(m: m, stride: w.strides[dimension])
    return (transform.input, transform.weights, transform.inverse)
  }

  /// How far apart the outputs of a tile lie along each dimension.
  private func spacing(_ all: [(input: [[Double]], weights: [[Double]], inverse: [[Double]])]) -> [Int] {
    all.indices.map { all[$0].inverse.count > 1 ? w.dilations[$0] : 1 }
  }

  mutating func tolerance(_ index: [Int]) -> Double {
    let rank = w.strides.count
    let all = (0..<rank).map { matrices($0) }
    // A tile's positions are of one residue modulo the dilation.
    let apart = spacing(all)
    let outputs = all.map { $0.inverse.count }
    let tile = (0..<rank).map { (d: Int) -> Int in
      let (residue, place) = (index[1 + d] % apart[d], index[1 + d] / apart[d])
      return place / outputs[d] * apart[d] + residue
    }
    let inside = (0..<rank).map { (d: Int) -> Int in index[1 + d] / apart[d] % outputs[d] }
    let key = [index[0]] + tile + [index.last!]
    let points = all.map { $0.input.count }
    let sums = known[key] ?? sums(key, all, points)
    known[key] = sums
    var (magnitude, next) = (0.0, 0)
    forEachIndex(points) { p in
      magnitude += (0..<rank).reduce(sums[next]) { $0 * abs(all[$1].inverse[inside[$1]][p[$1]]) }
      next += 1
    }
    // Of longer windows pieces have up to two taps that are not there.
    let depth = weights.shape.dropFirst().dropLast().reduce(1) { $0 * ($1 > 3 ? $1 + 2 : $1) }
    return Double(depth + 24) * 0x1p-24 * (magnitude + 4)
  }

  private func sums(
    _ key: [Int], _ all: [(input: [[Double]], weights: [[Double]], inverse: [[Double]])], _ points: [Int]
  )
    -> [Double]
  {
    let rank = w.strides.count
    let (perGroup, outputs) = (weights.shape[1 + rank], weights.shape[2 + rank])
    let (group, column) = (key.last! / outputs, key.last! % outputs)
    let window = Array(weights.shape[1...rank])
    let spacing = spacing(all)
    var result = [Double](repeating: 0, count: points.reduce(1, *))
    // Taps along dimensions that are not transformed are summed over, and pieces of three along those that are.
    let isPlain = all.map { $0.weights.count == 1 }
    let plain = (0..<rank).map { isPlain[$0] ? window[$0] : (window[$0] + 2) / 3 }
    forEachIndex(plain + [perGroup]) { at in
      let channel = at.last!
      var next = 0
      forEachIndex(points) { p in
        var (input, filter) = (0.0, 0.0)
        forEachIndex(points) { q in
          let place = (0..<rank).map { (d: Int) -> Int in
            let (apart, outputs) = (spacing[d], all[d].inverse.count)
            let first = key[1 + d] / apart * outputs * apart + key[1 + d] % apart
            return first * w.strides[d] - w.padsBefore[d] + q[d] * apart + at[d] * (isPlain[d] ? 1 : 3) * w.dilations[d]
          }
          guard (0..<rank).allSatisfy({ (0..<x.shape[1 + $0]).contains(place[$0]) }) else { return }
          let factor = (0..<rank).reduce(1.0) { $0 * abs(all[$1].input[p[$1]][q[$1]]) }
          input += factor * abs(x[[key[0]] + place + [group * perGroup + channel]].double)
        }
        forEachIndex(isPlain.map { $0 ? 1 : 3 }) { t in
          let factor = (0..<rank).reduce(1.0) { $0 * abs(all[$1].weights[p[$1]][t[$1]]) }
          let tap = (0..<rank).map { t[$0] + at[$0] * (isPlain[$0] ? 1 : 3) }
          guard zip(tap, window).allSatisfy(<) else { return }
          filter += factor * abs(weights[[group] + tap + [channel, column]].double)
        }
        result[next] += input * filter
        next += 1
      }
    }
    return result
  }
}

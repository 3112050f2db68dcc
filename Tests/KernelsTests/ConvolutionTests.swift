import KernelTesting
import LLVMBackend
import TensorTypes
import Testing

@testable import Kernels

@Suite struct ConvolutionTests {
  struct Case: Sendable {
    var space: [Int]
    var channels = 3
    var outputs = 5
    var window: [Int]
    var strides: [Int]
    var dilations: [Int]
    var before: [Int]
    var after: [Int]
    var groups = 1
    var channelsLast = true
    var isSymbolic = false
    var wIsConstant = true

    init(
      _ space: [Int], _ channels: Int, _ outputs: Int, window: [Int], stride: Int = 1, dilation: Int = 1, pad: Int = 0,
      groups: Int = 1, channelsLast: Bool = true, isSymbolic: Bool = false, wIsConstant: Bool = true
    ) {
      (self.space, self.channels, self.outputs, self.window) = (space, channels, outputs, window)
      strides = space.map { _ in stride }
      dilations = space.map { _ in dilation }
      before = space.map { _ in pad }
      after = space.map { _ in pad }
      (self.groups, self.channelsLast, self.isSymbolic) = (groups, channelsLast, isSymbolic)
      self.wIsConstant = wIsConstant
    }
  }

  /// - Parameter winograd: m of the F(m×m, 3×3) to check; nil: every template but Winograd's.
  private func check(_ c: Case, knobs: [Knobs] = [], winograd m: Int? = nil) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let output = c.space.indices.map {
      (c.space[$0] + c.before[$0] + c.after[$0] - (c.window[$0] - 1) * c.dilations[$0] - 1) / c.strides[$0] + 1
    }
    func dims(_ sizes: [Int], _ prefix: String) -> [Dim] {
      sizes.enumerated().map { c.isSymbolic ? .symbol("\(prefix)\($0)") : Dim($1) }
    }
    var sizes: [String: Int] = [:]
    if c.isSymbolic { for d in c.space.indices { (sizes["x\(d)"], sizes["y\(d)"]) = (c.space[d], output[d]) } }
    let rank = c.space.count
    let x: View =
      c.channelsLast
      ? View(.float32, [2] + dims(c.space, "x") + [Dim(c.channels)])
      : .transposed(.float32, [2, Dim(c.channels)] + dims(c.space, "x"), [0] + Array(2..<rank + 2) + [1])
    let (perGroup, outPerGroup) = (c.channels / c.groups, c.outputs / c.groups)
    // As models store it: output channel, channel, taps.
    let taps = c.window.reduce(1, *)
    let tapStrides = (0..<rank).map { d in Dim(c.window[(d + 1)...].reduce(1, *)) }
    let w = View(
      .float32, [Dim(c.groups)] + c.window.map { Dim($0) } + [Dim(perGroup), Dim(outPerGroup)],
      strides: [Dim(outPerGroup * perGroup * taps)] + tapStrides + [Dim(taps), Dim(perGroup * taps)])
    let (epilogue, finish) = epilogue(View(.float32, [2] + dims(output, "y") + [Dim(c.outputs)]), &generator)
    let workload = ConvolutionWorkload(
      x: x, w: w, wIsConstant: c.wIsConstant, strides: c.strides, dilations: c.dilations, padsBefore: c.before,
      groups: c.groups, epilogue: epilogue)
    let inputs = samples(workload.operands, sizes: sizes, &generator)
    var bound = m.map { WinogradBound(workload, m: $0, inputs) }
    func isMeant(_ template: any KernelTemplate) -> Bool { (template is Winograd) == (m != nil) }
    try KernelsTests.check(
      .convolution(workload), sizes: sizes, inputs: inputs, seed: seed, knobs: knobs, templates: isMeant
    ) { i in
      let (group, column) = (i.last! / outPerGroup, i.last! % outPerGroup)
      var (sum, magnitude) = (0.0, 0.0)
      forEachIndex(c.window) { tap in
        let place = tap.indices.map { i[1 + $0] * c.strides[$0] + tap[$0] * c.dilations[$0] - c.before[$0] }
        guard place.indices.allSatisfy({ (0..<c.space[$0]).contains(place[$0]) }) else { return }
        for channel in 0..<perGroup {
          let product =
            inputs[0][[i[0]] + place + [group * perGroup + channel]].double
            * inputs[1][[group] + tap + [channel, column]].double
          sum += product
          magnitude += abs(product)
        }
      }
      let value = finish(sum, (2...4).map { inputs[$0][i].double })
      return Expected(value: .float(value), tolerance: bound?.tolerance(i) ?? tolerance(taps * perGroup, magnitude))
    }
  }

  @Test(arguments: [
    Case([9, 13], 5, 19, window: [3, 3], pad: 1), Case([9, 13], 5, 16, window: [3, 3], pad: 1, channelsLast: false),
    Case([9, 13], 8, 17, window: [3, 3], pad: 1, isSymbolic: true),
    Case([15, 14], 3, 9, window: [7, 7], stride: 2, pad: 3),
    Case([12, 12], 4, 6, window: [3, 2], dilation: 2, pad: 2),
    Case([10, 10], 6, 9, window: [3, 3], pad: 1, groups: 3),
    Case([11], 7, 8, window: [5], stride: 2, pad: 2), Case([4, 5, 6], 3, 8, window: [2, 3, 3], pad: 1),
    Case([1, 1], 3, 4, window: [3, 3], pad: 1), Case([5, 5], 2, 3, window: [5, 5]),
    Case([6, 40], 9, 33, window: [1, 1], stride: 2),
    Case([9, 13], 6, 38, window: [3, 3], pad: 1, groups: 2, wIsConstant: false),
    Case([9, 13], 5, 7, window: [2, 3], pad: -1), Case([30], 4, 9, window: [3], dilation: 4, pad: -2),
  ])
  func implicitGEMM(_ c: Case) throws { try check(c) }

  @Test(
    arguments: [
      Case([9, 13], 17, 19, window: [3, 3], pad: 1), Case([8, 8], 16, 16, window: [3, 3]),
      Case([9, 13], 16, 35, window: [3, 3], pad: 1, channelsLast: false),
      Case([13, 9], 8, 8, window: [3, 3], pad: 1, isSymbolic: true), Case([5, 3], 32, 40, window: [3, 3], groups: 2),
      Case([1, 2], 8, 9, window: [3, 3], pad: 2), Case([27], 9, 10, window: [3], pad: 1),
      Case([4, 5, 6], 8, 8, window: [3, 3, 3], pad: 1), Case([7, 7], 8, 8, window: [3, 3], pad: -1),
    ], [2, 4])
  func winograd(_ c: Case, m: Int) throws {
    try check(
      c,
      knobs: [
        ["m": m, "mr": 3, "nr": 8, "tiles": 2, "panels": 2, "nc": 3, "unroll": 2, "prefetch": 2],
        ["m": m, "mr": 6, "nr": 8, "tiles": 1, "panels": 1, "nc": 1, "unroll": 4, "prefetch": 0],
      ], winograd: m)
  }

  @Test(arguments: [
    Case([9, 13], 19, 19, window: [3, 3], pad: 1, groups: 19),
    Case([8, 30], 16, 16, window: [3, 3], stride: 2, pad: 1, groups: 16),
    Case([9, 13], 20, 20, window: [5, 5], dilation: 2, pad: 4, groups: 20, isSymbolic: true),
    Case([33], 8, 8, window: [4], pad: 1, groups: 8), Case([33], 9, 9, window: [3], pad: -2, groups: 9),
    Case([9, 9], 21, 21, window: [3, 3], pad: 1, groups: 21, wIsConstant: false),
    Case([3, 3], 40, 40, window: [7, 7], pad: 3, groups: 40),
    Case([4, 4, 7], 6, 6, window: [3, 3, 3], pad: 1, groups: 6),
  ])
  func depthwise(_ c: Case) throws { try check(c, knobs: []) }
}

/// How far a Winograd convolution may be from the exact result.
///
/// Every number that is added up on the way is rounded at most as often as the longest chain has steps: one for each
/// product of a point, `depth`; a handful in each of the two passes of either transform; one for the weights. So the
/// error is at most `steps · ε/2` times the result of the same algorithm on absolute values,
/// `|Aᵀ| Σ (|G||w||Gᵀ| ⊙ |Bᵀ||x||B|) |A|` (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3).
private struct WinogradBound {
  private let w: ConvolutionWorkload
  private let (x, weights): (Sample, Sample)
  private let transform: WinogradTransform
  /// Sums over channels for each point, by image, depth, tile and output channel.
  private var known: [[Int]: [Double]] = [:]

  init(_ workload: ConvolutionWorkload, m: Int, _ inputs: [Sample]) {
    w = workload
    (x, weights) = (inputs[0], inputs[1])
    transform = WinogradTransform(outputs: m)
  }

  private static let one: [[Double]] = [[1]]

  /// Matrices along a dimension: it may be one that is not transformed.
  private func matrices(_ dimension: Int) -> (input: [[Double]], weights: [[Double]], inverse: [[Double]]) {
    let isTransformed = dimension >= w.strides.count - 2 && weights.shape[1 + dimension] == 3
    return isTransformed ? (transform.input, transform.weights, transform.inverse) : (Self.one, Self.one, Self.one)
  }

  mutating func tolerance(_ index: [Int]) -> Double {
    let rank = w.strides.count
    let all = (0..<rank).map { matrices($0) }
    let tile = (0..<rank).map { index[1 + $0] / all[$0].inverse.count }
    let inside = (0..<rank).map { index[1 + $0] % all[$0].inverse.count }
    let key = [index[0]] + tile + [index.last!]
    let points = all.map { $0.input.count }
    let sums = known[key] ?? sums(key, all, points)
    known[key] = sums
    var (magnitude, next) = (0.0, 0)
    forEachIndex(points) { p in
      magnitude += (0..<rank).reduce(sums[next]) { $0 * abs(all[$1].inverse[inside[$1]][p[$1]]) }
      next += 1
    }
    let depth = weights.shape.dropFirst().dropLast().reduce(1, *)
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
    var result = [Double](repeating: 0, count: points.reduce(1, *))
    // Taps along dimensions that are not transformed are summed over.
    let plain = (0..<rank).map { all[$0].weights.count == 1 ? window[$0] : 1 }
    forEachIndex(plain + [perGroup]) { at in
      let channel = at.last!
      var next = 0
      forEachIndex(points) { p in
        var (input, filter) = (0.0, 0.0)
        forEachIndex(points) { q in
          let place = (0..<rank).map { (d: Int) -> Int in
            let first = key[1 + d] * all[d].inverse.count - w.padsBefore[d]
            return first + q[d] + at[d] * w.dilations[d]
          }
          guard (0..<rank).allSatisfy({ (0..<x.shape[1 + $0]).contains(place[$0]) }) else { return }
          let factor = (0..<rank).reduce(1.0) { $0 * abs(all[$1].input[p[$1]][q[$1]]) }
          input += factor * abs(x[[key[0]] + place + [group * perGroup + channel]].double)
        }
        forEachIndex(all.map { $0.weights.count == 1 ? 1 : 3 }) { t in
          let factor = (0..<rank).reduce(1.0) { $0 * abs(all[$1].weights[p[$1]][t[$1]]) }
          let tap = (0..<rank).map { t[$0] + at[$0] }
          filter += factor * abs(weights[[group] + tap + [channel, column]].double)
        }
        result[next] += input * filter
        next += 1
      }
    }
    return result
  }
}

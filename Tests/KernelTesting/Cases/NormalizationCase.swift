import Glibc
import Kernels
import TensorTypes

/// Rows normalised, with a scale per element and a constant added.
public struct NormalizationCase: Sendable {
  public var kind: NormalizationWorkload.Kind
  public var x: View
  public var rowRank: Int
  public var sizes: [String: Int]
  /// One element of a row each unless it is given, as layer normalisation has it.
  public var scale: View?

  public init(
    _ kind: NormalizationWorkload.Kind, _ x: View, rowRank: Int, sizes: [String: Int] = [:], scale: View? = nil
  ) {
    (self.kind, self.x, self.rowRank, self.sizes, self.scale) = (kind, x, rowRank, sizes, scale)
  }

  public static let kinds: [NormalizationWorkload.Kind] = [
    .softmax, .logSoftmax, .layer(epsilon: 1e-5), .rms(epsilon: 1e-6),
  ]

  public static func random(_ g: inout SeededGenerator) -> NormalizationCase {
    let kind = g.pick(kinds)
    var sizes = DrawnSizes(g.flip(0.3))
    let rank = g.size(1...3)
    let shape = [Dim(g.size(1...3))] + (0..<rank).map { sizes.dim("n\($0)", g.edge(most: [131, 19, 9][rank - 1])) }
    switch g.size(0...8) {
    case 0...1: return NormalizationCase(kind, View(.float32, shape), rowRank: rank, sizes: sizes.values)
    case 2...3: return NormalizationCase(kind, View(.float32, shape), rowRank: 1, sizes: sizes.values)
    case 4...5:
      // Rows that run across vectors.
      let turned = [shape[0], Dim(g.size(1...9)), shape[1]]
      return NormalizationCase(
        kind, .transposed(.float32, turned, [0, 2, 1]), rowRank: 1, sizes: sizes.values.filter { $0.key == "n0" })
    case 6:
      // Rows that are cut into pieces.
      let long = [Dim(g.size(1...5)), Dim(g.size(1...2)), Dim(32_768 + g.edge([16, 64, 4096], most: 8192))]
      return NormalizationCase(
        g.pick(.layer(epsilon: 1e-5), .rms(epsilon: 1e-6)), View(.float32, long), rowRank: g.size(1...2))
    default:
      let (h, w) = (g.edge(most: 19), g.size(1...9))
      var open = DrawnSizes(g.flip(0.3))
      let (x, scale) = groups(g.pick(1, 2, 3, 4), g.edge(most: 33), open.dim("h", h), open.dim("w", w))
      return NormalizationCase(.layer(epsilon: 1e-5), x, rowRank: 3, sizes: open.values, scale: scale)
    }
  }

  /// Groups of neighbouring channels, channels innermost: dimensions image, group, row, column, channel of the group;
  /// and a scale of one element a channel.
  public static func groups(_ groups: Int, _ width: Int, _ h: Dim, _ w: Dim) -> (x: View, scale: View) {
    let channels = Dim(groups * width)
    let shape = [2, Dim(groups), h, w, Dim(width)]
    let x = View(.float32, shape, strides: [h * w * channels, Dim(width), w * channels, channels, 1])
    return (x, View(.float32, shape, strides: [0, Dim(width), 0, 0, 1]))
  }

  /// - Parameter offset: added to every element of x: a mean that is large beside the variance.
  public func kernelCase(_ generator: inout SeededGenerator, offset: Double = 0) -> KernelCase {
    let expression = Expression(inputs: [.float32, .float32]) { e in
      e.binary(.add, e.binary(.multiply, e.input(0), e.input(1)), e.constant(0.25, .float32))
    }
    let scale = scale ?? View(.float32, Array(x.shape.suffix(rowRank))).broadcast(to: x.shape)
    let epilogue = Epilogue(
      expression: expression, operands: [scale], output: View(.float32, x.shape, strides: x.strides))
    let inputs = samples([x, scale], sizes: sizes, &generator)
    if offset != 0 {
      let memory = inputs[0].memory
      for i in 0..<memory.count { memory[i] = .float(ElementType.float32.rounded(memory[i].double + offset)) }
    }
    let (outer, row) = (Array(inputs[0].shape.dropLast(rowRank)), Array(inputs[0].shape.suffix(rowRank)))
    let count = row.reduce(1, *)
    var statistics: [[Int]: Statistics] = [:]
    forEachIndex(outer) { o in
      var values: [Double] = []
      values.reserveCapacity(count)
      forEachIndex(row) { values.append(inputs[0][o + $0].double) }
      statistics[o] = Statistics(values, kind)
    }
    // Sums of n terms in 8 or more lanes, then a few roundings of numbers below 16.
    let tolerance = 16 * 0x1p-24 * (16 + Double(count) / 8)
    // What is taken away and what it is taken from, of this size, are each rounded a few times; the difference is then
    // divided, by as little as √ε where a row's elements are nearly one number, and multiplied by a scale up to 2.
    // A mean is a sum of numbers of its size, in a chain of a lane: the i-th addition rounds i means, all of them √n / 3 of a rounding of
    // the mean where they are independent; six times that.
    let chain = Double(count) / (x.strides.last == 1 ? 8 : 1)
    let rounding = 2 * 0x1p-24 * (4 * (2 + abs(offset)) + 2 * chain.squareRoot() * abs(offset))
    let workload = Workload.normalization(NormalizationWorkload(kind: kind, x: x, rowRank: rowRank, epilogue: epilogue))
    let (known, rowRank) = (statistics, rowRank)
    return KernelCase(workload, sizes: sizes, inputs: inputs) { index in
      let row = known[Array(index.dropLast(rowRank))]!
      let value = row.normalised(inputs[0][index].double) * inputs[1][index].double + 0.25
      return Expected(value: .float(value), tolerance: tolerance + rounding / row.divisor)
    }
  }

  /// What a row's elements are normalised by.
  private struct Statistics {
    let kind: NormalizationWorkload.Kind
    var (shift, scale) = (0.0, 1.0)

    init(_ values: [Double], _ kind: NormalizationWorkload.Kind) {
      self.kind = kind
      let n = Double(values.count)
      switch kind {
      case .softmax, .logSoftmax:
        let largest = values.max() ?? 0
        shift = largest
        scale = values.reduce(0) { $0 + exp($1 - largest) }
      case .layer(let epsilon):
        let mean = values.reduce(0, +) / n
        shift = mean
        scale = sqrt(values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n + epsilon)
      case .rms(let epsilon): scale = sqrt(values.reduce(0) { $0 + $1 * $1 } / n + epsilon)
      }
    }

    /// What differences are divided by.
    var divisor: Double {
      switch kind {
      case .softmax, .logSoftmax: 1
      case .layer, .rms: scale
      }
    }

    func normalised(_ x: Double) -> Double {
      switch kind {
      case .softmax: exp(x - shift) / scale
      case .logSoftmax: x - shift - log(scale)
      case .layer, .rms: (x - shift) / scale
      }
    }
  }
}

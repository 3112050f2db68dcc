import Glibc
import Kernels
import TensorTypes

/// Pooling of two images over one to three dimensions of space.
public struct PoolCase: Sendable {
  public var kind: PoolWorkload.Kind
  public var space: [Int]
  public var channels: Int
  public var window: [Int]
  public var strides: [Int]
  public var dilations: [Int]
  public var before: [Int]
  public var after: [Int]
  public var channelsLast: Bool
  public var isSymbolic: Bool

  public init(
    _ kind: PoolWorkload.Kind, _ space: [Int], channels: Int, window: [Int], strides: [Int], dilations: [Int],
    before: [Int], after: [Int], channelsLast: Bool, isSymbolic: Bool
  ) {
    (self.kind, self.space, self.channels, self.window) = (kind, space, channels, window)
    (self.strides, self.dilations, self.before, self.after) = (strides, dilations, before, after)
    (self.channelsLast, self.isSymbolic) = (channelsLast, isSymbolic)
  }

  public static let kinds: [PoolWorkload.Kind] = [
    .maximum, .average(countsPadding: false), .average(countsPadding: true),
  ]

  public static func random(_ g: inout SeededGenerator) -> PoolCase {
    let rank = g.pick(1, 2, 2, 3)
    let window = (0..<rank).map { _ in g.size(1...4) }
    let dilations = (0..<rank).map { _ in g.pick(1, 1, 1, 2) }
    // A window that lies in the padding whole has no mean.
    let (before, after) = (window.map { g.size(0...($0 - 1)) }, window.map { g.size(0...($0 - 1)) })
    var space = (0..<rank).map { d in
      max((window[d] - 1) * dilations[d] + 1, g.edge([4, 8], most: [67, 19, 7][rank - 1]))
    }
    // Rows so long that a task takes a part of them.
    if rank == 2, g.flip(0.15) { space[1] = g.size(60...300) }
    return PoolCase(
      g.pick(kinds), space, channels: g.edge([8, 16], most: 37), window: window,
      strides: (0..<rank).map { _ in g.size(1...3) }, dilations: dilations, before: before, after: after,
      channelsLast: g.flip(), isSymbolic: g.flip(0.3))
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    let output = space.indices.map {
      (space[$0] + before[$0] + after[$0] - (window[$0] - 1) * dilations[$0] - 1) / strides[$0] + 1
    }
    var sizes = DrawnSizes(isSymbolic)
    func view(_ lengths: [Int], _ prefix: String) -> View {
      let dims = lengths.enumerated().map { sizes.dim("\(prefix)\($0)", $1) }
      return channelsLast
        ? View(.float32, [2] + dims + [Dim(channels)])
        : .transposed(.float32, [2, Dim(channels)] + dims, [0] + Array(2..<(dims.count + 2)) + [1])
    }
    let w = PoolWorkload(
      kind: kind, x: view(space, "x"), window: window, strides: strides, dilations: dilations, padsBefore: before,
      padsAfter: after, output: view(output, "y"))
    let inputs = samples([w.x], sizes: sizes.values, &generator)
    return KernelCase(.pool(w), sizes: sizes.values, inputs: inputs) { expected(at: $0, inputs[0]) }
  }

  private func expected(at index: [Int], _ x: Sample) -> Expected {
    var values: [Double] = []
    var counted = 0
    forEachIndex(window) { tap in
      let position = tap.indices.map { index[1 + $0] * strides[$0] + tap[$0] * dilations[$0] - before[$0] }
      if position.indices.allSatisfy({ position[$0] < space[$0] + after[$0] }) { counted += 1 }
      if position.indices.allSatisfy({ (0..<space[$0]).contains(position[$0]) }) {
        values.append(x[[index[0]] + position + [index.last!]].double)
      }
    }
    switch kind {
    case .maximum: return Expected(value: .float(values.max() ?? -.infinity))
    case .average(let countsPadding):
      let mean = values.reduce(0, +) / Double(countsPadding ? counted : values.count)
      return Expected(value: .float(mean), tolerance: Double(window.reduce(1, *) + 2) * 2 * 0x1p-24)
    }
  }
}

/// Interpolation, written from ONNX's definition of Resize.
public struct ResizeCase: Sendable {
  public var from: [Int]
  public var to: [Int]
  public var scales: [Double]
  public var mode: String
  public var coordinates: String
  public var nearest: String
  public var isSymbolic: Bool

  public init(
    _ from: [Int], _ to: [Int], _ scales: [Double], _ mode: String, _ coordinates: String, _ nearest: String,
    isSymbolic: Bool = false
  ) {
    (self.from, self.to, self.scales, self.mode) = (from, to, scales, mode)
    (self.coordinates, self.nearest, self.isSymbolic) = (coordinates, nearest, isSymbolic)
  }

  public static let coordinateModes = [
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn",
  ]
  public static let modes = ["nearest", "linear", "cubic"]
  public static let nearestModes = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]

  public static func random(_ g: inout SeededGenerator) -> ResizeCase {
    let rank = g.size(1...4)
    let resized = g.size(1...min(2, rank))
    let first = g.size(0...(rank - resized))
    var (from, to, scales) = ([Int](), [Int](), [Double]())
    for d in 0..<rank {
      let size = g.edge([8], most: [67, 23, 9, 7][rank - 1])
      from.append(size)
      if d < first || d >= first + resized {
        to.append(size)
        scales.append(1)
      } else if g.flip() {
        // Scales that are powers of two, and their inverses, keep coordinates exact where ties are decided.
        let scale = g.pick(0.5, 2.0, 4.0)
        scales.append(scale)
        to.append(max(1, Int(Double(size) * scale)))
      } else {
        to.append(g.edge([8], most: 33))
        scales.append(0)
      }
    }
    return ResizeCase(
      from, to, scales, g.pick(modes), g.pick(coordinateModes), g.pick(nearestModes), isSymbolic: g.flip(0.3))
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    var sizes = DrawnSizes(isSymbolic)
    func view(_ shape: [Int], _ prefix: String) -> View {
      View(.float32, shape.enumerated().map { scales[$0] == 1 ? Dim($1) : sizes.dim("\(prefix)\($0)", $1) })
    }
    let w = ResizeWorkload(
      x: view(from, "x"), mode: mode, coordinateMode: coordinates, nearestMode: nearest, cubicCoefficient: -0.75,
      scales: scales, output: view(to, "y"))
    let inputs = samples([w.x], sizes: sizes.values, &generator)
    // Per dimension and output position: input positions and weights.
    let taps = from.indices.map { d in
      (0..<to[d]).map { o -> [(Int, Double)] in
        // A dimension that keeps its size is copied, whatever the mode.
        if from[d] == to[d], scales[d] == 1 || scales[d] == 0 { return [(o, 1)] }
        let scale = scales[d] == 0 ? Double(to[d]) / Double(from[d]) : scales[d]
        let x = coordinate(coordinates, Double(o), scale, Double(from[d]), Double(to[d]))
        return self.taps(mode, nearest, x).map { (min(max($0.0, 0), from[d] - 1), $0.1) }
      }
    }
    let isExact = mode == "nearest"
    return KernelCase(.resize(w), sizes: sizes.values, inputs: inputs) { index in
      let choices = index.indices.map { taps[$0][index[$0]] }
      var sum = 0.0
      forEachIndex(choices.map(\.count)) { pick in
        let chosen = pick.indices.map { choices[$0][pick[$0]] }
        sum += chosen.reduce(inputs[0][chosen.map(\.0)].double) { $0 * $1.1 }
      }
      // Weights of up to 1.3, rounded to f32, of values up to 2.
      return Expected(value: .float(sum), tolerance: isExact ? 0 : 40 * 0x1p-24)
    }
  }

  private func coordinate(_ mode: String, _ o: Double, _ scale: Double, _ input: Double, _ output: Double) -> Double {
    switch mode {
    case "half_pixel": (o + 0.5) / scale - 0.5
    case "half_pixel_symmetric": input / 2 * (1 - output / (scale * input)) + ((o + 0.5) / scale - 0.5)
    case "pytorch_half_pixel": output == 1 ? 0 : (o + 0.5) / scale - 0.5
    case "align_corners": output == 1 ? 0 : o * (input - 1) / (output - 1)
    case "asymmetric": o / scale
    default: (o + 0.5) / scale
    }
  }

  private func taps(_ mode: String, _ nearest: String, _ x: Double) -> [(Int, Double)] {
    let base = floor(x)
    switch mode {
    case "nearest":
      switch nearest {
      case "round_prefer_floor": return [(Int(ceil(x - 0.5)), 1)]
      case "round_prefer_ceil": return [(Int(floor(x + 0.5)), 1)]
      case "floor": return [(Int(base), 1)]
      default: return [(Int(ceil(x)), 1)]
      }
    case "linear": return [(Int(base), 1 - (x - base)), (Int(base) + 1, x - base)]
    default:
      let a = -0.75
      return (-1...2).map { tap in
        let d = abs(base + Double(tap) - x)
        let weight =
          d <= 1
          ? (a + 2) * d * d * d - (a + 3) * d * d + 1 : d < 2 ? a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a : 0
        return (Int(base) + tap, weight)
      }
    }
  }
}

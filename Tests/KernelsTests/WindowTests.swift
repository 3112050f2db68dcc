import Glibc
import KernelTesting
import Kernels
import TensorTypes
import Testing

private func checkPool(
  _ kind: PoolWorkload.Kind, _ space: [Int], channels: Int, window: [Int], strides: [Int], dilations: [Int],
  before: [Int], after: [Int], channelsLast: Bool, isSymbolic: Bool
) throws {
  let output = space.indices.map {
    (space[$0] + before[$0] + after[$0] - (window[$0] - 1) * dilations[$0] - 1) / strides[$0] + 1
  }
  func view(_ sizes: [Int], _ prefix: String) -> View {
    let rank = sizes.count
    let dims = sizes.enumerated().map { isSymbolic ? Dim.symbol("\(prefix)\($0)") : Dim($1) }
    return channelsLast
      ? View(.float32, [2] + dims + [Dim(channels)])
      : .transposed(.float32, [2, Dim(channels)] + dims, [0] + Array(2..<(rank + 2)) + [1])
  }
  var sizes: [String: Int] = [:]
  if isSymbolic {
    for d in space.indices { (sizes["x\(d)"], sizes["y\(d)"]) = (space[d], output[d]) }
  }
  let w = PoolWorkload(
    kind: kind, x: view(space, "x"), window: window, strides: strides, dilations: dilations, padsBefore: before,
    padsAfter: after, output: view(output, "y"))
  let seed = freshSeed()
  var generator = SeededGenerator(seed: seed)
  let inputs = samples([w.x], sizes: sizes, &generator)
  try check(.pool(w), sizes: sizes, inputs: inputs, seed: seed) { index in
    var values: [Double] = []
    var counted = 0
    forEachIndex(window) { tap in
      let position = tap.indices.map { index[1 + $0] * strides[$0] + tap[$0] * dilations[$0] - before[$0] }
      if position.indices.allSatisfy({ position[$0] < space[$0] + after[$0] }) { counted += 1 }
      if position.indices.allSatisfy({ (0..<space[$0]).contains(position[$0]) }) {
        values.append(inputs[0][[index[0]] + position + [index.last!]].double)
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

@Suite struct PoolTests {
  @Test(
    arguments: [PoolWorkload.Kind.maximum, .average(countsPadding: false), .average(countsPadding: true)],
    [true, false])
  func windows(kind: PoolWorkload.Kind, channelsLast: Bool) throws {
    for isSymbolic in [false, true] {
      try checkPool(
        kind, [9, 21], channels: 37, window: [3, 3], strides: [2, 2], dilations: [1, 1], before: [1, 1], after: [1, 1],
        channelsLast: channelsLast, isSymbolic: isSymbolic)
      try checkPool(
        kind, [8, 20], channels: 5, window: [2, 2], strides: [2, 2], dilations: [1, 1], before: [0, 0], after: [0, 0],
        channelsLast: channelsLast, isSymbolic: isSymbolic)
      try checkPool(
        kind, [7, 40], channels: 3, window: [2, 4], strides: [1, 1], dilations: [2, 3], before: [2, 3], after: [1, 5],
        channelsLast: channelsLast, isSymbolic: isSymbolic)
      try checkPool(
        kind, [30], channels: 8, window: [5], strides: [3], dilations: [1], before: [2], after: [2],
        channelsLast: channelsLast, isSymbolic: isSymbolic)
      try checkPool(
        kind, [3, 4, 5], channels: 2, window: [2, 2, 3], strides: [1, 2, 1], dilations: [1, 1, 1], before: [0, 1, 1],
        after: [1, 0, 1], channelsLast: channelsLast, isSymbolic: isSymbolic)
    }
  }
}

@Suite struct ResizeTests {
  static let coordinateModes = [
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn",
  ]

  @Test(arguments: coordinateModes, ["nearest", "linear", "cubic"]) func resizes(coordinates: String, mode: String)
    throws
  {
    for nearest in mode == "nearest" ? ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] : ["floor"] {
      try checkResize([2, 6, 5, 19], [2, 12, 10, 19], [1, 2, 2, 1], mode, coordinates, nearest)  // NHWC
      try checkResize([1, 3, 6, 11], [1, 3, 9, 26], [1, 1, 0, 2.4], mode, coordinates, nearest)  // NCHW
    }
    try checkResize([1, 3, 8, 9], [1, 3, 3, 4], [1, 1, 0.4, 0.5], mode, coordinates, "floor")
    try checkResize([2, 7], [2, 1], [1, 0], mode, coordinates, "floor")
    try checkResize([1, 4, 5, 8], [1, 8, 15, 8], [1, 2, 3, 1], mode, coordinates, "floor", isSymbolic: true)
    try checkResize([1, 4, 5, 8], [1, 4, 10, 16], [1, 1, 2, 2], mode, coordinates, "floor", isSymbolic: true)
  }

  private func checkResize(
    _ from: [Int], _ to: [Int], _ scales: [Double], _ mode: String, _ coordinates: String, _ nearest: String,
    isSymbolic: Bool = false
  ) throws {
    var sizes: [String: Int] = [:]
    func view(_ shape: [Int], _ prefix: String) -> View {
      View(
        .float32,
        shape.enumerated().map { d, size in
          guard isSymbolic, scales[d] != 1 else { return Dim(size) }
          sizes["\(prefix)\(d)"] = size
          return .symbol("\(prefix)\(d)")
        })
    }
    let w = ResizeWorkload(
      x: view(from, "x"), mode: mode, coordinateMode: coordinates, nearestMode: nearest, cubicCoefficient: -0.75,
      scales: scales, output: view(to, "y"))
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let inputs = samples([w.x], sizes: sizes, &generator)
    // Per dimension and output position: input positions and weights.
    let taps = from.indices.map { d in
      (0..<to[d]).map { o -> [(Int, Double)] in
        if from[d] == to[d], scales[d] == 1 { return [(o, 1)] }
        let scale = scales[d] == 0 ? Double(to[d]) / Double(from[d]) : scales[d]
        let x = coordinate(coordinates, Double(o), scale, Double(from[d]), Double(to[d]))
        return self.taps(mode, nearest, x).map { (min(max($0.0, 0), from[d] - 1), $0.1) }
      }
    }
    try check(.resize(w), sizes: sizes, inputs: inputs, seed: seed) { index in
      let choices = index.indices.map { taps[$0][index[$0]] }
      var sum = 0.0
      forEachIndex(choices.map(\.count)) { pick in
        let chosen = pick.indices.map { choices[$0][pick[$0]] }
        sum += chosen.reduce(inputs[0][chosen.map(\.0)].double) { $0 * $1.1 }
      }
      // Weights of up to 1.3, rounded to f32, of values up to 2.
      return Expected(value: .float(sum), tolerance: mode == "nearest" ? 0 : 40 * 0x1p-24)
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

import KernelTesting
import Kernels
import TensorTypes
import Testing

private func checkPool(
  _ kind: PoolWorkload.Kind, _ space: [Int], channels: Int, window: [Int], strides: [Int], dilations: [Int],
  before: [Int], after: [Int], channelsLast: Bool, isSymbolic: Bool
) throws {
  let seed = freshSeed()
  var generator = SeededGenerator(seed: seed)
  let pool = PoolCase(
    kind, space, channels: channels, window: window, strides: strides, dilations: dilations, before: before,
    after: after, channelsLast: channelsLast, isSymbolic: isSymbolic)
  try check(pool.kernelCase(&generator), seed: seed)
}

@Suite struct PoolTests {
  @Test(
    arguments: PoolCase.kinds, [true, false])
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
      // Rows that are computed in parts.
      try checkPool(
        kind, [2100], channels: 1, window: [3], strides: [1], dilations: [2], before: [1], after: [2],
        channelsLast: channelsLast, isSymbolic: isSymbolic)
      try checkPool(
        kind, [4, 2070], channels: 1, window: [3, 3], strides: [2, 2], dilations: [1, 1], before: [2, 2],
        after: [1, 2],
        channelsLast: channelsLast, isSymbolic: isSymbolic)
    }
  }

  /// Where it stands within a window makes no difference.
  @Test func maximumKeepsNaN() throws {
    let (x, y) = (View(.float32, [1, 1, 7, 21]), View(.float32, [1, 1, 5, 19]))
    let order = [0, 2, 3, 1]
    let w = PoolWorkload(
      kind: .maximum, x: x.permuted(order), window: [3, 3], strides: [1, 1], dilations: [1, 1], padsBefore: [0, 0],
      padsAfter: [0, 0], output: y.permuted(order))
    let inputs = [Sample(w.x, sizes: [:])]
    var i = 0
    inputs[0].fill {
      i += 1
      return .float(i == 66 ? .nan : i % 3 == 0 ? -.infinity : Double(i % 11) - 5)
    }
    try check(.pool(w), inputs: inputs, seed: 0) { index in
      var values: [Double] = []
      forEachIndex([3, 3]) { values.append(inputs[0][[0, index[1] + $0[0], index[2] + $0[1], 0]].double) }
      return Expected(value: .float(values.contains { $0.isNaN } ? .nan : values.max()!))
    }
  }
}

@Suite struct ResizeTests {
  @Test(arguments: ResizeCase.coordinateModes, ResizeCase.modes) func resizes(coordinates: String, mode: String)
    throws
  {
    for nearest in mode == "nearest" ? ResizeCase.nearestModes : ["floor"] {
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
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let resize = ResizeCase(from, to, scales, mode, coordinates, nearest, isSymbolic: isSymbolic)
    try check(resize.kernelCase(&generator), seed: seed)
  }
}

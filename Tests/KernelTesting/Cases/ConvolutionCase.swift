import Kernels
import TensorTypes

/// A convolution of two images over one to three dimensions of space, with bias, residual and a bound.
public struct ConvolutionCase: Sendable {
  public var space: [Int]
  public var channels: Int
  public var outputs: Int
  public var window: [Int]
  public var strides: [Int]
  public var dilations: [Int]
  public var before: [Int]
  public var after: [Int]
  public var groups = 1
  public var channelsLast = true
  /// The result's layout.
  public var resultChannelsLast = true
  public var isSymbolic = false
  public var wIsConstant = true
  /// Narrow integers of these types summed in i32, with a bias, instead of f32.
  public var integers: (x: ElementType, w: ElementType)?
  /// Of integers: what lies around the image, and whether weights are known to have 7 bits.
  public var border = 0
  public var isSmall = false
  /// Of f32.
  public var mayRound = false

  public init(
    _ space: [Int], _ channels: Int, _ outputs: Int, window: [Int], stride: Int = 1, dilation: Int = 1, pad: Int = 0,
    groups: Int = 1, channelsLast: Bool = true, resultChannelsLast: Bool = true, isSymbolic: Bool = false,
    wIsConstant: Bool = true
  ) {
    (self.space, self.channels, self.outputs, self.window) = (space, channels, outputs, window)
    strides = space.map { _ in stride }
    dilations = space.map { _ in dilation }
    before = space.map { _ in pad }
    after = space.map { _ in pad }
    (self.groups, self.channelsLast, self.isSymbolic) = (groups, channelsLast, isSymbolic)
    self.resultChannelsLast = resultChannelsLast
    self.wIsConstant = wIsConstant
  }

  public enum Kind: Sendable { case general, integer, winograd, depthwise, rows, fewOutputs }

  public static func random(_ kind: Kind, _ g: inout SeededGenerator) -> ConvolutionCase {
    let rank = g.pick(1, 2, 2, 2, 3)
    let most = [40, 13, 6][rank - 1]
    var c: ConvolutionCase
    // Windows that lie mostly in the border are treated by themselves, of many channels.
    let isInBorder = [.general, .integer, .fewOutputs].contains(kind) && g.flip(0.2)
    switch kind {
    case .general, .integer:
      let groups = g.pick(1, 1, 1, 2, 3)
      c = ConvolutionCase(
        [], groups * (isInBorder ? g.edge([32], most: 36) : g.edge([4], most: 9)),
        groups * g.edge([8, 16], most: groups == 1 ? 33 : 17), window: [],
        groups: groups)
      c.window = (0..<rank).map { _ in g.pick(1, 2, 3, 3, 5) }
      c.strides = (0..<rank).map { _ in g.pick(1, 1, 2, 3) }
      c.dilations = (0..<rank).map { _ in g.pick(1, 1, 1, 2) }
    case .winograd:
      let groups = g.pick(1, 1, 1, 2)
      c = ConvolutionCase(
        [], groups * g.edge([8], most: 17), groups * g.edge([8], most: 19), window: [], groups: groups)
      c.window = (0..<rank).map {
        $0 == rank - 1 ? g.pick(3, 3, 3, 4, 5, 7, 11) : $0 == rank - 2 ? g.pick(3, 3, 1, 5) : g.pick(1, 3)
      }
      c.strides = c.window.map { $0 > 3 ? 1 : g.pick(1, 1, 1, 2) }
      c.dilations = c.strides.map { $0 == 2 ? 1 : g.pick(1, 1, 1, 2, 3) }
    case .fewOutputs:
      let groups = g.pick(1, 1, 1, 2)
      c = ConvolutionCase(
        [], groups * g.edge([8, 16], most: 33), groups * g.size(1...8), window: [], groups: groups)
      c.window = (0..<rank).map { _ in g.pick(1, 2, 3, 3, 5) }
      c.strides = (0..<rank).map { _ in g.pick(1, 1, 2, 3) }
      c.dilations = (0..<rank).map { _ in g.pick(1, 1, 1, 2) }
    case .depthwise:
      let channels = g.edge([8, 16, 32], most: 41)
      c = ConvolutionCase([], channels, g.pick(1, 1, 1, 2, 4) * channels, window: [], groups: channels)
      c.window = (0..<rank).map { _ in g.pick(1, 2, 3, 3, 5, 7) }
      c.strides = (0..<rank).map { _ in g.pick(1, 1, 2) }
      c.dilations = (0..<rank).map { _ in g.pick(1, 1, 1, 2) }
    case .rows:
      let groups = g.pick(1, 2, 3, 5)
      c = ConvolutionCase([], groups * g.pick(1, 1, 2, 3, 9), groups * g.size(1...6), window: [], groups: groups)
      c.window = (0..<rank).map { _ in g.pick(1, 2, 3, 3, 5, 7) }
      c.strides = (0..<rank).map { _ in g.pick(1, 1, 1, 2, 3) }
      c.dilations = (0..<rank).map { _ in g.pick(1, 1, 1, 2) }
    }
    if isInBorder { c.dilations = c.window.map { _ in g.pick(1, 3, 7, 12) } }
    func pads() -> [Int] {
      zip(c.window, c.dilations).map { g.size(-1...(isInBorder ? ($0 - 1) * $1 : $0 / 2 + 1)) }
    }
    (c.before, c.after) = (pads(), pads())
    c.space = (0..<rank).map { d in
      // At least one window fits.
      let least = (c.window[d] - 1) * c.dilations[d] + 1 - c.before[d] - c.after[d]
      return max(1, least, g.edge([4, 6, 8], most: most))
    }
    if kind == .rows, rank < 3 { c.space[rank - 1] = max(c.space[rank - 1], g.edge([8, 16], most: 75)) }
    (c.channelsLast, c.isSymbolic) = (kind != .rows && g.flip(0.7), g.flip(0.3))
    c.resultChannelsLast = kind != .rows && (c.channelsLast || g.flip(0.7))
    c.wIsConstant = kind == .winograd || kind == .fewOutputs || g.flip(0.8)
    c.mayRound = c.wIsConstant && kind != .integer && g.flip(0.3)
    if kind == .integer || kind == .winograd && g.flip(0.4) {
      let choices = kind == .integer ? IntegerMatmulCase.types : [.int8, .uint8]
      let types = (x: g.pick(choices), w: g.pick(choices))
      c.integers = types
      c.border = g.flip(0.5) ? 0 : Int(Int64.random(in: types.x.range, using: &g))
      c.isSmall = types == (.uint8, .int8) && c.wIsConstant && g.flip(0.3)
    }
    return c
  }

  private var result: [Int] {
    space.indices.map { (space[$0] + before[$0] + after[$0] - (window[$0] - 1) * dilations[$0] - 1) / strides[$0] + 1 }
  }

  private func workload(_ sizes: inout DrawnSizes) -> (ConvolutionWorkload, finish: (Double, [Double]) -> Double) {
    let rank = space.count
    let inner = space.enumerated().map { sizes.dim("x\($0)", $1) }
    let outer = result.enumerated().map { sizes.dim("y\($0)", $1) }
    let x: View =
      channelsLast
      ? View(integers?.x ?? .float32, [2] + inner + [Dim(channels)])
      : .transposed(integers?.x ?? .float32, [2, Dim(channels)] + inner, [0] + Array(2..<rank + 2) + [1])
    let (perGroup, outPerGroup) = (channels / groups, outputs / groups)
    // As models store it: output channel, channel, taps.
    let taps = window.reduce(1, *)
    let tapStrides = (0..<rank).map { d in Dim(window[(d + 1)...].reduce(1, *)) }
    let w = View(
      integers?.w ?? .float32, [Dim(groups)] + window.map { Dim($0) } + [Dim(perGroup), Dim(outPerGroup)],
      strides: [Dim(outPerGroup * perGroup * taps)] + tapStrides + [Dim(taps), Dim(perGroup * taps)])
    let result: View =
      resultChannelsLast
      ? View(.float32, [2] + outer + [Dim(outputs)])
      : .transposed(.float32, [2, Dim(outputs)] + outer, [0] + Array(2..<rank + 2) + [1])
    let (floats, finish) = sampleEpilogue(result)
    let integerResult = View(.int32, result.shape, strides: result.strides)
    let bias = View(.int32, result.shape, strides: result.shape.dropLast().map { _ in 0 } + [1])
    let epilogue =
      integers == nil
      ? floats : Epilogue(expression: .binary(.add, .int32), operands: [bias], output: integerResult)
    let workload = ConvolutionWorkload(
      x: x, w: w, wIsConstant: wIsConstant, wLimit: isSmall ? 64 : nil, strides: strides, dilations: dilations,
      padsBefore: before, border: border == 0 ? nil : border, groups: groups, mayRound: mayRound && integers == nil,
      epilogue: epilogue)
    return (workload, finish)
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    var sizes = DrawnSizes(isSymbolic)
    let (workload, finish) = workload(&sizes)
    let inputs = samples(workload.operands, sizes: sizes.values, &generator)
    if let integers {
      for (input, range) in zip(inputs, [integers.x.range, isSmall ? -64...64 : integers.w.range]) {
        input.fill { .integer(.random(in: range, using: &generator)) }
      }
      return KernelCase(.convolution(workload), sizes: sizes.values, inputs: inputs) { i in
        // Exact in f64: up to 2⁵³.
        let sum = Int64(self.sum(at: i, inputs).0 + inputs[2][i].double)
        return Expected(value: .integer(Int64(Int32(truncatingIfNeeded: sum))))
      }
    }
    let count = window.reduce(1, *) * (channels / groups)
    let rounding = mayRound ? allowRounding(inputs, &generator) : 0
    func expected(_ tolerance: @escaping ([Int], Double) -> Double) -> ([Int]) -> Expected {
      { i in
        let (sum, magnitude) = self.sum(at: i, inputs)
        let value = finish(sum, (2...4).map { inputs[$0][i].double })
        return Expected(value: .float(value), tolerance: tolerance(i, magnitude))
      }
    }
    let direct = expected { productTolerance(count, $1) + rounding * $1 }
    var kernelCase = KernelCase(.convolution(workload), sizes: sizes.values, inputs: inputs, expected: direct)
    kernelCase.expected = { template, knobs in
      guard template.name == "convolution.winograd" else { return [direct] }
      var bound = WinogradBound(workload, m: knobs["m"], inputs)
      return [expected { i, _ in bound.tolerance(i) }]
    }
    return kernelCase
  }

  /// The products' sum that belongs to an output element, and the sum of their magnitudes.
  private func sum(at i: [Int], _ inputs: [Sample]) -> (Double, Double) {
    let (perGroup, outPerGroup) = (channels / groups, outputs / groups)
    let (group, column) = (i.last! / outPerGroup, i.last! % outPerGroup)
    var (sum, magnitude) = (0.0, 0.0)
    forEachIndex(window) { tap in
      let place = tap.indices.map { i[1 + $0] * strides[$0] + tap[$0] * dilations[$0] - before[$0] }
      let isInside = place.indices.allSatisfy { (0..<space[$0]).contains(place[$0]) }
      for channel in 0..<perGroup where isInside || border != 0 {
        let product =
          (isInside ? inputs[0][[i[0]] + place + [group * perGroup + channel]].double : Double(border))
          * inputs[1][[group] + tap + [channel, column]].double
        sum += product
        magnitude += abs(product)
      }
    }
    return (sum, magnitude)
  }
}

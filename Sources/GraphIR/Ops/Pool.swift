import TensorTypes

/// The largest or the mean element of a window sliding over the spatial dimensions. Padding never is the largest;
/// it counts in the mean's divisor only with `countIncludesPadding` (and only what the pads say, not what ceil mode
/// adds). A window of nothing but padding has mean NaN.
///
/// - (pool_c1) One operand of rank 3 or more, `[N, C, spatial…]` or, channels last, `[N, spatial…, C]`; a mean is of
///   floats, no element is bool.
/// - (pool_c2) Window, strides, dilations and pads have one entry a spatial dimension; the first three are positive.
/// - (pool_c3) The window fits into the padded input.
public struct Pool: Op {
  public enum Kind: String, Hashable, Sendable, Codable, CaseIterable { case maximum, average }

  public static let mnemonic = "pool"
  public var kind: Kind
  public var window: [Int]
  public var strides: [Int]
  public var dilations: [Int]
  public var padsBefore: [Int]
  public var padsAfter: [Int]
  public var ceilMode: Bool
  public var countIncludesPadding: Bool
  public var layout: ConvolutionLayout

  public init(
    _ kind: Kind, window: [Int], strides: [Int], dilations: [Int], padsBefore: [Int], padsAfter: [Int],
    ceilMode: Bool = false, countIncludesPadding: Bool = false, layout: ConvolutionLayout = .channelsFirst
  ) {
    (self.kind, self.window, self.strides, self.dilations) = (kind, window, strides, dilations)
    (self.padsBefore, self.padsAfter, self.ceilMode) = (padsBefore, padsAfter, ceilMode)
    (self.countIncludesPadding, self.layout) = (countIncludesPadding, layout)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [
      ("kind", .word(kind)), ("window", .integers(window)), ("strides", .integers(strides)),
      ("dilations", .integers(dilations)), ("pads_before", .integers(padsBefore)), ("pads_after", .integers(padsAfter)),
      ("ceil_mode", .bool(ceilMode)), ("count_includes_padding", .bool(countIncludesPadding)),
      ("layout", .word(layout)),
    ]
  }
  public init(attributes: inout AttributeReader) throws {
    kind = try attributes.word("kind")
    window = try attributes.integers("window")
    strides = try attributes.integers("strides")
    dilations = try attributes.integers("dilations")
    padsBefore = try attributes.integers("pads_before")
    padsAfter = try attributes.integers("pads_after")
    ceilMode = try attributes.bool("ceil_mode", default: false)
    countIncludesPadding = try attributes.bool("count_includes_padding", default: false)
    layout = try attributes.word("layout", default: .channelsFirst)
  }

  private var sliding: Window {
    Window(kernel: window, strides: strides, dilations: dilations, padsBefore: padsBefore, padsAfter: padsAfter)
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 1 && x[0].rank >= 3 && x[0].element != .bool && (kind == .maximum || x[0].element.isFloat),
      "pool_c1: operands \(x)")
    try require(window.count == x[0].rank - 2, "pool_c2: window \(window) on \(x[0])")
    try sliding.check("pool_c2")
    var shape = x[0].shape
    for (i, axis) in layout.spatialAxes(rank: x[0].rank).enumerated() {
      shape[axis] = sliding.outputSize(shape[axis], i, ceilMode: ceilMode)
      try require((shape[axis].constant ?? 1) >= 0, "pool_c3: window \(window) does not fit into \(x[0])")
    }
    return [TensorType(x[0].element, shape)]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let shape = try infer(x.map(\.type))[0].shape.integers()
    return [x[0].element.isFloat ? pool(x[0], shape, Double.self) : pool(x[0], shape, Int64.self)]
  }

  private func pool<N: ReferenceNumber>(_ x: HostTensor, _ shape: [Int], _: N.Type) -> HostTensor {
    let axes = layout.spatialAxes(rank: shape.count)
    let (input, output) = (Array(x.shape[axes]), Array(shape[axes]))
    let channels = shape[layout.channelAxis(rank: shape.count)]
    let from = layout.steps(channels: channels, positions: input.product)
    let to = layout.steps(channels: channels, positions: output.product)
    let function: ReductionFunction = kind == .maximum ? .maximum : .sum
    let join = N.function(function.combiner, x.element)
    let values = N.load(x)
    var result = [N](repeating: N.value(.identity(of: function, x.element)), count: shape.product)
    for tap in 0..<sliding.taps {
      let positions = sliding.positions(tap: tap, input: input, output: output)
      for n in 0..<shape[0] {
        for c in 0..<channels {
          let source = n * channels * input.product + c * from.channel
          let target = n * channels * output.product + c * to.channel
          for (p, position) in positions.enumerated() where position >= 0 {
            let slot = target + p * to.position
            result[slot] = join(result[slot], values[source + position * from.position])
          }
        }
      }
    }
    if kind == .average, var means = result as? [Double] {
      let counts = divisors(input: input, output: output)
      for i in means.indices {
        means[i] /= Double(counts[layout == .channelsFirst ? i % output.product : i / channels % output.product])
      }
      return HostTensor(x.element, shape, .floats(means))
    }
    return HostTensor(x.element, shape, N.column(result))
  }

  /// For each output position, how many elements its window's mean is over.
  private func divisors(input: [Int], output: [Int]) -> [Int] {
    var counted = sliding
    var extent = input
    if countIncludesPadding {
      // Padding counts as if it were input.
      extent = input.indices.map { input[$0] + padsBefore[$0] + padsAfter[$0] }
      counted.padsBefore = padsBefore.map { _ in 0 }
    }
    var counts = [Int](repeating: 0, count: output.product)
    for tap in 0..<counted.taps {
      for (p, position) in counted.positions(tap: tap, input: extent, output: output).enumerated() where position >= 0 {
        counts[p] += 1
      }
    }
    return counts
  }
}

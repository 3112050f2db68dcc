import TensorTypes

/// The transpose of a convolution as a linear map:
/// `y[n, o, p·stride + t·dilation − pad] += x[n, c, p] · w[c, o, t]`, `o` running over the channels of `c`'s group.
///
/// `x` is `[N, C, spatial…]`, or `[N, spatial…, C]` with channels last, and so is the result. `w` is always
/// `[C, O / groups, kernel…]`. A spatial size becomes
/// `(size − 1)·stride + (kernel − 1)·dilation + 1 + outputPad − padBefore − padAfter`.
///
/// - (convolve_transposed_c1) Two operands, of one numeric type and of one rank, which is 3 or more.
/// - (convolve_transposed_c2) Strides, dilations and pads have one entry a spatial dimension; the first two are positive.
/// - (convolve_transposed_c3) `w`'s sizes are integers; `groups` divides C, which is `w`'s first.
/// - (convolve_transposed_c4) No size of the result is negative.
public struct ConvolveTransposed: Op {
  public static let mnemonic = "convolve_transposed"
  public var strides: [Int]
  public var dilations: [Int]
  public var padsBefore: [Int]
  public var padsAfter: [Int]
  public var outputPads: [Int]
  public var groups: Int
  public var layout: ConvolutionLayout

  public init(
    strides: [Int], dilations: [Int], padsBefore: [Int], padsAfter: [Int], outputPads: [Int], groups: Int = 1,
    layout: ConvolutionLayout = .channelsFirst
  ) {
    (self.strides, self.dilations, self.padsBefore, self.padsAfter) = (strides, dilations, padsBefore, padsAfter)
    (self.outputPads, self.groups, self.layout) = (outputPads, groups, layout)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [
      ("strides", .integers(strides)), ("dilations", .integers(dilations)), ("pads_before", .integers(padsBefore)),
      ("pads_after", .integers(padsAfter)), ("output_pads", .integers(outputPads)), ("groups", .integer(groups)),
      ("layout", .word(layout)),
    ]
  }
  public init(attributes: inout AttributeReader) throws {
    strides = try attributes.integers("strides")
    dilations = try attributes.integers("dilations")
    padsBefore = try attributes.integers("pads_before")
    padsAfter = try attributes.integers("pads_after")
    outputPads = try attributes.integers("output_pads")
    groups = try attributes.integer("groups", default: 1)
    layout = try attributes.word("layout", default: .channelsFirst)
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 2 && x[0].element == x[1].element && x[0].element != .bool && x[0].rank == x[1].rank && x[0].rank >= 3,
      "convolve_transposed_c1: operands \(x)")
    guard let weights = x[1].staticShape else { throw Failure.badData("convolve_transposed_c3: weights \(x[1])") }
    let window = Window(
      kernel: Array(weights[2...]), strides: strides, dilations: dilations, padsBefore: padsBefore, padsAfter: padsAfter
    )
    try window.check("convolve_transposed_c2")
    try require(
      outputPads.count == strides.count && outputPads.allSatisfy { abs($0) <= Int(Int32.max) },
      "convolve_transposed_c2: output pads \(outputPads)")
    let channels = x[0].shape[layout.channelAxis(rank: x[0].rank)]
    try require(
      groups > 0 && weights[0] % groups == 0 && mayBeEqual(channels, Dim(weights[0])),
      "convolve_transposed_c3: \(groups) groups, \(channels) channels, weights \(x[1])")
    let spatial = layout.spatialAxes(rank: x[0].rank).enumerated().map { i, axis in
      (x[0].shape[axis] - 1) * Dim(strides[i])
        + Dim(window.extent(i) + outputPads[i] - padsBefore[i] - padsAfter[i])
    }
    try require(spatial.allSatisfy { ($0.constant ?? 0) >= 0 }, "convolve_transposed_c4: \(spatial) from \(x)")
    return [
      TensorType(
        x[0].element, layout.shape(batch: x[0].shape[0], channels: Dim(weights[1] * groups), spatial: spatial))
    ]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let shape = try infer(x.map(\.type))[0].shape.integers()
    return [x[0].element.isFloat ? spread(x[0], x[1], shape, Double.self) : spread(x[0], x[1], shape, Int64.self)]
  }

  private func spread<N: ReferenceNumber>(_ x: HostTensor, _ w: HostTensor, _ shape: [Int], _: N.Type) -> HostTensor {
    let axes = layout.spatialAxes(rank: shape.count)
    let (input, output) = (Array(x.shape[axes]), Array(shape[axes]))
    let (inputs, depth) = (w.shape[0], w.shape[1])
    let outputs = depth * groups
    let window = Window(
      kernel: Array(w.shape[2...]), strides: strides, dilations: dilations, padsBefore: padsBefore, padsAfter: padsAfter
    )
    let from = layout.steps(channels: inputs, positions: input.product)
    let to = layout.steps(channels: outputs, positions: output.product)
    let (values, weights) = (N.load(x), N.load(w))
    var result = [N](repeating: .zero, count: shape.product)
    for tap in 0..<window.taps {
      // The forward convolution's view: which of its input positions, our outputs, each of our inputs comes from.
      let positions = window.positions(tap: tap, input: output, output: input)
      for n in 0..<shape[0] {
        for c in 0..<inputs {
          let source = n * inputs * input.product + c * from.channel
          for o in 0..<depth {
            let weight = weights[(c * depth + o) * window.taps + tap]
            let channel = c / (inputs / groups) * depth + o
            let target = n * outputs * output.product + channel * to.channel
            for (p, position) in positions.enumerated() where position >= 0 {
              let slot = target + position * to.position
              result[slot] = N.sum(result[slot], N.product(values[source + p * from.position], weight))
            }
          }
        }
      }
    }
    return HostTensor(x.element, shape, N.column(result))
  }
}

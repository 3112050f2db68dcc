import TensorTypes

/// `y[n, o, p] = Σ_{c, t} x[n, c, p·stride − pad + t·dilation] · w[o, c, t]`, `c` running over the channels of `o`'s
/// group; outside of `x` lies `border`. Any number of spatial dimensions from 1 on.
///
/// `x` is `[N, C, spatial…]`, or `[N, spatial…, C]` with channels last, and so is the result. `w` is always
/// `[O, C / groups, kernel…]`.
///
/// If it widens, products of i8, u8 and i16 are summed in i32, which wraps around. Only then may the border be another number
/// than zero, one of x's type.
///
/// If it may round, f32 factors may be rounded to bf16 before they are multiplied, each off by at most 2⁻⁸ of itself.
///
/// - (convolve_c1) Two operands of one rank, which is 3 or more, and of one numeric type; of i8, u8 and i16 in any
///   combination if it widens.
/// - (convolve_c2) Strides, dilations and pads have one entry a spatial dimension; the first two are positive.
/// - (convolve_c3) Kernel sizes and `w`'s channels are integers.
/// - (convolve_c4) `groups` divides C and O; `w` has C / groups input channels.
/// - (convolve_c5) The window fits into the padded input.
/// - (convolve_c6) The border is zero unless it widens.
public struct Convolve: Op {
  public static let mnemonic = "convolve"
  public var strides: [Int]
  public var dilations: [Int]
  public var padsBefore: [Int]
  public var padsAfter: [Int]
  public var groups: Int
  public var layout: ConvolutionLayout
  public var widens: Bool
  public var border: Int
  public var mayRound = false

  public init(
    strides: [Int], dilations: [Int], padsBefore: [Int], padsAfter: [Int], groups: Int = 1,
    layout: ConvolutionLayout = .channelsFirst, widens: Bool = false, border: Int = 0
  ) {
    (self.strides, self.dilations, self.padsBefore, self.padsAfter) = (strides, dilations, padsBefore, padsAfter)
    (self.groups, self.layout, self.widens, self.border) = (groups, layout, widens, border)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [
      ("strides", .integers(strides)), ("dilations", .integers(dilations)), ("pads_before", .integers(padsBefore)),
      ("pads_after", .integers(padsAfter)), ("groups", .integer(groups)), ("layout", .word(layout)),
    ] + (widens ? [("widens", .bool(true))] : []) + (border != 0 ? [("border", .integer(border))] : [])
      + (mayRound ? [("may_round", .bool(true))] : [])
  }
  public init(attributes: inout AttributeReader) throws {
    strides = try attributes.integers("strides")
    dilations = try attributes.integers("dilations")
    padsBefore = try attributes.integers("pads_before")
    padsAfter = try attributes.integers("pads_after")
    groups = try attributes.integer("groups", default: 1)
    layout = try attributes.word("layout", default: .channelsFirst)
    widens = try attributes.bool("widens", default: false)
    border = try attributes.integer("border", default: 0)
    mayRound = try attributes.bool("may_round", default: false)
  }

  func window(_ kernel: [Int]) -> Window {
    Window(kernel: kernel, strides: strides, dilations: dilations, padsBefore: padsBefore, padsAfter: padsAfter)
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    guard let element = productType(x.map(\.element), widens: widens), x[0].rank == x[1].rank, x[0].rank >= 3 else {
      throw Failure.badData("convolve_c1: operands \(x)")
    }
    guard let weights = x[1].staticShape else { throw Failure.badData("convolve_c3: weights \(x[1])") }
    try require(border == 0 || widens, "convolve_c6: a border of \(border)")
    let window = window(Array(weights[2...]))
    try window.check("convolve_c2")
    let channels = x[0].shape[layout.channelAxis(rank: x[0].rank)]
    try require(
      groups > 0 && weights[0] % groups == 0 && mayBeEqual(channels, Dim(weights[1] * groups)),
      "convolve_c4: \(groups) groups, \(channels) channels, weights \(x[1])")
    let spatial = layout.spatialAxes(rank: x[0].rank).enumerated().map { window.outputSize(x[0].shape[$1], $0) }
    try require(
      !spatial.contains { ($0.constant ?? 1) < 0 }, "convolve_c5: window \(weights[2...]) does not fit into \(x[0])")
    return [
      TensorType(element, layout.shape(batch: x[0].shape[0], channels: Dim(weights[0]), spatial: spatial))
    ]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let shape = try infer(x.map(\.type))[0].shape.integers()
    return [
      x[0].element.isFloat ? convolve(x[0], x[1], shape, Double.self) : convolve(x[0], x[1], shape, Int64.self)
    ]
  }

  private func convolve<N: ReferenceNumber>(_ x: HostTensor, _ w: HostTensor, _ shape: [Int], _: N.Type) -> HostTensor {
    let axes = layout.spatialAxes(rank: shape.count)
    let (input, output) = (Array(x.shape[axes]), Array(shape[axes]))
    let (inputs, outputs, depth) = (w.shape[1] * groups, w.shape[0], w.shape[1])
    let (batch, window) = (shape[0], window(Array(w.shape[2...])))
    let from = layout.steps(channels: inputs, positions: input.product)
    let to = layout.steps(channels: outputs, positions: output.product)
    let (values, weights) = (N.load(x), N.load(w))
    var result = [N](repeating: .zero, count: shape.product)
    for tap in 0..<window.taps {
      let positions = window.positions(tap: tap, input: input, output: output)
      for n in 0..<batch {
        for o in 0..<outputs {
          let firstChannel = o / (outputs / groups) * depth
          let target = n * outputs * output.product + o * to.channel
          for c in 0..<depth {
            let weight = weights[(o * depth + c) * window.taps + tap]
            let source = n * inputs * input.product + (firstChannel + c) * from.channel
            for (p, position) in positions.enumerated() where position >= 0 || border != 0 {
              let slot = target + p * to.position
              let value = position >= 0 ? values[source + position * from.position] : N.value(.integer(Int64(border)))
              result[slot] = N.sum(result[slot], N.product(value, weight))
            }
          }
        }
      }
    }
    return HostTensor(widens ? .int32 : x.element, shape, N.column(result))
  }
}

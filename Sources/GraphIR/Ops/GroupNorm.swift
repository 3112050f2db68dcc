import TensorTypes

/// `y = (x − mean) / √(variance + ε) · scale[c] + bias[c]`, mean and (biased) variance being over all positions of a
/// group of channels, an image each. `groups` = C is instance normalisation.
///
/// - (group_norm_c1) Operands `x`, `scale` and `bias` of one float type; `x` of rank 2 or more.
/// - (group_norm_c2) `scale` and `bias` are of shape `[C]`, and `groups` divides C.
public struct GroupNorm: Op {
  public static let mnemonic = "group_norm"
  public var groups: Int
  public var epsilon: Double
  public var layout: ConvolutionLayout

  public init(groups: Int, epsilon: Double, layout: ConvolutionLayout = .channelsFirst) {
    (self.groups, self.epsilon, self.layout) = (groups, epsilon, layout)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [("groups", .integer(groups)), ("epsilon", .float(epsilon)), ("layout", .word(layout))]
  }
  public init(attributes: inout AttributeReader) throws {
    groups = try attributes.integer("groups")
    epsilon = try attributes.float("epsilon")
    layout = try attributes.word("layout", default: .channelsFirst)
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 3 && x.allSatisfy { $0.element.isFloat && $0.element == x[0].element } && x[0].rank >= 2,
      "group_norm_c1: operands \(x)")
    let channels = x[0].shape[layout.channelAxis(rank: x[0].rank)]
    try require(
      groups > 0 && (channels.constant ?? 0) % groups == 0
        && x.dropFirst().allSatisfy { $0.rank == 1 && mayBeEqual($0.shape[0], channels) },
      "group_norm_c2: \(groups) groups of operands \(x)")
    return [x[0]]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let shape = x[0].shape
    let channels = shape[layout.channelAxis(rank: shape.count)]
    let positions = shape[layout.spatialAxes(rank: shape.count)].reduce(1, *)
    let step = layout.steps(channels: channels, positions: positions)
    let (scale, bias) = (x[1].doubles, x[2].doubles)
    var values = x[0].doubles
    for n in 0..<shape[0] {
      for group in 0..<groups {
        let members = channels / groups * group..<channels / groups * (group + 1)
        let indices = members.map { c in
          (0..<positions).map { n * channels * positions + c * step.channel + $0 * step.position }
        }
        normalise(&values, indices.flatMap { $0 }, epsilon: epsilon, centred: true)
        for (c, own) in zip(members, indices) { for i in own { values[i] = values[i] * scale[c] + bias[c] } }
      }
    }
    return [HostTensor(x[0].element, shape, .floats(values))]
  }
}

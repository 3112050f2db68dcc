import GraphIR
import TensorTypes

/// Convolutions with channels last: neighbouring channels of a pixel are one vector, whatever the image's size, and
/// the product over channels reads memory in order. The transposes around cancel in `transposeRules`.
let layoutRules: [Rule] = [
  Rule("convolve channels first = transpose(convolve channels last(transpose(x)))", on: Convolve.self) { g, op, x in
    guard op.layout == .channelsFirst else { return nil }
    var last = op
    last.layout = .channelsLast
    return try g.turned(last, x)
  },
  Rule("the same for a transposed convolution", on: ConvolveTransposed.self) { g, op, x in
    guard op.layout == .channelsFirst else { return nil }
    var last = op
    last.layout = .channelsLast
    return try g.turned(last, x)
  },
]

extension GraphRewriter {
  /// `op`, whose channels are last, of an image whose channels are first, as its result's then are.
  fileprivate mutating func turned(_ op: any Op, _ x: [ValueID]) throws -> ValueID {
    let rank = type(x[0]).rank
    let image = try build(Transpose.toChannelsLast(rank: rank), x[0])
    return try build(Transpose.toChannelsFirst(rank: rank), try build(op, image, x[1]))
  }
}

import GraphIR
import TensorTypes

/// Convolutions with channels last: neighbouring channels of a pixel are one vector, whatever the image's size, and
/// the product over channels reads memory in order. The transposes around cancel in `transposeRules`.
let layoutRules: [Rule] = [
  Rule("convolve channels first = transpose(convolve channels last(transpose(x)))", on: Convolve.self) { g, op, x in
    guard op.layout == .channelsFirst else { return nil }
    var last = op
    last.layout = .channelsLast
    let rank = g.type(x[0]).rank
    let image = try g.build(Transpose.toChannelsLast(rank: rank), x[0])
    return try g.build(Transpose.toChannelsFirst(rank: rank), try g.build(last, image, x[1]))
  },
  Rule("the same for a transposed convolution", on: ConvolveTransposed.self) { g, op, x in
    guard op.layout == .channelsFirst else { return nil }
    var last = op
    last.layout = .channelsLast
    let rank = g.type(x[0]).rank
    let image = try g.build(Transpose.toChannelsLast(rank: rank), x[0])
    return try g.build(Transpose.toChannelsFirst(rank: rank), try g.build(last, image, x[1]))
  },
]

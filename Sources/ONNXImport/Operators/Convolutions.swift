import GraphIR
import TensorTypes

// Convolutions and pools: what slides a window over spatial dimensions.

let convolutionRows: [OperatorRow] = [
  .one("Conv") { n in try n.convolution(n.input(0), n.input(1), bias: n.optionalInput(2)) },
  .one("ConvInteger") { n in
    let x = try n.centred(n.input(0), n.optionalInput(2), isLeft: false)
    let zeros = try n.optionalInput(3).map { zero in
      // One zero point, or one for each output channel.
      try n.rank(zero) == 1
        ? n.reshape(zero, n.shape(zero) + Shape(repeating: 1, count: max(n.rank(n.input(1)) - 1, 0))) : zero
    }
    return try n.convolution(x, n.centred(n.input(1), zeros, isLeft: false), bias: nil, widens: true)
  },
  OperatorRow("CausalConvWithState") { n in try n.causalConvolution() },
  .one("ConvTranspose") { n in try n.transposedConvolution() },
  OperatorRow("MaxPool") { n in [try n.pool(.maximum)] },
  .one("AveragePool") { n in try n.pool(.average) },
  .one("LpPool") { n in
    // The mean of |x|ᵖ over the whole window, padding counted as zeros, times its size.
    let p = Double(try n.int("p", default: 2))
    let x = try n.input(0)
    let powers = try n.map(x) { e, x in
      let size = e.unary(.abs, x[0])
      return p == 1 ? size : e.binary(.power, size, e.constant(p, e.types[x[0]]))
    }
    let window = try n.ints("kernel_shape") ?? []
    let mean = try n.pool(.average, of: powers, countIncludesPadding: true)
    return try n.map(mean) { e, x in
      let sum = e.scaled(x[0], window.reduce(1) { $0 * Double($1) })
      return p == 1 ? sum : e.binary(.power, sum, e.constant(1 / p, e.types[sum]))
    }
  },
]

extension NodeImport {
  /// Each channel of x `[N, C, L]` by itself, after the K − 1 elements that came before it; and those to come before the
  /// next one.
  fileprivate func causalConvolution() throws -> [ValueID?] {
    let (x, w) = (try input(0), try input(1))
    guard rank(x) == 3, rank(w) == 3, let taps = shape(w)[2].constant, let channels = shape(w)[0].constant, taps > 0
    else {
      throw Failure.badData("a causal convolution of \(type(x)) by \(type(w))")
    }
    let past: Shape = [shape(x)[0], shape(x)[1], Dim(taps - 1)]
    let state = try optionalInput(3) ?? broadcast(constant(0, element(x)), past)
    let whole = try addAll(Concat(axis: 2), [state, x])[0]
    var y = try add(Convolve(strides: [1], dilations: [1], padsBefore: [0], padsAfter: [0], groups: channels), whole, w)
    if let bias = try optionalInput(2) { y = try binary(.add, y, perChannel(bias, rank: 3)) }
    switch try string("activation", default: "none") {
    case "none": break
    case "silu", "swish": y = try map(y) { e, x in e.binary(.multiply, x[0], e.unary(.sigmoid, x[0])) }
    case let other: throw Failure.badData("attribute 'activation' is '\(other)'")
    }
    return [y, try slice(whole, axis: 2, start: shape(x)[2], size: Dim(taps - 1))]
  }
}

/// Strides, dilations and pads of a node, one entry a spatial dimension.
private struct Sliding {
  var strides: [Int]
  var dilations: [Int]
  var padsBefore: [Int]
  var padsAfter: [Int]
}

extension NodeImport {
  /// - Parameter sizes: of the input's spatial dimensions.
  private func sliding(kernel: [Int], sizes: Shape) throws -> Sliding {
    let ones = [Int](repeating: 1, count: kernel.count)
    let (strides, dilations) = (try ints("strides") ?? ones, try ints("dilations") ?? ones)
    let pads = try ints("pads") ?? ones.map { _ in 0 } + ones.map { _ in 0 }
    guard kernel.count == sizes.count, strides.count == kernel.count, dilations.count == kernel.count,
      pads.count == 2 * kernel.count, (strides + dilations + kernel).allSatisfy({ $0 > 0 && $0 < 1 << 31 }),
      pads.allSatisfy({ $0.magnitude < 1 << 31 })
    else {
      throw Failure.badData(
        "kernel \(kernel), strides \(strides), dilations \(dilations), pads \(pads) for \(sizes.count) spatial dimensions"
      )
    }
    var sliding = Sliding(
      strides: strides, dilations: dilations, padsBefore: Array(pads[..<kernel.count]),
      padsAfter: Array(pads[kernel.count...]))
    let automatic = try string("auto_pad", default: "NOTSET")
    switch automatic {
    case "NOTSET", "": break
    case "VALID": (sliding.padsBefore, sliding.padsAfter) = (ones.map { _ in 0 }, ones.map { _ in 0 })
    case "SAME_UPPER", "SAME_LOWER":
      for i in kernel.indices {
        let total = try samePadding(sizes[i], strides[i], dilations[i] * (kernel[i] - 1) + 1)
        // The odd one goes after, or before for "lower".
        let after = automatic == "SAME_UPPER" ? total - total / 2 : total / 2
        (sliding.padsBefore[i], sliding.padsAfter[i]) = (total - after, after)
      }
    default: throw Failure.badData("attribute 'auto_pad' is '\(automatic)'")
    }
    return sliding
  }

  /// Padding in all, so that the output has ⌈size / stride⌉ elements.
  private func samePadding(_ size: Dim, _ stride: Int, _ extent: Int) throws -> Int {
    if stride == 1 { return extent - 1 }
    guard let size = size.constant, size < 1 << 48 else {
      throw Failure.badData("auto_pad with a stride of \(stride) needs known sizes, not \(size)")
    }
    return max(((size + stride - 1) / stride - 1) * stride + extent - size, 0)
  }

  private func weights(_ x: ValueID, _ w: ValueID) throws -> [Int] {
    let weights = try staticShape(w, "the weights")
    guard rank(x) == weights.count, weights.count >= 3 else {
      throw Failure.badData("weights \(type(w)) for an input \(type(x))")
    }
    if let kernel = try ints("kernel_shape"), kernel != Array(weights[2...]) {
      throw Failure.badData("kernel_shape is \(kernel), but the weights are \(type(w))")
    }
    return weights
  }

  func convolution(_ x: ValueID, _ w: ValueID, bias: ValueID?, widens: Bool = false) throws -> ValueID {
    let weights = try weights(x, w)
    let s = try sliding(kernel: Array(weights[2...]), sizes: Shape(shape(x)[2...]))
    let op = Convolve(
      strides: s.strides, dilations: s.dilations, padsBefore: s.padsBefore, padsAfter: s.padsAfter,
      groups: try int("group", default: 1), widens: widens)
    return try withBias(add(op, x, w), bias)
  }

  private func withBias(_ x: ValueID, _ bias: ValueID?) throws -> ValueID {
    guard let bias else { return x }
    return try binary(.add, x, perChannel(bias, rank: rank(x)))
  }

  fileprivate func transposedConvolution() throws -> ValueID {
    let (x, w) = (try input(0), try input(1))
    let kernel = Array(try weights(x, w)[2...])
    let automatic = try string("auto_pad", default: "NOTSET")
    let zeros = kernel.map { _ in 0 }
    let outputPads = try ints("output_padding") ?? zeros
    let ones = kernel.map { _ in 1 }
    let (strides, dilations) = (try ints("strides") ?? ones, try ints("dilations") ?? ones)
    let pads = automatic == "NOTSET" ? try ints("pads") ?? zeros + zeros : zeros + zeros
    guard outputPads.count == kernel.count, pads.count == 2 * kernel.count, strides.count == kernel.count,
      dilations.count == kernel.count, (strides + dilations + kernel).allSatisfy({ $0 > 0 && $0 < 1 << 31 }),
      (pads + outputPads).allSatisfy({ $0.magnitude < 1 << 31 })
    else { throw Failure.badData("strides, dilations or pads do not fit a kernel of \(kernel)") }
    var (before, after) = (Array(pads[..<kernel.count]), Array(pads[kernel.count...]))
    let wanted = try ints("output_shape").map { Array($0.suffix(kernel.count)) }
    for i in kernel.indices where wanted != nil || automatic.hasPrefix("SAME") {
      let extent = dilations[i] * (kernel[i] - 1) + 1
      // Padding is what the full result has too much: stride·(size − 1) + extent + output padding − wanted.
      let total: Int
      if let wanted {
        guard let size = shape(x)[2 + i].constant, i < wanted.count, size < 1 << 31, (0..<1 << 31).contains(wanted[i])
        else { throw Failure.badData("output_shape needs known input sizes") }
        total = strides[i] * (size - 1) + outputPads[i] + extent - wanted[i]
      } else {
        total = extent + outputPads[i] - strides[i]
      }
      // What the full result lacks is added at its end.
      let half = max(total, 0) / 2
      (before[i], after[i]) = automatic == "SAME_UPPER" || total < 0 ? (half, total - half) : (total - half, half)
    }
    let op = ConvolveTransposed(
      strides: strides, dilations: dilations, padsBefore: before, padsAfter: after, outputPads: outputPads,
      groups: try int("group", default: 1))
    return try withBias(add(op, x, w), optionalInput(2))
  }

  func pool(_ kind: Pool.Kind, of value: ValueID? = nil, countIncludesPadding: Bool? = nil) throws -> ValueID {
    let x = try value ?? input(0)
    guard let kernel = try ints("kernel_shape") else { throw Failure.badData("attribute 'kernel_shape' is missing") }
    guard rank(x) == kernel.count + 2 else { throw Failure.badData("kernel_shape \(kernel) for \(type(x))") }
    guard try int("storage_order", default: 0) == 0 || !wants(1) else {
      throw Failure.badData("indices in column-major order are not supported")
    }
    let s = try sliding(kernel: kernel, sizes: Shape(shape(x)[2...]))
    let op = Pool(
      kind, window: kernel, strides: s.strides, dilations: s.dilations, padsBefore: s.padsBefore,
      padsAfter: s.padsAfter, ceilMode: try flag("ceil_mode"),
      countIncludesPadding: try countIncludesPadding ?? flag("count_include_pad"))
    return try add(op, x)
  }
}

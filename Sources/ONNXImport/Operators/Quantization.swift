import GraphIR
import TensorTypes

// Linear quantisation to integers of 8, 16 or 32 bits, spelled out as arithmetic.

let quantizationRows: [OperatorRow] = [
  .one("QuantizeLinear") { n in
    let (x, scale) = (try n.input(0), try n.input(1))
    let zero = try n.optionalInput(2)
    let target = try zero.map { n.element($0) } ?? n.elementType("output_dtype") ?? .uint8
    guard target.isInteger else { throw Failure.badData("quantisation to \(target.rawValue) is not supported") }
    return try n.quantized(x, scale, zero, target)
  },
  .one("DequantizeLinear") { n in try n.dequantized(n.input(0), n.input(1), n.optionalInput(2)) },
  OperatorRow("DynamicQuantizeLinear") { n in
    let x = try n.cast(n.input(0), .float32)
    let axes = Array(0..<n.rank(x))
    let low = try n.add(Reduce(.minimum, axes: axes, keepDims: false), x)
    let high = try n.add(Reduce(.maximum, axes: axes, keepDims: false), x)
    // The range holds 0, which must be exact.
    let scale = try n.map(low, high) { e, x in
      let zero = e.constant(0, .float32)
      let range = e.binary(.subtract, e.binary(.maximum, x[1], zero), e.binary(.minimum, x[0], zero))
      return e.binary(.divide, range, e.constant(255, .float32))
    }
    let zero = try n.map(low, scale) { e, x in
      let quotient = e.binary(.divide, e.unary(.negate, e.binary(.minimum, x[0], e.constant(0, .float32))), x[1])
      return e.cast(e.unary(.round, quotient), .uint8)
    }
    return [try n.quantized(x, scale, zero, .uint8), scale, zero]
  },
  .one("QLinearMatMul") { n in
    let a = try n.dequantized(n.input(0), n.input(1), n.input(2), perRow: true)
    let b = try n.dequantized(n.input(3), n.input(4), n.input(5), axis: -1)
    let zero = try n.input(7)
    return try n.quantized(n.product(a, b), n.input(6), zero, n.element(zero), axis: -2)
  },
  .one("QLinearConv") { n in
    let x = try n.dequantized(n.input(0), n.input(1), n.input(2))
    let w = try n.dequantized(n.input(3), n.input(4), n.input(5), axis: 0)
    // The bias is quantised by the product of both scales.
    let bias = try n.optionalInput(8).map { bias in
      try n.map(bias, n.cast(n.input(1), .float32), n.cast(n.input(4), .float32)) { e, x in
        e.binary(.multiply, e.cast(x[0], .float32), e.binary(.multiply, x[1], x[2]))
      }
    }
    let zero = try n.input(7)
    return try n.quantized(n.convolution(x, w, bias: bias), n.input(6), zero, n.element(zero))
  },
]

extension NodeImport {
  /// `saturate(round(x / scale) + zero)`
  func quantized(_ x: ValueID, _ scale: ValueID, _ zero: ValueID?, _ target: ElementType, axis: Int? = nil) throws
    -> ValueID
  {
    let scale = try aligned(cast(scale, element(x)), to: x, axis)
    let point = try zero.map { try aligned(cast($0, element(x)), to: x, axis) } ?? constant(0, element(x))
    return try map(x, scale, point) { e, x in
      e.cast(e.binary(.add, e.unary(.round, e.binary(.divide, x[0], x[1])), x[2]), target)
    }
  }

  /// `(x − zero) · scale`
  func dequantized(
    _ x: ValueID, _ scale: ValueID, _ zero: ValueID?, axis: Int? = nil, perRow: Bool = false
  ) throws -> ValueID {
    if !perRow, let stored = try stored(x, scale, zero, axis) { return stored }
    let target = element(scale)
    let factor = try aligned(scale, to: x, perRow ? -2 : axis)
    let point = try zero.map { try aligned(cast($0, .int32), to: x, perRow ? -2 : axis) } ?? constant(0, .int32)
    return try map(x, factor, point) { e, x in
      let difference = e.binary(.subtract, e.cast(x[0], .int32), x[2])
      return e.binary(.multiply, e.cast(difference, target), x[1])
    }
  }

  /// The same of a constant matrix (or more) of 8 bits or fewer, which stays as it is stored; nil if it isn't one.
  private func stored(_ x: ValueID, _ scale: ValueID, _ zero: ValueID?, _ given: Int?) throws -> ValueID? {
    let isNarrow = element(x) == .int8 || element(x) == .uint8
    let parameters = [scale] + (zero.map { [$0] } ?? [])
    guard isNarrow, rank(x) >= 2, element(scale) == .float32, zero.map({ element($0) == element(x) }) ?? true,
      ([x] + parameters).allSatisfy({ graph.constant($0) != nil })
    else { return nil }
    let block = try int("block_size", default: 0)
    let axis = try axis(given ?? int("axis", default: 1), rank: rank(x))
    var shape = Shape(repeating: 1, count: rank(x))
    if rank(scale) == rank(x) {
      shape = self.shape(scale)
    } else if type(scale).elementCount != 1 {
      shape[axis] = type(scale).elementCount
    }
    return try addAll(Dequantize(axis: axis, block: block), [x] + parameters.map { try reshape($0, shape) })[0]
  }

  /// A scale or zero point so that it broadcasts: one number, one a slice along the axis, or one a block of it.
  private func aligned(_ parameter: ValueID, to x: ValueID, _ given: Int?) throws -> ValueID {
    if type(parameter).elementCount == 1 { return try reshape(parameter, []) }
    let axis = try axis(given ?? int("axis", default: 1), rank: rank(x))
    if rank(parameter) == 1 && rank(x) > axis {
      return try reshape(parameter, shape(parameter) + Shape(repeating: 1, count: rank(x) - axis - 1))
    }
    let block = try int("block_size", default: 0)
    if block == 0 { return parameter }
    guard block > 0, rank(parameter) == rank(x) else {
      throw Failure.badData("blocks of \(block) with \(type(parameter)) for \(type(x))")
    }
    let split = shape(parameter)
    let spread = try broadcast(unsqueeze(parameter, [axis + 1]), split[...axis] + [Dim(block)] + split[(axis + 1)...])
    let blocks = try reshape(spread, split[..<axis] + [split[axis] * Dim(block)] + split[(axis + 1)...])
    return try slice(blocks, axis: axis, start: 0, size: shape(x)[axis])
  }
}

import GraphIR
import TensorTypes

/// Products of quantised numbers as products of integers, however an exporter spells them. An integer sum is exact, so these
/// round less than what they replace.
let integerProductRules: [Rule] = [
  Rule("matmul((x - z) * s, (y - u) * t) = matmul(x - z, y - u) * s * t, rounds", on: MatMul.self) { g, op, x in
    guard !op.widens, let depth = g.shape(x[0])[g.type(x[0]).rank - (op.transposeLeft ? 2 : 1)].constant,
      depth <= largestDepth, let a = try g.dequantised(x[0]), let b = try g.dequantised(x[1]),
      let rows = g.rowScale(a.scale, op), let columns = try g.columnScale(b.scale, op)
    else { return nil }
    var integer = op
    integer.widens = true
    return try g.scaled(g.build(integer, g.centred(a), g.centred(b)), by: [rows, columns])
  },
  Rule("convolve((x - z) * s, (w - u) * t) = convolve(x - z, w - u) * s * t, rounds", on: Convolve.self) { g, op, x in
    guard !op.widens, let weights = g.type(x[1]).staticShape, weights.dropFirst().reduce(1, *) <= largestDepth,
      // With a channel a group there is no sum to speak of.
      op.groups == 1 || weights[1] > 1,
      let a = try g.dequantised(x[0]), let b = try g.dequantised(x[1]), g.isUniform(a.scale), g.isUniform(a.zero),
      let channels = try g.channelScale(b.scale, op)
    else { return nil }
    var integer = op
    integer.widens = true
    return try g.scaled(g.build(integer, g.centred(a), g.centred(b)), by: [a.scale, channels])
  },
  Rule("matmul that widens, by constants as narrow as they can be, of numbers as they are", on: MatMul.self) {
    g, op, x in
    op.widens ? try g.narrowed(x).map { try g.build(op, $0[0], $0[1]) } : nil
  },
  Rule("convolve that widens, the same", on: Convolve.self) { g, op, x in
    op.widens ? try g.narrowed(x).map { try g.build(op, $0[0], $0[1]) } : nil
  },
  Rule("matmul(x - z, w) = matmul(x, w) - z * sums of w's columns, for constants w", on: MatMul.self) { g, op, x in
    guard op.widens, let sums = g.tensor(x[1])?.columnSums(transposed: op.transposeRight) else { return nil }
    return try g.productOfPlainNumbers(op, x, sums)
  },
  Rule("convolve(x - z, w) = convolve(x, w) - z * sums of w, with a border of z, for constants w", on: Convolve.self) {
    g, op, x in
    guard op.widens, op.border == 0, op.layout == .channelsFirst, let sums = g.tensor(x[1])?.outputSums else {
      return nil
    }
    var op = op
    if (op.padsBefore + op.padsAfter).contains(where: { $0 != 0 }) {
      guard let zero = g.centredNumbers(x[0])?.zero?.constant else { return nil }
      op.border = Int(zero)
    }
    return try g.productOfPlainNumbers(op, x, sums)
  },
  // Short dot products want the left operand without a sign.
  Rule("matmul(x, w) = matmul(x + 128, w) - 128 * sums of w's columns, for i8 and constants w", on: MatMul.self) {
    g, op, x in
    guard op.widens, g.areSigned(x), let sums = g.tensor(x[1])?.columnSums(transposed: op.transposeRight) else {
      return nil
    }
    return try g.build(
      .binary(.subtract, .int32), g.build(op, g.unsigned(x[0]), x[1]), g.constant(sums.scaled(by: 128)))
  },
  Rule("convolve(x, w), the same", on: Convolve.self) { g, op, x in
    guard op.widens, g.areSigned(x), op.layout == .channelsFirst, let sums = g.tensor(x[1])?.outputSums else {
      return nil
    }
    var shifted = op
    shifted.border += 128
    return try g.build(
      .binary(.subtract, .int32), g.build(shifted, g.unsigned(x[0]), x[1]), g.constant(sums.scaled(by: 128)))
  },
]

/// Products of 8-bit numbers less their zero points, none above 255 in size, whose sum fits an i32 for certain.
private let largestDepth = Int(Int32.max) / (255 * 255)

/// `(x - zero) * scale`, or without one or the other.
private struct Dequantised {
  /// In i8 or u8, of the result's shape.
  var x: ValueID
  var zero: Term?
  var scale: Term?
}

extension GraphRewriter {
  /// What `value` is, if it is a dequantised tensor; looks through movement of one that is quantised as a whole.
  fileprivate mutating func dequantised(_ value: ValueID, depth: Int = 4) throws -> Dequantised? {
    guard type(value).element == .float32, let id = graph.producer(value) else { return nil }
    let (op, operands) = (graph[id].op, graph[id].operands.compactMap { $0 })
    if op is Reshape || op is Transpose, depth > 0 {
      guard operands.count == 1, var whole = try dequantised(operands[0], depth: depth - 1), isUniform(whole.zero),
        isUniform(whole.scale)
      else { return nil }
      whole.x = try build(op, [whole.x])[0]
      return whole
    }
    if let op = op as? Dequantize {
      guard operands.count > 1, op.block == 0 else { return nil }
      return Dequantised(
        x: operands[0], zero: operands.count > 2 ? .value(operands[2]) : nil, scale: .value(operands[1]))
    }
    guard let e = (op as? Elementwise)?.expression else { return nil }
    var (number, scale) = (e.result, Term?.none)
    if case .binary(.multiply, let a, let b) = e.instructions[number] {
      if let factor = e.leaf(b, operands) {
        (number, scale) = (a, factor)
      } else if let factor = e.leaf(a, operands) {
        (number, scale) = (b, factor)
      }
    }
    guard case .cast(let difference, .float32) = e.instructions[number],
      let (x, zero) = e.difference(difference, operands),
      type(x).element.byteCount == 1, shape(x) == shape(value)
    else { return nil }
    return Dequantised(x: x, zero: zero, scale: scale)
  }

  /// `x - zero` in i16; `x` itself if there is no zero point.
  fileprivate mutating func centred(_ a: Dequantised) throws -> ValueID {
    let element = type(a.x).element
    switch a.zero {
    case nil: return a.x
    case .constant(let zero)?:
      let f = Expression(inputs: [element]) { e in
        e.binary(.subtract, e.cast(e.input(0), .int16), e.constant(zero, .int16))
      }
      return try build(f, a.x)
    case .value(let zero)?:
      let f = Expression(inputs: [element, type(zero).element]) { e in
        e.binary(.subtract, e.cast(e.input(0), .int16), e.cast(e.input(1), .int16))
      }
      return try build(f, a.x, zero)
    }
  }

  /// `x` and `zero`, if `value` is `x - zero` in i16 for 8-bit x.
  fileprivate func centredNumbers(_ value: ValueID) -> (x: ValueID, zero: Term?)? {
    guard type(value).element == .int16, let (op, operands) = producer(value, Elementwise.self),
      let (x, zero) = op.expression.difference(op.expression.result, operands), type(x).element.byteCount == 1,
      shape(x) == shape(value)
    else { return nil }
    return (x, zero)
  }

  // MARK: Scales

  fileprivate func isUniform(_ term: Term?) -> Bool { term?.value.map { type($0).elementCount == 1 } ?? true }

  /// A factor that a's rows may have, as the product's rows have it; nil if it varies along a's columns.
  fileprivate func rowScale(_ scale: Term?, _ op: MatMul) -> Term?? {
    guard !isUniform(scale), let value = scale?.value else { return .some(scale) }
    return !op.transposeLeft && shape(value).last == 1 ? .some(scale) : nil
  }

  /// A factor that b's columns may have, as the product's columns have it; nil if it varies along b's rows.
  fileprivate mutating func columnScale(_ scale: Term?, _ op: MatMul) throws -> Term?? {
    guard !isUniform(scale), let value = scale?.value else { return .some(scale) }
    let shape = shape(value)
    if !op.transposeRight { return shape.count == 1 || shape[shape.count - 2] == 1 ? .some(scale) : nil }
    guard shape.count >= 2, shape.last == 1 else { return nil }
    let turned = shape.dropLast(2) + [1, shape[shape.count - 2]]
    return .some(.value(try build(Reshape(Array(turned)), value)))
  }

  /// A factor that w's output channels may have, as the result's channels have it.
  fileprivate mutating func channelScale(_ scale: Term?, _ op: Convolve) throws -> Term?? {
    guard !isUniform(scale), let value = scale?.value else { return .some(scale) }
    let shape = shape(value)
    guard op.layout == .channelsFirst, shape.count >= 3, shape.dropFirst().allSatisfy({ $0 == 1 }) else { return nil }
    return .some(.value(try build(Reshape(Array(shape.dropLast())), value)))
  }

  /// An integer product as f32, times the factors.
  fileprivate mutating func scaled(_ product: ValueID, by factors: [Term?]) throws -> ValueID {
    let cast = Expression(inputs: [.int32]) { e in e.cast(e.input(0), .float32) }
    let number = factors.compactMap { $0?.constant }.reduce(1) { Double(Float($0) * Float($1)) }
    var factor: ValueID?
    for value in factors.compactMap({ $0?.value }) {
      let single = type(value).elementCount == 1 ? try build(Reshape([]), value) : value
      factor = try factor.map { try build(.binary(.multiply, .float32), $0, single) } ?? single
    }
    let result = try build(cast, product)
    guard let factor else { return number == 1 ? result : try build(.scaling(by: number, .float32), result) }
    let joint = number == 1 ? factor : try build(.scaling(by: number, .float32), factor)
    return try build(.binary(.multiply, .float32), result, joint)
  }

  // MARK: Operands of integer products

  fileprivate func areSigned(_ x: [ValueID]) -> Bool { x.allSatisfy { type($0).element == .int8 } }

  /// `x + 128` in u8, for x of i8.
  fileprivate mutating func unsigned(_ x: ValueID) throws -> ValueID {
    let shift = Expression(inputs: [.int8]) { e in
      e.cast(e.binary(.add, e.cast(e.input(0), .int16), e.constant(128, .int16)), .uint8)
    }
    return try build(shift, x)
  }

  /// `op(x - z, w)` as `op(x, w) - z * sums`, so that numbers go into the product as they lie in memory; nil if the left
  /// operand is no such difference, or z not the same for all.
  fileprivate mutating func productOfPlainNumbers(_ op: any Op, _ x: [ValueID], _ sums: HostTensor) throws -> ValueID? {
    guard let (numbers, zero) = centredNumbers(x[0]), let zero, isUniform(zero) else { return nil }
    let product = try build(op, numbers, x[1])
    let sums = constant(sums)
    switch zero {
    case .constant(let zero):
      let correction = Expression(inputs: [.int32]) { e in
        e.binary(.multiply, e.input(0), e.constant(zero, .int32))
      }
      return try build(.binary(.subtract, .int32), product, try build(correction, sums))
    case .value(let zero):
      let correction = Expression(inputs: [.int32, type(zero).element]) { e in
        e.binary(.multiply, e.input(0), e.cast(e.input(1), .int32))
      }
      return try build(.binary(.subtract, .int32), product, try build(correction, sums, try build(Reshape([]), zero)))
    }
  }

  /// The operands in types as narrow as they can be; nil if they are already.
  fileprivate mutating func narrowed(_ x: [ValueID]) -> [ValueID]? {
    var changed = false
    let operands = x.map { value -> ValueID in
      guard type(value).element == .int16 else { return value }
      if let tensor = tensor(value) ?? evaluated(value) {
        changed = changed || self.tensor(value) == nil || tensor.fitsInt8
        return tensor.fitsInt8 ? constant(tensor.asInt8) : self.tensor(value) == nil ? constant(tensor) : value
      }
      guard let (source, zero) = centredNumbers(value), zero == nil else { return value }
      changed = true
      return source
    }
    return changed ? operands : nil
  }

  /// The value of an elementwise op on constants, though it takes more memory than they do.
  private func evaluated(_ value: ValueID) -> HostTensor? {
    guard let (op, operands) = producer(value, Elementwise.self) else { return nil }
    let tensors = operands.compactMap { tensor($0) }
    return tensors.count == operands.count ? try? op.evaluate(tensors)[0] : nil
  }
}

extension Expression {
  /// An input, or a number, perhaps cast from another integer type.
  fileprivate func leaf(_ operand: Operand, _ operands: [ValueID]) -> Term? {
    switch instructions[operand] {
    case .input(let i): return .value(operands[i])
    case .constant(let scalar, _): return .constant(scalar.double)
    case .cast(let inner, let type):
      guard !type.isFloat, case .input(let i) = instructions[inner], !inputTypes[i].isFloat else { return nil }
      return .value(operands[i])
    case .unary, .binary, .select: return nil
    }
  }

  /// `x` and `zero`, if `operand` is `x - zero` or `x`, x being an input of a narrower integer type.
  fileprivate func difference(_ operand: Operand, _ operands: [ValueID]) -> (x: ValueID, zero: Term?)? {
    var (number, zero) = (operand, Term?.none)
    if case .binary(.subtract, let a, let b) = instructions[operand] {
      guard let term = leaf(b, operands) else { return nil }
      (number, zero) = (a, term.constant == 0 ? nil : term)
    }
    while case .cast(let inner, let type) = instructions[number], type.isSignedInteger,
      types[inner].byteCount < type.byteCount, types[inner].isInteger
    {
      number = inner
    }
    guard case .input(let i) = instructions[number], inputTypes[i].isNarrowInteger else { return nil }
    return (operands[i], zero)
  }
}

extension HostTensor {
  fileprivate var fitsInt8: Bool { integers.allSatisfy { (-128...127).contains($0) } }
  fileprivate var asInt8: HostTensor { HostTensor(.int8, shape, .integers(integers)) }
  fileprivate func scaled(by factor: Int64) -> HostTensor {
    HostTensor(.int32, shape, .integers(integers.map { $0 * factor }))
  }

  /// The sum of each output channel's weights, of a convolution's, in a shape that its result can be reduced by.
  fileprivate var outputSums: HostTensor? {
    reshaped([shape[0], shape.dropFirst().reduce(1, *)]).columnSums(transposed: true)?
      .reshaped([shape[0]] + shape.dropFirst(2).map { _ in 1 })
  }

  /// The sum of each column of a matrix, or of each of a batch of them, as a row; nil if the rank is below 2.
  fileprivate func columnSums(transposed: Bool) -> HostTensor? {
    guard shape.count >= 2 else { return nil }
    let batch = Array(shape.dropLast(2))
    let (rows, columns) = (shape[shape.count - 2], shape[shape.count - 1])
    let width = transposed ? rows : columns
    var sums = [Int64](repeating: 0, count: batch.reduce(1, *) * width)
    for row in 0..<batch.reduce(1, *) * rows {
      guard case .integers(let numbers) = column(row * columns..<(row + 1) * columns) else { return nil }
      if transposed {
        sums[row] = numbers.reduce(0, +)
      } else {
        for (j, number) in numbers.enumerated() { sums[row / rows * width + j] += number }
      }
    }
    return HostTensor(.int32, batch.isEmpty ? [width] : batch + [1, width], .integers(sums))
  }
}

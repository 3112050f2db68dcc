import GraphIR
import TensorTypes

/// Equations between ops that only move elements, and of the ops that can absorb such movement.
let movementRules: [Rule] = [
  Rule("transpose by the identity = x", on: Transpose.self) { _, op, x in
    op.permutation == Array(op.permutation.indices) ? x[0] : nil
  },
  Rule("transpose(transpose(x)) = transpose(x)", on: Transpose.self) { g, op, x in
    guard let (inner, source) = g.producer(x[0], Transpose.self) else { return nil }
    return try g.build(Transpose(op.permutation.map { inner.permutation[$0] }), source[0])
  },
  Rule("transpose that moves only dimensions of size 1 = reshape", on: Transpose.self) { g, op, x in
    let shape = g.shape(x[0])
    guard op.permutation.keepsOrder(of: shape) else { return nil }
    return try g.build(Reshape(op.permutation.map { shape[$0] }), x[0])
  },
  Rule("reshape to its own shape = x", on: Reshape.self) { g, op, x in op.shape == g.shape(x[0]) ? x[0] : nil },
  Rule("reshape(reshape(x)) = reshape(x)", on: Reshape.self) { g, op, x in
    guard let (_, source) = g.producer(x[0], Reshape.self) else { return nil }
    return try g.build(op, source[0])
  },
  Rule("reshape(reduce(x)) = reduce that keeps dimensions", on: Reshape.self) { g, op, x in
    guard let (reduce, source) = g.producer(x[0], Reduce.self), !reduce.keepDims else { return nil }
    let kept = Reduce(reduce.function, axes: reduce.axes, keepDims: true)
    guard try kept.infer([g.type(source[0])])[0].shape == op.shape else { return nil }
    return try g.build(kept, source[0])
  },
  Rule("reduce over nothing, or over dimensions of size 1 = reshape", on: Reduce.self) { g, op, x in
    let shape = g.shape(x[0])
    guard op.axes.allSatisfy({ shape[$0] == 1 }) else { return nil }
    return try g.build(Reshape(try op.infer([g.type(x[0])])[0].shape), x[0])
  },
  Rule("slice of everything = x", on: Slice.self) { g, op, x in
    let shape = g.shape(x[0])
    let whole = op.axes.indices.allSatisfy { i in
      op.starts[i] == 0 && op.sizes[i] == shape[op.axes[i]] && (op.steps[i] == 1 || op.sizes[i] == 1)
    }
    return whole ? x[0] : nil
  },
  Rule("concat of one = x", on: Concat.self) { _, _, x in x.count == 1 ? x[0] : nil },
  Rule("concat without its empty operands", on: Concat.self) { g, op, x in
    let full = x.filter { g.shape($0)[op.axis] != 0 }
    guard full.count < x.count, !full.isEmpty else { return nil }
    return try g.build(op, full.map { Optional($0) })[0]
  },
  Rule("concat(slices that make up x) = x", on: Concat.self) { g, op, x in
    guard let (_, source) = g.producer(x[0], Slice.self) else { return nil }
    var position = Dim(0)
    for value in x {
      guard let (slice, own) = g.producer(value, Slice.self), own == source, slice.axes == [op.axis],
        slice.starts == [position], slice.steps == [1]
      else { return nil }
      position = position + slice.sizes[0]
    }
    return position == g.shape(source[0])[op.axis] ? source[0] : nil
  },
  Rule("pad by nothing = x", on: Pad.self) { _, op, x in
    (op.before + op.after).allSatisfy { $0 == 0 } ? x[0] : nil
  },
  Rule("broadcast to its own shape = x", on: Broadcast.self) { g, op, x in op.shape == g.shape(x[0]) ? x[0] : nil },
  Rule("broadcast by dimensions of size 1 = reshape", on: Broadcast.self) { g, op, x in
    op.shape.product == g.type(x[0]).elementCount && op.shape.filter { $0 != 1 } == g.shape(x[0]).filter { $0 != 1 }
      ? try g.build(Reshape(op.shape), x[0]) : nil
  },
  Rule("broadcast(broadcast(x)) = broadcast(x)", on: Broadcast.self) { g, op, x in
    guard let (_, source) = g.producer(x[0], Broadcast.self) else { return nil }
    return try g.build(op, source[0])
  },
  Rule("matmul(transpose(a), b) = matmul with a the other way round", on: MatMul.self) { g, op, x in
    var turned = op
    if let source = g.matrixTransposed(x[0]) {
      turned.transposeLeft.toggle()
      return try g.build(turned, source, x[1])
    }
    if let source = g.matrixTransposed(x[1]) {
      turned.transposeRight.toggle()
      return try g.build(turned, x[0], source)
    }
    return nil
  },
]

extension GraphRewriter {
  /// `x`, if `value` is `x` with its two innermost dimensions exchanged.
  fileprivate func matrixTransposed(_ value: ValueID) -> ValueID? {
    guard let (op, source) = producer(value, Transpose.self), op.permutation.count >= 2,
      op.permutation == Transpose.ofMatrices(rank: op.permutation.count).permutation
    else { return nil }
    return source[0]
  }
}

extension Transpose {
  /// Exchanges the two innermost dimensions.
  static func ofMatrices(rank: Int) -> Transpose { Transpose(Array(0..<rank - 2) + [rank - 1, rank - 2]) }
  /// From channels last to channels first.
  static func toChannelsFirst(rank: Int) -> Transpose { Transpose([0, rank - 1] + Array(1..<rank - 1)) }
  /// From channels first to channels last.
  static func toChannelsLast(rank: Int) -> Transpose { Transpose([0] + Array(2..<rank) + [1]) }
  /// Undoes this one.
  var inverse: Transpose { Transpose(permutation.inverted) }
}

extension [Int] {
  /// The permutation that undoes this one.
  var inverted: [Int] {
    var inverse = self
    for (i, p) in enumerated() { inverse[p] = i }
    return inverse
  }

  /// Whether a transpose by this permutation leaves the elements of a tensor of `shape` in their order.
  func keepsOrder(of shape: Shape) -> Bool {
    let moved = filter { shape[$0] != 1 }
    return moved == moved.sorted()
  }
}

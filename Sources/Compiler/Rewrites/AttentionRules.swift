import GraphIR
import TensorTypes

/// `softmax(q·kᵀ · scale + mask) · v`, however the exporter wrote scale, mask and transposes.
///
/// A row of scores that are all −∞ has softmax NaN and attention 0, which is what exporters mean: newer ones write a
/// guard (`isNaN(p) ? 0 : p`) around the softmax, which is absorbed.
let attentionRules: [Rule] = [
  Rule("softmax(q·kᵀ · scale + mask) · v = attention(q, k, v, mask)", on: MatMul.self) { g, op, x in
    let weights = g.guarded(x[0]) ?? x[0]
    guard let (softmax, scores) = g.producer(weights, Softmax.self) else { return nil }
    func miss(_ reason: @autoclosure () -> String) -> ValueID? { g.missed(.attention, at: weights, reason()) }
    let rank = g.type(scores[0]).rank
    if !g.isUsedOnce(x[0]) { return miss("its result has other readers than the product with the values") }
    if op.transposeLeft { return miss("the product with the values reads it transposed") }
    if softmax.logarithm { return miss("it is a logarithm") }
    if softmax.axis != rank - 1 {
      return miss("over dimension \(softmax.axis) of \(rank), attention's is over the last")
    }
    guard var pattern = try g.attentionScores(scores[0], for: weights) else { return nil }
    pattern.value = op.transposeRight ? try g.build(Transpose.ofMatrices(rank: g.type(x[1]).rank), x[1]) : x[1]
    return try g.attention(pattern, for: weights)
  }
]

/// What an attention is made of, of any rank from 2 to 4.
private struct AttentionPattern {
  /// `[…, Sq, D]`, or `[…, D, Sq]` if `queryIsTransposed`.
  var query: ValueID
  var queryIsTransposed: Bool
  /// `[…, Sk, D]`, or `[…, D, Sk]` if `keyIsTransposed`.
  var key: ValueID
  var keyIsTransposed: Bool
  /// `[…, Sk, E]`; set last.
  var value: ValueID
  var scale = 1.0
  var mask: Mask?

  enum Mask {
    /// Added to the scores.
    case additive(ValueID)
    /// Whether a key is seen: scores elsewhere become `otherwise`.
    case seen(ValueID, inverted: Bool, otherwise: Double)
  }
}

extension GraphRewriter {
  /// The softmax, if `value` is `isNaN(s) ? 0 : s` of it and nothing else reads it.
  fileprivate func guarded(_ value: ValueID) -> ValueID? {
    guard isUsedOnce(value), case .select(.value(let condition), let a, let b)? = form(value) else { return nil }
    guard case .constant(0) = a, let inner = b.value else { return nil }
    return form(condition)?.operand(of: .isNaN) == inner ? inner : nil
  }

  /// The parts of `value = q·kᵀ · scale + mask`, the mask being last and there at most once.
  /// - Parameter softmax: which reads them; the reason why they don't suit is noted under it.
  fileprivate mutating func attentionScores(_ value: ValueID, for softmax: ValueID) throws -> AttentionPattern? {
    let shape = shape(value)
    var mask: AttentionPattern.Mask?
    var scale = 1.0
    var current = value
    while true {
      if !isUsedOnce(current) {
        return missed(.attention, at: softmax, "the scores have other readers (\(describe(current)))")
      }
      if let (product, operands) = producer(current, MatMul.self) {
        guard self.shape(current) == shape else {
          return missed(.attention, at: softmax, "the mask has more dimensions than the scores or larger ones")
        }
        let (query, key) = (try withoutScale(operands[0]), try withoutScale(operands[1]))
        return AttentionPattern(
          query: query.value, queryIsTransposed: product.transposeLeft, key: key.value,
          keyIsTransposed: !product.transposeRight, value: operands[1],
          scale: scale * query.scale * key.scale, mask: mask)
      }
      guard let form = form(current) else {
        return missed(
          .attention, at: softmax,
          "the scores come from \(describe(current)); attention wants a product, scaled and masked at most")
      }
      if let (inner, factor) = scaled(form) {
        // A mask would have to be scaled too if it came before.
        scale *= factor
        current = inner
      } else if mask == nil, scale == 1, let (inner, found) = masked(form, shape) {
        (mask, current) = (found, inner)
      } else {
        let reason = mask != nil ? "a second mask" : scale != 1 ? "a mask before the scale" : hiding(form)
        return missed(.attention, at: softmax, "\(describe(current)): \(reason)")
      }
    }
  }

  /// Why `form` masks no scores.
  private func hiding(_ form: Form) -> String {
    guard case .select(_, let a, let b) = form, let number = a.constant ?? b.constant else {
      return "neither a scale nor a mask of a product"
    }
    return "scores become \(number) where they are hidden, a mask's are below -1e30"
  }

  private func masked(_ form: Form, _ shape: Shape) -> (ValueID, AttentionPattern.Mask)? {
    for (x, y) in form.operands(of: .add) {
      guard let scores = x.value, let mask = y.value, self.shape(scores) == shape, leadsToMatMul(scores) else {
        continue
      }
      return (scores, .additive(mask))
    }
    guard case .select(.value(let condition), let a, let b) = form else { return nil }
    if let scores = a.value, let other = b.constant, other < -1e30, self.shape(scores) == shape {
      return (scores, .seen(condition, inverted: false, otherwise: other))
    }
    if let scores = b.value, let other = a.constant, other < -1e30, self.shape(scores) == shape {
      return (scores, .seen(condition, inverted: true, otherwise: other))
    }
    return nil
  }

  /// Whether scalings of a matrix product compute `value`.
  private func leadsToMatMul(_ value: ValueID) -> Bool {
    var current = value
    while let form = form(current), let (inner, _) = scaled(form) { current = inner }
    return producer(current, MatMul.self) != nil
  }

  /// `x` and `c`, if `value` is `x · c`, looking through what only moves elements of `x · c`.
  private mutating func withoutScale(_ value: ValueID) throws -> (value: ValueID, scale: Double) {
    if let form = form(value), let (x, c) = scaled(form), c != 0, c.isFinite {
      let inner = try withoutScale(x)
      return (inner.value, inner.scale * c)
    }
    guard isUsedOnce(value), let id = graph.producer(value), graph[id].op is Reshape || graph[id].op is Transpose,
      let source = graph[id].operands[0]
    else { return (value, 1) }
    let (op, inner) = (graph[id].op, try withoutScale(source))
    return inner.scale == 1 ? (value, 1) : (try build(op, inner.value), inner.scale)
  }

  /// Builds the attention; nil if ranks or sizes do not suit the op.
  fileprivate mutating func attention(_ pattern: AttentionPattern, for softmax: ValueID) throws -> ValueID? {
    let rank = type(pattern.query).rank
    guard (2...4).contains(rank), [pattern.key, pattern.value].allSatisfy({ type($0).rank == rank }),
      type(pattern.query).element.isFloat
    else {
      let ranks = [pattern.query, pattern.key, pattern.value].map { "\(type($0))" }.joined(separator: ", ")
      return missed(.attention, at: softmax, "queries, keys and values \(ranks), wanted of one rank from 2 to 4")
    }
    var (query, key) = (pattern.query, pattern.key)
    if pattern.queryIsTransposed { query = try build(Transpose.ofMatrices(rank: rank), query) }
    if pattern.keyIsTransposed { key = try build(Transpose.ofMatrices(rank: rank), key) }
    var operands = [query, key, pattern.value]
    for i in operands.indices { operands[i] = try withFourDimensions(operands[i]) }
    let (q, k, v) = (shape(operands[0]), shape(operands[1]), shape(operands[2]))
    // A matrix product broadcasts outer dimensions, attention does not.
    guard q[0] == k[0], k[0] == v[0], k[1] == v[1], q[1] == k[1] || divides(k[1], q[1]) else {
      return missed(.attention, at: softmax, "batch and heads of queries \(q), keys \(k) and values \(v) differ")
    }
    if let mask = pattern.mask {
      let value = try additiveOrSeen(mask, type(pattern.query).element)
      guard type(value).element == .bool || type(value).element == type(pattern.query).element,
        type(value).rank <= rank
      else { return missed(.attention, at: softmax, "a mask \(type(value))") }
      // One of lower rank is aligned at the innermost dimension, as it broadcasts.
      operands.append(rank == 3 && type(value).rank == 3 ? try withFourDimensions(value) : value)
    }
    let op = Attention(scale: pattern.scale)
    guard let type = try? op.infer(operands.map { type($0) })[0] else {
      return missed(.attention, at: softmax, "operands \(operands.map { type($0) })")
    }
    let result = try build(op, operands)[0]
    switch rank {
    case 2: return try build(Reshape(Shape(type.shape[2...])), result)
    case 3: return try build(Reshape([type.shape[0]] + type.shape[2...]), result)
    default: return result
    }
  }

  private func divides(_ a: Dim, _ b: Dim) -> Bool {
    guard let x = a.constant, let y = b.constant, x > 0 else { return false }
    return y % x == 0
  }

  /// `[B, H, S, D]` from `[S, D]` or from `[B, S, D]`, whose B stays the batch.
  private mutating func withFourDimensions(_ value: ValueID) throws -> ValueID {
    let shape = shape(value)
    switch shape.count {
    case 4: return value
    case 3: return try build(Reshape([shape[0], 1] + shape[1...]), value)
    default: return try build(Reshape([Dim](repeating: 1, count: 4 - shape.count) + shape), value)
    }
  }

  private mutating func additiveOrSeen(_ mask: AttentionPattern.Mask, _ element: ElementType) throws -> ValueID {
    switch mask {
    case .additive(let value): return value
    case .seen(let condition, let inverted, let otherwise):
      if otherwise == -.infinity {
        return inverted ? try build(.unary(.not, .bool), condition) : condition
      }
      // A finite number far below any score absorbs what it is added to.
      let f = Expression(inputs: [.bool]) { e in
        let (c, zero, low) = (e.input(0), e.constant(0, element), e.constant(otherwise, element))
        return inverted ? e.select(c, low, zero) : e.select(c, zero, low)
      }
      return try build(f, condition)
    }
  }
}

/// Equations of attention with what moves its operands' elements.
let attentionMovementRules: [Rule] = [
  Rule("attention(q, repeat(k), repeat(v)) = attention(q, k, v)", on: Attention.self) { g, op, x in
    guard let k = g.repeated(x[1]), let v = g.repeated(x[2]), k.shape[1] == v.shape[1] else { return nil }
    let operands = [x[0], try g.build(Reshape(k.shape), k.source), try g.build(Reshape(v.shape), v.source)]
    return try g.build(op, (operands + x.dropFirst(3)).map { Optional($0) })[0]
  },
  Rule("attention of batch · heads = attention of a batch of heads", on: Attention.self) { g, op, x in
    // What projects gives heads side by side; joined with the batch they would have to be copied.
    guard x.count == 3, let q = g.splitHeads(x[0]), let k = g.splitHeads(x[1]), let v = g.splitHeads(x[2]),
      q.shape.prefix(2) == k.shape.prefix(2), k.shape.prefix(2) == v.shape.prefix(2)
    else { return nil }
    let operands = try [q, k, v].map { part in
      let heads = try g.build(Reshape(part.shape), part.source)
      return part.isTransposed ? try g.build(Transpose([0, 1, 3, 2]), heads) : heads
    }
    let result = try g.build(op, operands.map { Optional($0) })[0]
    return try g.build(Reshape(try op.infer(x.map { g.type($0) })[0].shape), result)
  },
]

extension GraphRewriter {
  /// `source` and the shape `[B, Hkv, S, D]` under which it is `x`, if `value` is each head of `x` repeated:
  /// `reshape(broadcast(x as [B, Hkv, 1, S, D]))`.
  fileprivate func repeated(_ value: ValueID) -> (source: ValueID, shape: Shape)? {
    guard let (heads, a) = producer(value, Reshape.self), heads.shape.count == 4,
      let (repeated, b) = producer(a[0], Broadcast.self), repeated.shape.count == 5
    else { return nil }
    let single = shape(b[0])
    guard single.count == 5, single[2] == 1, repeated.shape[0] == single[0], repeated.shape[1] == single[1],
      repeated.shape[3...] == single[3...],
      heads.shape == [single[0], single[1] * repeated.shape[2], single[3], single[4]]
    else { return nil }
    return (b[0], [single[0], single[1], single[3], single[4]])
  }

  /// `source` of shape `[B, H·D, S]` as `[B, H, D, S]`, transposed if so, if `value` of shape `[B·H, 1, …]` is
  /// that with batch and heads joined.
  fileprivate func splitHeads(_ value: ValueID) -> (source: ValueID, shape: Shape, isTransposed: Bool)? {
    var current = value
    var isTransposed = false
    while true {
      if let (op, x) = producer(current, Transpose.self) {
        let rank = op.permutation.count
        guard rank >= 3, !isTransposed, op == .ofMatrices(rank: rank) else { return nil }
        (current, isTransposed) = (x[0], true)
      } else if let (op, x) = producer(current, Reshape.self) {
        let inner = shape(x[0])
        // Only a dimension of 1 comes or goes.
        guard inner.filter({ $0 != 1 }) != op.shape.filter({ $0 != 1 }) else {
          current = x[0]
          continue
        }
        let joined = op.shape.filter { $0 != 1 }
        guard inner.count == 3, joined.count == 3, joined[2] == inner[2],
          let heads = joined[0].divided(exactlyBy: inner[0])?.constant, heads > 1, inner[1] == Dim(heads) * joined[1]
        else { return nil }
        return (x[0], [inner[0], Dim(heads), joined[1], joined[2]], isTransposed)
      } else {
        return nil
      }
    }
  }
}

import GraphIR
import TensorTypes

/// `softmax(q·kᵀ · scale + mask) · v`, however the exporter wrote scale, mask and transposes.
///
/// A row of scores that are all −∞ has softmax NaN and attention 0, which is what exporters mean: newer ones write a
/// guard (`isNaN(p) ? 0 : p`) around the softmax, which is absorbed.
let attentionRules: [Rule] = [
  Rule("softmax(q·kᵀ · scale + mask) · v = attention(q, k, v, mask)", on: MatMul.self) { g, op, x in
    let rows = g.beforeReshape(x[0])
    let weights = g.guarded(rows)
    guard let (softmax, scores) = g.producer(weights, Softmax.self) else { return nil }
    func miss(_ reason: @autoclosure () -> String) -> ValueID? { g.missed(.attention, at: weights, reason()) }
    let rank = g.type(scores[0]).rank
    if !g.isUsedOnce(x[0]) || !g.isUsedOnce(rows) {
      return miss("its result has other readers than the product with the values")
    }
    if op.transposeLeft { return miss("the product with the values reads it transposed") }
    if softmax.logarithm { return miss("it is a logarithm") }
    if softmax.axis != rank - 1 {
      return miss("over dimension \(softmax.axis) of \(rank), attention's is over the last")
    }
    guard var pattern = try g.attentionScores(scores[0], for: weights) else { return nil }
    // Whatever reshapes are between, rows are the product's.
    guard pattern.scores == g.shape(x[0]), pattern.scores.last == g.shape(weights).last else {
      return miss("scores of \(pattern.scores) are reshaped to others")
    }
    pattern.value = op.transposeRight ? try g.build(Transpose.ofMatrices(rank: g.type(x[1]).rank), x[1]) : x[1]
    return try g.attention(pattern, for: weights)
  }
]

/// What an attention is made of, of any rank from 2.
private struct AttentionPattern {
  /// `[…, Sq, D]`, or `[…, D, Sq]` if `queryIsTransposed`.
  var query: ValueID
  var queryIsTransposed: Bool
  /// `[…, Sk, D]`, or `[…, D, Sk]` if `keyIsTransposed`.
  var key: ValueID
  var keyIsTransposed: Bool
  /// `[…, Sk, E]`; set last.
  var value: ValueID
  /// `[…, Sq, Sk]`, the product's shape.
  var scores: Shape
  var scale = 1.0
  /// The last is applied first.
  var masks: [PlacedMask]

  /// The scores' shape for the attention, of rank 4: batch and heads are what some mask distinguishes, as those of
  /// products over a batch of heads do.
  var frame: Shape {
    let matrix = Array(scores.suffix(2))
    switch scores.count {
    case 2: return [1, 1] + matrix
    case 3:
      let split = masks.lazy.map(\.shape).first { $0.count == 4 && $0.suffix(2) == scores.suffix(2) }
      return split ?? [scores[0], 1] + matrix
    case 4: return scores
    default: return [scores.dropLast(3).product, scores[scores.count - 3]] + matrix
    }
  }
}

extension GraphRewriter {
  /// The softmax, if `value` is `isNaN(s) ? 0 : s` of it and nothing else reads it; else `value`.
  fileprivate func guarded(_ value: ValueID) -> ValueID {
    guard isUsedOnce(value), case .select(.value(let condition), let a, let b)? = form(value) else { return value }
    guard case .constant(0) = a, let inner = b.value else { return value }
    return form(condition)?.operand(of: .isNaN) == inner ? inner : value
  }

  /// What `value` is a reshape of, if it is one and nothing else reads it; else `value`.
  fileprivate func beforeReshape(_ value: ValueID) -> ValueID {
    guard isUsedOnce(value), let (_, source) = producer(value, Reshape.self) else { return value }
    return source[0]
  }

  /// The parts of `value = q·kᵀ · scale + masks`, all masks coming after the scale, reshapes anywhere.
  /// - Parameter softmax: which reads them; the reason why they don't suit is noted under it.
  fileprivate mutating func attentionScores(_ value: ValueID, for softmax: ValueID) throws -> AttentionPattern? {
    var masks: [PlacedMask] = []
    var scale = 1.0
    var current = value
    while true {
      if !isUsedOnce(current) {
        return missed(.attention, at: softmax, "the scores have other readers (\(describe(current)))")
      }
      if let (product, operands) = producer(current, MatMul.self) {
        let (query, key) = (try withoutScale(operands[0]), try withoutScale(operands[1]))
        // A bound says nothing of scores that no mask has hidden.
        while case .atLeast? = masks.last?.mask { masks.removeLast() }
        return AttentionPattern(
          query: query.value, queryIsTransposed: product.transposeLeft, key: key.value,
          keyIsTransposed: !product.transposeRight, value: operands[1], scores: shape(current),
          scale: scale * query.scale * key.scale, masks: masks)
      }
      if let (_, source) = producer(current, Reshape.self) {
        current = source[0]
        continue
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
      } else if scale == 1, let (inner, mask) = masked(form, shape(current)) {
        masks.append(PlacedMask(mask: mask, shape: shape(current)))
        current = inner
      } else {
        let reason = scale != 1 ? "a mask before the scale" : hiding(form)
        return missed(.attention, at: softmax, "\(describe(current)): \(reason)")
      }
    }
  }

  /// Why `form` masks no scores.
  private func hiding(_ form: Form) -> String {
    guard case .select(_, let a, let b) = form, let number = a.constant ?? b.constant else {
      return "neither a scale nor a mask of a product"
    }
    return "scores become \(number) where they are hidden, a mask's are below \(ScoreMask.weightless)"
  }

  /// The scores of `shape` that `form` masks, and how. Of a sum the side that a product leads to.
  private func masked(_ form: Form, _ shape: Shape) -> (scores: ValueID, mask: ScoreMask)? {
    maskings(form, shape).first { scores, mask in
      if case .additive = mask { return leadsToProduct(scores) }
      return true
    }
  }

  /// What `form` may be: scores of `shape` and a mask; of a sum each side may be the scores.
  private func maskings(_ form: Form, _ shape: Shape) -> [(scores: ValueID, mask: ScoreMask)] {
    if let (scores, low) = form.valueAndConstant(of: .maximum) {
      return low < ScoreMask.absorbing ? [(scores, .atLeast(low))] : []
    }
    guard case .select(.value(let condition), let a, let b) = form else {
      return form.operands(of: .add).compactMap { x, y in
        guard let scores = x.value, let mask = y.value, self.shape(scores) == shape else { return nil }
        return (scores, .additive(mask))
      }
    }
    return [(a, b, false), (b, a, true)].compactMap { x, y, inverted in
      guard let scores = x.value, let other = y.constant, other < ScoreMask.weightless, self.shape(scores) == shape
      else { return nil }
      return (scores, .seen(condition, inverted: inverted, otherwise: other))
    }
  }

  /// Whether scalings, masks and reshapes of a matrix product compute `value`, looking at most `depth` nodes far: each sum on the way
  /// has two sides to look at.
  private func leadsToProduct(_ value: ValueID, depth: Int = 12) -> Bool {
    if depth == 0 { return false }
    if producer(value, MatMul.self) != nil { return true }
    if let (_, source) = producer(value, Reshape.self) { return leadsToProduct(source[0], depth: depth - 1) }
    guard let form = form(value) else { return false }
    let inner = scaled(form).map { [$0.0] } ?? maskings(form, shape(value)).map(\.scores)
    return inner.contains { leadsToProduct($0, depth: depth - 1) }
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
    let (scores, frame) = (pattern.scores, pattern.frame)
    let element = type(pattern.query).element
    guard [pattern.query, pattern.key, pattern.value].allSatisfy({ type($0).rank == scores.count }), element.isFloat
    else {
      let ranks = [pattern.query, pattern.key, pattern.value].map { "\(type($0))" }.joined(separator: ", ")
      return missed(.attention, at: softmax, "queries, keys and values \(ranks), wanted of one rank")
    }
    var (query, key) = (pattern.query, pattern.key)
    if pattern.queryIsTransposed { query = try build(Transpose.ofMatrices(rank: scores.count), query) }
    if pattern.keyIsTransposed { key = try build(Transpose.ofMatrices(rank: scores.count), key) }
    var operands = [query, key, pattern.value]
    for i in operands.indices where frame != scores {
      let own = shape(operands[i])
      guard own.dropLast(2) == scores.dropLast(2) else {
        return missed(.attention, at: softmax, "batch and heads of \(own) and scores \(scores) differ")
      }
      operands[i] = try build(Reshape(frame.prefix(2) + own.suffix(2)), operands[i])
    }
    let (q, k, v) = (shape(operands[0]), shape(operands[1]), shape(operands[2]))
    // A matrix product broadcasts outer dimensions, attention does not.
    guard q[0] == k[0], k[0] == v[0], k[1] == v[1], q[1] == k[1] || divides(k[1], q[1]) else {
      return missed(.attention, at: softmax, "batch and heads of queries \(q), keys \(k) and values \(v) differ")
    }
    if !pattern.masks.isEmpty {
      guard let mask = try joined(pattern.masks, element, frame: frame) else {
        return missed(.attention, at: softmax, "masks that don't make one")
      }
      guard type(mask).element == .bool || type(mask).element == element else {
        return missed(.attention, at: softmax, "a mask \(type(mask))")
      }
      operands.append(mask)
    }
    let op = Attention(scale: pattern.scale)
    guard let type = try? op.infer(operands.map { type($0) })[0] else {
      return missed(.attention, at: softmax, "operands \(operands.map { type($0) })")
    }
    let result = try build(op, operands)[0]
    return frame == scores ? result : try build(Reshape(scores.dropLast(2) + type.shape.suffix(2)), result)
  }

  private func divides(_ a: Dim, _ b: Dim) -> Bool {
    guard let x = a.constant, let y = b.constant, x > 0 else { return false }
    return y % x == 0
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

import GraphIR
import TensorTypes

/// Transposes sink: `f(transpose(x)) = transpose(f'(x))`, so that on their way downstream inverse ones meet and cancel
/// by the movement rules. None of these makes more transposes of data than it takes away.
let transposeRules: [Rule] = [
  Rule("f(transpose(x), y) = transpose(f(x, y')) where y' costs nothing", on: Elementwise.self) { g, op, x in
    guard let shape = g.broadcastShape(x) else { return nil }
    for value in x {
      guard let (transpose, source) = g.producer(value, Transpose.self), g.type(source[0]).rank > 0 else { continue }
      let permutation = transpose.permutation.extended(toRank: shape.count)
      let operands = try x.map { try g.withoutTranspose($0, permutation) }
      guard operands.allSatisfy({ $0 != nil }) else { continue }
      return try g.build(Transpose(permutation), try g.build(op, operands)[0])
    }
    return nil
  },
  Rule("concat(transpose(x), transpose(y)) = transpose(concat(x, y))", on: Concat.self) { g, op, x in
    guard let (transpose, _) = x.compactMap({ g.producer($0, Transpose.self) }).first else { return nil }
    let permutation = transpose.permutation
    let operands = try x.map { try g.withoutTranspose($0, permutation) }
    guard operands.allSatisfy({ $0 != nil }) else { return nil }
    return try g.build(transpose, try g.build(Concat(axis: permutation[op.axis]), operands)[0])
  },
  Rule("slice(transpose(x)) = transpose(slice(x))", on: Slice.self) { g, op, x in
    try g.sinking(x) { permutation in
      Slice(axes: op.axes.map { permutation[$0] }, starts: op.starts, sizes: op.sizes, steps: op.steps)
    }
  },
  Rule("pad(transpose(x)) = transpose(pad(x))", on: Pad.self) { g, op, x in
    try g.sinking(x) { permutation in
      var new = op
      (new.before, new.after) = (permutation.inverted.map { op.before[$0] }, permutation.inverted.map { op.after[$0] })
      return new
    }
  },
  Rule("softmax(transpose(x)) = transpose(softmax(x))", on: Softmax.self) { g, op, x in
    try g.sinking(x) { Softmax(axis: $0[op.axis], logarithm: op.logarithm) }
  },
  Rule("resize(transpose(x)) = transpose(resize(x))", on: Resize.self) { g, op, x in
    try g.sinking(x) { permutation in op.onAxes(op.axes.map { permutation[$0] }) }
  },
  Rule("reduce(transpose(x)) = transpose(reduce(x))", on: Reduce.self) { g, op, x in
    guard let (transpose, source) = g.producer(x[0], Transpose.self) else { return nil }
    let axes = op.axes.map { transpose.permutation[$0] }.sorted()
    let reduced = try g.build(Reduce(op.function, axes: axes, keepDims: op.keepDims), source[0])
    if op.keepDims { return try g.build(transpose, reduced) }
    // The order of the dimensions that are left, counted among those.
    let left = transpose.permutation.filter { !axes.contains($0) }
    return try g.build(Transpose(left.map { p in left.count { $0 < p } }), reduced)
  },
  Rule("pool of a transpose to channels first = transpose of a pool channels last", on: Pool.self) { g, op, x in
    guard op.layout == .channelsFirst else { return nil }
    var new = op
    new.layout = .channelsLast
    return try g.sinkingChannels(x, new)
  },
  Rule("group_norm of a transpose to channels first = transpose of one channels last", on: GroupNorm.self) { g, op, x in
    guard op.layout == .channelsFirst else { return nil }
    var new = op
    new.layout = .channelsLast
    return try g.sinkingChannels(x, new)
  },
  Rule("reshape(transpose(x)) = transpose(reshape(x)) where what it merges are neighbours in x", on: Reshape.self) {
    g, op, x in
    guard let (transpose, source) = g.producer(x[0], Transpose.self),
      let groups = reshapeGroups(from: g.shape(x[0]), to: op.shape),
      let moved = sinkReshape(groups, transpose.permutation, to: op.shape)
    else { return nil }
    return try g.build(Transpose(moved.permutation), try g.build(Reshape(moved.shape), source[0]))
  },
]

extension GraphRewriter {
  /// `transpose(new(x))` for the operand `transpose(x)`, `new` being told the permutation.
  fileprivate mutating func sinking(_ x: [ValueID], _ new: ([Int]) -> any Op) throws -> ValueID? {
    guard let (transpose, source) = producer(x[0], Transpose.self) else { return nil }
    return try build(transpose, try build(new(transpose.permutation), source[0]))
  }

  /// `transpose(new(x, …))` where the first operand is `x` transposed from channels last to channels first.
  fileprivate mutating func sinkingChannels(_ x: [ValueID], _ new: any Op) throws -> ValueID? {
    guard let (transpose, source) = producer(x[0], Transpose.self),
      transpose == .toChannelsFirst(rank: transpose.permutation.count)
    else { return nil }
    return try build(transpose, try build(new, [source[0]] + x.dropFirst())[0])
  }

  /// The operand that, broadcast and then transposed by `permutation`, is `value` broadcast: what was transposed so,
  /// or what can be made so without moving data at run time. Nil if there is none.
  fileprivate mutating func withoutTranspose(_ value: ValueID, _ permutation: [Int]) throws -> ValueID? {
    let shape = shape(value)
    let rank = permutation.count
    if shape.allSatisfy({ $0 == 1 }) { return value }
    let aligned = Shape(repeating: 1, count: rank - shape.count) + shape
    let inverse = permutation.inverted
    if inverse.keepsOrder(of: aligned) { return try build(Reshape(inverse.map { aligned[$0] }), value) }
    if tensor(value) != nil { return try build(Transpose(inverse), try build(Reshape(aligned), value)) }
    guard let (transpose, source) = producer(value, Transpose.self),
      transpose.permutation.extended(toRank: rank) == permutation
    else { return nil }
    return source[0]
  }
}

extension [Int] {
  /// The same permutation of the innermost dimensions of a tensor of a higher rank.
  fileprivate func extended(toRank rank: Int) -> [Int] {
    let more = rank - count
    return Array(0..<more) + map { $0 + more }
  }
}

extension Resize {
  /// The same along other axes, which are brought into ascending order.
  fileprivate func onAxes(_ new: [Int]) -> Resize {
    let order = new.indices.sorted { new[$0] < new[$1] }
    var copy = self
    copy.axes = order.map { new[$0] }
    copy.sizes = order.map { sizes[$0] }
    copy.scales = order.map { scales[$0] }
    if !regionStarts.isEmpty {
      (copy.regionStarts, copy.regionEnds) = (order.map { regionStarts[$0] }, order.map { regionEnds[$0] })
    }
    return copy
  }
}

// MARK: - Reshapes under transposes

/// Dimensions `old` that a reshape turns into the dimensions `new`, of as many elements.
struct ReshapeGroup: Hashable {
  var old: [Int]
  var new: [Int]
}

/// The smallest groups of dimensions that a reshape maps onto each other, in order; nil if sizes can't be compared.
/// A size 1 that appears or disappears belongs to a group with others, or is one of its own.
func reshapeGroups(from old: Shape, to new: Shape) -> [ReshapeGroup]? {
  var groups: [ReshapeGroup] = []
  var (i, j) = (0, 0)
  while i < old.count || j < new.count {
    if i < old.count, j < new.count, old[i] == new[j] {
      groups.append(ReshapeGroup(old: [i], new: [j]))
      (i, j) = (i + 1, j + 1)
    } else if i < old.count, old[i] == 1 {
      groups.append(ReshapeGroup(old: [i], new: []))
      i += 1
    } else if j < new.count, new[j] == 1 {
      groups.append(ReshapeGroup(old: [], new: [j]))
      j += 1
    } else {
      guard i < old.count, j < new.count else { return nil }
      var group = ReshapeGroup(old: [i], new: [j])
      var (before, after) = (old[i], new[j])
      (i, j) = (i + 1, j + 1)
      while before != after {
        if before == 0 || after == 0 { return nil }
        if j < new.count, isDivisor(after, of: before) {
          group.new.append(j)
          after = after * new[j]
          j += 1
        } else if i < old.count, isDivisor(before, of: after) {
          group.old.append(i)
          before = before * old[i]
          i += 1
        } else if let b = before.constant, let a = after.constant, i < old.count, j < new.count {
          if b < a {
            group.old.append(i)
            before = before * old[i]
            i += 1
          } else {
            group.new.append(j)
            after = after * new[j]
            j += 1
          }
        } else {
          return nil
        }
      }
      groups.append(group)
    }
  }
  return groups
}

private func isDivisor(_ a: Dim, of b: Dim) -> Bool { a != b && b.divided(exactlyBy: a) != nil }

/// How a reshape by `groups` and the transpose by `permutation` before it exchange places: the reshape's new target
/// and the permutation after it. Nil unless each group's dimensions follow each other before the transpose too.
func sinkReshape(
  _ groups: [ReshapeGroup], _ permutation: [Int], to target: Shape
) -> (shape: Shape, permutation: [Int])? {
  for group in groups {
    let sources = group.old.map { permutation[$0] }
    guard zip(sources, sources.dropFirst()).allSatisfy({ $1 == $0 + 1 }) else { return nil }
  }
  // Dimensions of the target in the order of the untransposed source; those of size 1 out of nowhere come last.
  let ordered = groups.filter { !$0.old.isEmpty }.sorted { permutation[$0.old[0]] < permutation[$1.old[0]] }
  let order = ordered.flatMap(\.new) + groups.filter { $0.old.isEmpty }.flatMap(\.new)
  return (order.map { target[$0] }, order.inverted)
}

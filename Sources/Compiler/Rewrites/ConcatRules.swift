import GraphIR
import TensorTypes

/// Elementwise ops move into a concatenation of what is cheap: a rotary embedding, `x · cos + concat(−x₂, x₁) · sin`,
/// becomes one kernel a half, which writes where the result lies and copies nothing.
let concatRules: [Rule] = [
  Rule("f(concat(a, b), y) = concat(f(a, y₁), f(b, y₂)) for views and elementwise a, b", on: Elementwise.self) {
    g, op, x in
    guard let whole = g.broadcastShape(x) else { return nil }
    for value in x where g.isUsedOnce(value) && g.shape(value) == whole {
      guard let (concat, pieces) = g.producer(value, Concat.self), pieces.count == 2 else { continue }
      guard pieces.allSatisfy({ g.isCheap($0) }) else { continue }
      if let short = pieces.first(where: { !g.isWorthAKernel($0, concat.axis) }) {
        guard pieces.contains(where: { g.form($0)?.operand(of: .negate) != nil }) else { continue }
        return g.missed(
          .rotary, at: value, "halves \(g.shape(short)): rows along its dimension are too short for vectors")
      }
      var start = Dim(0)
      var results: [ValueID?] = []
      for piece in pieces {
        let size = g.shape(piece)[concat.axis]
        let part = Slice(axes: [concat.axis], starts: [start], sizes: [size], steps: [1])
        let operands = try x.map { $0 == value ? piece : try g.slicing($0, part, of: whole) }
        results.append(try g.build(op, operands.map { Optional($0) })[0])
        start = start + size
      }
      return try g.build(concat, results)[0]
    }
    return nil
  }
]

extension GraphRewriter {
  fileprivate func isCheap(_ value: ValueID) -> Bool {
    producer(value, Slice.self) != nil || producer(value, Elementwise.self) != nil
  }

  /// Whether rows along `axis` are not so short that vectors would be empty.
  fileprivate func isWorthAKernel(_ value: ValueID, _ axis: Int) -> Bool {
    let shape = shape(value)
    return axis < shape.count - 1 || (shape[axis].constant ?? 0) >= 8
  }

  /// The part of `value`, which broadcasts to `whole`, that meets `part` of it: an elementwise op's that nothing else
  /// reads is computed for that part alone.
  fileprivate mutating func slicing(_ value: ValueID, _ part: Slice, of whole: Shape) throws -> ValueID {
    let shape = shape(value)
    let axis = part.axes[0] - (whole.count - shape.count)
    if axis < 0 || shape[axis] == 1 && whole[part.axes[0]] != 1 { return value }
    if isUsedOnce(value), let (op, operands) = producer(value, Elementwise.self) {
      var inner = part
      inner.axes = [axis]
      let sliced = try operands.map { Optional(try slicing($0, inner, of: shape)) }
      return try build(op, sliced)[0]
    }
    return try build(Slice(axes: [axis], starts: part.starts, sizes: part.sizes, steps: [1]), value)
  }
}

import GraphIR
import TensorTypes

/// Tensors put together from strided parts, as assignments to `x[0::2]` and `x[1::2]` are exported.
let interleavingRules: [Rule] = [
  Rule("scatter_nd(scatter_nd(x, 0::2, a), 1::2, b) = interleave(a, b)", on: ScatterND.self) { g, op, x in
    guard op.reduction == .replace, let last = g.stride(x[1]), last.step > 1 else { return nil }
    var parts: [Int: ValueID] = [last.start: x[2]]
    var current = x[0]
    while parts.count < last.step, let (inner, y) = g.producer(current, ScatterND.self), inner.reduction == .replace,
      let part = g.stride(y[1]), part.step == last.step, part.count == last.count
    {
      // What is written later stays.
      if parts[part.start] == nil { parts[part.start] = y[2] }
      current = y[0]
    }
    guard parts.keys.sorted() == Array(0..<last.step), g.shape(x[0])[0] == Dim(last.step * last.count) else {
      return nil
    }
    let shape = g.shape(x[2])
    let pieces = try (0..<last.step).map { i in
      Optional(try g.build(Reshape([shape[0], 1] + shape[1...]), parts[i]!))
    }
    return try g.build(Reshape(g.shape(x[0])), try g.build(Concat(axis: 1), pieces)[0])
  }
]

extension GraphRewriter {
  /// Start, step and count, if `indices`, of shape [count, 1], are a constant arithmetic sequence.
  fileprivate func stride(_ indices: ValueID) -> (start: Int, step: Int, count: Int)? {
    guard let tensor = tensor(indices), tensor.shape.count == 2, tensor.shape[1] == 1, tensor.shape[0] > 1 else {
      return nil
    }
    let numbers = tensor.integers.map { Int($0) }
    let step = numbers[1] - numbers[0]
    guard numbers[0] >= 0, zip(numbers, numbers.dropFirst()).allSatisfy({ $1 - $0 == step }) else { return nil }
    return (numbers[0], step, numbers.count)
  }
}

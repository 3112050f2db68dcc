import GraphIR
import TensorTypes

// Softmax and the normalisations.

let normalizationRows: [OperatorRow] = [
  .one("Softmax", since: 1) { n in try n.flattened(n.int("axis", default: 1)) { try n.add(Softmax(axis: 1), $0) } },
  .one("Softmax", since: 13) { n in try n.softmax(logarithm: false) },
  .one("LogSoftmax", since: 1) { n in
    try n.flattened(n.int("axis", default: 1)) { try n.add(Softmax(axis: 1, logarithm: true), $0) }
  },
  .one("LogSoftmax", since: 13) { n in try n.softmax(logarithm: true) },
  OperatorRow("BatchNormalization") { n in
    // With the statistics of training, which the model holds; while it is trained, with the batch's.
    let x = try n.input(0)
    let given = try (1...4).map { i in try n.perChannel(n.cast(n.input(i), n.element(x)), rank: n.rank(x)) }
    guard try n.flag("training_mode") else {
      return [try n.batchNormalized(x, scale: given[0], bias: given[1], mean: given[2], variance: given[3])]
    }
    let axes = [0] + Array(2..<max(2, n.rank(x)))
    let mean = try n.mean(x, axes, keepDims: true)
    let centred = try n.binary(.subtract, x, mean)
    let variance = try n.mean(n.map(centred) { e, x in e.binary(.multiply, x[0], x[0]) }, axes, keepDims: true)
    let momentum = try n.float("momentum", default: 0.9)
    let running = try [(2, mean), (3, variance)].map { i, now in
      let mixed = try n.map(given[i], now) { e, x in
        let old = e.binary(.multiply, x[0], e.constant(momentum, e.types[x[0]]))
        return e.binary(.add, old, e.binary(.multiply, x[1], e.constant(1 - momentum, e.types[x[1]])))
      }
      return try n.cast(n.reshape(mixed, n.shape(n.input(i + 1))), n.element(n.input(i + 1)))
    }
    return [try n.batchNormalized(x, scale: given[0], bias: given[1], mean: mean, variance: variance)] + running
  },
  .one("InstanceNormalization") { n in
    let x = try n.input(0)
    guard n.rank(x) >= 2, let channels = n.shape(x)[1].constant else {
      throw Failure.badData("needs a known number of channels, not \(n.type(x))")
    }
    return try n.add(GroupNorm(groups: channels, epsilon: n.float("epsilon", default: 1e-5)), x, n.input(1), n.input(2))
  },
  .one("GroupNormalization", since: 18) { n in
    // One scale and one bias a group.
    let (x, groups) = (try n.input(0), try n.int("num_groups"))
    guard n.rank(x) >= 2, let channels = n.shape(x)[1].constant, groups > 0, channels % groups == 0 else {
      throw Failure.badData("\(groups) groups of \(n.type(x))")
    }
    let parameters = try (1...2).map { i in
      let spread = try n.broadcast(n.reshape(n.input(i), [Dim(groups), 1]), [Dim(groups), Dim(channels / groups)])
      return try n.reshape(spread, [Dim(channels)])
    }
    return try n.add(
      GroupNorm(groups: groups, epsilon: n.float("epsilon", default: 1e-5)), x, parameters[0], parameters[1])
  },
  .one("GroupNormalization", since: 21) { n in
    try n.add(
      GroupNorm(groups: n.int("num_groups"), epsilon: n.float("epsilon", default: 1e-5)), n.input(0), n.input(1),
      n.input(2))
  },
  OperatorRow("LayerNormalization") { n in
    let x = try n.input(0)
    let axis = try n.axis(n.int("axis", default: -1), rank: n.rank(x))
    let epsilon = try n.float("epsilon", default: 1e-5)
    let operands = [x, try n.input(1)] + (try n.optionalInput(2).map { [$0] } ?? [])
    let y = try n.addAll(LayerNorm(axis: axis, epsilon: epsilon), operands)[0]
    guard n.wants(1) || n.wants(2) else { return [y] }
    let axes = Array(axis..<n.rank(x))
    let mean = try n.mean(n.cast(x, .float32), axes, keepDims: true)
    let squares = try n.map(n.cast(x, .float32), mean) { e, x in
      let difference = e.binary(.subtract, x[0], x[1])
      return e.binary(.multiply, difference, difference)
    }
    let inverse = try n.map(n.mean(squares, axes, keepDims: true)) { e, x in
      e.unary(.reciprocal, e.unary(.sqrt, e.binary(.add, x[0], e.constant(epsilon, e.types[x[0]]))))
    }
    return [y, mean, inverse]
  },
  .one("RMSNormalization") { n in
    let x = try n.input(0)
    let axis = try n.axis(n.int("axis", default: -1), rank: n.rank(x))
    return try n.add(LayerNorm(axis: axis, epsilon: n.float("epsilon", default: 1e-5), kind: .rms), x, n.input(1))
  },
  .one("MeanVarianceNormalization") { n in
    let x = try n.input(0)
    let axes = try n.axes(n.ints("axes") ?? [0, 2, 3], rank: n.rank(x)).sorted()
    let centred = try n.binary(.subtract, x, n.mean(x, axes, keepDims: true))
    let variance = try n.mean(n.map(centred) { e, x in e.binary(.multiply, x[0], x[0]) }, axes, keepDims: true)
    return try n.map(centred, variance) { e, x in
      e.binary(.divide, x[0], e.binary(.add, e.unary(.sqrt, x[1]), e.constant(1e-9, e.types[x[1]])))
    }
  },
  .one("LRN") { n in
    // The sum of squares over `size` neighbouring channels, those out of range counted as zeros.
    let (x, size) = (try n.input(0), try n.int("size"))
    guard n.rank(x) >= 3, (1...1024).contains(size) else { throw Failure.badData("size \(size) of \(n.type(x))") }
    let (alpha, beta) = (try n.float("alpha", default: 1e-4), try n.float("beta", default: 0.75))
    let bias = try n.float("bias", default: 1)
    var (before, after) = ([Dim](repeating: 0, count: n.rank(x)), [Dim](repeating: 0, count: n.rank(x)))
    (before[1], after[1]) = (Dim((size - 1) / 2), Dim(size - 1 - (size - 1) / 2))
    // Squared where they are added, which costs less than another pass over memory.
    let padded = try n.add(Pad(before: before, after: after), x)
    let squares = try (0..<size).map {
      try n.map(n.slice(padded, axis: 1, start: Dim($0), size: n.shape(x)[1])) { e, x in e.binary(.multiply, x[0], x[0])
      }
    }
    let sum = try squares.dropFirst().reduce(squares[0]) { try n.binary(.add, $0, $1) }
    return try n.map(x, sum) { e, x in
      let scale = e.binary(.add, e.constant(bias, e.types[x[0]]), e.scaled(x[1], alpha / Double(size)))
      // The exponent that all use, as √s · √√s: several times as fast, and the same where s is not −∞.
      if beta == 0.75, bias >= 0, alpha >= 0 {
        let root = e.unary(.sqrt, scale)
        return e.binary(.divide, x[0], e.binary(.multiply, root, e.unary(.sqrt, root)))
      }
      return e.binary(.divide, x[0], e.binary(.power, scale, e.constant(beta, e.types[x[0]])))
    }
  },
]

extension NodeImport {
  /// `(x − mean) · scale / √(variance + ε) + bias`, the parameters being one element a channel.
  fileprivate func batchNormalized(
    _ x: ValueID, scale: ValueID, bias: ValueID, mean: ValueID, variance: ValueID
  ) throws -> ValueID {
    let epsilon = try float("epsilon", default: 1e-5)
    let factor = try map(scale, variance) { e, x in
      e.binary(.divide, x[0], e.unary(.sqrt, e.binary(.add, x[1], e.constant(epsilon, e.types[x[1]]))))
    }
    let offset = try map(bias, mean, factor) { e, x in
      e.binary(.subtract, x[0], e.binary(.multiply, x[1], x[2]))
    }
    return try map(x, factor, offset) { e, x in e.binary(.add, e.binary(.multiply, x[0], x[1]), x[2]) }
  }

  fileprivate func softmax(logarithm: Bool) throws -> ValueID {
    let x = try input(0)
    return try add(Softmax(axis: axis(int("axis", default: -1), rank: rank(x)), logarithm: logarithm), x)
  }
}

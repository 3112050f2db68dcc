import GraphIR
import TensorTypes

// Reductions. Axes are an attribute, and from version 18 (ReduceSum: 13) an input.

private enum AxesFrom { case attribute, input }

/// What is done to the elements, how they are joined, and what is done to the result.
private struct Reduction: Sendable {
  var function = ReductionFunction.sum
  var before: (@Sendable (NodeImport, ValueID) throws -> ValueID)?
  var after: (@Sendable (NodeImport, ValueID) throws -> ValueID)?
  var isMean = false
}

private let reductions: [(name: String, axesInputSince: Int, reduction: Reduction)] = [
  ("ReduceSum", 13, Reduction()),
  ("ReduceMean", 18, Reduction(isMean: true)),
  ("ReduceProd", 18, Reduction(function: .product)),
  ("ReduceMax", 18, Reduction(function: .maximum)),
  ("ReduceMin", 18, Reduction(function: .minimum)),
  ("ReduceL1", 18, Reduction(before: { n, x in try n.unary(.abs, x) })),
  ("ReduceL2", 18, Reduction(before: { n, x in try n.squared(x) }, after: { n, x in try n.root(x) })),
  ("ReduceSumSquare", 18, Reduction(before: { n, x in try n.squared(x) })),
  ("ReduceLogSum", 18, Reduction(after: { n, x in try n.unary(.log, x) })),
]

let reductionRows: [OperatorRow] =
  reductions.flatMap { name, since, reduction in
    [
      .one(name, since: 1) { n in try n.reduction(reduction, .attribute) },
      .one(name, since: since) { n in try n.reduction(reduction, .input) },
    ]
  }
  + [
    .one("ReduceLogSumExp", since: 1) { n in try n.logSumExp(.attribute) },
    .one("ReduceLogSumExp", since: 18) { n in try n.logSumExp(.input) },
    .one("GlobalAveragePool") { n in
      let x = try n.input(0)
      return try n.mean(x, Array(2..<max(n.rank(x), 2)), keepDims: true)
    },
    .one("GlobalMaxPool") { n in
      let x = try n.input(0)
      return try n.add(Reduce(.maximum, axes: Array(2..<max(n.rank(x), 2)), keepDims: true), x)
    },
    .one("GlobalLpPool") { n in
      let x = try n.input(0)
      return try n.norm(x, Double(n.int("p", default: 2)), Array(2..<max(n.rank(x), 2)))
    },
    .one("LpNormalization") { n in
      let x = try n.input(0)
      let axis = try n.axis(n.int("axis", default: -1), rank: n.rank(x))
      let norm = try n.norm(x, Double(n.int("p", default: 2)), [axis])
      // Where all elements are 0, so is the result.
      return try n.map(x, norm) { e, x in
        let zero = e.constant(0, e.types[x[0]])
        return e.select(e.binary(.equal, x[1], zero), zero, e.binary(.divide, x[0], x[1]))
      }
    },
  ]

extension NodeImport {
  fileprivate func squared(_ x: ValueID) throws -> ValueID { try map(x) { e, x in e.binary(.multiply, x[0], x[0]) } }

  /// The square root, of integers rounded toward zero.
  fileprivate func root(_ x: ValueID) throws -> ValueID {
    try map(x) { e, x in
      let type = e.types[x[0]]
      return type.isFloat ? e.unary(.sqrt, x[0]) : e.cast(e.unary(.sqrt, e.cast(x[0], .float64)), type)
    }
  }

  /// The axes to reduce, ascending; nil where the node reduces nothing.
  private func reducedAxes(_ x: ValueID, _ from: AxesFrom) throws -> [Int]? {
    let given: [Int]?
    switch from {
    case .attribute: given = try ints("axes")
    case .input: given = try optionalInput(1).map { try integers($0, "the axes") }
    }
    if let given, !given.isEmpty { return try axes(given, rank: rank(x)).sorted() }
    return try flag("noop_with_empty_axes") ? nil : Array(0..<rank(x))
  }

  fileprivate func reduction(_ reduction: Reduction, _ from: AxesFrom) throws -> ValueID {
    var x = try input(0)
    let keepDims = try flag("keepdims", default: true)
    let axes = try reducedAxes(x, from)
    if let before = reduction.before { x = try before(self, x) }
    if let axes {
      x = reduction.isMean ? try mean(x, axes, keepDims: keepDims) : try reduce(x, reduction.function, axes, keepDims)
    }
    return try reduction.after.map { try $0(self, x) } ?? x
  }

  fileprivate func reduce(
    _ x: ValueID, _ function: ReductionFunction, _ axes: [Int], _ keepDims: Bool
  ) throws -> ValueID {
    if element(x) == .bool {
      let bytes = try cast(x, .uint8)
      return try cast(add(Reduce(function, axes: axes, keepDims: keepDims), bytes), .bool)
    }
    return try add(Reduce(function, axes: axes, keepDims: keepDims), x)
  }

  /// The mean along `axes`: the sum divided by how many there are.
  func mean(_ x: ValueID, _ axes: [Int], keepDims: Bool) throws -> ValueID {
    let sum = try add(Reduce(.sum, axes: axes, keepDims: keepDims), x)
    let count = axes.map { shape(x)[$0] }.product
    if let known = count.constant {
      return try map(sum) { e, x in e.binary(.divide, x[0], e.constant(Double(known), e.types[x[0]])) }
    }
    let divisor = try cast(reshape(builder.value(of: [count]), []), element(x))
    return try binary(.divide, sum, divisor)
  }

  /// `log Σ exp(x)`, shifted by the largest element so that nothing overflows.
  fileprivate func logSumExp(_ from: AxesFrom) throws -> ValueID {
    let x = try input(0)
    let keepDims = try flag("keepdims", default: true)
    guard let axes = try reducedAxes(x, from) else { return x }
    let largest = try add(Reduce(.maximum, axes: axes, keepDims: true), x)
    // Nothing is taken off an infinite one: ∞ − ∞ is not a number.
    let shift = try map(largest) { e, x in
      e.select(e.unary(.isInfinite, x[0]), e.constant(0, e.types[x[0]]), x[0])
    }
    let exponentials = try map(x, shift) { e, x in e.unary(.exp, e.binary(.subtract, x[0], x[1])) }
    let sum = try add(Reduce(.sum, axes: axes, keepDims: true), exponentials)
    let result = try map(sum, shift) { e, x in e.binary(.add, e.unary(.log, x[0]), x[1]) }
    return keepDims ? result : try squeeze(result, axes)
  }

  /// `(Σ |x|ᵖ)^(1/p)` along `axes`, which stay with size 1.
  fileprivate func norm(_ x: ValueID, _ p: Double, _ axes: [Int]) throws -> ValueID {
    let powers = try map(x) { e, x in
      if p == 1 { return e.unary(.abs, x[0]) }
      if p == 2 { return e.binary(.multiply, x[0], x[0]) }
      return e.binary(.power, e.unary(.abs, x[0]), e.constant(p, e.types[x[0]]))
    }
    let sum = try add(Reduce(.sum, axes: axes, keepDims: true), powers)
    if p == 1 { return sum }
    return try map(sum) { e, x in
      p == 2 ? e.unary(.sqrt, x[0]) : e.binary(.power, x[0], e.constant(1 / p, e.types[x[0]]))
    }
  }
}

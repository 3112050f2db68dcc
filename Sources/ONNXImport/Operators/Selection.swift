import GraphIR
import TensorTypes

// Operators that look for elements: the largest, the first k, those that are not zero.

let selectionRows: [OperatorRow] = [
  .one("ArgMax") { n in try n.argReduce(.maximum) },
  .one("ArgMin") { n in try n.argReduce(.minimum) },
  .one("CumSum") { n in try n.cumulative(.sum) },
  .one("CumProd") { n in try n.cumulative(.product) },
  OperatorRow("TopK", since: 1) { n in try n.topK(Dim(n.int("k")), largest: true, sorted: true) },
  OperatorRow("TopK", since: 10) { n in try n.topK(n.size(n.input(1), "k"), largest: true, sorted: true) },
  OperatorRow("TopK", since: 11) { n in
    try n.topK(
      n.size(n.input(1), "k"), largest: n.flag("largest", default: true), sorted: n.flag("sorted", default: true))
  },
  .one("NonZero") { n in
    let x = try n.input(0)
    // A scalar counts as a tensor of one element.
    return try n.nonZero(n.rank(x) == 0 ? n.reshape(x, [1]) : x)
  },
  .one("Compress") { n in
    let x = try n.input(0)
    let chosen = try n.squeeze(n.nonZero(n.input(1)), [0])
    guard let given = try n.optionalInt("axis") else {
      return try n.add(Gather(axis: 0), n.reshape(x, [n.type(x).elementCount]), chosen)
    }
    return try n.add(Gather(axis: n.axis(given, rank: n.rank(x))), x, chosen)
  },
  .one("Hardmax", since: 1) { n in try n.flattened(n.int("axis", default: 1)) { try n.hardmax($0, axis: 1) } },
  .one("Hardmax", since: 13) { n in
    let x = try n.input(0)
    return try n.hardmax(x, axis: n.axis(n.int("axis", default: -1), rank: n.rank(x)))
  },
  .one("OneHot") { n in
    let indices = try n.cast(n.input(0), .int64)
    let values = try n.input(2)
    let depth = try n.size(n.cast(n.input(1), .int64), "the depth")
    let axis = try n.axis(n.int("axis", default: -1), rank: n.rank(indices) + 1)
    let classes = try n.iota(depth, trailing: n.rank(indices) - axis)
    let off = try n.reshape(n.slice(values, axis: 0, start: 0, size: 1), [])
    let on = try n.reshape(n.slice(values, axis: 0, start: 1, size: 1), [])
    let count = try n.reshape(n.builder.value(of: [depth]), [])
    // Negative indices count from the end; those out of range match no class.
    return try n.map(n.unsqueeze(indices, [axis]), classes, count, off, on) { e, x in
      let wrapped = e.select(e.binary(.less, x[0], e.constant(0, .int64)), e.binary(.add, x[0], x[2]), x[0])
      return e.select(e.binary(.equal, wrapped, x[1]), x[4], x[3])
    }
  },
]

extension NodeImport {
  fileprivate func argReduce(_ function: ArgReduce.Function) throws -> ValueID {
    let x = try input(0)
    let axis = try axis(int("axis", default: 0), rank: rank(x))
    return try add(
      ArgReduce(
        function, axis: axis, keepDims: flag("keepdims", default: true), selectLast: flag("select_last_index")), x)
  }

  /// Along an axis that is known only when the model runs: along each, of which that one is taken.
  fileprivate func cumulative(_ function: Cumulative.Function) throws -> ValueID {
    let (x, given) = (try input(0), try input(1))
    let rank = rank(x)
    func along(_ axis: Int) throws -> ValueID {
      try add(Cumulative(function, axis: axis, exclusive: flag("exclusive"), reverse: flag("reverse")), x)
    }
    if let known = builder.knownTensor(given), !known.element.isFloat, let axis = known.integers.first {
      return try along(self.axis(Int(axis), rank: rank))
    }
    guard rank > 0, type(given).elementCount == 1, !element(given).isFloat else {
      throw Failure.badData("an axis of \(type(given)) for \(type(x))")
    }
    let axis = try cast(reshape(given, []), .int64)
    return try (1..<rank).reduce(along(0)) { chosen, candidate in
      try map(axis, along(candidate), chosen) { e, x in
        let isCounted = e.binary(.equal, x[0], e.constant(Double(candidate), .int64))
        let isCountedBack = e.binary(.equal, x[0], e.constant(Double(candidate - rank), .int64))
        return e.select(e.binary(.or, isCounted, isCountedBack), x[1], x[2])
      }
    }
  }

  fileprivate func topK(_ k: Dim, largest: Bool, sorted: Bool) throws -> [ValueID?] {
    let x = try input(0)
    let axis = try axis(int("axis", default: -1), rank: rank(x))
    return try addAll(TopK(k, axis: axis, largest: largest, sorted: sorted), [x])
  }

  fileprivate func nonZero(_ x: ValueID) throws -> ValueID {
    try add(NonZero(count: builder.model.freshSymbol("\(node.origin)_count")), x)
  }

  /// 1 at the first largest element along `axis`, 0 elsewhere.
  fileprivate func hardmax(_ x: ValueID, axis: Int) throws -> ValueID {
    let place = try add(ArgReduce(.maximum, axis: axis, keepDims: true), x)
    let positions = try iota(shape(x)[axis], trailing: rank(x) - axis - 1)
    let element = element(x)
    return try map(place, positions) { e, x in e.cast(e.binary(.equal, x[0], x[1]), element) }
  }

  /// Runs `body` on the input as a matrix whose columns are the dimensions from `axis` on, as operators before
  /// version 13 saw it.
  func flattened(_ given: Int, _ body: (ValueID) throws -> ValueID) throws -> ValueID {
    let x = try input(0)
    let shape = shape(x)
    let axis = given == shape.count ? given : try self.axis(given, rank: shape.count)
    return try reshape(body(reshape(x, [shape[..<axis].product, shape[axis...].product])), shape)
  }
}

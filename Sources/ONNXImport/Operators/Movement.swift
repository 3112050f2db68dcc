import GraphIR
import TensorTypes

// Operators that move elements: transpose, concatenate, split, slice, pad, blocks to channels and back.

let movementRows: [OperatorRow] = [
  .one("Transpose") { n in
    let x = try n.input(0)
    let permutation = try n.ints("perm") ?? Array((0..<n.rank(x)).reversed())
    guard permutation.sorted() == Array(0..<n.rank(x)) else {
      throw Failure.badData("permutation \(permutation) of \(n.type(x))")
    }
    return try n.transpose(x, permutation)
  },
  .one("Concat", since: 1) { n in try n.concatenated(axis: n.int("axis", default: 1)) },
  .one("Concat", since: 4) { n in try n.concatenated(axis: n.int("axis")) },
  OperatorRow("Split", since: 1) { n in
    try n.split(n.ints("split").map { $0.map { Dim($0) } } ?? n.optionalInput(1).map { try n.sizes($0, "the sizes") })
  },
  OperatorRow("Split", since: 13) { n in try n.split(n.optionalInput(1).map { try n.sizes($0, "the sizes") }) },
  .one("Slice", since: 1) { n in
    let (starts, ends) = (try n.ints("starts") ?? [], try n.ints("ends") ?? [])
    return try n.sliced(starts.map { Dim($0) }, ends.map { Dim($0) }, n.ints("axes"), nil)
  },
  .one("Slice", since: 10) { n in
    try n.sliced(
      n.sizes(n.input(1), "the starts"), n.sizes(n.input(2), "the ends"),
      n.optionalInput(3).map { try n.integers($0, "the axes") },
      n.optionalInput(4).map { try n.integers($0, "the steps") })
  },
  .one("Pad", since: 1) { n in
    let pads = try n.ints("pads") ?? n.ints("paddings") ?? []
    return try n.padded(pads.map { Dim($0) }, .float(n.float("value", default: 0)), axes: nil)
  },
  .one("Pad", since: 11) { n in
    let value = try n.optionalInput(2).map { try n.constant($0, "the constant value") }
    let axes = try n.optionalInput(3).map { try n.integers($0, "the axes") }
    return try n.padded(
      n.sizes(n.input(1), "the pads"), value.flatMap { $0.elementCount == 1 ? $0[0] : nil }, axes: axes)
  },
  .one("DepthToSpace") { n in
    let (x, b) = (try n.input(0), Dim(try n.int("blocksize")))
    let s = try n.imageShape(x)
    let depth = s[1].floorDivided(by: b * b)
    let isCRD = try n.string("mode", default: "DCR") == "CRD"
    let split = isCRD ? [s[0], depth, b, b, s[2], s[3]] : [s[0], b, b, depth, s[2], s[3]]
    let moved = try n.transpose(n.reshape(x, split), isCRD ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2])
    return try n.reshape(moved, [s[0], depth, s[2] * b, s[3] * b])
  },
  .one("SpaceToDepth") { n in
    let (x, b) = (try n.input(0), Dim(try n.int("blocksize")))
    let s = try n.imageShape(x)
    let (height, width) = (s[2].floorDivided(by: b), s[3].floorDivided(by: b))
    let isCRD = try n.string("mode", default: "DCR") == "CRD"
    let order = isCRD ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4]
    let moved = try n.transpose(n.reshape(x, [s[0], s[1], height, b, width, b]), order)
    return try n.reshape(moved, [s[0], s[1] * b * b, height, width])
  },
  OperatorRow("Dropout") { n in
    // Nothing is dropped at inference.
    let x = try n.input(0)
    if let training = try n.optionalInput(2) {
      guard try n.integers(training, "training_mode") == [0] else { throw Failure.badData("training is not supported") }
    }
    let mask = n.wants(1) ? try n.broadcast(n.constant(1, .bool), n.shape(x)) : nil
    return [x, mask]
  },
  .one("CenterCropPad") { n in try n.centred() },
  .one("ReverseSequence") { n in try n.reversedSequences() },
  .one("Trilu") { n in
    let x = try n.input(0)
    guard n.rank(x) >= 2 else { throw Failure.badData("needs matrices, not \(n.type(x))") }
    let k = try n.optionalInput(1).map { try n.reshape(n.cast($0, .int64), []) } ?? n.constant(0, .int64)
    let (rows, columns) = (n.shape(x)[n.rank(x) - 2], n.shape(x)[n.rank(x) - 1])
    let comparison: BinaryFunction = try n.flag("upper", default: true) ? .greaterEqual : .lessEqual
    return try n.map(x, n.iota(columns), n.iota(rows, trailing: 1), k) { e, x in
      let inside = e.binary(comparison, x[1], e.binary(.add, x[2], x[3]))
      return e.select(inside, x[0], e.constant(0, e.types[x[0]]))
    }
  },
]

extension NodeImport {
  fileprivate func imageShape(_ x: ValueID) throws -> Shape {
    guard rank(x) == 4, try int("blocksize") > 0 else {
      throw Failure.badData("needs images [N, C, H, W], not \(type(x))")
    }
    return shape(x)
  }

  fileprivate func concatenated(axis given: Int) throws -> ValueID {
    let operands = try inputs()
    guard let first = operands.first else { throw Failure.badData("needs an input") }
    let axis = try axis(given, rank: rank(first))
    return operands.count == 1 ? first : try addAll(Concat(axis: axis), operands)[0]
  }

  /// Parts of the given sizes along the axis, or equal ones; the last may be smaller.
  fileprivate func split(_ given: [Dim]?) throws -> [ValueID?] {
    let x = try input(0)
    let axis = try axis(int("axis", default: 0), rank: rank(x))
    let total = shape(x)[axis]
    let count = try given?.count ?? max(int("num_outputs", default: node.outputs.count), 1)
    guard count >= node.outputs.count, given != nil || count <= max(node.outputs.count, 1) else {
      throw Failure.badData("\(node.outputs.count) outputs of \(count) parts")
    }
    var start = Dim(0)
    return try (0..<count).map { i in
      let even = total.ceilDivided(by: Dim(count))
      let size = given?[i] ?? (i == count - 1 ? total - even * Dim(count - 1) : even)
      defer { start = start + size }
      return try slice(x, axis: axis, start: start, size: size)
    }
  }

  fileprivate func sliced(_ starts: [Dim], _ ends: [Dim], _ given: [Int]?, _ steps: [Int]?) throws -> ValueID {
    let x = try input(0)
    let axes = try self.axes(given ?? Array(0..<starts.count), rank: rank(x))
    let steps = steps ?? [Int](repeating: 1, count: axes.count)
    guard starts.count == axes.count, ends.count == axes.count, steps.count == axes.count, !steps.contains(0) else {
      throw Failure.badData("starts \(starts), ends \(ends), axes \(axes) and steps \(steps) do not go together")
    }
    let bounds = axes.indices.map { i in
      Slice.bounds(start: starts[i], end: ends[i], step: steps[i], size: shape(x)[axes[i]])
    }
    let cuts = axes.indices.filter {
      !(bounds[$0].start == 0 && steps[$0] == 1 && bounds[$0].size == shape(x)[axes[$0]])
    }
    if cuts.isEmpty { return x }
    return try add(
      Slice(
        axes: cuts.map { axes[$0] }, starts: cuts.map { bounds[$0].start }, sizes: cuts.map { bounds[$0].size },
        steps: cuts.map { steps[$0] }), x)
  }

  /// - Parameter pads: before each axis, then after each.
  fileprivate func padded(_ pads: [Dim], _ value: Scalar?, axes given: [Int]?) throws -> ValueID {
    let x = try input(0)
    let axes = try self.axes(given ?? Array(0..<rank(x)), rank: rank(x))
    guard pads.count == 2 * axes.count else { throw Failure.badData("\(pads.count) pads for \(axes.count) axes") }
    var before = [Dim](repeating: 0, count: rank(x))
    var after = before
    for (i, axis) in axes.enumerated() { (before[axis], after[axis]) = (pads[i], pads[axes.count + i]) }
    for (b, a) in zip(before, after) {
      // Such a pair would make a small tensor by way of a huge one.
      let (low, high) = (min(b.constant ?? 0, a.constant ?? 0), max(b.constant ?? 0, a.constant ?? 0))
      guard low >= 0 || high < 1 << 20 else { throw Failure.badData("pads of \(b) and \(a)") }
    }
    if (before + after).allSatisfy({ $0 == 0 }) { return x }
    let mode = try choice("mode", default: Pad.Mode.constant)
    return try add(Pad(before: before, after: after, mode: mode, value: value ?? .integer(0)), x)
  }

  /// Cropped or padded with zeros, the same on both sides, to the sizes of the second input.
  fileprivate func centred() throws -> ValueID {
    var x = try input(0)
    let targets = try sizes(input(1), "the shape")
    let axes = try self.axes(ints("axes") ?? Array(0..<rank(x)), rank: rank(x))
    guard targets.count == axes.count else { throw Failure.badData("\(targets.count) sizes for \(axes.count) axes") }
    for (axis, target) in zip(axes, targets) {
      guard let excess = (shape(x)[axis] - target).constant else {
        throw Failure.badData("whether \(shape(x)[axis]) is cropped or padded to \(target) is not known")
      }
      if excess >= 0 {
        x = try slice(x, axis: axis, start: Dim(excess / 2), size: target)
      } else {
        var (before, after) = ([Dim](repeating: 0, count: rank(x)), [Dim](repeating: 0, count: rank(x)))
        (before[axis], after[axis]) = (Dim(-excess / 2), Dim(-excess - -excess / 2))
        x = try add(Pad(before: before, after: after), x)
      }
    }
    return x
  }

  /// The first `lengths[b]` elements of each sequence in reverse order.
  fileprivate func reversedSequences() throws -> ValueID {
    let (x, lengths) = (try input(0), try cast(input(1), .int64))
    let (time, batch) = (try int("time_axis", default: 0), try int("batch_axis", default: 1))
    guard Set([time, batch]) == [0, 1], rank(x) >= 2 else {
      throw Failure.badData("needs time and batch as axes 0 and 1")
    }
    let steps = try iota(shape(x)[time], trailing: time == 0 ? 1 : 0)
    let index = try map(steps, time == 0 ? lengths : unsqueeze(lengths, [1])) { e, x in
      let reversed = e.binary(.subtract, e.binary(.subtract, x[1], e.constant(1, .int64)), x[0])
      return e.select(e.binary(.less, x[0], x[1]), reversed, x[0])
    }
    let all = try broadcast(reshape(index, shape(index) + Shape(repeating: 1, count: rank(x) - 2)), shape(x))
    return try add(GatherElements(axis: time), x, all)
  }
}

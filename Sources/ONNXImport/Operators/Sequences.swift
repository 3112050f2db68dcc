import GraphIR
import TensorTypes

/// A value of a model that is no tensor. Its structure is settled while the model is imported: how many tensors a
/// sequence holds, and whether an optional holds something.
indirect enum Composite {
  case sequence([ValueID])
  /// nil: it holds nothing.
  case optional(Held?)

  /// What an optional may hold.
  enum Held {
    case tensor(ValueID)
    case composite(Composite)
  }

  /// The same with every tensor replaced.
  func mapping(_ f: (ValueID) throws -> ValueID) rethrows -> Composite {
    switch self {
    case .sequence(let values): .sequence(try values.map(f))
    case .optional(nil): self
    case .optional(.tensor(let value)): .optional(.tensor(try f(value)))
    case .optional(.composite(let inner)): .optional(.composite(try inner.mapping(f)))
    }
  }
}

/// Each tensor of a split is a node of the graph.
private let longestSequence = 1 << 14

/// Sequences and optionals.
let sequenceRows: [OperatorRow] = [
  OperatorRow("SequenceConstruct") { n in try n.give(.sequence(n.inputs())) },
  OperatorRow("SequenceEmpty") { n in try n.give(.sequence([])) },
  .one("SequenceAt") { n in
    let values = try n.sequence(0)
    return values[try n.position(n.input(1), in: values.count)]
  },
  OperatorRow("SequenceInsert") { n in
    var values = try n.sequence(0)
    let value = try n.input(1)
    let place = try n.optionalInput(2).map { try n.position($0, in: values.count, atEnd: true) } ?? values.count
    if let first = values.first, n.element(first) != n.element(value) {
      throw Failure.badData("a sequence of \(n.element(first).rawValue) cannot take \(n.type(value))")
    }
    values.insert(value, at: place)
    return try n.give(.sequence(values))
  },
  OperatorRow("SequenceErase") { n in
    var values = try n.sequence(0)
    guard !values.isEmpty else { throw Failure.badData("the sequence is empty") }
    values.remove(at: try n.optionalInput(1).map { try n.position($0, in: values.count) } ?? values.count - 1)
    return try n.give(.sequence(values))
  },
  .one("SequenceLength") { n in n.constant(HostTensor(.int64, [], .integers([Int64(try n.sequence(0).count)]))) },
  OperatorRow("SplitToSequence") { n in try n.give(.sequence(n.splitValues())) },
  .one("ConcatFromSequence") { n in
    let values = try n.sequence(0)
    guard let first = values.first else { throw Failure.badData("the sequence is empty") }
    let isNew = try n.flag("new_axis")
    guard let given = try n.optionalInt("axis") else { throw Failure.badData("attribute 'axis' is missing") }
    let axis = try n.axis(given, rank: n.rank(first) + (isNew ? 1 : 0))
    let pieces = try isNew ? values.map { try n.unsqueeze($0, [axis]) } : values
    return pieces.count == 1 ? pieces[0] : try n.addAll(Concat(axis: axis), pieces)[0]
  },
  OperatorRow("Optional") { n in
    guard let name = n.node.inputs.first, !name.isEmpty else { return try n.give(.optional(nil)) }
    if let inner = try n.scope.composite(name) { return try n.give(.optional(.composite(inner))) }
    return try n.give(.optional(.tensor(n.input(0))))
  },
  .one("OptionalHasElement") { n in
    var isFull = n.node.inputs.first.map { !$0.isEmpty } ?? false
    if isFull, case .optional(nil)? = try n.scope.composite(n.node.inputs[0]) { isFull = false }
    return n.constant(HostTensor(.bool, [], .integers([isFull ? 1 : 0])))
  },
  OperatorRow("OptionalGetElement") { n in
    switch try n.scope.composite(n.node.inputs[0]) {
    case nil: return [try n.input(0)]
    case .sequence(let values): return try n.give(.sequence(values))
    case .optional(nil): throw Failure.badData("the optional holds nothing")
    case .optional(.tensor(let value)): return [value]
    case .optional(.composite(let inner)): return try n.give(inner)
    }
  },
]

extension NodeImport {
  /// Makes `value` the node's output, which is no tensor.
  func give(_ value: Composite) throws -> [ValueID?] {
    if let name = node.outputs.first, !name.isEmpty { try scope.define(name, value) }
    return []
  }

  fileprivate func sequence(_ i: Int) throws -> [ValueID] {
    guard case .sequence(let values)? = try scope.composite(node.inputs[i]) else {
      throw Failure.badData("input number \(i), '\(node.inputs[i])', is no sequence whose length is known")
    }
    return values
  }

  /// A position in a sequence of `count`, or behind its end; negative ones count from there.
  fileprivate func position(_ value: ValueID, in count: Int, atEnd: Bool = false) throws -> Int {
    let given = try integers(value, "a position in a sequence")
    guard given.count == 1, given[0] >= -count, given[0] < count + (atEnd ? 1 : 0) else {
      throw Failure.badData("position \(given) in a sequence of \(count)")
    }
    return given[0] < 0 ? given[0] + count : given[0]
  }

  /// The pieces that SplitToSequence makes: of stated sizes, of one size but for the last, or of size 1.
  fileprivate func splitValues() throws -> [ValueID] {
    let x = try input(0)
    let axis = try axis(int("axis", default: 0), rank: rank(x))
    guard let length = shape(x)[axis].constant else {
      throw Failure.badData("splitting dimension \(axis) of \(type(x)) needs its size")
    }
    guard length <= longestSequence else {
      throw Failure.badData("a sequence of up to \(length) tensors; \(longestSequence) are supported")
    }
    var sizes = [Int](repeating: 1, count: length)
    let split = try optionalInput(1)
    if let split {
      sizes = try integers(split, "sizes of a split")
      if rank(split) == 0 || sizes.count == 1 && sizes[0] < length {
        let step = sizes[0]
        guard step > 0 else { throw Failure.badData("pieces of size \(step)") }
        sizes = stride(from: 0, to: length, by: step).map { min(step, length - $0) }
      }
    }
    guard sizes.allSatisfy({ $0 >= 0 }), sizes.reduce(0, +) == length else {
      throw Failure.badData("sizes \(sizes) of a split do not make up \(length)")
    }
    let keepsDims = try split != nil || flag("keepdims", default: true)
    var start = 0
    return try sizes.map { size in
      defer { start += size }
      let piece = try slice(x, axis: axis, start: Dim(start), size: Dim(size))
      return keepsDims ? piece : try squeeze(piece, [axis])
    }
  }
}

import GraphIR
import TensorTypes

// Operators that make tensors: constants, ranges, random numbers.

let sourceRows: [OperatorRow] = [
  .one("Constant") { n in try n.constantNode() },
  .one("ConstantOfShape") { n in
    let value = try n.tensor("value") ?? HostTensor(.float32, [], [Float(0)])
    guard value.elementCount == 1 else { throw Failure.badData("attribute 'value' must have one element") }
    let shape = try n.sizes(n.input(0), "the shape")
    return try n.broadcast(n.constant(value.reshaped([])), shape)
  },
  .one("EyeLike") { n in
    let x = try n.input(0)
    guard n.rank(x) == 2 else { throw Failure.badData("needs a matrix, not \(n.type(x))") }
    let element = try n.elementType("dtype") ?? n.element(x)
    let k = try n.int("k", default: 0)
    return try n.map(n.iota(n.shape(x)[1]), n.iota(n.shape(x)[0], trailing: 1)) { e, x in
      e.cast(e.binary(.equal, x[0], e.binary(.add, x[1], e.add(.constant(.integer(Int64(k)), .int64)))), element)
    }
  },
  .one("Range") { n in try n.range(n.input(0), n.input(1), n.input(2)) },
  .one("RandomNormal") { n in try n.random(.normal, n.ints("shape").map { $0.map { Dim($0) } } ?? [], like: nil) },
  .one("RandomUniform") { n in try n.random(.uniform, n.ints("shape").map { $0.map { Dim($0) } } ?? [], like: nil) },
  .one("RandomNormalLike") { n in try n.random(.normal, n.shape(n.input(0)), like: n.input(0)) },
  .one("RandomUniformLike") { n in try n.random(.uniform, n.shape(n.input(0)), like: n.input(0)) },
  .one("Bernoulli") { n in
    let x = try n.input(0)
    let draws = try n.add(Random(.uniform, n.element(x), n.shape(x), seed: n.seed()))
    let element = try n.elementType("dtype") ?? n.element(x)
    return try n.map(draws, x) { e, x in e.cast(e.binary(.less, x[0], x[1]), element) }
  },
  .one("HannWindow") { n in try n.window(0.5, 0.5, 0) },
  .one("HammingWindow") { n in try n.window(25 / 46, 21 / 46, 0) },
  .one("BlackmanWindow") { n in try n.window(0.42, 0.5, 0.08) },
]

extension NodeImport {
  fileprivate func constantNode() throws -> ValueID {
    guard let attribute = node.attributes.first(where: { $0.name != "doc_string" }), node.attributes.count == 1 else {
      throw Failure.badData("needs one attribute, the value")
    }
    switch attribute.value {
    case .tensor(let value): return constant(try value.tensor())
    case .sparseTensor(let value): return constant(try value.dense())
    case .float(let value): return constant(HostTensor(.float32, [], [value]))
    case .floats(let values): return constant(HostTensor(.float32, [values.count], values))
    case .int(let value): return constant(HostTensor(.int64, [], [value]))
    case .ints(let values): return constant(HostTensor(.int64, [values.count], values))
    case .string, .strings: throw Failure.badData("strings are not supported")
    case .graph, .type, .tensors, .graphs, .sparseTensors, .types, .reference:
      throw Failure.badData("attribute '\(attribute.name)' is no constant")
    }
  }

  /// `start, start + delta, …` up to but without `limit`.
  fileprivate func range(_ start: ValueID, _ limit: ValueID, _ delta: ValueID) throws -> ValueID {
    try requireOneType(start, limit, delta)
    let operands = try [start, limit, delta].map { try reshape($0, []) }
    let count = try rangeCount(operands)
    let steps = try add(Iota(element(start), [count], axis: 0))
    return try map(steps, operands[0], operands[2]) { e, x in
      e.binary(.add, e.binary(.multiply, x[0], x[2]), x[1])
    }
  }

  /// `max(⌈(limit − start) / delta⌉, 0)`
  private func rangeCount(_ operands: [ValueID]) throws -> Dim {
    let known = operands.compactMap { builder.knownTensor($0) }
    if known.count == 3 {
      let x = known.map { $0[0].double }
      let count = ((x[1] - x[0]) / x[2]).rounded(.up)
      guard count.isFinite, abs(count) < 0x1p40 else {
        throw Failure.badData("a range from \(x[0]) to \(x[1]) by \(x[2])")
      }
      return Dim(max(Int(count), 0))
    }
    let contents = operands.map { graph[$0].facts.contents?.first }
    if let start = contents[0], let limit = contents[1], let step = contents[2]?.constant, step != 0 {
      let span = step > 0 ? limit - start : start - limit
      return Dim.maximum(0, span.ceilDivided(by: Dim(step == .min ? .max : abs(step))))
    }
    // Only running tells: computed in floating point, which holds every count that fits into memory.
    let count = try map(operands) { e, x in
      let wide = x.map { e.cast($0, .float64) }
      let quotient = e.binary(.divide, e.binary(.subtract, wide[1], wide[0]), wide[2])
      return e.cast(e.binary(.maximum, e.unary(.ceil, quotient), e.constant(0, .float64)), .int64)
    }
    return try size(count, "the range's length")
  }

  /// A seed that is given, as the bits of a float, or that depends on the node alone: the same model draws the same.
  fileprivate func seed() throws -> Int {
    if let given = try optionalFloat("seed") { return Int(Float(given).bitPattern) }
    // FNV-1a of the node's name.
    let hash = node.origin.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    return Int(truncatingIfNeeded: hash)
  }

  fileprivate func random(_ kind: Random.Kind, _ shape: Shape, like x: ValueID?) throws -> ValueID {
    let given = x.map { type($0).element } ?? .float32
    let element = try elementType("dtype") ?? (given.isFloat ? given : .float32)
    let draws = try add(Random(kind, element, shape, seed: seed()))
    let (scale, offset): (Double, Double)
    switch kind {
    case .normal: (scale, offset) = (try float("scale", default: 1), try float("mean", default: 0))
    case .uniform:
      offset = try float("low", default: 0)
      scale = try float("high", default: 1) - offset
    }
    return try map(draws) { e, x in e.binary(.add, e.scaled(x[0], scale), e.constant(offset, element)) }
  }

  /// `a − b·cos(2π·i/N) + c·cos(4π·i/N)`, N being the size, less one if not periodic.
  fileprivate func window(_ a: Double, _ b: Double, _ c: Double) throws -> ValueID {
    let size = try size(input(0), "the size")
    let element = try elementType("output_datatype") ?? .float32
    let periodic = try flag("periodic", default: true)
    let count = try cast(reshape(builder.value(of: [periodic ? size : size - 1]), []), .float64)
    return try map(iota(size, .float64), count) { e, x in
      let angle = e.binary(.divide, e.scaled(x[0], 2 * Double.pi), x[1])
      let first = e.scaled(e.unary(.cos, angle), -b)
      let second = e.scaled(e.unary(.cos, e.scaled(angle, 2)), c)
      return e.cast(e.binary(.add, e.constant(a, .float64), e.binary(.add, first, second)), element)
    }
  }
}

import GraphIR
import TensorTypes

// Operators that give a tensor another shape, or ask for it.

let shapeRows: [OperatorRow] = [
  .one("Shape") { n in
    let shape = n.shape(try n.input(0))
    let start = clamped(try n.int("start", default: 0), shape.count)
    let end = clamped(try n.int("end", default: shape.count), shape.count)
    return try n.builder.value(of: start < end ? Array(shape[start..<end]) : [])
  },
  .one("Size") { n in try n.reshape(n.builder.value(of: [n.type(n.input(0)).elementCount]), []) },
  .one("Reshape", since: 1) { n in
    try n.reshape(n.input(0), n.resolved((n.ints("shape") ?? []).map { Dim($0) }, of: n.input(0)))
  },
  .one("Reshape", since: 5) { n in
    let x = try n.input(0)
    return try n.reshape(x, n.resolved(n.sizes(n.input(1), "the shape"), of: x))
  },
  .one("Flatten") { n in
    let x = try n.input(0)
    let given = try n.int("axis", default: 1)
    let axis = given == n.rank(x) ? given : try n.axis(given, rank: n.rank(x))
    return try n.reshape(x, [n.shape(x)[..<axis].product, n.shape(x)[axis...].product])
  },
  .one("Squeeze", since: 1) { n in try n.squeezed(n.ints("axes")) },
  .one("Squeeze", since: 13) { n in try n.squeezed(n.optionalInput(1).map { try n.integers($0, "the axes") }) },
  .one("Unsqueeze", since: 1) { n in try n.unsqueezed(n.ints("axes") ?? []) },
  .one("Unsqueeze", since: 13) { n in try n.unsqueezed(n.integers(n.input(1), "the axes")) },
  .one("Expand") { n in
    let x = try n.input(0)
    let target = try n.sizes(n.input(1), "the shape")
    return try n.broadcast(x, broadcast(n.shape(x), target, constraint: "shapes"))
  },
  .one("Tile", since: 1) { n in
    // One axis, repeated a number of times, both given as tensors.
    let x = try n.input(0)
    let axis = try n.axis(n.integers(n.input(2), "the axis").first ?? 0, rank: n.rank(x))
    var repeats = [Dim](repeating: 1, count: n.rank(x))
    repeats[axis] = try n.size(n.input(1), "the repeats")
    return try n.tiled(x, repeats)
  },
  .one("Tile", since: 6) { n in try n.tiled(n.input(0), n.sizes(n.input(1), "the repeats")) },
]

private func clamped(_ index: Int, _ rank: Int) -> Int { min(max(index < 0 ? index + rank : index, 0), rank) }

extension NodeImport {
  /// A reshape's target with 0 ("as before") and -1 ("what remains") replaced.
  fileprivate func resolved(_ target: [Dim], of x: ValueID) throws -> Shape {
    let own = shape(x)
    var result = target
    if try !flag("allowzero") {
      for i in result.indices where result[i] == 0 {
        guard i < own.count else { throw Failure.badData("shape \(target) copies a dimension that \(type(x)) has not") }
        result[i] = own[i]
      }
    }
    let open = result.indices.filter { result[$0] == -1 }
    guard open.count <= 1 else { throw Failure.badData("shape \(target) leaves more than one dimension open") }
    if let i = open.first {
      result[i] = 1
      result[i] = try remaining(own, result, target)
    }
    guard result.allSatisfy({ ($0.constant ?? 0) >= 0 }) else { throw Failure.badData("shape \(target) is negative") }
    return result
  }

  /// Elements of `own` for each of `others`.
  private func remaining(_ own: Shape, _ others: Shape, _ target: [Dim]) throws -> Dim {
    // Equal dimensions cancel, also where division would have to know that they are not 0.
    var (own, others) = (own, others)
    for size in others where size.constant == nil {
      guard let i = own.firstIndex(of: size), let j = others.firstIndex(of: size) else { continue }
      own.remove(at: i)
      others.remove(at: j)
    }
    let (total, known) = (own.product, others.product)
    if let exact = total.divided(exactlyBy: known), known != 0 { return exact }
    if known == 0 { return 0 }
    if let a = total.constant, let b = known.constant {
      throw Failure.badData("\(a) elements do not fit shape \(target), which has a multiple of \(b)")
    }
    return total.floorDivided(by: known)
  }

  fileprivate func squeezed(_ given: [Int]?) throws -> ValueID {
    let x = try input(0)
    let axes = try given.map { try self.axes($0, rank: rank(x)) } ?? shape(x).indices.filter { shape(x)[$0] == 1 }
    for axis in axes where (shape(x)[axis].constant ?? 1) != 1 {
      throw Failure.badData("axis \(axis) of \(type(x)) is not of size 1")
    }
    return try squeeze(x, axes)
  }

  fileprivate func unsqueezed(_ given: [Int]) throws -> ValueID {
    let x = try input(0)
    guard rank(x) + given.count <= HostTensor.rankLimit else {
      throw Failure.badData("\(rank(x) + given.count) dimensions; the limit is \(HostTensor.rankLimit)")
    }
    return try unsqueeze(x, axes(given, rank: rank(x) + given.count))
  }

  /// `repeats[i]` copies along dimension `i`.
  fileprivate func tiled(_ x: ValueID, _ repeats: [Dim]) throws -> ValueID {
    let own = shape(x)
    guard repeats.count == own.count else { throw Failure.badData("\(repeats.count) repeats for \(type(x))") }
    if repeats.allSatisfy({ $0 == 1 }) { return x }
    let split: Shape = zip(repeats, own).flatMap { copies, size in copies == 1 ? [size] : [Dim(1), size] }
    let spread: Shape = zip(repeats, own).flatMap { copies, size in copies == 1 ? [size] : [copies, size] }
    return try reshape(broadcast(reshape(x, split), spread), zip(repeats, own).map { $0 * $1 })
  }
}

import GraphIR
import TensorTypes

// Matrix products and Einstein sums.

let productRows: [OperatorRow] = [
  .one("MatMul") { n in try n.product(n.input(0), n.input(1)) },
  .one("Gemm") { n in
    let (a, b) = (try n.input(0), try n.input(1))
    guard n.rank(a) == 2, n.rank(b) == 2 else {
      throw Failure.badData("needs two matrices, not \(n.type(a)) and \(n.type(b))")
    }
    let alpha = try n.float("alpha", default: 1)
    let op = MatMul(transposeLeft: try n.flag("transA"), transposeRight: try n.flag("transB"))
    let product = try n.scaled(n.add(op, a, b), alpha)
    guard let c = try n.optionalInput(2) else { return product }
    return try n.binary(.add, product, n.scaled(c, n.float("beta", default: 1)))
  },
  .one("MatMulInteger") { n in
    let a = try n.centred(n.input(0), n.optionalInput(2), isLeft: true)
    let b = try n.centred(n.input(1), n.optionalInput(3), isLeft: false)
    return try n.product(a, b, by: MatMul(widens: true))
  },
  .one("Einsum") { n in
    let equation = try n.string("equation", default: "")
    return try EinsteinSum(equation, n).build(n.inputs())
  },
]

extension NodeImport {
  /// NumPy's `matmul`: vectors count as a row on the left and as a column on the right.
  func product(_ a: ValueID, _ b: ValueID, by op: MatMul = MatMul()) throws -> ValueID {
    guard rank(a) > 0, rank(b) > 0 else { throw Failure.badData("a product of \(type(a)) and \(type(b))") }
    let left = rank(a) == 1 ? try unsqueeze(a, [0]) : a
    let right = rank(b) == 1 ? try unsqueeze(b, [1]) : b
    let result = try add(op, left, right)
    let rank = rank(result)
    let dropped = (self.rank(a) == 1 ? [rank - 2] : []) + (self.rank(b) == 1 ? [rank - 1] : [])
    return dropped.isEmpty ? result : try squeeze(result, dropped)
  }

  func scaled(_ x: ValueID, _ factor: Double) throws -> ValueID {
    factor == 1 ? x : try map(x) { e, x in e.scaled(x[0], factor) }
  }

  /// An 8-bit matrix less its zero point, as i16: one number, or one a row (left) or column (right). The matrix itself if
  /// there is no zero point.
  func centred(_ x: ValueID, _ zero: ValueID?, isLeft: Bool) throws -> ValueID {
    guard element(x).byteCount == 1 else { throw Failure.badData("an integer product of \(type(x))") }
    guard var point = zero else { return x }
    if isLeft && rank(point) == 1 && shape(point)[0] != 1 { point = try unsqueeze(point, [1]) }
    return try map(x, point) { e, x in e.binary(.subtract, e.cast(x[0], .int16), e.cast(x[1], .int16)) }
  }
}

/// A sum of products over named indices, done two operands at a time as matrix products.
private struct EinsteinSum {
  let n: NodeImport
  private var terms: [[Character]] = []
  private var result: [Character]?

  /// Index names stand for the dimensions that an ellipsis covers, innermost last.
  private static let ellipsisNames = (0..<32).map { Character(Unicode.Scalar(0x2460 + $0)!) }

  init(_ equation: String, _ n: NodeImport) throws {
    self.n = n
    let sides = equation.filter { $0 != " " }.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    guard sides.count == 1 || sides[1].first == ">" else { throw Failure.badData("equation '\(equation)'") }
    let names = sides[0].split(separator: ",", omittingEmptySubsequences: false)
    guard names.count == n.inputCount else {
      throw Failure.badData("equation '\(equation)' for \(n.inputCount) inputs")
    }
    var covered = 0
    for (i, name) in names.enumerated() {
      let rank = n.rank(try n.input(i))
      let term = try Self.indices(name, rank: rank, equation)
      covered = max(covered, term.count { Self.ellipsisNames.contains($0) })
      terms.append(term)
    }
    let ellipsis = Array(Self.ellipsisNames[..<covered])
    if sides.count == 2 {
      result = try Self.expand(sides[1].dropFirst(), ellipsis, equation)
    } else {
      // Without an arrow: the ellipsis, then what occurs once, in alphabetical order.
      let all = terms.flatMap { $0 }.filter { !Self.ellipsisNames.contains($0) }
      result = ellipsis + Set(all).filter { name in all.count { $0 == name } == 1 }.sorted()
    }
    let known = Set(terms.flatMap { $0 })
    guard let result, Set(result).count == result.count, result.allSatisfy({ known.contains($0) }) else {
      throw Failure.badData("equation '\(equation)' has a wrong result")
    }
  }

  private static func indices(_ term: Substring, rank: Int, _ equation: String) throws -> [Character] {
    let letters = term.count { $0 != "." }
    let covered = term.contains(".") ? rank - letters : 0
    guard covered >= 0, covered <= ellipsisNames.count else {
      throw Failure.badData("equation '\(equation)' and rank \(rank)")
    }
    // Ellipses of different lengths are aligned at the innermost dimension.
    let indices = try expand(term, Array(ellipsisNames[..<covered].reversed()), equation)
    guard indices.count == rank else { throw Failure.badData("term '\(term)' of '\(equation)' for rank \(rank)") }
    return indices
  }

  private static func expand(_ term: Substring, _ ellipsis: [Character], _ equation: String) throws -> [Character] {
    let parts = term.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 1 || (parts.count == 4 && parts[1].isEmpty && parts[2].isEmpty),
      term.allSatisfy({ $0 == "." || ($0.isLetter && $0.isASCII) })
    else { throw Failure.badData("term '\(term)' of equation '\(equation)'") }
    return Array(parts[0]) + (parts.count == 4 ? ellipsis : []) + Array(parts.count == 4 ? parts[3] : "")
  }

  func build(_ operands: [ValueID]) throws -> ValueID {
    let result = result ?? []
    var pending = try zip(operands, terms).map { try diagonal($0, $1) }
    // Left to right; an index is summed as soon as nothing later needs it.
    while pending.count > 1 {
      let (a, b) = (pending.removeFirst(), pending.removeFirst())
      let needed = Set(result + pending.flatMap(\.indices))
      pending.insert(
        try contract(sum(a, keeping: needed.union(b.indices)), sum(b, keeping: needed.union(a.indices)), needed), at: 0)
    }
    let last = try sum(pending[0], keeping: Set(result))
    return try n.transpose(last.value, result.map { last.indices.firstIndex(of: $0) ?? 0 })
  }

  private typealias Term = (value: ValueID, indices: [Character])

  /// Without repeated indices: the elements where they are equal.
  private func diagonal(_ x: ValueID, _ indices: [Character]) throws -> Term {
    var (x, indices) = (x, indices)
    while let second = indices.indices.first(where: { indices[..<$0].contains(indices[$0]) }) {
      let first = indices.firstIndex(of: indices[second]) ?? 0
      // Zero off the diagonal, then the sum along the second of the two is what is on it.
      let rank = indices.count
      let rows = try n.iota(n.shape(x)[first], trailing: rank - first - 1)
      let columns = try n.iota(n.shape(x)[second], trailing: rank - second - 1)
      let kept = try n.map(x, rows, columns) { e, x in
        e.select(e.binary(.equal, x[1], x[2]), x[0], e.constant(0, e.types[x[0]]))
      }
      x = try n.add(Reduce(.sum, axes: [second], keepDims: false), kept)
      indices.remove(at: second)
    }
    return (x, indices)
  }

  private func sum(_ term: Term, keeping needed: Set<Character>) throws -> Term {
    let axes = term.indices.indices.filter { !needed.contains(term.indices[$0]) }
    if axes.isEmpty { return term }
    return (
      try n.add(Reduce(.sum, axes: axes, keepDims: false), term.value), term.indices.filter { needed.contains($0) }
    )
  }

  /// The product of two terms, summed over the indices that are in both and not needed any more.
  private func contract(_ a: Term, _ b: Term, _ needed: Set<Character>) throws -> Term {
    let both = a.indices.filter { b.indices.contains($0) }
    let (batch, summed) = (both.filter { needed.contains($0) }, both.filter { !needed.contains($0) })
    let (rows, columns) = (a.indices.filter { !both.contains($0) }, b.indices.filter { !both.contains($0) })
    func size(_ index: Character) -> Dim {
      let sizes = [a, b].compactMap { t in t.indices.firstIndex(of: index).map { n.shape(t.value)[$0] } }
      return sizes.first { $0 != 1 } ?? 1
    }
    func arranged(_ t: Term, _ groups: [[Character]]) throws -> ValueID {
      let order = groups.flatMap { $0 }
      let moved = try n.transpose(t.value, order.map { t.indices.firstIndex(of: $0) ?? 0 })
      let full = try n.broadcast(moved, order.map(size))
      return try n.reshape(full, batch.map(size) + groups.dropFirst().map { $0.map(size).product })
    }
    let left = try arranged(a, [batch, rows, summed])
    let right = try arranged(b, [batch, summed, columns])
    let product = try n.add(MatMul(), left, right)
    return (try n.reshape(product, (batch + rows + columns).map(size)), batch + rows + columns)
  }
}

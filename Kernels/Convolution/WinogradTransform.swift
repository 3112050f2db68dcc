import TensorTypes
import TileIR

/// The minimal filtering algorithm F(m, 3) along one dimension: m outputs of a 3-tap filter from `m + 2` products,
/// `y = Aᵀ[(G·w) ⊙ (Bᵀ·x)]` (Winograd, 1980; Lavin & Gray, Fast Algorithms for Convolutional Neural Networks, 2016).
///
/// It is Toom-Cook multiplication at the points 0, ±p₁, ±p₂ …, ∞. The points decide the error. F(4, 3) at ±1, ±2, as
/// often given, loses four times as much as the direct sum; at ±5/8, ±3/2 1.8 times (root mean square, 64 channels,
/// normal data, F(4×4, 3×3)); F(2×2, 3×3) loses half as much as the direct sum, whose chain is longer. The points are
/// dyadic: A and B are exact in f32, G is rounded once, from double precision.
///
/// F(2, 3) is exact on integers: A and B hold 0 and ±1, and 2·G integers, which give 2·y.
///
/// Of stride 2 the outer taps see every other input, by F(3, 2) at 0, ±1, ∞, and the middle one those between, each of which is a
/// product of its own: 7 products where the direct sum has 9. It loses less than the direct sum, and nothing on integers, like F(2, 3).
public struct WinogradTransform: Hashable, Sendable {
  /// p₁, p₂ …
  private let pairs: [Double]
  /// Inputs from one output to the next: 1 or 2.
  private let step: Int
  /// Points at which polynomials are multiplied: all, or of stride 2 those of the outer taps.
  private var evaluated: Int { 2 * pairs.count + 2 }
  /// m
  public var outputs: Int { evaluated - (step == 1 ? 2 : 1) }
  /// As many as a tile has inputs: the evaluated ones, then of stride 2 one for each output.
  public var points: Int { step == 1 ? evaluated : evaluated + outputs }
  /// How many of the points have weights of their own; those after them have the last one's.
  var filters: Int { step == 1 ? evaluated : evaluated + 1 }

  /// - Parameters:
  ///   - m: outputs of a tile of stride 1: 2 or 4. Of stride 2 they are three whatever this is.
  ///   - stride: the window's, 1 or 2.
  public init(m: Int, stride: Int) {
    step = stride
    switch (stride, m) {
    case (1, 2), (2, _): pairs = [1]
    case (1, 4): pairs = [5.0 / 8, 3.0 / 2]
    default: preconditionFailure("F(\(m), 3) of stride \(stride)")
    }
  }

  /// 0, p₁, −p₁, p₂, −p₂ … without ∞.
  private var finite: [Double] { [0] + pairs.flatMap { [$0, -$0] } }

  /// G, `[points][3]`: the filter's polynomial at the points, divided by `Πₖ (p − pₖ)` over the other points.
  public var weights: [[Double]] {
    let all = finite.map { p in
      let norm = finite.filter { $0 != p }.reduce(1) { $0 * (p - $1) }
      return step == 1 ? [1 / norm, p / norm, p * p / norm] : [1 / norm, 0, p / norm]
    }
    return all + [[0, 0, 1]] + between.map { _ in [0, 1, 0] }
  }

  /// 2·G of the points ±1, which has no fractions.
  var doubledWeights: [[Double]] {
    precondition(pairs == [1], "F(4, 3) has no small integers")
    return weights.map { $0.map { 2 * $0 } }
  }

  /// Of stride 2 the outputs, each of which has a product besides.
  private var between: Range<Int> { 0..<(points - evaluated) }

  /// Aᵀ, `[outputs][points]`: powers of the points.
  public var inverse: [[Double]] {
    (0..<outputs).map { i in
      finite.map { power($0, i) } + [i == outputs - 1 ? 1 : 0] + between.map { $0 == i ? 1 : 0 }
    }
  }

  /// Bᵀ, `[points][points]`.
  public var input: [[Double]] {
    evaluation.map { row in
      (0..<points).map { j in j % step != 0 ? 0 : j / step < row.count ? row[j / step] : 0 }
    } + between.map { i in (0..<points).map { $0 == 2 * i + 1 ? 1 : 0 } }
  }

  /// For each evaluated point the coefficients of `Πₖ (x − pₖ)` over the others.
  private var evaluation: [[Double]] {
    let rows = finite.map { p in polynomial(finite.filter { $0 != p }) }
    return (rows + [polynomial(finite)]).map { $0 + [Double](repeating: 0, count: evaluated - $0.count) }
  }

  private func power(_ x: Double, _ n: Int) -> Double { (0..<n).reduce(1) { product, _ in product * x } }

  /// Coefficients of `Π (x − root)`, constant term first.
  private func polynomial(_ roots: [Double]) -> [Double] {
    roots.reduce([1]) { p, root in
      zip([0] + p, p.map { -root * $0 } + [0]).map { $0 + $1 }
    }
  }
}

extension WinogradTransform {
  /// Bᵀ·x on vectors.
  func transformInput(_ x: [Tile], on arithmetic: VectorArithmetic) -> [Tile] {
    let evenly = stride(from: 0, to: points, by: step).map { x[$0] }
    return evaluate(evenly, on: arithmetic) + between.map { x[2 * $0 + 1] }
  }

  /// Rows of p and −p share their even and odd halves: 12 operations for F(4, 3) where the matrix has 24 entries.
  private func evaluate(_ x: [Tile], on arithmetic: VectorArithmetic) -> [Tile] {
    let matrix = evaluation
    func sum(_ row: Int, from first: Int) -> Tile {
      arithmetic.sum(stride(from: first, to: evaluated, by: 2).map { (matrix[row][$0], x[$0]) })
    }
    var result = [sum(0, from: 0)]
    for (i, p) in pairs.enumerated() {
      let row = 1 + 2 * i
      let even = sum(row, from: 0)
      // The odd coefficients are p times the even ones, one place lower.
      let odd = arithmetic.sum(stride(from: 1, to: evaluated - 1, by: 2).map { (matrix[row][$0] / p, x[$0]) })
      result.append(arithmetic.add(p, odd, to: even))
      result.append(arithmetic.add(-p, odd, to: even))
    }
    return result + [sum(evaluated - 1, from: 1)]
  }

  /// Aᵀ·m on vectors.
  func transformOutput(_ m: [Tile], on arithmetic: VectorArithmetic) -> [Tile] {
    let sums = pairs.indices.map { m[1 + 2 * $0] + m[2 + 2 * $0] }
    let differences = pairs.indices.map { m[1 + 2 * $0] - m[2 + 2 * $0] }
    return (0..<outputs).map { i in
      var terms = zip(pairs, i % 2 == 0 ? sums : differences).map { (power($0, i), $1) }
      if i == 0 { terms.append((1, m[0])) }
      if i == outputs - 1 { terms.append((1, m[evaluated - 1])) }
      if between.contains(i) { terms.append((1, m[evaluated + i])) }
      return arithmetic.sum(terms)
    }
  }
}

/// Linear combinations of vectors in as few instructions as the machine allows.
struct VectorArithmetic {
  let b: TileBuilder
  let machine: Machine

  /// `factor · x + y`
  func add(_ factor: Double, _ x: Tile, to y: Tile) -> Tile {
    if factor == 1 { return y + x }
    if factor == -1 { return y - x }
    let constant = b.constant(factor, x.element, x.shape)
    return machine.hasFMA ? x.fma(constant, y) : x * constant + y
  }

  /// `Σ factor · x`; a factor of 1 goes first and costs nothing.
  func sum(_ terms: [(factor: Double, x: Tile)]) -> Tile {
    var terms = terms.filter { $0.factor != 0 }
    let first = terms.remove(at: terms.firstIndex { $0.factor == 1 } ?? 0)
    let start = first.factor == 1 ? first.x : first.x * b.constant(first.factor, first.x.element, first.x.shape)
    return terms.reduce(start) { add($1.factor, $1.x, to: $0) }
  }
}

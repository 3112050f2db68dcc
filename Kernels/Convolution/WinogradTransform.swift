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
public struct WinogradTransform: Hashable, Sendable {
  /// p₁, p₂ …
  private let pairs: [Double]
  /// m
  public var outputs: Int { 2 * pairs.count }
  /// `m + 2`
  public var points: Int { outputs + 2 }

  /// - Parameter outputs: 2 or 4.
  public init(outputs: Int) {
    switch outputs {
    case 2: pairs = [1]
    case 4: pairs = [5.0 / 8, 3.0 / 2]
    default: preconditionFailure("F(2, 3) or F(4, 3), not F(\(outputs), 3)")
    }
  }

  /// 0, p₁, −p₁, p₂, −p₂ … without ∞.
  private var finite: [Double] { [0] + pairs.flatMap { [$0, -$0] } }

  /// G, `[points][3]`: the filter's polynomial at the points, divided by `Πₖ (p − pₖ)` over the other points.
  public var weights: [[Double]] {
    finite.map { p in
      let norm = finite.filter { $0 != p }.reduce(1) { $0 * (p - $1) }
      return [1 / norm, p / norm, p * p / norm]
    } + [[0, 0, 1]]
  }

  /// 2·G of F(2, 3), which has no fractions.
  var doubledWeights: [[Double]] {
    precondition(outputs == 2, "F(4, 3) has no small integers")
    return weights.map { $0.map { 2 * $0 } }
  }

  /// Aᵀ, `[outputs][points]`: powers of the points.
  public var inverse: [[Double]] {
    (0..<outputs).map { i in
      finite.map { power($0, i) } + [i == outputs - 1 ? 1 : 0]
    }
  }

  /// Bᵀ, `[points][points]`: for each point the coefficients of `Πₖ (x − pₖ)` over the others.
  public var input: [[Double]] {
    let rows = finite.map { p in polynomial(finite.filter { $0 != p }) }
    return (rows + [polynomial(finite)]).map { $0 + [Double](repeating: 0, count: points - $0.count) }
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
  /// Bᵀ·x on vectors. Rows of p and −p share their even and odd halves: 12 operations for F(4, 3) where the matrix has
  /// 24 entries.
  func transformInput(_ x: [Tile], on arithmetic: VectorArithmetic) -> [Tile] {
    let matrix = input
    func sum(_ row: Int, from first: Int) -> Tile {
      arithmetic.sum(stride(from: first, to: points, by: 2).map { (matrix[row][$0], x[$0]) })
    }
    var result = [sum(0, from: 0)]
    for (i, p) in pairs.enumerated() {
      let row = 1 + 2 * i
      let even = sum(row, from: 0)
      // The odd coefficients are p times the even ones, one place lower.
      let odd = arithmetic.sum(stride(from: 1, to: points - 1, by: 2).map { (matrix[row][$0] / p, x[$0]) })
      result.append(arithmetic.add(p, odd, to: even))
      result.append(arithmetic.add(-p, odd, to: even))
    }
    return result + [sum(points - 1, from: 1)]
  }

  /// Aᵀ·m on vectors.
  func transformOutput(_ m: [Tile], on arithmetic: VectorArithmetic) -> [Tile] {
    let sums = pairs.indices.map { m[1 + 2 * $0] + m[2 + 2 * $0] }
    let differences = pairs.indices.map { m[1 + 2 * $0] - m[2 + 2 * $0] }
    return (0..<outputs).map { i in
      var terms = zip(pairs, i % 2 == 0 ? sums : differences).map { (power($0, i), $1) }
      if i == 0 { terms.append((1, m[0])) }
      if i == outputs - 1 { terms.append((1, m[points - 1])) }
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

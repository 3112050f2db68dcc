/// The size of one dimension: an integer, or an integer expression over named sizes known only at run time.
///
/// Kept as a polynomial `Σ coefficient · Π atom` in a canonical order, so that `==` sees through the ways in which
/// the same size can be spelled: `2*h + h == 3*h`. Atoms are names and the operations that polynomials lack.
/// Every symbol stands for an integer ≥ 0, and every divisor is assumed to be > 0.
public struct Dim: Hashable, Sendable {
  public indirect enum Atom: Hashable, Sendable {
    case symbol(String)
    /// ⌊a / b⌋
    case quotient(Dim, Dim)
    /// a − b·⌊a / b⌋
    case remainder(Dim, Dim)
    case minimum(Dim, Dim)
    case maximum(Dim, Dim)
  }

  public struct Term: Hashable, Sendable {
    public var coefficient: Int
    /// In canonical order, repeated for a power.
    public var factors: [Atom]
  }

  /// In canonical order, no coefficient 0, no two with the same factors. Empty for 0.
  public private(set) var terms: [Term]

  /// The number of names and operations in the expression.
  fileprivate var weight: Int

  /// An expression of more names and operations than this is none: it saturates, as a number out of range does. Real
  /// models stay far below; a hostile one could make expressions that double with every node.
  static let largestWeight = 1024

  /// What arithmetic gives that leaves `Int`, or would be too large an expression. Such a size is refused later, where
  /// a tensor of it would be made.
  public static let saturated = Dim(Int.max)

  public init(_ value: Int) { (terms, weight) = (value == 0 ? [] : [Term(coefficient: value, factors: [])], 0) }
  public static func symbol(_ name: String) -> Dim { Dim(atom: .symbol(name)) }

  init(atom: Atom) {
    let weight = atom.weight
    guard weight <= Dim.largestWeight else {
      self = .saturated
      return
    }
    (terms, self.weight) = ([Term(coefficient: 1, factors: [atom])], weight)
  }

  /// Adds up like terms and sorts, saturating.
  init(summing unsorted: [Term]) {
    if unsorted.count == 1, unsorted[0].coefficient != 0, unsorted[0].factors.count <= 1 {
      (terms, weight) = (unsorted, unsorted[0].factors.first?.weight ?? 0)
      return
    }
    let weight = unsorted.reduce(0) { sum, term in term.factors.reduce(sum) { $0 + $1.weight } }
    guard weight <= 2 * Dim.largestWeight else {
      self = .saturated
      return
    }
    var sums: [[Atom]: Int] = [:]
    for term in unsorted { sums[term.factors] = saturatingAdd(sums[term.factors] ?? 0, term.coefficient) }
    var keyed: [(key: String, term: Term)] = []
    for (factors, coefficient) in sums where coefficient != 0 {
      let key = factors.map(\.description).joined(separator: "*")
      keyed.append((key, Term(coefficient: coefficient, factors: factors)))
    }
    keyed.sort { a, b in
      let (m, n) = (a.term.factors.count, b.term.factors.count)
      return m != n ? m > n : a.key < b.key
    }
    terms = keyed.map(\.term)
    self.weight = terms.reduce(0) { sum, term in term.factors.reduce(sum) { $0 + $1.weight } }
    if self.weight > Dim.largestWeight { self = .saturated }
  }

  /// The integer this is, if no symbol is left in it.
  public var constant: Int? {
    if terms.isEmpty { return 0 }
    if terms.count == 1, terms[0].factors.isEmpty { return terms[0].coefficient }
    return nil
  }

  /// The name this is, if it is nothing but one symbol.
  public var name: String? {
    if terms.count == 1, terms[0].coefficient == 1, terms[0].factors.count == 1,
      case .symbol(let s) = terms[0].factors[0]
    {
      return s
    }
    return nil
  }

  /// Every symbol in the expression.
  public var symbols: Set<String> {
    terms.reduce(into: []) { all, term in for atom in term.factors { all.formUnion(atom.symbols) } }
  }

  /// The value with each symbol given by `sizes`; nil if one is missing.
  public func evaluate(_ sizes: [String: Int]) -> Int? {
    var sum = 0
    for term in terms {
      var product = term.coefficient
      for atom in term.factors {
        guard let value = atom.evaluate(sizes) else { return nil }
        product = saturatingMultiply(product, value)
      }
      sum = saturatingAdd(sum, product)
    }
    return sum
  }

  /// The expression with each symbol in `bindings` replaced.
  public func substituting(_ bindings: [String: Dim]) -> Dim {
    if symbols.isDisjoint(with: bindings.keys) { return self }
    var sum = Dim(0)
    for term in terms {
      sum = sum + term.factors.reduce(Dim(term.coefficient)) { $0 * $1.substituting(bindings) }
    }
    return sum
  }
}

extension Dim.Atom {
  fileprivate var weight: Int {
    switch self {
    case .symbol: 1
    case .quotient(let a, let b), .remainder(let a, let b), .minimum(let a, let b), .maximum(let a, let b):
      1 + a.weight + b.weight
    }
  }

  var symbols: Set<String> {
    switch self {
    case .symbol(let name): [name]
    case .quotient(let a, let b), .remainder(let a, let b), .minimum(let a, let b), .maximum(let a, let b):
      a.symbols.union(b.symbols)
    }
  }

  func evaluate(_ sizes: [String: Int]) -> Int? {
    func both(_ a: Dim, _ b: Dim, _ operation: (Int, Int) -> Int?) -> Int? {
      guard let x = a.evaluate(sizes), let y = b.evaluate(sizes) else { return nil }
      return operation(x, y)
    }
    switch self {
    case .symbol(let name): return sizes[name]
    case .quotient(let a, let b): return both(a, b) { $1 == 0 ? nil : floorDivide($0, $1) }
    case .remainder(let a, let b): return both(a, b) { $1 == 0 ? nil : $0 - $1 * floorDivide($0, $1) }
    case .minimum(let a, let b): return both(a, b) { min($0, $1) }
    case .maximum(let a, let b): return both(a, b) { max($0, $1) }
    }
  }

  func substituting(_ bindings: [String: Dim]) -> Dim {
    switch self {
    case .symbol(let name): bindings[name] ?? Dim(atom: self)
    case .quotient(let a, let b): a.substituting(bindings).floorDivided(by: b.substituting(bindings))
    case .remainder(let a, let b): a.substituting(bindings).remainder(dividingBy: b.substituting(bindings))
    case .minimum(let a, let b): Dim.minimum(a.substituting(bindings), b.substituting(bindings))
    case .maximum(let a, let b): Dim.maximum(a.substituting(bindings), b.substituting(bindings))
    }
  }
}

// MARK: - Arithmetic

extension Dim {
  public static func + (a: Dim, b: Dim) -> Dim {
    if let x = a.constant, let y = b.constant { return Dim(saturatingAdd(x, y)) }
    return Dim(summing: a.terms + b.terms)
  }
  public static func - (a: Dim, b: Dim) -> Dim { a + b * Dim(-1) }
  public static func * (a: Dim, b: Dim) -> Dim {
    if let x = a.constant, let y = b.constant { return Dim(saturatingMultiply(x, y)) }
    guard a.terms.count * b.terms.count <= largestWeight else { return .saturated }
    var products: [Term] = []
    for x in a.terms {
      for y in b.terms {
        let factors = (x.factors + y.factors).sorted { $0.description < $1.description }
        products.append(Term(coefficient: saturatingMultiply(x.coefficient, y.coefficient), factors: factors))
      }
    }
    return Dim(summing: products)
  }

  /// `self / divisor` if that is exact whatever the symbols are, else nil.
  public func divided(exactlyBy divisor: Dim) -> Dim? {
    if self == divisor { return Dim(1) }
    if terms.isEmpty { return Dim(0) }
    guard divisor.terms.count == 1 else { return nil }
    let by = divisor.terms[0]
    var quotients: [Term] = []
    for term in terms {
      // The smallest integer by -1 is none that `Int` holds.
      let isNegation = by.coefficient == -1
      guard by.coefficient != 0, isNegation || term.coefficient % by.coefficient == 0 else { return nil }
      var factors = term.factors
      for atom in by.factors {
        guard let i = factors.firstIndex(of: atom) else { return nil }
        factors.remove(at: i)
      }
      let coefficient =
        isNegation ? saturatingMultiply(term.coefficient, -1) : term.coefficient / by.coefficient
      quotients.append(Term(coefficient: coefficient, factors: factors))
    }
    return Dim(summing: quotients)
  }

  /// ⌊self / divisor⌋. Whole multiples of a constant divisor are taken out: ⌊(4h + 3) / 2⌋ = 2h + 1.
  public func floorDivided(by divisor: Dim) -> Dim {
    if let exact = divided(exactlyBy: divisor) { return exact }
    if let x = constant, let y = divisor.constant, y != 0 { return Dim(floorDivide(x, y)) }
    guard let d = divisor.constant, d > 0 else { return Dim(atom: .quotient(self, divisor)) }
    var whole: [Term] = []
    var rest: [Term] = []
    for term in terms {
      let q = floorDivide(term.coefficient, d)
      // Only a constant may be split; half of a symbol is not a whole number of anything.
      if term.coefficient % d == 0 || term.factors.isEmpty {
        whole.append(Term(coefficient: q, factors: term.factors))
        rest.append(Term(coefficient: term.coefficient - q * d, factors: term.factors))
      } else {
        rest.append(term)
      }
    }
    let remaining = Dim(summing: rest)
    if let r = remaining.constant { return Dim(summing: whole) + Dim(floorDivide(r, d)) }
    return Dim(summing: whole) + Dim(atom: .quotient(remaining, divisor))
  }

  /// ⌈self / divisor⌉
  public func ceilDivided(by divisor: Dim) -> Dim { (self + divisor - Dim(1)).floorDivided(by: divisor) }

  public func remainder(dividingBy divisor: Dim) -> Dim {
    if divided(exactlyBy: divisor) != nil { return Dim(0) }
    if let x = constant, let y = divisor.constant, y != 0 { return Dim(x - y * floorDivide(x, y)) }
    return Dim(atom: .remainder(self, divisor))
  }

  public static func minimum(_ a: Dim, _ b: Dim) -> Dim {
    if a == b { return a }
    if let x = a.constant, let y = b.constant { return Dim(min(x, y)) }
    if a.isAtLeast(b) { return b }
    if b.isAtLeast(a) { return a }
    return Dim(atom: .minimum(a, b))
  }

  public static func maximum(_ a: Dim, _ b: Dim) -> Dim {
    if a == b { return a }
    if let x = a.constant, let y = b.constant { return Dim(max(x, y)) }
    if a.isAtLeast(b) { return a }
    if b.isAtLeast(a) { return b }
    return Dim(atom: .maximum(a, b))
  }
}

extension Dim: ExpressibleByIntegerLiteral {
  public init(integerLiteral value: Int) { self.init(value) }
}

extension Sequence where Element == Dim {
  /// The number of elements of a tensor with these dimensions.
  public var product: Dim { reduce(Dim(1), *) }
}

// MARK: - Integer arithmetic that cannot trap

/// ⌊a / b⌋, for b ≠ 0.
public func floorDivide(_ a: Int, _ b: Int) -> Int {
  if b == -1 { return a == .min ? .max : -a }
  let q = a / b
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q
}

func saturatingAdd(_ a: Int, _ b: Int) -> Int {
  let (sum, overflow) = a.addingReportingOverflow(b)
  return overflow ? (a < 0 ? .min : .max) : sum
}

func saturatingMultiply(_ a: Int, _ b: Int) -> Int {
  let (product, overflow) = a.multipliedReportingOverflow(by: b)
  return overflow ? ((a < 0) == (b < 0) ? .max : .min) : product
}

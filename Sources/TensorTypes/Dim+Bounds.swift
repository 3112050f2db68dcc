// What can be proved of a size without knowing its symbols.

extension Dim {
  /// An integer that the size is never less than, if each symbol is at least `symbolsAtLeast`; nil if none was found.
  public func lowerBound(symbolsAtLeast least: Int = 0) -> Int? { bounds(least).low }

  /// An integer that the size is never more than; nil if none was found.
  public func upperBound(symbolsAtLeast least: Int = 0) -> Int? { bounds(least).high }

  /// Whether the size is at least `other` whatever the symbols (≥ 0) are.
  public func isAtLeast(_ other: Dim) -> Bool { ((self - other).lowerBound() ?? -1) >= 0 }

  fileprivate func bounds(_ least: Int) -> (low: Int?, high: Int?) {
    var (low, high): (Int?, Int?) = (0, 0)
    for term in terms {
      // The product of the factors, while they are known not to be negative.
      var (productLow, productHigh): (Int?, Int?) = (1, 1)
      for atom in term.factors {
        let (atomLow, atomHigh) = atom.bounds(least)
        guard let known = atomLow, known >= 0 else {
          (productLow, productHigh) = (nil, nil)
          break
        }
        productLow = productLow.map { saturatingMultiply($0, known) }
        productHigh = productHigh.flatMap { p in atomHigh.map { saturatingMultiply(p, $0) } }
      }
      let (a, b) = term.coefficient > 0 ? (productLow, productHigh) : (productHigh, productLow)
      low = low.flatMap { sum in a.map { saturatingAdd(sum, saturatingMultiply(term.coefficient, $0)) } }
      high = high.flatMap { sum in b.map { saturatingAdd(sum, saturatingMultiply(term.coefficient, $0)) } }
    }
    return (low, high)
  }
}

extension Dim.Atom {
  fileprivate func bounds(_ least: Int) -> (low: Int?, high: Int?) {
    // Both at once: asked for one by one, nested operations would be walked twice as often a level.
    func known(_ dim: Dim) -> (low: Int?, high: Int?) { dim.bounds(least) }
    switch self {
    case .symbol: return (max(least, 0), nil)
    case .quotient(let a, let b):
      let (low, high) = known(a)
      if let d = b.constant, d > 0 { return (low.map { floorDivide($0, d) }, high.map { floorDivide($0, d) }) }
      return (low.flatMap { $0 >= 0 ? 0 : nil }, high.flatMap { $0 >= 0 ? $0 : nil })
    case .remainder(_, let b): return (0, known(b).high.map { $0 - 1 })
    case .minimum(let a, let b):
      let (x, y) = (known(a), known(b))
      let highs = [x.high, y.high].compactMap { $0 }
      return (x.low.flatMap { l in y.low.map { min(l, $0) } }, highs.min())
    case .maximum(let a, let b):
      let (x, y) = (known(a), known(b))
      let lows = [x.low, y.low].compactMap { $0 }
      return (lows.max(), x.high.flatMap { h in y.high.map { max(h, $0) } })
    }
  }
}

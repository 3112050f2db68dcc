import TensorTypes

// Shape arithmetic: an expression over integers whose values are symbolic sizes.

extension Expression {
  /// The value where each input is a size, or nil where it is not known or can't be written as one.
  ///
  /// Division of sizes rounds down, which is toward zero as long as no size is 0 that the model divides less one.
  func evaluate(sizes input: (Int) -> Dim?) -> Dim? {
    if resultType.isFloat { return nil }
    var values: [Dim?] = []
    for (i, instruction) in instructions.enumerated() {
      var value: Dim?
      switch instruction {
      case .input(let index): value = types[i].isFloat ? nil : input(index)
      case .constant(.integer(let x), let type): value = type.isFloat ? nil : Dim(Int(x))
      case .constant(.float, _): value = nil
      case .unary(let function, let x): value = values[x].flatMap { Expression.sizes(function, types[x], $0) }
      case .binary(let function, let x, let y):
        if let a = values[x], let b = values[y] { value = Expression.sizes(function, types[x], a, b) }
        // The largest integer is a size like any other as a constant ("to the end"), but no result can be told from it.
        if value == .saturated { value = nil }
      case .select(let c, let x, let y):
        if let condition = values[c]?.constant { value = condition != 0 ? values[x] : values[y] }
      case .cast(let x, let type):
        guard !type.isFloat, let from = values[x] else { break }
        value = type == .bool ? Expression.sizes(.notEqual, types[x], from, 0) : from
        // What does not fit saturates; a symbol is taken to fit.
        if let constant = from.constant { value = Dim(Int(types[x].saturated(Int64(constant), to: type))) }
      }
      values.append(value)
    }
    return values[result]
  }

  private static func sizes(_ function: UnaryFunction, _ type: ElementType, _ x: Dim) -> Dim? {
    if let constant = x.constant { return Dim(Int(function.onIntegers(type)(Int64(constant)))) }
    switch function {
    case .negate: return Dim(0) - x
    case .abs: return (x.lowerBound() ?? -1) >= 0 ? x : nil
    case .sign: return (x.lowerBound() ?? 0) >= 1 ? 1 : nil
    case .floor, .ceil, .truncate, .round: return x
    case .isNaN, .isInfinite: return 0
    case .not: return type == .bool ? Dim(1) - x : nil
    case .sqrt, .reciprocal, .exp, .expm1, .log, .log1p, .sin, .cos, .tan, .asin, .acos, .atan, .sinh, .cosh, .tanh,
      .asinh, .acosh, .atanh, .erf, .sigmoid:
      return nil
    }
  }

  private static func sizes(_ function: BinaryFunction, _ type: ElementType, _ x: Dim, _ y: Dim) -> Dim? {
    if let a = x.constant, let b = y.constant { return Dim(Int(function.onIntegers(type)(Int64(a), Int64(b)))) }
    let difference = x - y
    func decide(_ truth: Bool?) -> Dim? { truth.map { $0 ? 1 : 0 } }
    /// Whether x − y ≥ `bound`, if that can be told.
    func differsByAtLeast(_ bound: Int) -> Bool? {
      if let low = difference.lowerBound(), low >= bound { return true }
      if let high = difference.upperBound(), high < bound { return false }
      return nil
    }
    let divides = (x.lowerBound(symbolsAtLeast: 1) ?? -1) >= 0 && (y.lowerBound(symbolsAtLeast: 1) ?? 0) >= 1
    switch function {
    case .add: return x + y
    case .subtract: return difference
    case .multiply: return x * y
    case .divide: return x.divided(exactlyBy: y) ?? (divides ? x.floorDivided(by: y) : nil)
    case .modulo, .remainder: return divides ? x.remainder(dividingBy: y) : nil
    case .minimum: return Dim.minimum(x, y)
    case .maximum: return Dim.maximum(x, y)
    case .equal, .notEqual:
      let equal = difference == 0 ? true : differsByAtLeast(1) == true || differsByAtLeast(0) == false ? false : nil
      return decide(function == .equal ? equal : equal.map { !$0 })
    case .greaterEqual: return decide(differsByAtLeast(0))
    case .greater: return decide(differsByAtLeast(1))
    case .less: return decide(differsByAtLeast(0).map { !$0 })
    case .lessEqual: return decide(differsByAtLeast(1).map { !$0 })
    case .and where type == .bool: return x == 0 || y == 0 ? 0 : x == 1 ? y : y == 1 ? x : nil
    case .or where type == .bool: return x == 1 || y == 1 ? 1 : x == 0 ? y : y == 0 ? x : nil
    case .power: return y.constant.flatMap { (1...8).contains($0) ? (1..<$0).reduce(x) { p, _ in p * x } : nil }
    case .and, .or, .xor, .shiftLeft, .shiftRight: return nil
    }
  }
}

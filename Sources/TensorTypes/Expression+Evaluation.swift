extension Expression {
  /// The value for one element; `input(i)` is that of input number `i`.
  public func evaluate(_ input: (Int) -> Scalar) -> Scalar {
    let inputs = inputTypes.indices.map { Column(repeating: input($0), as: inputTypes[$0], count: 1) }
    return evaluate(count: 1, inputs)[0]
  }

  /// The values for `count` elements at once.
  /// - Precondition: a column of `count` elements an input, of its type.
  public func evaluate(count: Int, _ inputs: [Column]) -> Column {
    var values: [Column] = []
    values.reserveCapacity(instructions.count)
    for instruction in instructions {
      let value: Column
      switch instruction {
      case .input(let i): value = inputs[i]
      case .constant(let scalar, let type): value = Column(repeating: scalar, as: type, count: count)
      case .unary(let function, let x): value = Expression.apply(function, types[x], values[x])
      case .binary(let function, let x, let y): value = Expression.apply(function, types[x], values[x], values[y])
      case .select(let c, let x, let y): value = Expression.select(values[c], values[x], values[y])
      case .cast(let x, let type): value = Expression.cast(values[x], types[x], type)
      }
      values.append(value)
    }
    return values[result]
  }

  private static func apply(_ function: UnaryFunction, _ type: ElementType, _ x: Column) -> Column {
    switch x {
    case .floats(let x):
      let f = function.onFloats
      if function.resultType(type) == .bool { return .integers(x.map { f($0) != 0 ? 1 : 0 }) }
      return .floats(type == .float64 ? x.map(f) : x.map { type.rounded(Double(Float(f($0)))) })
    case .integers(let x): return .integers(x.map(function.onIntegers(type)))
    }
  }

  private static func apply(_ function: BinaryFunction, _ type: ElementType, _ x: Column, _ y: Column) -> Column {
    switch (x, y) {
    case (.floats(let x), .floats(let y)):
      let f = function.onFloats
      if function.isComparison { return .integers(zip(x, y).map { f($0, $1) != 0 ? 1 : 0 }) }
      if type == .float64 { return .floats(zip(x, y).map { f($0, $1) }) }
      return .floats(zip(x, y).map { type.rounded(Double(Float(f($0, $1)))) })
    case (.integers(let x), .integers(let y)):
      let f = function.onIntegers(type)
      return .integers(zip(x, y).map { f($0, $1) })
    case (.floats, .integers), (.integers, .floats): preconditionFailure("operands of one type")
    }
  }

  private static func select(_ condition: Column, _ x: Column, _ y: Column) -> Column {
    guard case .integers(let c) = condition else { preconditionFailure("a condition of type bool") }
    switch (x, y) {
    case (.floats(let x), .floats(let y)): return .floats(c.indices.map { c[$0] != 0 ? x[$0] : y[$0] })
    case (.integers(let x), .integers(let y)): return .integers(c.indices.map { c[$0] != 0 ? x[$0] : y[$0] })
    case (.floats, .integers), (.integers, .floats): preconditionFailure("operands of one type")
    }
  }

  private static func cast(_ x: Column, _ from: ElementType, _ to: ElementType) -> Column {
    switch x {
    case .floats(let x): to.isFloat ? .floats(x.map { to.rounded($0) }) : .integers(x.map { to.saturated($0) })
    case .integers(let x):
      to.isFloat ? .floats(x.map { from.float($0, as: to) }) : .integers(x.map { from.saturated($0, to: to) })
    }
  }
}

import GraphIR
import TensorTypes

// Operators of one, two or more operands, element by element.

/// `y = f(x)` for a function that core expressions have.
private let unaryFunctions: [(String, UnaryFunction)] = [
  ("Abs", .abs), ("Neg", .negate), ("Sign", .sign), ("Sqrt", .sqrt), ("Reciprocal", .reciprocal), ("Exp", .exp),
  ("Log", .log), ("Sin", .sin), ("Cos", .cos), ("Tan", .tan), ("Asin", .asin), ("Acos", .acos), ("Atan", .atan),
  ("Sinh", .sinh), ("Cosh", .cosh), ("Tanh", .tanh), ("Asinh", .asinh), ("Acosh", .acosh), ("Atanh", .atanh),
  ("Erf", .erf), ("Sigmoid", .sigmoid), ("Floor", .floor), ("Ceil", .ceil), ("Round", .round), ("Not", .not),
  ("BitwiseNot", .not), ("IsNaN", .isNaN),
]

let unaryRows: [OperatorRow] =
  unaryFunctions.map { name, function in .one(name) { n in try n.unary(function, n.input(0)) } }
  + [
    .one("IsInf") { n in
      let (positive, negative) = (
        try n.flag("detect_positive", default: true), try n.flag("detect_negative", default: true)
      )
      return try n.map(n.input(0)) { e, x in
        let zero = e.constant(0, e.types[x[0]])
        let infinite = e.unary(.isInfinite, x[0])
        if positive && negative { return infinite }
        guard positive || negative else { return e.constant(0, .bool) }
        return e.binary(.and, infinite, e.binary(positive ? .greater : .less, x[0], zero))
      }
    },
    OperatorRow("Identity") { n in
      if let name = n.node.inputs.first, let composite = try n.scope.composite(name) { return try n.give(composite) }
      return [try n.input(0)]
    },
  ]

/// `z = f(x, y)`. Before version 7, `y` broadcast only where an attribute said so, and along a given axis.
private let binaryFunctions: [(String, BinaryFunction)] = [
  ("Add", .add), ("Sub", .subtract), ("Mul", .multiply), ("Div", .divide), ("And", .and), ("Or", .or), ("Xor", .xor),
  ("Equal", .equal), ("Less", .less), ("LessOrEqual", .lessEqual), ("Greater", .greater),
  ("GreaterOrEqual", .greaterEqual), ("BitwiseAnd", .and), ("BitwiseOr", .or), ("BitwiseXor", .xor),
]

/// Operators of any number of operands, joined from left to right.
private let variadicFunctions: [(String, BinaryFunction)] = [("Sum", .add), ("Max", .maximum), ("Min", .minimum)]

let binaryRows: [OperatorRow] =
  binaryFunctions.flatMap { name, function in
    [
      .one(name, since: 1) { n in try n.binary(function, n.input(0), n.alignedInput(1, to: n.input(0))) },
      .one(name, since: 7) { n in try n.binary(function, n.input(0), n.input(1)) },
    ]
  }
  + variadicFunctions.map { name, function in .one(name) { n in try n.joined(by: function) } }
  + [
    .one("Mean") { n in
      let (sum, count) = (try n.joined(by: .add), Double(n.inputCount))
      return try n.map(sum) { e, x in e.binary(.divide, x[0], e.constant(count, e.types[x[0]])) }
    },
    .one("Pow", since: 1) { n in try n.power(n.input(0), n.alignedInput(1, to: n.input(0))) },
    .one("Pow", since: 7) { n in try n.power(n.input(0), n.input(1)) },
    .one("Mod") { n in try n.binary(n.flag("fmod") ? .remainder : .modulo, n.input(0), n.input(1)) },
    .one("BitShift") { n in
      let direction = try n.string("direction", default: "")
      guard direction == "LEFT" || direction == "RIGHT" else {
        throw Failure.badData("attribute 'direction' must be LEFT or RIGHT")
      }
      let (x, y) = (try n.input(0), try n.input(1))
      guard direction == "RIGHT", n.element(x).isSignedInteger, n.element(y) == n.element(x) else {
        return try n.binary(direction == "LEFT" ? .shiftLeft : .shiftRight, x, y)
      }
      // A signed number shifted farther than it is wide, or by a negative number, is its sign.
      let last = Double(n.element(x).byteCount * 8 - 1)
      return try n.map(x, y) { e, x in
        let (width, zero) = (e.constant(last, e.types[x[1]]), e.constant(0, e.types[x[1]]))
        let isWithin = e.binary(.and, e.binary(.greaterEqual, x[1], zero), e.binary(.lessEqual, x[1], width))
        return e.binary(.shiftRight, x[0], e.select(isWithin, x[1], width))
      }
    },
    .one("Where") { n in
      let (condition, x, y) = (try n.input(0), try n.input(1), try n.input(2))
      guard n.element(condition) == .bool, n.element(x) == n.element(y) else {
        throw Failure.badData(
          "needs a bool and two operands of one type, not \(n.type(condition)), \(n.type(x)), \(n.type(y))")
      }
      return try n.map(condition, x, y) { e, x in e.select(x[0], x[1], x[2]) }
    },
    .one("PRelu", since: 1) { n in
      // A slope for each channel, which is dimension 1.
      let (x, slope) = (try n.input(0), try n.input(1))
      return try n.prelu(x, n.rank(slope) == 1 && n.rank(x) > 1 ? n.perChannel(slope, rank: n.rank(x)) : slope)
    },
    .one("PRelu", since: 7) { n in try n.prelu(n.input(0), n.input(1)) },
  ]

extension NodeImport {
  /// An operand of version 6 or older, with dimensions of size 1 so that it broadcasts as its attributes say.
  fileprivate func alignedInput(_ i: Int, to x: ValueID) throws -> ValueID {
    let y = try input(i)
    guard let given = try optionalInt("axis") else { return y }
    let axis = try axis(given, rank: rank(x))
    let trailing = rank(x) - axis - rank(y)
    guard trailing >= 0 else {
      throw Failure.badData("\(type(y)) does not broadcast along axis \(given) of \(type(x))")
    }
    return try reshape(y, shape(y) + Shape(repeating: 1, count: trailing))
  }

  fileprivate func joined(by function: BinaryFunction) throws -> ValueID {
    let operands = try inputs()
    guard let first = operands.first else { throw Failure.badData("needs an input") }
    return try operands.dropFirst().reduce(first) { try binary(function, $0, $1) }
  }

  /// The result has the base's type; arithmetic is done in the wider kind of the two.
  fileprivate func power(_ x: ValueID, _ y: ValueID) throws -> ValueID {
    let (base, exponent) = (element(x), element(y))
    return try map(x, y) { e, x in
      if base == exponent { return e.binary(.power, x[0], x[1]) }
      if base.isFloat || !exponent.isFloat { return e.binary(.power, x[0], e.cast(x[1], base)) }
      return e.cast(e.binary(.power, e.cast(x[0], exponent), x[1]), base)
    }
  }

  fileprivate func prelu(_ x: ValueID, _ slope: ValueID) throws -> ValueID {
    try requireOneType(x, slope)
    return try map(x, slope) { e, x in
      let zero = e.constant(0, e.types[x[0]])
      return e.select(e.binary(.less, x[0], zero), e.binary(.multiply, x[0], x[1]), x[0])
    }
  }
}

// MARK: - Types

let typeRows: [OperatorRow] = [
  .one("Cast", since: 1) { n in
    // Version 1 gave the type as a word.
    let name = try n.string("to", default: "FLOAT")
    guard let type = ONNXDataType.numbers[name].flatMap(ONNXDataType.init(rawValue:))?.element else {
      throw Failure.badData("elements of type \(name) are not supported")
    }
    return try n.cast(n.input(0), type)
  },
  .one("Cast", since: 6) { n in
    guard let type = try n.elementType("to") else { throw Failure.badData("attribute 'to' is missing") }
    return try n.cast(n.input(0), type)
  },
  .one("BitCast") { n in
    guard let type = try n.elementType("to") else { throw Failure.badData("attribute 'to' is missing") }
    let x = try n.input(0)
    return n.element(x) == type ? x : try n.add(Bitcast(type), x)
  },
  .one("CastLike") { n in try n.cast(n.input(0), n.element(n.input(1))) },
]

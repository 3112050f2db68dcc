// The functions of one, two elements that elementwise expressions and tile programs are made of: a closed set, each
// with its meaning stated once. Integer arithmetic wraps around in two's complement; IEEE arithmetic rounds to
// nearest even in the element type, after every function: f16 and bf16 are computed in f32 and rounded to their own
// type each time, so that fusing operations changes no bit of the result. (A schedule that wants sums or chains of
// them in f32 says so with casts.)

/// `y = f(x)`. Keeps the element type except where it says `bool`.
public enum UnaryFunction: String, Hashable, Sendable, Codable, CaseIterable {
  case negate, abs, sign
  case sqrt
  case reciprocal  // 1 / x
  case exp, expm1, log, log1p
  case sin, cos, tan, asin, acos, atan
  case sinh, cosh, tanh, asinh, acosh, atanh
  case erf
  case sigmoid  // 1 / (1 + exp(-x))
  case floor, ceil, truncate
  case round  // to nearest, ties to even
  case not  // logical on bool, bitwise on integers
  case isNaN  // → bool
  case isInfinite  // → bool, either sign

  public func resultType(_ x: ElementType) -> ElementType {
    switch self {
    case .isNaN, .isInfinite: .bool
    default: x
    }
  }
}

/// `z = f(x, y)`, both of one element type, which the result keeps except where it says `bool`.
public enum BinaryFunction: String, Hashable, Sendable, Codable, CaseIterable {
  case add, subtract, multiply
  case divide  // integers: toward zero; by zero gives 0
  case modulo  // integers and floats, the divisor's sign (Python's %)
  case remainder  // integers and floats, the dividend's sign (C's fmod)
  case power
  case minimum, maximum  // NaN if either is NaN
  case equal, notEqual, less, lessEqual, greater, greaterEqual  // → bool; false with NaN, but for notEqual
  case and, or, xor  // logical on bool, bitwise on integers
  case shiftLeft, shiftRight  // by y in 0..<width, else 0; right is arithmetic on signed

  public var isComparison: Bool {
    switch self {
    case .equal, .notEqual, .less, .lessEqual, .greater, .greaterEqual: true
    default: false
    }
  }

  public func resultType(_ x: ElementType) -> ElementType { isComparison ? .bool : x }

  public var isCommutative: Bool {
    switch self {
    case .add, .multiply, .minimum, .maximum, .equal, .notEqual, .and, .or, .xor: true
    default: false
    }
  }
}

/// How many elements become one. Floating sums are taken in the order that the program states.
public enum ReductionFunction: String, Hashable, Sendable, Codable, CaseIterable {
  case sum, product, minimum, maximum

  /// The function that joins two partial results.
  public var combiner: BinaryFunction {
    switch self {
    case .sum: .add
    case .product: .multiply
    case .minimum: .minimum
    case .maximum: .maximum
    }
  }
}

/// A constant of some element type: an integer (also for bool, 0 or 1) or a floating number.
public enum Scalar: Hashable, Sendable, Codable {
  case integer(Int64)
  case float(Double)

  public var double: Double {
    switch self {
    case .integer(let i): Double(i)
    case .float(let d): d
    }
  }

  /// The neutral element of a reduction over `element`: what an empty one gives.
  public static func identity(of function: ReductionFunction, _ element: ElementType) -> Scalar {
    switch function {
    case .sum: element.isFloat ? .float(0) : .integer(0)
    case .product: element.isFloat ? .float(1) : .integer(1)
    case .minimum: element.isFloat ? .float(.infinity) : .integer(element.largestInteger)
    case .maximum: element.isFloat ? .float(-.infinity) : .integer(element.smallestInteger)
    }
  }
}

extension Scalar: CustomStringConvertible {
  /// An integer as `3`; a float with a point, an exponent, `inf` or `nan`, and as many digits as give it back.
  public var description: String {
    switch self {
    case .integer(let i): "\(i)"
    case .float(let d): "\(d)"
    }
  }

  public init?(parsing text: String) {
    if let i = Int64(text) {
      self = .integer(i)
    } else if let d = Double(text) {
      self = .float(d)
    } else {
      return nil
    }
  }
}

extension ElementType {
  /// The smallest value of an integer type or bool; of `u64` too, as bits.
  public var smallestInteger: Int64 {
    switch self {
    case .int64: .min
    case .int32: Int64(Int32.min)
    case .int16: Int64(Int16.min)
    case .int8: Int64(Int8.min)
    case .uint64, .uint32, .uint16, .uint8, .bool: 0
    case .float64, .float32, .float16, .bfloat16: preconditionFailure("an integer type")
    }
  }

  /// The largest value of an integer type or bool; of `u64`, its bits as a signed number (-1).
  public var largestInteger: Int64 {
    switch self {
    case .int64: .max
    case .int32: Int64(Int32.max)
    case .int16: Int64(Int16.max)
    case .int8: Int64(Int8.max)
    case .uint64: -1
    case .uint32: Int64(UInt32.max)
    case .uint16: Int64(UInt16.max)
    case .uint8: Int64(UInt8.max)
    case .bool: 1
    case .float64, .float32, .float16, .bfloat16: preconditionFailure("an integer type")
    }
  }
}

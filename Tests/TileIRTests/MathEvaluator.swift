import Glibc
import TensorTypes

@testable import TileIR

/// Evaluates a straight-line program's elementwise operations on whole arrays: the semantics that `ScalarFunctions`
/// states, as directly as Swift says them. One array an operand of the program, in the order of its parameters.
struct MathEvaluator<Number: MathNumber> {
  enum Values {
    case number([Number])
    case integer([Number.Bits])
    case double([Double])
    case wide([Int64])
    case bool([Bool])
  }

  /// `output = function(inputs)`, expanded, on tiles of 1 element; the evaluator runs it on many at once.
  let program: TileProgram

  init(_ arity: Int, _ function: ([Tile]) -> Tile) {
    let builder = TileBuilder("math")
    let type = BufferType(Number.element, [1])
    let inputs = (0..<arity).map { builder.parameter("x\($0)", .input, type) }
    let output = builder.parameter("y", .output, type)
    let tiles = inputs.map { $0.load([.span(builder.index(0), 0)], shape: [1]) }
    output.store(function(tiles), [.span(builder.index(0), 0)])
    program = builder.finish().expandingMath()
  }

  func callAsFunction(_ inputs: [Number]...) -> [Number] { evaluate(inputs) }

  /// How many operations an element costs.
  var operationCount: Int {
    program.body.operations.count {
      switch $0.kind {
      case .constant, .load, .store, .bitcast: false
      default: true
      }
    }
  }

  func evaluate(_ inputs: [[Number]]) -> [Number] {
    let count = inputs[0].count
    var values: [TileValue: Values] = [:]
    var result: [Number] = []
    for operation in program.body.operations {
      switch operation.kind {
      case .load(let access, _): values[operation.results[0]] = .number(inputs[access.buffer.index])
      case .store(let x, _):
        if case .number(let y)? = values[x] { result = y }
      case .constant(let scalar): values[operation.results[0]] = constant(scalar, program[operation.results[0]], count)
      default: values[operation.results[0]] = elementwise(operation, values)
      }
    }
    return result
  }

  private func constant(_ scalar: Scalar, _ type: TileType, _ count: Int) -> Values {
    guard case .tile(let element, _) = type else { preconditionFailure("a tile") }
    if element == Number.element { return .number(Array(repeating: Number(scalar.double), count: count)) }
    if element == .float64 { return .double(Array(repeating: scalar.double, count: count)) }
    guard case .integer(let i) = scalar else { preconditionFailure("an integer constant") }
    if element == Number.integerElement {
      return .integer(Array(repeating: Number.Bits(truncatingIfNeeded: i), count: count))
    }
    return .wide(Array(repeating: i, count: count))
  }

  private func elementwise(_ operation: TileIR.Operation, _ values: [TileValue: Values]) -> Values {
    switch operation.kind {
    case .unary(let function, let x):
      switch values[x]! {
      case .number(let a): .number(unary(function, a))
      case .double(let a): .double(MathEvaluator<Double>.unary(function, a))
      case .bool(let a): .bool(a.map { !$0 })
      case .integer, .wide: preconditionFailure("no unary function of integers")
      }
    case .binary(let function, let x, let y):
      switch (values[x]!, values[y]!) {
      case (.number(let a), .number(let b)): Self.binary(function, a, b, { .number($0) }, { .bool($0) })
      case (.double(let a), .double(let b)):
        MathEvaluator<Double>.binary(function, a, b, { .double($0) }, { .bool($0) })
      case (.integer(let a), .integer(let b)): Self.integers(function, a, b, { .integer($0) }, { .bool($0) })
      case (.wide(let a), .wide(let b)): Self.integers(function, a, b, { .wide($0) }, { .bool($0) })
      case (.bool(let a), .bool(let b)):
        switch function {
        case .and: .bool(zip(a, b).map { $0 && $1 })
        case .or: .bool(zip(a, b).map { $0 || $1 })
        default: preconditionFailure("\(function) of bools")
        }
      default: preconditionFailure("operands of one type")
      }
    case .select(let c, let x, let y):
      switch (values[c]!, values[x]!, values[y]!) {
      case (.bool(let c), .number(let a), .number(let b)): .number(choose(c, a, b))
      case (.bool(let c), .double(let a), .double(let b)): .double(choose(c, a, b))
      case (.bool(let c), .integer(let a), .integer(let b)): .integer(choose(c, a, b))
      default: preconditionFailure("a select of numbers")
      }
    case .fma(let x, let y, let z):
      switch (values[x]!, values[y]!, values[z]!) {
      case (.number(let a), .number(let b), .number(let c)): .number(fma(a, b, c))
      case (.double(let a), .double(let b), .double(let c)): .double(fma(a, b, c))
      default: preconditionFailure("fma of numbers")
      }
    case .cast(let x): cast(values[x]!, to: program[operation.results[0]])
    case .bitcast(let x):
      switch values[x]! {
      case .number(let a): .integer(a.map(\.bits))
      case .integer(let a): .number(a.map { Number(bits: $0) })
      case .double(let a): .wide(a.map { Int64(bitPattern: $0.bitPattern) })
      case .wide(let a): .double(a.map { Double(bitPattern: UInt64(bitPattern: $0)) })
      case .bool: preconditionFailure("no bits of bools")
      }
    default: preconditionFailure("an elementwise operation, not \(operation.kind)")
    }
  }

  private func cast(_ x: Values, to type: TileType) -> Values {
    guard case .tile(let element, _) = type else { preconditionFailure("a tile") }
    switch x {
    case .number(let a) where element == .float64: return .double(a.map { $0.double })
    case .double(let a) where element == Number.element: return .number(a.map { Number($0) })
    case .integer(let a) where element == Number.element: return .number(a.map { Number(integer: $0) })
    case .wide(let a) where element == .float64: return .double(a.map { Double($0) })
    default: preconditionFailure("no cast to \(element)")
    }
  }

  private func unary(_ function: UnaryFunction, _ a: [Number]) -> [Number] { Self.unary(function, a) }

  private static func unary(_ function: UnaryFunction, _ a: [Number]) -> [Number] {
    switch function {
    case .negate: a.map { -$0 }
    case .abs: a.map { $0.magnitude }
    case .sqrt: a.map { $0.squareRoot() }
    case .truncate: a.map { $0.rounded(.towardZero) }
    default: preconditionFailure("\(function) is not basic")
    }
  }

  private static func binary<V>(
    _ function: BinaryFunction, _ a: [Number], _ b: [Number], _ number: ([Number]) -> V, _ bool: ([Bool]) -> V
  ) -> V {
    switch function {
    case .add: number(map(a, b) { $0 + $1 })
    case .subtract: number(map(a, b) { $0 - $1 })
    case .multiply: number(map(a, b) { $0 * $1 })
    case .divide: number(map(a, b) { $0 / $1 })
    case .minimum: number(map(a, b) { $0 < $1 ? $0 : ($1.isNaN || $0.isNaN) ? .nan : $1 })
    case .maximum: number(map(a, b) { $0 > $1 ? $0 : ($1.isNaN || $0.isNaN) ? .nan : $1 })
    case .equal: bool(map(a, b) { $0 == $1 })
    case .notEqual: bool(map(a, b) { $0 != $1 })
    case .less: bool(map(a, b) { $0 < $1 })
    case .greater: bool(map(a, b) { $0 > $1 })
    default: preconditionFailure("\(function) is not basic")
    }
  }

  private static func integers<I: FixedWidthInteger, V>(
    _ function: BinaryFunction, _ a: [I], _ b: [I], _ number: ([I]) -> V, _ bool: ([Bool]) -> V
  ) -> V {
    switch function {
    case .add: number(map(a, b) { $0 &+ $1 })
    case .subtract: number(map(a, b) { $0 &- $1 })
    case .multiply: number(map(a, b) { $0 &* $1 })
    case .minimum: number(map(a, b) { Swift.min($0, $1) })
    case .and: number(map(a, b) { $0 & $1 })
    case .or: number(map(a, b) { $0 | $1 })
    case .xor: number(map(a, b) { $0 ^ $1 })
    case .shiftLeft: number(map(a, b) { $0 &<< $1 })
    case .shiftRight: number(map(a, b) { $0 &>> $1 })
    case .equal: bool(map(a, b) { $0 == $1 })
    case .notEqual: bool(map(a, b) { $0 != $1 })
    case .less: bool(map(a, b) { $0 < $1 })
    default: preconditionFailure("\(function) of integers")
    }
  }

  private static func map<T, R>(_ a: [T], _ b: [T], _ f: (T, T) -> R) -> [R] {
    [R](unsafeUninitializedCapacity: a.count) { out, count in
      for i in a.indices { (out.baseAddress! + i).initialize(to: f(a[i], b[i])) }
      count = a.count
    }
  }

  private func choose<T>(_ c: [Bool], _ a: [T], _ b: [T]) -> [T] { c.indices.map { c[$0] ? a[$0] : b[$0] } }

  private func fma<T: FloatingPoint>(_ a: [T], _ b: [T], _ c: [T]) -> [T] {
    a.indices.map { c[$0].addingProduct(a[$0], b[$0]) }
  }
}

/// f32 and f64 as the evaluator needs them.
protocol MathNumber: BinaryFloatingPoint {
  associatedtype Bits: FixedWidthInteger & SignedInteger
  static var element: ElementType { get }
  static var integerElement: ElementType { get }
  var bits: Bits { get }
  var double: Double { get }
  init(bits: Bits)
  init(_ double: Double)
  init(integer: Bits)
}

extension Float: MathNumber {
  static var element: ElementType { .float32 }
  static var integerElement: ElementType { .int32 }
  var bits: Int32 { Int32(bitPattern: bitPattern) }
  var double: Double { Double(self) }
  init(bits: Int32) { self.init(bitPattern: UInt32(bitPattern: bits)) }
  init(integer: Int32) { self.init(integer) }
}

extension Double: MathNumber {
  static var element: ElementType { .float64 }
  static var integerElement: ElementType { .int64 }
  var bits: Int64 { Int64(bitPattern: bitPattern) }
  var double: Double { self }
  init(bits: Int64) { self.init(bitPattern: UInt64(bitPattern: bits)) }
  init(integer: Int64) { self.init(integer) }
}

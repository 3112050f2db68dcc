import TensorTypes

// What inference and reference evaluation of many ops share.

/// - Throws: `Failure` with `message`, which begins with the violated constraint's number.
func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
  if !condition { throw Failure.badData(message()) }
}

/// Whether two sizes may be equal at run time: they are unless both are integers, or differ by one.
func mayBeEqual(_ a: Dim, _ b: Dim) -> Bool {
  if let difference = (a - b).constant { return difference == 0 }
  SizeAssumptions.note(a, equals: b)
  return true
}

/// Of two sizes that are equal at run time, the one that says more.
func moreExact(_ a: Dim, _ b: Dim) -> Dim { a.constant == nil && b.constant != nil ? b : a }

func mayBeEqual(_ a: Shape, _ b: Shape) -> Bool { a.count == b.count && zip(a, b).allSatisfy { mayBeEqual($0, $1) } }

/// Whether `axes` are distinct dimensions of a tensor of rank `rank`.
func areAxes(_ axes: [Int], rank: Int) -> Bool {
  Set(axes).count == axes.count && axes.allSatisfy { (0..<rank).contains($0) }
}

extension [Dim] {
  func substituting(_ bindings: [String: Dim]) -> [Dim] { map { $0.substituting(bindings) } }

  /// The sizes as integers.
  /// - Throws: `Failure` if a symbol is left.
  func integers() throws -> [Int] {
    try map {
      guard let value = $0.constant else { throw Failure.badData("the size \($0) has no value") }
      return value
    }
  }
}

extension [Int] {
  var product: Int { reduce(1, *) }
}

/// What reference evaluation computes in: `Double` for floats, `Int64`, wrapping around, for integers.
protocol ReferenceNumber: Comparable, BitwiseCopyable {
  static func load(_ tensor: HostTensor) -> [Self]
  static func column(_ values: [Self]) -> Column
  static var zero: Self { get }
  static func sum(_ a: Self, _ b: Self) -> Self
  static func product(_ a: Self, _ b: Self) -> Self
  static func function(_ function: BinaryFunction, _ element: ElementType) -> (Self, Self) -> Self
  static func value(_ scalar: Scalar) -> Self
  /// Whether it is unordered.
  var isNaN: Bool { get }
}

extension Double: ReferenceNumber {
  static func load(_ tensor: HostTensor) -> [Double] { tensor.doubles }
  static func column(_ values: [Double]) -> Column { .floats(values) }
  @inline(__always) static func sum(_ a: Double, _ b: Double) -> Double { a + b }
  @inline(__always) static func product(_ a: Double, _ b: Double) -> Double { a * b }
  static func function(_ function: BinaryFunction, _ element: ElementType) -> (Double, Double) -> Double {
    function.onFloats
  }
  static func value(_ scalar: Scalar) -> Double { scalar.double }
}

extension Int64: ReferenceNumber {
  static func load(_ tensor: HostTensor) -> [Int64] { tensor.integers }
  static func column(_ values: [Int64]) -> Column { .integers(values) }
  @inline(__always) static func sum(_ a: Int64, _ b: Int64) -> Int64 { a &+ b }
  @inline(__always) static func product(_ a: Int64, _ b: Int64) -> Int64 { a &* b }
  static func function(_ function: BinaryFunction, _ element: ElementType) -> (Int64, Int64) -> Int64 {
    function.onIntegers(element)
  }
  static func value(_ scalar: Scalar) -> Int64 {
    switch scalar {
    case .integer(let i): i
    case .float(let d): ElementType.int64.saturated(d)
    }
  }
  var isNaN: Bool { false }
}

extension Op {
  /// `contents` of an op that only moves elements of its first `dataCount` operands, the others being indices: it is
  /// run on the elements' positions. Knows nothing unless everything about the movement is known.
  func contentsByMoving(_ facts: [ValueFacts], dataCount: Int = 1) -> [[Dim]?] {
    guard usedSymbols.isEmpty, facts.count >= dataCount else { return [] }
    var known: [Dim] = []
    var operands: [HostTensor] = []
    for (i, fact) in facts.enumerated() {
      guard let contents = fact.contents, let shape = fact.type.staticShape,
        shape.allSatisfy({ $0 <= Graph.contentsLimit }),
        contents.count == shape.product
      else {
        return []
      }
      if i < dataCount {
        operands.append(HostTensor(integers: Array(known.count..<known.count + contents.count), shape))
        known += contents
      } else {
        let values = contents.compactMap(\.constant)
        guard values.count == contents.count, !fact.type.element.isFloat else { return [] }
        operands.append(HostTensor(fact.type.element, shape, .integers(values.map { Int64($0) })))
      }
    }
    guard let type = try? infer(operands.map(\.type)).first, let count = type.elementCount.constant,
      count <= Graph.contentsLimit,
      type.shape.allSatisfy({ ($0.constant ?? .max) <= Graph.contentsLimit }), let moved = try? evaluate(operands).first
    else { return [] }
    return [moved.integers.map { $0 >= 0 && $0 < known.count ? known[Int($0)] : Dim(0) }]
  }
}

import TensorTypes

/// `y[i] = f(x₀[i], x₁[i], …)` for an expression `f`, operands broadcast against each other as NumPy does.
///
/// - (elementwise_c1) As many operands as the expression has inputs, of those element types.
/// - (elementwise_c2) Aligned at the innermost dimension, sizes are equal or 1.
public struct Elementwise: Op {
  public static let mnemonic = "elementwise"
  public var expression: Expression

  public init(_ expression: Expression) { self.expression = expression }

  public var attributes: [(name: String, value: Attribute)] { [("f", .expression(expression))] }
  public init(attributes: inout AttributeReader) throws { expression = try attributes.expression("f") }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    guard x.map(\.element) == expression.inputTypes else {
      throw Failure.badData("elementwise_c1: operands \(x) do not fit \(expression)")
    }
    var shape: Shape = []
    for operand in x { shape = try broadcast(shape, operand.shape, constraint: "elementwise_c2") }
    return [TensorType(expression.resultType, shape)]
  }

  public func contents(_ x: [ValueFacts]) -> [[Dim]?] {
    guard !expression.resultType.isFloat, let shape = try? infer(x.map(\.type))[0].staticShape,
      shape.allSatisfy({ $0 <= Graph.contentsLimit }), shape.product <= Graph.contentsLimit
    else { return [] }
    // Element `i` of the result reads these elements of the operands; an operand of unknown elements has none.
    let operands: [(contents: [Dim], positions: [Int])?] = x.map { fact in
      guard let contents = fact.contents, let own = fact.type.staticShape else { return nil }
      let positions = HostTensor(integers: Array(contents.indices), own).broadcast(to: shape).integers.map { Int($0) }
      return (contents, positions)
    }
    var results: [Dim] = []
    for i in 0..<shape.product {
      guard let value = expression.evaluate(sizes: { j in operands[j].map { $0.contents[$0.positions[i]] } }) else {
        return []
      }
      results.append(value)
    }
    return [results]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let type = try infer(x.map(\.type))[0]
    let shape = try type.shape.integers()
    let inputs = x.map { $0.broadcast(to: shape) }
    let (count, block) = (shape.product, 4096)
    return [
      HostTensor(
        type.element, shape,
        filling: { memory in
          for start in stride(from: 0, to: count, by: block) {
            let range = start..<min(start + block, count)
            let values = expression.evaluate(count: range.count, inputs.map { $0.column(range) })
            HostTensor.store(values, type.element, into: memory, at: start)
          }
        })
    ]
  }
}

/// The shape that two operands broadcast to. A symbol meets 1 or an equal expression; of two unequal expressions
/// the one that is not a constant is taken to equal the other at run time.
/// - Throws: `Failure` quoting `constraint` if two sizes can't meet.
public func broadcast(_ a: Shape, _ b: Shape, constraint: String) throws -> Shape {
  let rank = max(a.count, b.count)
  return try (0..<rank).map { i in
    let x = i < rank - a.count ? Dim(1) : a[i - (rank - a.count)]
    let y = i < rank - b.count ? Dim(1) : b[i - (rank - b.count)]
    if x == y || y == 1 { return x }
    if x == 1 { return y }
    if x.constant == nil || y.constant == nil { SizeAssumptions.note(x, equals: y) }
    if x.constant == nil { return y.constant == nil ? x : y }
    if y.constant == nil { return x }
    throw Failure.badData("\(constraint): shapes \(a) and \(b) do not broadcast: \(x) against \(y)")
  }
}

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

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let type = try infer(x.map(\.type))[0]
    let shape = type.staticShape!
    let inputs = x.map { $0.broadcastScalars(to: shape) }
    return [HostTensor(type.element, shape) { i in expression.evaluate { inputs[$0][i] } }]
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
    if x.constant == nil { return y.constant == nil ? x : y }
    if y.constant == nil { return x }
    throw Failure.badData("\(constraint): shapes \(a) and \(b) do not broadcast: \(x) against \(y)")
  }
}

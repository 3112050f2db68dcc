import TensorTypes

/// `y[…, i, …] = i`, `i` being the index along `axis`.
///
/// - (iota_c1) No operands; `axis` is a dimension of `shape`; the element type is not bool.
public struct Iota: Op {
  public static let mnemonic = "iota"
  public var shape: Shape
  public var axis: Int
  public var element: ElementType

  public init(_ element: ElementType, _ shape: Shape, axis: Int) {
    (self.element, self.shape, self.axis) = (element, shape, axis)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [("element", .word(element)), ("shape", .dims(shape)), ("axis", .integer(axis))]
  }
  public init(attributes: inout AttributeReader) throws {
    element = try attributes.word("element")
    shape = try attributes.dims("shape")
    axis = try attributes.integer("axis")
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.isEmpty && areAxes([axis], rank: shape.count) && element != .bool,
      "iota_c1: axis \(axis) of shape \(shape), operands \(x)")
    return [TensorType(element, shape)]
  }

  public func contents(_ x: [ValueFacts]) -> [[Dim]?] {
    guard element.isIndex, let count = shape.product.constant, (0...Graph.contentsLimit).contains(count),
      let tensor = try? evaluate([])[0]
    else { return [] }
    return [tensor.integers.map { Dim(Int($0)) }]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let shape = try shape.integers()
    let positions = stridedPositions(shape, strides: shape.indices.map { $0 == axis ? 1 : 0 })
    return [
      HostTensor(
        element, shape,
        element.isFloat ? .floats(positions.map { Double($0) }) : .integers(positions.map { Int64($0) }))
    ]
  }

  public func substituting(_ bindings: [String: Dim]) -> Iota {
    Iota(element, shape.substituting(bindings), axis: axis)
  }
}

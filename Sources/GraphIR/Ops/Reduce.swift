import TensorTypes

/// Joins all elements along `axes` by `function`. An empty reduction gives the function's neutral element.
///
/// - (reduce_c1) One operand; `axes` are distinct dimensions of it, ascending.
/// - (reduce_c2) The element type is not bool.
public struct Reduce: Op {
  public static let mnemonic = "reduce"
  public var function: ReductionFunction
  public var axes: [Int]
  /// Whether reduced dimensions stay, with size 1.
  public var keepDims: Bool

  public init(_ function: ReductionFunction, axes: [Int], keepDims: Bool) {
    (self.function, self.axes, self.keepDims) = (function, axes, keepDims)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [("function", .word(function)), ("axes", .integers(axes)), ("keep_dims", .bool(keepDims))]
  }
  public init(attributes: inout AttributeReader) throws {
    function = try attributes.word("function")
    axes = try attributes.integers("axes")
    keepDims = try attributes.bool("keep_dims")
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 1 && areAxes(axes, rank: x[0].rank) && axes == axes.sorted(),
      "reduce_c1: axes \(axes) of operands \(x)")
    try require(x[0].element != .bool, "reduce_c2: elements of type bool")
    return [TensorType(x[0].element, reducedShape(x[0].shape, axes, keepDims: keepDims))]
  }

  public func contents(_ x: [ValueFacts]) -> [[Dim]?] {
    guard let contents = x[0].contents, let shape = x[0].type.staticShape, !contents.isEmpty else { return [] }
    let (outer, inner) = splitPositions(shape, axes)
    return [
      outer.map { start in
        let elements = inner.map { contents[start + $0] }
        switch function {
        case .sum: return elements.reduce(0, +)
        case .product: return elements.reduce(1, *)
        case .minimum: return elements.dropFirst().reduce(elements[0], Dim.minimum)
        case .maximum: return elements.dropFirst().reduce(elements[0], Dim.maximum)
        }
      }
    ]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    [x[0].element.isFloat ? reduce(x[0], Double.self) : reduce(x[0], Int64.self)]
  }

  private func reduce<N: ReferenceNumber>(_ x: HostTensor, _: N.Type) -> HostTensor {
    let (outer, inner) = splitPositions(x.shape, axes)
    let values = N.load(x)
    let join = N.function(function.combiner, x.element)
    let identity = N.value(.identity(of: function, x.element))
    let results = outer.map { start in inner.reduce(identity) { join($0, values[start + $1]) } }
    return HostTensor(x.element, reducedShape(x.shape, axes, keepDims: keepDims, one: 1), N.column(results))
  }
}

func reducedShape(_ shape: Shape, _ axes: [Int], keepDims: Bool) -> Shape {
  reducedShape(shape, axes, keepDims: keepDims, one: Dim(1))
}

func reducedShape<T>(_ shape: [T], _ axes: [Int], keepDims: Bool, one: T) -> [T] {
  shape.indices.compactMap { axes.contains($0) ? (keepDims ? one : nil) : shape[$0] }
}

/// The positions of the elements whose indices along `axes` are 0, and the offsets of the others from them.
func splitPositions(_ shape: [Int], _ axes: [Int]) -> (outer: [Int], inner: [Int]) {
  let strides = rowMajorStrides(shape)
  let others = shape.indices.filter { !axes.contains($0) }
  return (
    stridedPositions(others.map { shape[$0] }, strides: others.map { strides[$0] }),
    stridedPositions(axes.map { shape[$0] }, strides: axes.map { strides[$0] })
  )
}

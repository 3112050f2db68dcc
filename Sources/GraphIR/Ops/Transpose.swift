import TensorTypes

/// Dimension `i` of the result is dimension `permutation[i]` of the operand.
///
/// - (transpose_c1) One operand, and `permutation` is one of its dimensions.
public struct Transpose: Op {
  public static let mnemonic = "transpose"
  public var permutation: [Int]

  public init(_ permutation: [Int]) { self.permutation = permutation }

  public var attributes: [(name: String, value: Attribute)] { [("permutation", .integers(permutation))] }
  public init(attributes: inout AttributeReader) throws { permutation = try attributes.integers("permutation") }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 1 && permutation.count == x[0].rank && areAxes(permutation, rank: x[0].rank),
      "transpose_c1: permutation \(permutation) of operands \(x)")
    return [TensorType(x[0].element, permutation.map { x[0].shape[$0] })]
  }

  public func contents(_ x: [ValueFacts]) -> [[Dim]?] { contentsByMoving(x) }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] { [x[0].transposed(permutation)] }
}

extension HostTensor {
  /// Its dimensions in the order of `permutation`.
  func transposed(_ permutation: [Int]) -> HostTensor {
    let own = rowMajorStrides(shape)
    return strided(permutation.map { shape[$0] }, strides: permutation.map { own[$0] })
  }
}

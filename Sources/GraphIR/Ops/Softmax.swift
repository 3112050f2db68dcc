import Glibc
import TensorTypes

/// `y[i] = exp(x[i] − m) / Σ_j exp(x[j] − m)` along `axis`, `m` being the largest; or that one's logarithm.
///
/// - (softmax_c1) One operand of a float type, of which `axis` is a dimension.
public struct Softmax: Op {
  public static let mnemonic = "softmax"
  public var axis: Int
  public var logarithm: Bool

  public init(axis: Int, logarithm: Bool = false) { (self.axis, self.logarithm) = (axis, logarithm) }

  public var attributes: [(name: String, value: Attribute)] {
    [("axis", .integer(axis)), ("logarithm", .bool(logarithm))]
  }
  public init(attributes: inout AttributeReader) throws {
    axis = try attributes.integer("axis")
    logarithm = try attributes.bool("logarithm", default: false)
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 1 && x[0].element.isFloat && areAxes([axis], rank: x[0].rank),
      "softmax_c1: axis \(axis) of operands \(x)")
    return x
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let (outer, inner) = splitPositions(x[0].shape, [axis])
    var values = x[0].doubles
    for start in outer {
      let row = inner.map { values[start + $0] }
      let largest = row.reduce(-.infinity, BinaryFunction.maximum.onFloats)
      let sum = row.reduce(0) { $0 + exp($1 - largest) }
      for (i, step) in inner.enumerated() {
        values[start + step] = logarithm ? row[i] - largest - log(sum) : exp(row[i] - largest) / sum
      }
    }
    return [HostTensor(x[0].element, x[0].shape, .floats(values))]
  }
}

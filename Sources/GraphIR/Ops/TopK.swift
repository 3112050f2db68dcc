import TensorTypes

/// The `k` largest or smallest elements along `axis`, and their indices as i64. Of equal elements the one of lower
/// index comes first; NaN counts as larger than any number. Unless `sorted`, the order is left to the kernel; this
/// evaluation always sorts.
///
/// - (top_k_c1) One operand, of which `axis` is a dimension.
/// - (top_k_c2) `k` is at least 0 and at most the dimension's size.
public struct TopK: Op {
  public static let mnemonic = "top_k"
  public var k: Dim
  public var axis: Int
  public var largest: Bool
  public var sorted: Bool

  public init(_ k: Dim, axis: Int, largest: Bool = true, sorted: Bool = true) {
    (self.k, self.axis, self.largest, self.sorted) = (k, axis, largest, sorted)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [("k", .dim(k)), ("axis", .integer(axis)), ("largest", .bool(largest)), ("sorted", .bool(sorted))]
  }
  public init(attributes: inout AttributeReader) throws {
    k = try attributes.dim("k")
    axis = try attributes.integer("axis")
    largest = try attributes.bool("largest", default: true)
    sorted = try attributes.bool("sorted", default: true)
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(x.count == 1 && areAxes([axis], rank: x[0].rank), "top_k_c1: axis \(axis) of operands \(x)")
    let rest = x[0].shape[axis] - k
    try require((k.constant ?? 0) >= 0 && (rest.constant ?? 0) >= 0, "top_k_c2: \(k) of \(x[0].shape[axis]) elements")
    var shape = x[0].shape
    shape[axis] = k
    return [TensorType(x[0].element, shape), TensorType(.int64, shape)]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let k = try [k].integers()[0]
    return x[0].element.isFloat ? select(x[0], k, Double.self) : select(x[0], k, Int64.self)
  }

  private func select<N: ReferenceNumber>(_ x: HostTensor, _ k: Int, _: N.Type) -> [HostTensor] {
    let (outer, inner) = splitPositions(x.shape, [axis])
    let values = N.load(x)
    let precedes = ordering(x.element, largestFirst: largest, nanFirst: largest) as (N, N) -> Bool
    var shape = x.shape
    shape[axis] = k
    var positions = [Int](repeating: 0, count: shape.product)
    var indices = positions
    let (targets, steps) = splitPositions(shape, [axis])
    for (start, target) in zip(outer, targets) {
      let order = inner.indices.sorted { a, b in
        let (x, y) = (values[start + inner[a]], values[start + inner[b]])
        return precedes(x, y) || (!precedes(y, x) && a < b)
      }
      for (slot, index) in zip(steps, order) {
        positions[target + slot] = start + inner[index]
        indices[target + slot] = index
      }
    }
    return [x.picking(positions, shape), HostTensor(integers: indices, shape)]
  }

  public func substituting(_ bindings: [String: Dim]) -> TopK {
    TopK(k.substituting(bindings), axis: axis, largest: largest, sorted: sorted)
  }
}

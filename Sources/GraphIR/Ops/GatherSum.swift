import TensorTypes

/// `y[n, c, p] = Σₜ weights[n, t, p] · x[n, c, indices[n, t, p]]`: sampling between elements, the same places for all channels. Indices
/// are clamped into range.
///
/// - (gather_sum_c1) Three operands of rank 3: floats, indices of type i32 or i64, and weights of the first one's type.
/// - (gather_sum_c2) Indices and weights have one shape, of which T is an integer, and x's number of batches, or one batch that
///   is for all of x's.
/// - (gather_sum_c3) There is something to pick from.
public struct GatherSum: Op {
  public static let mnemonic = "gather_sum"

  public init() {}

  public var attributes: [(name: String, value: Attribute)] { [] }
  public init(attributes: inout AttributeReader) throws {}

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 3 && x.allSatisfy { $0.rank == 3 } && x[0].element.isFloat && x[1].element.isIndex
        && x[2].element == x[0].element, "gather_sum_c1: operands \(x)")
    try require(
      mayBeEqual(x[1].shape, x[2].shape) && x[1].shape[1].constant != nil
        && (x[1].shape[0] == 1 || mayBeEqual([x[0].shape[0]], [x[1].shape[0]])), "gather_sum_c2: operands \(x)")
    try require(x[0].shape[2] != 0, "gather_sum_c3: operands \(x)")
    return [TensorType(x[0].element, [x[0].shape[0], x[0].shape[1], x[1].shape[2]])]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let (channels, size) = (x[0].shape[1], x[0].shape[2])
    let (taps, points) = (x[1].shape[1], x[1].shape[2])
    let (values, indices, weights) = (x[0].doubles, x[1].integers, x[2].doubles)
    var sums: [Double] = []
    for row in 0..<x[0].shape[0] * channels {
      let batch = x[1].shape[0] == 1 ? 0 : row / channels
      for point in 0..<points {
        let places = (0..<taps).map { (batch * taps + $0) * points + point }
        sums.append(
          places.reduce(0) { $0 + weights[$1] * values[row * size + min(max(Int(indices[$1]), 0), size - 1)] })
      }
    }
    return [HostTensor(x[0].element, [x[0].shape[0], channels, points], .floats(sums))]
  }
}

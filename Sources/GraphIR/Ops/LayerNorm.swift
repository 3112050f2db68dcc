import TensorTypes

/// `y = (x − mean) / √(variance + ε) · scale + bias`, mean and (biased) variance being over dimensions `axis` and all
/// inner ones. The kind `rms` subtracts no mean: `y = x / √(mean(x²) + ε) · scale + bias`.
///
/// - (layer_norm_c1) Operands `x`, `scale` and optionally `bias`, of one float type.
/// - (layer_norm_c2) `axis` is a dimension of `x`.
/// - (layer_norm_c3) `scale` and `bias` broadcast to the dimensions that are normalised over.
public struct LayerNorm: Op {
  public enum Kind: String, Hashable, Sendable, Codable, CaseIterable { case layer, rms }

  public static let mnemonic = "layer_norm"
  public var axis: Int
  public var epsilon: Double
  public var kind: Kind

  public init(axis: Int, epsilon: Double, kind: Kind = .layer) {
    (self.axis, self.epsilon, self.kind) = (axis, epsilon, kind)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [("axis", .integer(axis)), ("epsilon", .float(epsilon)), ("kind", .word(kind))]
  }
  public init(attributes: inout AttributeReader) throws {
    axis = try attributes.integer("axis")
    epsilon = try attributes.float("epsilon")
    kind = try attributes.word("kind", default: .layer)
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      (2...3).contains(x.count) && x.allSatisfy { $0.element.isFloat && $0.element == x[0].element },
      "layer_norm_c1: operands \(x)")
    try require(areAxes([axis], rank: x[0].rank), "layer_norm_c2: axis \(axis) of \(x[0])")
    let normalised = Shape(x[0].shape[axis...])
    for parameter in x.dropFirst() {
      let fits =
        parameter.rank <= normalised.count
        && zip(parameter.shape.reversed(), normalised.reversed()).allSatisfy { $0 == 1 || mayBeEqual($0, $1) }
      try require(fits, "layer_norm_c3: \(parameter) against \(normalised)")
    }
    return [x[0]]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let normalised = Array(x[0].shape[axis...])
    let count = normalised.product
    let scale = x[1].broadcast(to: normalised).doubles
    let bias = x.count > 2 ? x[2].broadcast(to: normalised).doubles : nil
    var values = x[0].doubles
    for start in stride(from: 0, to: values.count, by: max(count, 1)) {
      normalise(&values, Array(start..<start + count), epsilon: epsilon, centred: kind == .layer)
      for i in 0..<count { values[start + i] = values[start + i] * scale[i] + (bias?[i] ?? 0) }
    }
    return [HostTensor(x[0].element, x[0].shape, .floats(values))]
  }
}

/// Brings the elements at `positions` to variance 1 and, if `centred`, to mean 0.
func normalise(_ values: inout [Double], _ positions: [Int], epsilon: Double, centred: Bool) {
  let count = Double(positions.count)
  let mean = centred ? positions.reduce(0) { $0 + values[$1] } / count : 0
  let variance = positions.reduce(0) { $0 + (values[$1] - mean) * (values[$1] - mean) } / count
  for i in positions { values[i] = (values[i] - mean) / (variance + epsilon).squareRoot() }
}

import GraphIR
import TensorTypes

/// Layer, RMS and group normalisation, as exporters spell them out. Recognised in steps, each a rule of its own: the
/// normalisation first, with scale 1, then the scale and the bias that follow it.
let normalizationRules: [Rule] = [
  Rule("(x - mean(x)) / sqrt(mean((x - mean(x))²) + ε) = layer_norm(x)", on: Elementwise.self) { g, op, x in
    guard let form = Form(op, x), let (numerator, variance, epsilon) = g.standardised(form),
      let (square, axes) = g.mean(variance),
      case .binary(.subtract, .value(let source), .value(let middle))? = g.form(numerator),
      let (averaged, sameAxes) = g.mean(middle)
    else { return nil }
    if averaged != source { return g.missed(.normalization, at: variance, "the mean that is taken away is not of x") }
    if sameAxes != axes {
      return g.missed(.normalization, at: variance, "variance over dimensions \(axes), mean over \(sameAxes)")
    }
    guard g.isSquare(square, of: numerator) else {
      return g.missed(.normalization, at: variance, "the mean is not of the square of what is divided")
    }
    return try g.normalised(source, axes, epsilon, .layer, for: variance)
  },
  Rule("x / sqrt(mean(x²) + ε) = rms_norm(x)", on: Elementwise.self) { g, op, x in
    guard let form = Form(op, x), let (source, variance, epsilon) = g.standardised(form),
      let (square, axes) = g.mean(variance)
    else { return nil }
    guard g.isSquare(square, of: source) else {
      return g.missed(.normalization, at: variance, "the mean is not of the square of what is divided")
    }
    return try g.normalised(source, axes, epsilon, .rms, for: variance)
  },
  Rule("layer_norm(x, s, b) * c = layer_norm(x, s * c, b * c)", on: Elementwise.self) { g, op, x in
    guard let form = Form(op, x), let (inner, c) = g.valueAndTensor(form, .multiply), g.isUsedOnce(inner),
      let (norm, operands) = g.producer(inner, LayerNorm.self)
    else { return nil }
    return try g.folding(c, .multiply, into: norm, operands)
  },
  Rule("layer_norm(x, s, b) + c = layer_norm(x, s, b + c)", on: Elementwise.self) { g, op, x in
    guard let form = Form(op, x), let (inner, c) = g.valueAndTensor(form, .add), g.isUsedOnce(inner),
      let (norm, operands) = g.producer(inner, LayerNorm.self)
    else { return nil }
    return try g.folding(c, .add, into: norm, operands)
  },
  Rule("reshape(instance_norm(reshape(x))) = group_norm(x)", on: Reshape.self) { g, op, x in
    guard g.isUsedOnce(x[0]), let (norm, operands) = g.producer(x[0], GroupNorm.self),
      norm.layout == .channelsFirst, let (_, source) = g.producer(operands[0], Reshape.self), op.shape.count >= 2
    else { return nil }
    guard let scale = g.tensor(operands[1]), let bias = g.tensor(operands[2]), scale.isFilled(with: 1),
      bias.isFilled(with: 0)
    else { return g.missed(.groupNorm, at: x[0], "the inner norm has a scale or a bias of its own") }
    let inner = g.shape(operands[0])
    // Each channel of the reshaped tensor is to be a group of the original's, on the same image.
    guard inner[0] == op.shape[0], inner[1] == Dim(norm.groups), let channels = op.shape[1].constant,
      channels % norm.groups == 0
    else { return g.missed(.groupNorm, at: x[0], "\(op.shape) as \(inner): its rows are not groups of channels") }
    let parameters = [1.0, 0.0].map { g.constant(.filled(scale.element, [channels], $0)) }
    // What it was reshaped from may have had more dimensions of space: they follow the channels all the same.
    let image = try g.build(Reshape(op.shape), source[0])
    return try g.build(GroupNorm(groups: norm.groups, epsilon: norm.epsilon), image, parameters[0], parameters[1])
  },
  Rule("group_norm(x, s, b) * c = group_norm(x, s * c, b * c)", on: Elementwise.self) { g, op, x in
    guard let form = Form(op, x), let (inner, c) = g.valueAndTensor(form, .multiply), g.isUsedOnce(inner),
      let (norm, operands) = g.producer(inner, GroupNorm.self)
    else { return nil }
    return try g.folding(c, .multiply, into: norm, operands)
  },
  Rule("group_norm(x, s, b) + c = group_norm(x, s, b + c)", on: Elementwise.self) { g, op, x in
    guard let form = Form(op, x), let (inner, c) = g.valueAndTensor(form, .add), g.isUsedOnce(inner),
      let (norm, operands) = g.producer(inner, GroupNorm.self)
    else { return nil }
    return try g.folding(c, .add, into: norm, operands)
  },
]

extension GraphRewriter {
  /// `n`, `v` and ε, if `form` is `n / sqrt(v + ε)` in any spelling.
  fileprivate func standardised(_ form: Form) -> (numerator: ValueID, variance: ValueID, epsilon: Double)? {
    func variance(_ sum: ValueID) -> (ValueID, Double)? {
      self.form(sum)?.valueAndConstant(of: .add).flatMap { $0.1 >= 0 ? $0 : nil }
    }
    /// v and ε, if `value` is √(v + ε), or one over it.
    func root(_ value: ValueID, inverse: Bool) -> (ValueID, Double)? {
      guard let form = self.form(value) else { return nil }
      if let (sum, exponent) = form.valueAndConstant(of: .power) {
        return exponent == (inverse ? -0.5 : 0.5) ? variance(sum) : nil
      }
      if !inverse { return form.operand(of: .sqrt).flatMap(variance) }
      return form.operand(of: .reciprocal).flatMap { root($0, inverse: false) }
        ?? form.operand(of: .sqrt).flatMap { self.form($0)?.operand(of: .reciprocal) }.flatMap(variance)
    }
    for function in [BinaryFunction.divide, .multiply] {
      for (x, y) in form.operands(of: function) {
        guard let numerator = x.value, let divisor = y.value,
          let (v, epsilon) = root(divisor, inverse: function == .multiply)
        else { continue }
        return (numerator, v, epsilon)
      }
    }
    return nil
  }

  /// Whether `value` is `x · x` or `pow(x, 2)`.
  fileprivate func isSquare(_ value: ValueID, of x: ValueID) -> Bool {
    guard let form = form(value) else { return false }
    if let (base, exponent) = form.valueAndConstant(of: .power) { return base == x && exponent == 2 }
    return form.operands(of: .multiply).contains { $0.0 == .value(x) && $0.1 == .value(x) }
  }

  /// `x` normalised over `axes`, with scale 1; nil unless they are the innermost dimensions, of known sizes.
  fileprivate mutating func normalised(
    _ x: ValueID, _ axes: [Int], _ epsilon: Double, _ kind: LayerNorm.Kind, for variance: ValueID
  ) throws -> ValueID? {
    let type = type(x)
    guard let axis = axes.first, axes == Array(axis..<type.rank) else {
      return missed(.normalization, at: variance, "over dimensions \(axes) of \(type.rank); wanted are the innermost")
    }
    let sizes = type.shape[axis...].compactMap(\.constant)
    guard sizes.count == axes.count, type.element.isFloat else {
      return missed(.normalization, at: variance, "over dimensions of sizes that are not known, of \(type)")
    }
    let scale = constant(.filled(type.element, sizes, 1))
    return try build(LayerNorm(axis: axis, epsilon: epsilon, kind: kind), x, scale)
  }

  /// The norm with `· c` or `+ c` after it taken into its scale and bias.
  fileprivate mutating func folding(
    _ c: HostTensor, _ function: BinaryFunction, into norm: LayerNorm, _ x: [ValueID]
  ) throws -> ValueID? {
    let sizes = shape(x[0])[norm.axis...].compactMap(\.constant)
    guard sizes.count == type(x[0]).rank - norm.axis, c.shape.count <= type(x[0]).rank, let c = c.fitted(to: sizes),
      let scale = tensor(x[1])?.broadcast(to: sizes)
    else { return nil }
    let bias = x.count > 2 ? tensor(x[2])?.broadcast(to: sizes) : HostTensor.filled(c.element, sizes, 0)
    guard let bias else { return nil }
    let operands = try folded(scale, bias, c, function)
    let needsBias = x.count > 2 || function == .add
    return try build(norm, [x[0], operands.scale] + (needsBias ? [operands.bias] : []))[0]
  }

  fileprivate mutating func folding(
    _ c: HostTensor, _ function: BinaryFunction, into norm: GroupNorm, _ x: [ValueID]
  ) throws -> ValueID? {
    let rank = type(x[0]).rank
    let axis = norm.layout.channelAxis(rank: rank)
    guard let scale = tensor(x[1]), let bias = tensor(x[2]),
      let c = c.perChannel(axis: axis, rank: rank, count: scale.elementCount)
    else { return nil }
    let operands = try folded(scale, bias, c, function)
    return try build(norm, x[0], operands.scale, operands.bias)
  }

  private mutating func folded(
    _ scale: HostTensor, _ bias: HostTensor, _ c: HostTensor, _ function: BinaryFunction
  ) throws -> (scale: ValueID, bias: ValueID) {
    let newScale = function == .multiply ? try scale.combined(.multiply, with: c) : scale
    return (constant(newScale), constant(try bias.combined(function, with: c)))
  }
}

extension HostTensor {
  /// One element a channel, if this, broadcast against a tensor of rank `rank`, differs along dimension `axis` only
  /// and has 1 or `count` elements there.
  func perChannel(axis: Int, rank: Int, count: Int) -> HostTensor? {
    guard shape.count <= rank else { return nil }
    let aligned = [Int](repeating: 1, count: rank - shape.count) + shape
    guard elementCount == aligned[axis], elementCount == 1 || elementCount == count else { return nil }
    return reshaped([elementCount]).broadcast(to: [count])
  }
}

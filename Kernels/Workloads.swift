import TensorTypes

/// `y[b, m, n] = epilogue(Σₖ a[b, m, k] · b[b, k, n])`
public struct MatmulWorkload: Hashable, Sendable, Codable {
  /// Dimensions batch, m, k.
  public var a: View
  /// Dimensions batch, k, n. A constant may be stored in a narrower type than a's: 16-bit floats, or i8 with `scaling`.
  public var b: View
  /// Whether `a` is a constant, so that it may be packed at compile time; then `b` is none.
  public var aIsConstant: Bool
  /// Whether `b` is a constant, so that it may be packed at compile time.
  public var bIsConstant: Bool
  /// What no number of a constant b exceeds in size, where that is worth knowing: 64.
  public var bLimit: Int?
  /// What b's integers stand for; nil: b is what it is.
  public var scaling: WeightScaling?
  /// Whether f32 factors may be rounded to bf16 before they are multiplied.
  public var mayRound: Bool
  /// Dimensions batch, m, n.
  public var epilogue: Epilogue

  public init(
    a: View, b: View, aIsConstant: Bool = false, bIsConstant: Bool, bLimit: Int? = nil, scaling: WeightScaling? = nil,
    mayRound: Bool = false, epilogue: Epilogue
  ) {
    precondition(!(aIsConstant && bIsConstant), "a product of constants is a constant")
    self.a = a
    self.b = b
    self.aIsConstant = aIsConstant
    self.bLimit = bLimit
    self.bIsConstant = bIsConstant
    self.scaling = scaling
    self.mayRound = mayRound
    self.epilogue = epilogue
  }

  public var operands: [View] { [a, b] + (scaling?.operands ?? []) + epilogue.operands }
}

/// What the integers of a constant matrix stand for: `b[k, n] = (q[k, n] − zeros[k / group, n]) · scales[k / group, n]`.
public struct WeightScaling: Hashable, Sendable, Codable {
  /// Bits that every q fits in, with its sign: 4 or 8.
  public var bits: Int
  /// Steps of k that share a scale; the last group may have fewer.
  public var group: Int
  /// f32, dimensions batch, ⌈k / group⌉, n.
  public var scales: View
  /// i8, as `scales`; nil: all are 0.
  public var zeros: View?

  public init(bits: Int, group: Int, scales: View, zeros: View?) {
    precondition(bits == 4 || bits == 8, "codes of 4 or 8 bits")
    (self.bits, self.group, self.scales, self.zeros) = (bits, group, scales, zeros)
  }

  public var operands: [View] { [scales] + (zeros.map { [$0] } ?? []) }

  /// Groups along a k of this size.
  public func groups(_ depth: Int) -> Int { (depth + group - 1) / group }

  /// Steps of k that lie together: 8 codes of 4 bits in a word.
  public var steps: Int { bits == 4 ? 8 : 1 }

  /// Whether no word of codes is of two groups, so that it is widened with one scale.
  public func fits(_ depth: Int) -> Bool { group >= depth || group % steps == 0 }
}

// Written without flags that are false, as tuning's records have it from before there were any.
extension MatmulWorkload {
  private enum CodingKeys: CodingKey { case a, b, aIsConstant, bIsConstant, bLimit, scaling, mayRound, epilogue }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let isLeft = try container.decodeIfPresent(Bool.self, forKey: .aIsConstant) ?? false
    let isRight = try container.decode(Bool.self, forKey: .bIsConstant)
    if isLeft && isRight {
      throw DecodingError.dataCorruptedError(forKey: .aIsConstant, in: container, debugDescription: "two constants")
    }
    self.init(
      a: try container.decode(View.self, forKey: .a), b: try container.decode(View.self, forKey: .b),
      aIsConstant: isLeft, bIsConstant: isRight,
      bLimit: try container.decodeIfPresent(Int.self, forKey: .bLimit),
      scaling: try container.decodeIfPresent(WeightScaling.self, forKey: .scaling),
      mayRound: try container.decodeIfPresent(Bool.self, forKey: .mayRound) ?? false,
      epilogue: try container.decode(Epilogue.self, forKey: .epilogue))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(a, forKey: .a)
    try container.encode(b, forKey: .b)
    if aIsConstant { try container.encode(true, forKey: .aIsConstant) }
    try container.encode(bIsConstant, forKey: .bIsConstant)
    try container.encodeIfPresent(bLimit, forKey: .bLimit)
    try container.encodeIfPresent(scaling, forKey: .scaling)
    if mayRound { try container.encode(true, forKey: .mayRound) }
    try container.encode(epilogue, forKey: .epilogue)
  }
}

/// A convolution over any number of space dimensions.
/// `y[n, p…, o] = epilogue(Σ x[n, p·stride + t·dilation − pad, c] · w[o, c, t…])`, x being 0 outside.
public struct ConvolutionWorkload: Hashable, Sendable, Codable {
  /// Dimensions n, space…, channel (whatever the strides).
  public var x: View
  /// Dimensions group, tap… (as many as space), channel within the group, output channel within the group.
  public var w: View
  /// Whether `w` is a constant, so that it may be packed at compile time.
  public var wIsConstant: Bool
  /// No number of a constant i8 `w` is larger in size, where that is known to be 64.
  public var wLimit: Int?
  public var strides: [Int]
  public var dilations: [Int]
  /// May be negative. How much there is behind, the output's sizes say.
  public var padsBefore: [Int]
  /// What lies around x, nil for 0. Only for integers.
  public var border: Int?
  public var groups: Int
  /// True if f32 factors may be rounded to bf16 before they are multiplied; else nil, as records from before there was this have it.
  public var mayRound: Bool?
  /// Dimensions n, space…, output channel.
  public var epilogue: Epilogue

  public init(
    x: View, w: View, wIsConstant: Bool, wLimit: Int? = nil, strides: [Int], dilations: [Int], padsBefore: [Int],
    border: Int? = nil, groups: Int, mayRound: Bool = false, epilogue: Epilogue
  ) {
    self.x = x
    self.w = w
    self.wIsConstant = wIsConstant
    self.strides = strides
    self.dilations = dilations
    self.padsBefore = padsBefore
    (self.wLimit, self.border) = (wLimit, border)
    self.groups = groups
    self.mayRound = mayRound ? true : nil
    self.epilogue = epilogue
  }

  public var operands: [View] { [x, w] + epilogue.operands }

  /// With neighbouring dimensions of space made one, where windows have one tap along both, move by one and reach over no border, and
  /// where they lie so: the longer rows of convolutions along time serve more kernels, and better.
  public var withLongRows: ConvolutionWorkload {
    var copy = self
    for d in strides.indices.dropLast().reversed() {
      let arePointwise = [d, d + 1].allSatisfy {
        w.shape[1 + $0] == 1 && strides[$0] == 1 && padsBefore[$0] == 0
          && x.shape[1 + $0] == epilogue.output.shape[1 + $0]
      }
      guard arePointwise, let joined = copy.joiningSpace(d) else { continue }
      copy = joined
    }
    return copy
  }

  /// Dimensions of space d and d + 1 as one.
  private func joiningSpace(_ d: Int) -> ConvolutionWorkload? {
    func join(_ view: View) -> View? { view.collapsing((1 + d)..<(3 + d)) }
    let operands = epilogue.operands.compactMap(join)
    guard operands.count == epilogue.operands.count, let x = join(x), let w = join(w),
      let output = join(epilogue.output)
    else { return nil }
    var copy = self
    (copy.x, copy.w) = (x, w)
    copy.epilogue = Epilogue(expression: epilogue.expression, operands: operands, output: output)
    for list in [\ConvolutionWorkload.strides, \.dilations, \.padsBefore] { copy[keyPath: list].remove(at: d) }
    return copy
  }
}

/// `y = softmax(cap(scale · q·kᵀ) + mask) · v`, softmax over the keys; `cap(s) = softcap · tanh(s / softcap)`, or s if
/// softcap is 0. A query that sees no key gives 0.
public struct AttentionWorkload: Hashable, Sendable, Codable {
  /// Dimensions batch, head, query, depth.
  public var q: View
  /// Dimensions batch, head, key, depth; heads divide q's.
  public var k: View
  /// Dimensions batch, head, key, depth of the values.
  public var v: View
  /// Dimensions batch, head, query, key; bool (false: not attended) or added.
  public var mask: View?
  public var scale: Double
  public var softcap: Double
  /// Query i sees keys j ≤ i + this; nil: all.
  public var causalOffset: Dim?
  /// Whether f32 factors of both products may be rounded to bf16 before they are multiplied; nil: no.
  public var mayRound: Bool?
  /// Dimensions batch, head, query, depth of the values.
  public var output: View

  public init(
    q: View, k: View, v: View, mask: View?, scale: Double, softcap: Double = 0, causalOffset: Dim? = nil,
    mayRound: Bool = false, output: View
  ) {
    self.q = q
    self.k = k
    self.v = v
    self.mask = mask
    self.scale = scale
    self.softcap = softcap
    self.causalOffset = causalOffset
    self.mayRound = mayRound ? true : nil
    self.output = output
  }

  public var operands: [View] { [q, k, v] + (mask.map { [$0] } ?? []) }
}

/// Rows normalised: each row of `x` has `row` elements.
public struct NormalizationWorkload: Hashable, Sendable, Codable {
  public enum Kind: Hashable, Sendable, Codable {
    /// exp(x − max) / Σ exp(x − max)
    case softmax
    /// x − max − log Σ exp(x − max)
    case logSoftmax
    /// (x − mean) / √(variance + ε)
    case layer(epsilon: Double)
    /// x / √(mean of squares + ε)
    case rms(epsilon: Double)
  }
  public var kind: Kind
  /// Dimensions outer…, then those that are normalised over; as many as `rowRank` of them.
  public var x: View
  public var rowRank: Int
  /// Of x's shape; scale and bias are its operands.
  public var epilogue: Epilogue

  public init(kind: Kind, x: View, rowRank: Int, epilogue: Epilogue) {
    self.kind = kind
    self.x = x
    self.rowRank = rowRank
    self.epilogue = epilogue
  }

  public var operands: [View] { [x] + epilogue.operands }
}

/// `y[kept…] = epilogue(reduce over the other dimensions of prologue(x₀, x₁, …))`
public struct ReductionWorkload: Hashable, Sendable, Codable {
  public var function: ReductionFunction
  /// Computed on each element before it is reduced.
  public var prologue: Expression
  /// The prologue's inputs, all of one shape.
  public var inputs: [View]
  /// Reduced dimensions, in ascending order.
  public var axes: [Int]
  /// Of the inputs' shape with the reduced dimensions as 1.
  public var epilogue: Epilogue

  public init(function: ReductionFunction, prologue: Expression, inputs: [View], axes: [Int], epilogue: Epilogue) {
    self.function = function
    self.prologue = prologue
    self.inputs = inputs
    self.axes = axes
    self.epilogue = epilogue
  }

  public var operands: [View] { inputs + epilogue.operands }
}

/// `y[i] = f(x₀[i], x₁[i], …)`, operands broadcast by strides of 0.
public struct ElementwiseWorkload: Hashable, Sendable, Codable {
  public var expression: Expression
  /// Of the output's shape.
  public var operands: [View]
  public var output: View

  public init(expression: Expression, operands: [View], output: View) {
    self.expression = expression
    self.operands = operands
    self.output = output
  }
}

/// Elements copied from one view to another of the same shape; `y[i] = x[i]` where the view of x may be a transpose,
/// a slice or a broadcast. With padding: x is `shape − before − after` large and stands at offset `before` in y.
public struct MovementWorkload: Hashable, Sendable, Codable {
  public enum Padding: Hashable, Sendable, Codable {
    case none
    case constant(Scalar)
    case edge, reflect, wrap
  }
  public var x: View
  public var before: [Dim]
  public var padding: Padding
  public var output: View

  public init(x: View, before: [Dim]? = nil, padding: Padding = .none, output: View) {
    self.x = x
    self.before = before ?? [Dim](repeating: 0, count: x.rank)
    self.padding = padding
    self.output = output
  }

  public var operands: [View] { [x] }
}

/// A window moved over space dimensions; maximum, or mean with or without the padding counted.
public struct PoolWorkload: Hashable, Sendable, Codable {
  public enum Kind: Hashable, Sendable, Codable {
    case maximum
    case average(countsPadding: Bool)
  }
  public var kind: Kind
  /// Dimensions n, space…, channel.
  public var x: View
  public var window: [Int]
  public var strides: [Int]
  public var dilations: [Int]
  public var padsBefore: [Int]
  public var padsAfter: [Int]
  /// Dimensions n, space…, channel.
  public var output: View

  public init(
    kind: Kind, x: View, window: [Int], strides: [Int], dilations: [Int], padsBefore: [Int], padsAfter: [Int],
    output: View
  ) {
    self.kind = kind
    self.x = x
    self.window = window
    self.strides = strides
    self.dilations = dilations
    self.padsBefore = padsBefore
    self.padsAfter = padsAfter
    self.output = output
  }

  public var operands: [View] { [x] }
}

/// `y[i…] = x[i…, indices[i…, 0], indices[i…, 1], …]`, strides of 0 where x or the indices stand still; negative indices
/// count from the end, others are clamped into range.
public struct GatherWorkload: Hashable, Sendable, Codable {
  /// Dimensions of the output, then those that are picked from.
  public var x: View
  /// Dimensions of the output, then one of as many indices as x has dimensions to pick from.
  public var indices: View
  public var output: View

  public init(x: View, indices: View, output: View) {
    self.x = x
    self.indices = indices
    self.output = output
  }

  public var operands: [View] { [x, indices] }
  /// How many dimensions are picked from.
  var depth: Int { x.rank - output.rank }
}

/// Interpolation along space dimensions as ONNX's Resize defines it; see GraphIR's `Resize` for the modes' names.
public struct ResizeWorkload: Hashable, Sendable, Codable {
  public var x: View
  /// `nearest`, `linear`, `cubic`
  public var mode: String
  public var coordinateMode: String
  public var nearestMode: String
  public var cubicCoefficient: Double
  /// Output size over input size per dimension, as the model states it.
  public var scales: [Double]
  public var output: View

  public init(
    x: View, mode: String, coordinateMode: String, nearestMode: String, cubicCoefficient: Double, scales: [Double],
    output: View
  ) {
    self.x = x
    self.mode = mode
    self.coordinateMode = coordinateMode
    self.nearestMode = nearestMode
    self.cubicCoefficient = cubicCoefficient
    self.scales = scales
    self.output = output
  }

  public var operands: [View] { [x] }
}

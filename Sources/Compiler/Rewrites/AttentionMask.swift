import GraphIR
import TensorTypes

/// A step that exporters do to scores between the product and the softmax.
enum ScoreMask {
  /// Added to the scores.
  case additive(ValueID)
  /// Whether a key is seen: scores elsewhere become `otherwise`.
  case seen(ValueID, inverted: Bool, otherwise: Double)
  /// Scores become at least this number, which no score but a hidden one is below: −∞ becomes finite.
  case atLeast(Double)

  /// Any number below this absorbs a score that it is added to, in f32.
  static let absorbing = -1e30
  /// A key with a score below this has no weight beside one that is seen: nobody's scores are as large.
  static let weightless = -1e8
}

/// A mask, and the shape in which the scores meet it. It broadcasts to that.
struct PlacedMask {
  var mask: ScoreMask
  var shape: Shape
}

/// A constant mask made of two may take this many bytes. It is as large as what a run would have to write and read.
private let largestJointMask = 1 << 24

extension GraphRewriter {
  /// What all of `masks` do to scores, the last one first, as one mask of scores of the shape `frame`, which are those
  /// of the masks reshaped. It is bool or of the type `element`.
  /// - Returns: nil if there is no such mask, or sizes can't be compared.
  mutating func joined(_ masks: [PlacedMask], _ element: ElementType, frame: Shape) throws -> ValueID? {
    guard let inner = masks.last, let first = try alone(inner.mask, element, isSole: masks.count == 1) else {
      return nil
    }
    var (value, shape) = (first, inner.shape)
    for outer in masks.dropLast().reversed() {
      // Where there are more dimensions both broadcast without being written out.
      let joint = outer.shape.count > shape.count ? outer.shape : shape
      guard let own = try reshaped(value, from: shape, to: joint),
        let mask = try reshaped(outer.mask, from: outer.shape, to: joint),
        let both = try applied(mask, to: own, element)
      else { return nil }
      (value, shape) = (both, joint)
    }
    return try reshaped(value, from: shape, to: frame)
  }

  /// - Parameter isSole: whether nothing else masks the scores.
  private mutating func alone(_ mask: ScoreMask, _ element: ElementType, isSole: Bool) throws -> ValueID? {
    switch mask {
    case .additive(let value): return value
    case .atLeast: return nil
    case .seen(let condition, let inverted, let otherwise):
      if otherwise == -.infinity { return try seen(condition, inverted) }
      // What is added to scores that are hidden must leave nothing of them. A second mask would find other numbers.
      guard otherwise < ScoreMask.absorbing || isSole else { return nil }
      return try added(condition, inverted, otherwise: otherwise < ScoreMask.absorbing ? otherwise : -1e38, element)
    }
  }

  /// The mask that does what `inner` does and then what `outer` does.
  private mutating func applied(
    _ outer: ScoreMask, to inner: ValueID, _ element: ElementType
  ) throws -> ValueID? {
    switch outer {
    case .additive(let value): return try evaluated(.binary(.add, element), added(inner, element), value)
    case .atLeast(let low):
      let f = Expression(inputs: [element]) { e in
        let (x, low) = (e.input(0), e.constant(low, element))
        return e.binary(.maximum, x, low)
      }
      return try build(f, added(inner, element))
    case .seen(let condition, let inverted, let otherwise):
      guard otherwise < ScoreMask.absorbing else { return nil }
      if otherwise == -.infinity, type(inner).element == .bool {
        return try build(.binary(.and, .bool), seen(condition, inverted), inner)
      }
      let f = Expression(inputs: [.bool, element]) { e in
        let (c, x, low) = (e.input(0), e.input(1), e.constant(otherwise, element))
        return inverted ? e.select(c, low, x) : e.select(c, x, low)
      }
      return try evaluated(f, condition, added(inner, element))
    }
  }

  /// Whether keys are seen, which `condition` says of those that are, or are not.
  private mutating func seen(_ condition: ValueID, _ inverted: Bool) throws -> ValueID {
    inverted ? try build(.unary(.not, .bool), condition) : condition
  }

  /// What to add to scores for `mask`, which may say by a bool whether they are seen.
  private mutating func added(_ mask: ValueID, _ element: ElementType) throws -> ValueID {
    guard type(mask).element == .bool else { return mask }
    return try added(mask, false, otherwise: -.infinity, element)
  }

  /// What to add to scores of which `condition` says that they are seen, or are not: `low` to those that are not.
  private mutating func added(
    _ condition: ValueID, _ inverted: Bool, otherwise low: Double, _ element: ElementType
  ) throws -> ValueID {
    let f = Expression(inputs: [.bool]) { e in
      let (c, zero, low) = (e.input(0), e.constant(0, element), e.constant(low, element))
      return inverted ? e.select(c, low, zero) : e.select(c, zero, low)
    }
    return try build(f, condition)
  }

  /// `f(x, y)`, now if both are constants, though it may be much larger than both.
  private mutating func evaluated(_ f: Expression, _ x: ValueID, _ y: ValueID) throws -> ValueID {
    guard let a = tensor(x), let b = tensor(y), let both = broadcastShape([x, y]),
      let bytes = TensorType(f.resultType, both).byteCount.constant, bytes <= largestJointMask
    else { return try build(f, x, y) }
    return constant(try Elementwise(f).evaluate([a, b])[0])
  }

  private mutating func reshaped(_ mask: ScoreMask, from old: Shape, to new: Shape) throws -> ScoreMask? {
    switch mask {
    case .additive(let value): return try reshaped(value, from: old, to: new).map { .additive($0) }
    case .seen(let condition, let inverted, let otherwise):
      return try reshaped(condition, from: old, to: new).map { .seen($0, inverted: inverted, otherwise: otherwise) }
    case .atLeast: return mask
    }
  }

  /// The mask for scores of the shape `new` that are scores of the shape `old` reshaped. Dimensions that it broadcasts
  /// over stay so, unless they are joined with others, or split.
  private mutating func reshaped(_ mask: ValueID, from old: Shape, to new: Shape) throws -> ValueID? {
    if old == new { return mask }
    let own = Shape(repeating: 1, count: old.count - shape(mask).count) + shape(mask)
    guard let groups = reshapeGroups(from: old, to: new), zip(own, old).allSatisfy({ $0 == 1 || $0 == $1 }) else {
      return nil
    }
    var (whole, target) = (own, Shape(repeating: 1, count: new.count))
    for group in groups where group.old.contains(where: { own[$0] != 1 }) {
      for i in group.old { whole[i] = old[i] }
      for i in group.new { target[i] = new[i] }
    }
    return try build(Reshape(target), try build(Broadcast(whole), mask))
  }
}

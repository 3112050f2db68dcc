import TensorTypes

/// `x` with `before[i]` and `after[i]` elements added at the ends of dimension `i`; negative counts take away.
///
/// New elements are `value`; or mirror images, the edge not repeated (`reflect`); or the edge repeated (`edge`); or
/// come from the other end (`wrap`). What is taken away goes first, what is added is made of the rest.
///
/// - (pad_c1) One operand; `before` and `after` have one entry a dimension.
/// - (pad_c2) No dimension of the result is negative.
/// - (pad_c3) Other modes than constant need an element to copy: reflect one more than the padding along it (or one
///   in all), so far as sizes are known; at run time a reflection goes to and fro.
public struct Pad: Op {
  public enum Mode: String, Hashable, Sendable, Codable, CaseIterable { case constant, reflect, edge, wrap }

  public static let mnemonic = "pad"
  public var before: [Dim]
  public var after: [Dim]
  public var mode: Mode
  public var value: Scalar

  public init(before: [Dim], after: [Dim], mode: Mode = .constant, value: Scalar = .integer(0)) {
    (self.before, self.after, self.mode, self.value) = (before, after, mode, value)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [("before", .dims(before)), ("after", .dims(after)), ("mode", .word(mode)), ("value", .scalar(value))]
  }
  public init(attributes: inout AttributeReader) throws {
    before = try attributes.dims("before")
    after = try attributes.dims("after")
    mode = try attributes.word("mode", default: .constant)
    value = try attributes.scalar("value", default: .integer(0))
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 1 && before.count == x[0].rank && after.count == x[0].rank,
      "pad_c1: before \(before), after \(after) on operands \(x)")
    let shape = x[0].shape.indices.map { x[0].shape[$0] + before[$0] + after[$0] }
    try require(shape.allSatisfy { ($0.constant ?? 0) >= 0 }, "pad_c2: \(x[0]) to \(shape)")
    if mode != .constant {
      for i in shape.indices where x[0].shape[i] == 0 {
        try require((shape[i].constant ?? 0) == 0, "pad_c3: nothing to copy along dimension \(i) of \(x[0])")
      }
    }
    return [TensorType(x[0].element, shape)]
  }

  public func contents(_ x: [ValueFacts]) -> [[Dim]?] {
    guard mode == .constant, let element = x.first?.type.element, !element.isFloat else { return contentsByMoving(x) }
    // Positions are padded with -1, which then stands for the value.
    guard case .integer(let fill) = value, usedSymbols.isEmpty, let known = x[0].contents,
      let own = x[0].type.staticShape
    else { return [] }
    let marked = Pad(before: before, after: after, mode: mode, value: .integer(-1))
    guard let padded = try? marked.evaluate([HostTensor(integers: Array(known.indices), own)])[0] else { return [] }
    return [padded.integers.map { $0 < 0 ? Dim(Int(fill)) : known[Int($0)] }]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let (before, after) = (try before.integers(), try after.integers())
    let own = x[0].shape
    var positions = [0]
    for i in own.indices {
      // What remains of this dimension once negative pads have cropped it.
      let kept = max(0, -before[i])..<max(max(0, -before[i]), own[i] + min(0, after[i]))
      let indices = (-max(before[i], 0)..<kept.count + max(after[i], 0)).map { source($0, kept.count) }
      let resolved = indices.map { $0 < 0 ? -1 : $0 + kept.lowerBound }
      positions = positions.flatMap { p in resolved.map { p < 0 || $0 < 0 ? -1 : p * own[i] + $0 } }
    }
    let shape = own.indices.map { own[$0] + before[$0] + after[$0] }
    let inside = x[0].elementCount > 0 ? x[0].picking(positions.map { max($0, 0) }, shape).column() : nil
    let fill = Column(repeating: value, as: x[0].element, count: 1)
    switch (fill, inside) {
    case (.floats(let fill), .floats(let inside)?):
      return [HostTensor(x[0].element, shape, .floats(inside.indices.map { positions[$0] < 0 ? fill[0] : inside[$0] }))]
    case (.integers(let fill), .integers(let inside)?):
      return [
        HostTensor(x[0].element, shape, .integers(inside.indices.map { positions[$0] < 0 ? fill[0] : inside[$0] }))
      ]
    default:
      return [HostTensor(x[0].element, shape, Column(repeating: value, as: x[0].element, count: positions.count))]
    }
  }

  /// The index among `count` kept elements that index `i` of the padded ones shows; -1 for `value`.
  private func source(_ i: Int, _ count: Int) -> Int {
    if i >= 0 && i < count { return i }
    switch mode {
    case .constant: return -1
    case .edge: return min(max(i, 0), count - 1)
    case .wrap: return count == 0 ? -1 : i - count * floorDivide(i, count)
    case .reflect:
      if count <= 1 { return count - 1 }
      let period = 2 * (count - 1)
      let folded = i - period * floorDivide(i, period)
      return folded < count ? folded : period - folded
    }
  }

  public func substituting(_ bindings: [String: Dim]) -> Pad {
    Pad(before: before.substituting(bindings), after: after.substituting(bindings), mode: mode, value: value)
  }
}

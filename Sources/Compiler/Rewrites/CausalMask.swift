import GraphIR
import TensorTypes

/// What is known of a tensor whose elements depend on their position alone: enough to see that a mask is causal,
/// whichever way an exporter compares rows with columns.
///
/// Dimensions are counted from the innermost, 0, as broadcasting aligns them.
enum Positional: Hashable {
  /// `Σ coefficient · index + offset`, integers.
  case affine(Affine)
  /// One number everywhere.
  case number(Double)
  /// `inside` where the affine number is ≤ 0, and `outside` elsewhere.
  case halves(Affine, inside: Double, outside: Double)

  struct Affine: Hashable {
    /// By dimension; none is 0.
    var coefficients: [Int: Int] = [:]
    var offset: Dim

    static func + (a: Affine, b: Affine) -> Affine { a.adding(b, times: 1) }
    static func - (a: Affine, b: Affine) -> Affine { a.adding(b, times: -1) }

    private func adding(_ other: Affine, times factor: Int) -> Affine {
      let sums = coefficients.merging(other.coefficients.mapValues { $0 * factor }, uniquingKeysWith: +)
      return Affine(coefficients: sums.filter { $0.value != 0 }, offset: offset + other.offset * Dim(factor))
    }
  }

  /// The one spelling of two halves: the innermost dimension that matters counts up. What is not ≤ 0 is ≥ 1.
  private static func split(_ border: Affine, inside: Double, outside: Double) -> Positional {
    guard let innermost = border.coefficients.min(by: { $0.key < $1.key }), innermost.value < 0 else {
      return .halves(border, inside: inside, outside: outside)
    }
    return .halves(Affine(offset: 1) - border, inside: outside, outside: inside)
  }

  /// The number of all elements, if it is one that a float or an integer may be.
  var number: Double? {
    switch self {
    case .number(let number): number
    case .affine(let affine): affine.coefficients.isEmpty ? affine.offset.constant.map(Double.init) : nil
    case .halves: nil
    }
  }

  private var affine: Affine? {
    switch self {
    case .affine(let affine): affine
    case .number(let x): x.rounded() == x && abs(x) < 0x1p53 ? Affine(offset: Dim(Int(x))) : nil
    case .halves: nil
    }
  }

  /// What is alike in both halves is changed in both.
  private func mapping(_ f: (Double) -> Double?) -> Positional? {
    if case .halves(let border, let x, let y) = self {
      guard let inside = f(x), let outside = f(y) else { return nil }
      return .halves(border, inside: inside, outside: outside)
    }
    return number.flatMap(f).map { .number($0) }
  }

  private static func combining(_ x: Positional, _ y: Positional, _ f: Expression) -> Positional? {
    if let b = y.number { return x.mapping { f.evaluating([$0, b]) } }
    if let a = x.number { return y.mapping { f.evaluating([a, $0]) } }
    guard case .halves(let border, let a, let b) = x, case .halves(border, let c, let d) = y,
      let inside = f.evaluating([a, c]), let outside = f.evaluating([b, d])
    else { return nil }
    return .halves(border, inside: inside, outside: outside)
  }

  static func unary(_ function: UnaryFunction, _ type: ElementType, _ x: Positional) -> Positional? {
    if case .affine(let a) = x, function == .negate, !type.isFloat { return .affine(Affine(offset: 0) - a) }
    return x.mapping { Expression.unary(function, type).evaluating([$0]) }
  }

  static func binary(_ function: BinaryFunction, _ type: ElementType, _ x: Positional, _ y: Positional) -> Positional? {
    guard let a = x.affine, let b = y.affine, x.number == nil || y.number == nil else {
      return combining(x, y, .binary(function, type))
    }
    let one = Affine(offset: 1)
    switch function {
    case .add: return .affine(a + b)
    case .subtract: return .affine(a - b)
    case .lessEqual: return split(a - b, inside: 1, outside: 0)
    case .less: return split(a - b + one, inside: 1, outside: 0)
    case .greaterEqual: return split(b - a, inside: 1, outside: 0)
    case .greater: return split(b - a + one, inside: 1, outside: 0)
    case .multiply, .divide, .modulo, .remainder, .power, .minimum, .maximum, .equal, .notEqual, .and, .or, .xor,
      .shiftLeft, .shiftRight:
      return nil
    }
  }

  static func cast(_ x: Positional, from: ElementType, to type: ElementType) -> Positional? {
    // Positions are counted exactly in these.
    if x.number == nil, case .affine = x { return [.int32, .int64, .float32, .float64].contains(type) ? x : nil }
    let f = Expression(inputs: [from]) { e in e.cast(e.input(0), type) }
    return x.mapping { f.evaluating([$0]) }
  }

  static func select(_ condition: Positional, _ x: Positional, _ y: Positional) -> Positional? {
    if let c = condition.number { return c != 0 ? x : y }
    guard case .halves(let border, let a, let b) = condition, (a != 0) != (b != 0) else { return nil }
    let (inside, outside) = a != 0 ? (x, y) : (y, x)
    func value(_ part: Positional, isInside: Bool) -> Double? {
      if case .halves(border, let i, let o) = part { return isInside ? i : o }
      return part.number
    }
    guard let i = value(inside, isInside: true), let o = value(outside, isInside: false) else { return nil }
    return .halves(border, inside: i, outside: o)
  }

  /// With dimensions renumbered; nil if one that matters is lost.
  func moved(_ position: (Int) -> Int?) -> Positional? {
    func moved(_ affine: Affine) -> Affine? {
      var copy = Affine(offset: affine.offset)
      for (dimension, coefficient) in affine.coefficients {
        guard let new = position(dimension) else { return nil }
        copy.coefficients[new] = coefficient
      }
      return copy
    }
    switch self {
    case .number: return self
    case .affine(let a): return moved(a).map { .affine($0) }
    case .halves(let a, let inside, let outside): return moved(a).map { .split($0, inside: inside, outside: outside) }
    }
  }
}

extension Expression {
  /// The value for numbers, unless they are integers so large that a `Double` does not hold them.
  fileprivate func evaluating(_ x: [Double]) -> Double? {
    let isExact = zip(inputTypes, x).allSatisfy { type, x in type.isFloat || abs(x) < 0x1p53 }
    guard isExact else { return nil }
    return evaluate { inputTypes[$0].isFloat ? .float(x[$0]) : .integer(Int64(x[$0])) }.double
  }
}

extension GraphRewriter {
  /// `value` as a function of position, if it is one, looking at most `depth` nodes far.
  func positional(_ value: ValueID, depth: Int = 12) -> Positional? {
    guard depth > 0 else { return nil }
    if graph.type(value).elementCount == 1, let size = graph[value].facts.contents?.first {
      return .affine(.init(offset: size))
    }
    if let tensor = tensor(value) { return tensor.positional }
    guard let node = graph.producer(value).map({ graph[$0] }) else { return nil }
    let rank = type(value).rank
    let operands = node.operands.compactMap { $0 }
    switch node.op {
    case let op as Iota:
      // A dimension of 1 may be broadcast, and its index stays 0.
      return .affine(.init(coefficients: op.shape[op.axis] == 1 ? [:] : [rank - 1 - op.axis: 1], offset: 0))
    case is Broadcast: return positional(operands[0], depth: depth - 1)
    case let op as Transpose:
      return positional(operands[0], depth: depth - 1)?.moved { dimension in
        op.permutation.firstIndex(of: rank - 1 - dimension).map { rank - 1 - $0 }
      }
    case is Reshape:
      let (old, new) = (shape(operands[0]), shape(value))
      let (from, to) = (old.indices.filter { old[$0] != 1 }, new.indices.filter { new[$0] != 1 })
      guard from.map({ old[$0] }) == to.map({ new[$0] }) else { return nil }
      return positional(operands[0], depth: depth - 1)?.moved { dimension in
        from.firstIndex(of: old.count - 1 - dimension).map { new.count - 1 - to[$0] }
      }
    case let op as Elementwise: return positional(op.expression, operands, depth)
    default: return nil
    }
  }

  private func positional(_ f: Expression, _ operands: [ValueID], _ depth: Int) -> Positional? {
    var known: [Positional?] = []
    for instruction in f.instructions {
      let x = instruction.operands.map { known[$0] }
      switch instruction {
      case .input(let i): known.append(positional(operands[i], depth: depth - 1))
      case .constant(let scalar, _): known.append(.number(scalar.double))
      case .unary(let function, let a): known.append(x[0].flatMap { .unary(function, f.types[a], $0) })
      case .binary(let function, let a, _):
        let both = x[0].flatMap { left in x[1].map { (left, $0) } }
        known.append(both.flatMap { .binary(function, f.types[a], $0.0, $0.1) })
      case .select:
        let all = x.compactMap { $0 }
        known.append(all.count == 3 ? .select(all[0], all[1], all[2]) : nil)
      case .cast(let a, let type): known.append(x[0].flatMap { .cast($0, from: f.types[a], to: type) })
      }
    }
    return known[f.result]
  }
}

extension HostTensor {
  /// One number, or a lower triangle of one number and another elsewhere, in every matrix.
  fileprivate var positional: Positional? {
    guard element != .int64 || elementCount == 1, elementCount > 0 else { return nil }
    let numbers = element.isFloat ? doubles : integers.map(Double.init)
    let first = numbers[0]
    if numbers.allSatisfy({ $0 == first }) { return .number(first) }
    guard shape.count >= 2, let columns = shape.last, columns > 1 else { return nil }
    // The first row that has both numbers says where the border is.
    let rows = shape[shape.count - 2]
    for row in 0..<rows {
      let line = numbers[(row * columns)..<((row + 1) * columns)]
      guard let change = line.indices.dropFirst().first(where: { line[$0] != line[$0 - 1] }) else { continue }
      let offset = change - row * columns - 1 - row
      let (inside, outside) = (line.first!, line.last!)
      let agrees = numbers.indices.allSatisfy { i in
        numbers[i] == (i % columns <= i / columns % rows + offset ? inside : outside)
      }
      let border = Positional.Affine(coefficients: rows == 1 ? [0: 1] : [0: 1, 1: -1], offset: Dim(-offset))
      return agrees ? .halves(border, inside: inside, outside: outside) : nil
    }
    return nil
  }
}

/// Attention whose mask hides the keys that come after the query.
let causalRules: [Rule] = [
  Rule("attention(q, k, v, j ≤ i + c) = causal attention", on: Attention.self) { g, op, x in
    guard x.count == 4, !op.causal, let offset = g.causalOffset(x[3], x) else { return nil }
    return try g.build(op.causal(offset), x[0], x[1], x[2])
  },
  Rule("attention(q, k, v, j ≤ i + c and m) = causal attention(q, k, v, m)", on: Attention.self) { g, op, x in
    guard x.count == 4, !op.causal, let form = g.form(x[3]) else { return nil }
    for (a, b) in form.operands(of: .and) + form.operands(of: .add) {
      guard let border = a.value, let mask = b.value, let offset = g.causalOffset(border, x, isSole: false) else {
        continue
      }
      return try g.build(op.causal(offset), x[0], x[1], x[2], mask)
    }
    return nil
  },
]

extension Attention {
  fileprivate func causal(_ offset: Dim) -> Attention {
    var copy = self
    (copy.causal, copy.causalOffset) = (true, offset)
    return copy
  }
}

extension GraphRewriter {
  /// c, if a mask lets query i see just the keys j ≤ i + c.
  /// - Parameters:
  ///   - operands: the attention's.
  ///   - isSole: whether nothing else masks the scores.
  fileprivate func causalOffset(_ mask: ValueID, _ operands: [ValueID], isSole: Bool = true) -> Dim? {
    guard shape(mask).suffix(2) == [shape(operands[0])[2], shape(operands[1])[2]] else { return nil }
    guard case .halves(let border, let inside, let outside)? = positional(mask) else { return nil }
    guard border.coefficients == [0: 1, 1: -1] else { return nil }
    let offset = border.offset * Dim(-1)
    if type(mask).element == .bool { return inside != 0 && outside == 0 ? offset : nil }
    // A row that sees nothing is 0 in causal attention; with a finite number in the mask it would be a mean. Another mask
    // may leave any row without a key.
    let isHidden = outside == -.infinity || isSole && outside < -1e30 && (offset.constant ?? -1) >= 0
    return inside == 0 && isHidden ? offset : nil
  }
}

import GraphIR
import TensorTypes

/// Equations between elementwise ops and what feeds them.
let elementwiseRules: [Rule] = [
  Rule("f(x, scalar constant) = f with the constant in it", on: Elementwise.self) { g, op, x in
    let scalars = x.indices.filter { i in g.tensor(x[i])?.elementCount == 1 }
    guard !scalars.isEmpty, scalars.count < x.count else { return nil }
    let others = x.indices.filter { !scalars.contains($0) }
    // A constant of higher rank than the rest gives the result its rank.
    let rank = others.map { g.type(x[$0]).rank }.max() ?? 0
    guard scalars.allSatisfy({ g.type(x[$0]).rank <= rank }) else { return nil }
    let f = op.expression.rewritingInputs(others.map { op.expression.inputTypes[$0] }) { e, i in
      guard let tensor = scalars.contains(i) ? g.tensor(x[i]) : nil else { return e.input(others.firstIndex(of: i)!) }
      return e.add(.constant(tensor[0], tensor.element))
    }
    return try g.build(Elementwise(f), others.map { x[$0] })[0]
  },
  Rule("f(x, x) = g(x)", on: Elementwise.self) { g, op, x in
    var distinct: [ValueID] = []
    for value in x where !distinct.contains(value) { distinct.append(value) }
    guard distinct.count < x.count else { return nil }
    let types = distinct.map { g.type($0).element }
    let f = op.expression.rewritingInputs(types) { e, i in e.input(distinct.firstIndex(of: x[i])!) }
    return try g.build(Elementwise(f), distinct)[0]
  },
  Rule("f by its scalar equations", on: Elementwise.self) { g, op, x in
    let f = op.expression.simplified()
    return f == op.expression ? nil : try g.build(Elementwise(f), x)[0]
  },
  Rule("f(x, y) that ignores y = g(x)", on: Elementwise.self) { g, op, x in
    let used = op.expression.usedInputs
    guard used.count < x.count, !used.isEmpty,
      let shape = g.broadcastShape(used.map { x[$0] }), let whole = g.broadcastShape(x), shape == whole
    else { return nil }
    let f = op.expression.rewritingInputs(used.map { op.expression.inputTypes[$0] }) { e, i in
      e.input(used.firstIndex(of: i)!)
    }
    return try g.build(Elementwise(f), used.map { x[$0] })[0]
  },
  Rule("f(x, y) = x: x, or a broadcast of it", on: Elementwise.self) { g, op, x in
    guard case .input(let i) = op.expression.instructions[op.expression.result], let shape = g.broadcastShape(x) else {
      return nil
    }
    return shape == g.shape(x[i]) ? x[i] : try g.build(Broadcast(shape), x[i])
  },
  Rule("f(broadcast(x), y) = f(x, y) where y has the shape", on: Elementwise.self) { g, op, x in
    guard let shape = g.broadcastShape(x) else { return nil }
    for i in x.indices {
      guard let (_, source) = g.producer(x[i], Broadcast.self) else { continue }
      var operands = x
      operands[i] = source[0]
      if g.broadcastShape(operands) == shape { return try g.build(op, operands.map { Optional($0) })[0] }
    }
    return nil
  },
  Rule("(x * c) * d = x * (c * d), rounds", on: Elementwise.self) { g, op, x in
    guard let form = Form(op, x), let (product, d) = form.valueAndConstant(of: .multiply), g.isUsedOnce(product),
      let inner = g.form(product), let (source, c) = inner.valueAndConstant(of: .multiply),
      g.type(source).element == .float32, Float(c * d).isNormal
    else { return nil }
    return try g.build(.scaling(by: c * d, .float32), source)
  },
  Rule("(x * a) * b = x * (a * b) for constants a, b, rounds", on: Elementwise.self) { g, op, x in
    try g.joinConstants(op, x, .multiply)
  },
  Rule("(x + a) + b = x + (a + b) for constants a, b, rounds", on: Elementwise.self) { g, op, x in
    try g.joinConstants(op, x, .add)
  },
]

extension GraphRewriter {
  /// The shape that the values broadcast to.
  func broadcastShape(_ values: [ValueID]) -> Shape? {
    var shape: Shape = []
    for value in values {
      guard let joint = try? broadcast(shape, self.shape(value), constraint: "elementwise_c2") else { return nil }
      shape = joint
    }
    return shape
  }

  /// A constant tensor among two operands of `function`, and the other.
  func valueAndTensor(_ form: Form, _ function: BinaryFunction) -> (ValueID, HostTensor)? {
    for (x, y) in form.operands(of: function) {
      guard let value = x.value, tensor(value) == nil else { continue }
      if let tensor = tensor(y, type(value).element) { return (value, tensor) }
    }
    return nil
  }

  /// `(x ∘ a) ∘ b = x ∘ (a ∘ b)` for constant tensors, unless a ∘ b is larger than both.
  fileprivate mutating func joinConstants(
    _ op: Elementwise, _ x: [ValueID], _ function: BinaryFunction
  ) throws -> ValueID? {
    guard let form = Form(op, x), let (inner, b) = valueAndTensor(form, function), isUsedOnce(inner),
      type(inner).element == .float32, let innerForm = self.form(inner),
      let (source, a) = valueAndTensor(innerForm, function), let both = try? a.combined(function, with: b),
      both.elementCount <= max(a.elementCount, b.elementCount), both.doubles.allSatisfy(\.isFinite)
    else { return nil }
    let shape = broadcastShape(x)
    let joint = constant(both)
    guard broadcastShape([source, joint]) == shape else { return nil }
    return try build(.binary(function, .float32), source, joint)
  }
}

extension Expression {
  /// `x · c`
  static func scaling(by c: Double, _ type: ElementType) -> Expression {
    Expression(inputs: [type]) { e in
      let (x, factor) = (e.input(0), e.constant(c, type))
      return e.binary(.multiply, x, factor)
    }
  }

  /// The inputs that the result depends on, ascending.
  var usedInputs: [Int] {
    var used: Set<Int> = []
    for case .input(let i) in pruned().instructions { used.insert(i) }
    return used.sorted()
  }

  /// The same function of other inputs: `input(i)` is what stands for the old input number `i`.
  func rewritingInputs(
    _ types: [ElementType], _ input: (inout Expression, Int) -> Operand
  ) -> Expression {
    let old = pruned()
    return Expression(inputs: types) { e in
      var renamed: [Operand] = []
      for instruction in old.instructions {
        if case .input(let i) = instruction {
          renamed.append(input(&e, i))
        } else {
          renamed.append(e.add(instruction.replacing(instruction.operands.map { renamed[$0] })))
        }
      }
      return renamed[old.result]
    }
  }
}

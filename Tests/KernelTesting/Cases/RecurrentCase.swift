import Glibc
import Kernels
import TensorTypes

/// One recurrence, checked against the equations written with plain loops.
public struct RecurrentCase: Sendable {
  public var kind: RecurrentWorkload.Kind
  public var direction = RecurrentWorkload.Direction.forward
  public var steps = 4
  public var batch = 1
  public var hidden: Int
  public var hasPeepholes = false
  public var hasLengths = false
  public var isConstant = true
  public var isSymbolic = false

  public init(
    kind: RecurrentWorkload.Kind, direction: RecurrentWorkload.Direction = .forward, steps: Int = 4, batch: Int = 1,
    hidden: Int, hasPeepholes: Bool = false, hasLengths: Bool = false, isConstant: Bool = true,
    isSymbolic: Bool = false
  ) {
    (self.kind, self.direction, self.steps, self.batch) = (kind, direction, steps, batch)
    (self.hidden, self.hasPeepholes, self.hasLengths) = (hidden, hasPeepholes, hasLengths)
    (self.isConstant, self.isSymbolic) = (isConstant, isSymbolic)
  }

  public static let kinds: [RecurrentWorkload.Kind] = [
    .rnn, .gru(resetsAfter: true), .gru(resetsAfter: false), .lstm(isCoupled: false), .lstm(isCoupled: true),
  ]

  public static func random(_ g: inout SeededGenerator) -> RecurrentCase {
    RecurrentCase(
      kind: g.pick(kinds), direction: g.pick(.forward, .reverse, .both), steps: g.flip(0.05) ? 0 : g.size(1...4),
      batch: g.size(1...5), hidden: g.edge([8, 16], most: 33), hasPeepholes: g.flip(0.3), hasLengths: g.flip(0.3),
      isConstant: g.flip(0.8), isSymbolic: g.flip(0.3))
  }

  var gates: Int {
    switch kind {
    case .rnn: 1
    case .gru: 3
    case .lstm: 4
    }
  }
  var isLSTM: Bool {
    if case .lstm = kind { true } else { false }
  }
  var directions: Int { direction == .both ? 2 : 1 }

  /// Other ones for the second direction.
  var activations: [[UnaryFunction]] {
    let first: [UnaryFunction] =
      switch kind {
      case .rnn: [.tanh]
      case .gru: [.sigmoid, .tanh]
      case .lstm: [.sigmoid, .tanh, .tanh]
      }
    return direction == .both ? [first, first.reversed()] : [first]
  }

  var workload: RecurrentWorkload {
    let (s, b): (Dim, Dim) = isSymbolic ? (.symbol("s"), .symbol("b")) : (Dim(steps), Dim(batch))
    let (d, g, h) = (Dim(directions), Dim(gates), Dim(hidden))
    let state = View(.float32, [d, b, h])
    let square = View(.float32, [d * g, h, h])
    return RecurrentWorkload(
      kind: kind, direction: direction, activations: activations.flatMap { $0.map { .unary($0, .float32) } },
      projected: View(.float32, [s, b, d, g, h]),
      weights: View(.float32, square.shape, strides: [h * h, 1, h]), weightsAreConstant: isConstant,
      bias: View(.float32, [d, 2, g, h]), hidden: state, cell: isLSTM ? state : nil,
      peepholes: isLSTM && hasPeepholes ? View(.float32, [d, 3, h]) : nil,
      lengths: hasLengths ? View(.int32, [b]) : nil,
      output: View(.float32, [s, d, b, h]), lastHidden: state, lastCell: isLSTM ? state : nil)
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    let w = workload
    let sizes = isSymbolic ? ["s": steps, "b": batch] : [:]
    let inputs = samples(w.operands, sizes: sizes, &generator)
    // Weights that keep sums of any length moderate.
    let scale = 1 / Double(hidden).squareRoot()
    inputs[1].fill { .float(ElementType.float32.rounded(Double.random(in: -scale...scale, using: &generator))) }
    if hasLengths {
      // Longer than there are steps, and negative: no more than all, no less than none.
      inputs.last!.fill { .integer(Int64.random(in: -1...Int64(steps) + 2, using: &generator)) }
    }
    let reference = Reference(self, inputs)
    // A sum of H products of numbers up to 2 and its activation; what a step errs by is passed on with a factor of at
    // most a few: measured against H and the steps, with room for the vector functions' 4 ulp.
    let tolerance = Double((hidden + 16) * (steps + 2)) * 0x1p-24 * 4
    func expect(_ value: Double) -> Expected { Expected(value: .float(value), tolerance: tolerance) }
    let extras: [([Int]) -> Expected] =
      [{ expect(reference.last[$0] ?? .nan) }] + (isLSTM ? [{ expect(reference.lastCell[$0] ?? .nan) }] : [])
    return KernelCase(.recurrent(w), sizes: sizes, inputs: inputs, extras: extras) { expect(reference.y[$0] ?? 0) }
  }
}

/// The results by index.
private struct Reference {
  var y: [[Int]: Double] = [:]
  var last: [[Int]: Double] = [:]
  var lastCell: [[Int]: Double] = [:]

  init(_ c: RecurrentCase, _ inputs: [Sample]) {
    for d in 0..<c.directions {
      for row in 0..<c.batch { run(c, inputs, d, row) }
    }
  }

  private mutating func run(_ c: RecurrentCase, _ x: [Sample], _ d: Int, _ row: Int) {
    let units = 0..<c.hidden
    var h = units.map { x[3][[d, row, $0]].double }
    var cell = c.isLSTM ? units.map { x[4][[d, row, $0]].double } : []
    var length = c.steps
    if c.hasLengths, case .integer(let given) = x.last![[row]] { length = min(max(Int(given), 0), c.steps) }
    for step in 0..<length {
      let t = c.direction == .reverse || d == 1 ? length - 1 - step : step
      (h, cell) = advance(c, x, d, row, t, h, cell)
      for u in units { y[[t, d, row, u]] = h[u] }
    }
    for u in units { last[[d, row, u]] = h[u] }
    for u in units where c.isLSTM { lastCell[[d, row, u]] = cell[u] }
  }

  private func advance(
    _ c: RecurrentCase, _ x: [Sample], _ d: Int, _ row: Int, _ t: Int, _ h: [Double], _ cell: [Double]
  ) -> ([Double], [Double]) {
    let units = 0..<c.hidden
    func input(_ g: Int, _ u: Int) -> Double { x[0][[t, row, d, g, u]].double + x[2][[d, 0, g, u]].double }
    func state(_ g: Int, _ u: Int, _ h: [Double]) -> Double {
      units.reduce(0) { $0 + h[$1] * x[1][[d * c.gates + g, $1, u]].double }
    }
    func bias(_ g: Int, _ u: Int) -> Double { x[2][[d, 1, g, u]].double }
    func activate(_ i: Int, _ value: Double) -> Double {
      c.activations[d][i] == .tanh ? tanh(value) : 1 / (1 + exp(-value))
    }
    func gate(_ g: Int, _ u: Int, _ i: Int, _ more: Double = 0) -> Double {
      activate(i, input(g, u) + state(g, u, h) + bias(g, u) + more)
    }
    switch c.kind {
    case .rnn: return (units.map { gate(0, $0, 0) }, [])
    case .gru(let resetsAfter):
      let (z, r) = (units.map { gate(0, $0, 0) }, units.map { gate(1, $0, 0) })
      let reset = units.map { r[$0] * h[$0] }
      return (
        units.map { u in
          let part = resetsAfter ? r[u] * (state(2, u, h) + bias(2, u)) : state(2, u, reset) + bias(2, u)
          return (1 - z[u]) * activate(1, input(2, u) + part) + z[u] * h[u]
        }, []
      )
    case .lstm(let isCoupled):
      func peephole(_ i: Int, _ u: Int) -> Double { c.hasPeepholes ? x[5][[d, i, u]].double : 0 }
      var (next, nextCell) = (h, cell)
      for u in units {
        let i = gate(0, u, 0, peephole(0, u) * cell[u])
        let f = isCoupled ? 1 - i : gate(2, u, 0, peephole(2, u) * cell[u])
        nextCell[u] = f * cell[u] + i * gate(3, u, 1)
        next[u] = gate(1, u, 0, peephole(1, u) * nextCell[u]) * activate(2, nextCell[u])
      }
      return (next, nextCell)
    }
  }
}

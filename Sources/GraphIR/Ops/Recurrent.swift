import Glibc
import TensorTypes

/// A recurrent network over a sequence, with the equations and the order of gates of ONNX's RNN, GRU and LSTM
/// (operator versions 14). With S steps, batch B, I inputs, H hidden units, G gates (1, 3: z r h, 4: i o f c) and D
/// directions (2 if bidirectional):
///
/// Operands `x [S, B, I]`, `w [D, G·H, I]`, `r [D, G·H, H]`, `bias [D, 2·G·H]` (of w, then of r), the first hidden
/// state `[D, B, H]`; LSTM also the first cell state `[D, B, H]` and peepholes `[D, 3·H]` (i o f); then optionally
/// each sequence's length, i32 `[B]`. Results `y [S, D, B, H]`, the last hidden state `[D, B, H]` and, of LSTM, the
/// last cell state. Beyond a sequence's end `y` is 0; a reverse direction begins at the end.
///
/// - (recurrent_c1) As many operands as the kind has, of these ranks; all of one float type but the lengths.
/// - (recurrent_c2) Sizes as above; H is the attribute `hidden`.
/// - (recurrent_c3) One activation a direction for RNN, 2 for GRU, 3 for LSTM.
public struct Recurrent: Op {
  public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
    case rnn, gru, lstm

    var gates: Int {
      switch self {
      case .rnn: 1
      case .gru: 3
      case .lstm: 4
      }
    }
    var activations: Int {
      switch self {
      case .rnn: 1
      case .gru: 2
      case .lstm: 3
      }
    }
  }

  public enum Direction: String, Hashable, Sendable, Codable, CaseIterable { case forward, reverse, bidirectional }

  public static let mnemonic = "recurrent"
  public var kind: Kind
  public var hidden: Int
  public var direction: Direction
  public var activations: [Activation]
  /// Activations' arguments are clamped to ±clip; 0 for none.
  public var clip: Double
  /// GRU: the reset gate acts after the product with r, not before.
  public var linearBeforeReset: Bool
  /// LSTM: the forget gate is 1 − input gate.
  public var inputForget: Bool

  public init(
    _ kind: Kind, hidden: Int, direction: Direction, activations: [Activation], clip: Double = 0,
    linearBeforeReset: Bool = false, inputForget: Bool = false
  ) {
    (self.kind, self.hidden, self.direction, self.activations) = (kind, hidden, direction, activations)
    (self.clip, self.linearBeforeReset, self.inputForget) = (clip, linearBeforeReset, inputForget)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [
      ("kind", .word(kind)), ("hidden", .integer(hidden)), ("direction", .word(direction)),
      ("activations", .strings(activations.map(\.function.rawValue))), ("alphas", .floats(activations.map(\.alpha))),
      ("betas", .floats(activations.map(\.beta))), ("clip", .float(clip)),
      ("linear_before_reset", .bool(linearBeforeReset)), ("input_forget", .bool(inputForget)),
    ]
  }
  public init(attributes: inout AttributeReader) throws {
    kind = try attributes.word("kind")
    hidden = try attributes.integer("hidden")
    direction = try attributes.word("direction", default: .forward)
    let names = try attributes.strings("activations")
    let alphas = try attributes.floats("alphas", default: names.map { _ in 0 })
    let betas = try attributes.floats("betas", default: names.map { _ in 0 })
    guard alphas.count == names.count, betas.count == names.count else {
      throw Failure.badData("recurrent: as many alphas and betas as activations are needed")
    }
    activations = try names.indices.map { i in
      guard let function = Activation.Function(rawValue: names[i]) else {
        throw Failure.badData("recurrent: there is no activation '\(names[i])'")
      }
      return Activation(function, alpha: alphas[i], beta: betas[i])
    }
    clip = try attributes.float("clip", default: 0)
    linearBeforeReset = try attributes.bool("linear_before_reset", default: false)
    inputForget = try attributes.bool("input_forget", default: false)
  }

  var directions: Int { direction == .bidirectional ? 2 : 1 }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    let required = kind == .lstm ? 7 : 5
    let ranks = [3, 3, 3, 2, 3, 3, 2]
    try require(
      (required...required + 1).contains(x.count) && x[0].element.isFloat
        && x[..<required].allSatisfy { $0.element == x[0].element }
        && zip(x[..<required], ranks).allSatisfy { $0.rank == $1 }
        && (x.count == required || (x[required].rank == 1 && x[required].element.isIndex)),
      "recurrent_c1: operands \(x)")
    let (steps, batch, inputs) = (x[0].shape[0], x[0].shape[1], x[0].shape[2])
    let (d, h, rows) = (Dim(directions), Dim(hidden), Dim(kind.gates * hidden))
    let expected: [Shape] = [
      [steps, batch, inputs], [d, rows, inputs], [d, rows, h], [d, rows * 2], [d, batch, h], [d, batch, h], [d, h * 3],
    ]
    try require(
      hidden > 0 && zip(x[..<required], expected).allSatisfy { mayBeEqual($0.shape, $1) }
        && (x.count == required || mayBeEqual(x[required].shape[0], batch)),
      "recurrent_c2: operands \(x), \(hidden) hidden units, \(directions) directions")
    try require(
      activations.count == kind.activations * directions,
      "recurrent_c3: \(activations.count) activations of \(kind), \(directions) directions")
    let state = TensorType(x[0].element, [d, batch, h])
    let y = TensorType(x[0].element, [steps, d, batch, h])
    return kind == .lstm ? [y, state, state] : [y, state]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let (steps, batch) = (x[0].shape[0], x[0].shape[1])
    let weights = RecurrentWeights(self, x)
    let lengths = x.count == (kind == .lstm ? 8 : 6) ? x[x.count - 1].integers.map { Int($0) } : nil
    let data = x[0].doubles
    var (states, cells) = (x[4].doubles, kind == .lstm ? x[5].doubles : [])
    var y = [Double](repeating: 0, count: steps * directions * batch * hidden)
    for d in 0..<directions {
      for b in 0..<batch {
        let length = min(max(lengths?[b] ?? steps, 0), steps)
        let own = (d * batch + b) * hidden..<(d * batch + b + 1) * hidden
        var state = Array(states[own])
        var cell = kind == .lstm ? Array(cells[own]) : []
        for step in 0..<length {
          let t = direction == .reverse || d == 1 ? length - 1 - step : step
          let input = Array(data[(t * batch + b) * weights.inputs..<(t * batch + b + 1) * weights.inputs])
          weights.step(d, input, &state, &cell)
          for u in 0..<hidden { y[((t * directions + d) * batch + b) * hidden + u] = state[u] }
        }
        states.replaceSubrange(own, with: state)
        if kind == .lstm { cells.replaceSubrange(own, with: cell) }
      }
    }
    let element = x[0].element
    let results = [
      HostTensor(element, [steps, directions, batch, hidden], .floats(y)),
      HostTensor(element, [directions, batch, hidden], .floats(states)),
    ]
    return kind == .lstm ? results + [HostTensor(element, [directions, batch, hidden], .floats(cells))] : results
  }
}

/// The activation of a recurrent network's gate, with ONNX's names and parameters.
public struct Activation: Hashable, Sendable {
  public enum Function: String, Hashable, Sendable, Codable, CaseIterable {
    case relu, tanh, sigmoid, affine, leakyRelu, thresholdedRelu, scaledTanh, hardSigmoid, elu, softsign, softplus
  }
  public var function: Function
  public var alpha: Double
  public var beta: Double

  public init(_ function: Function, alpha: Double = 0, beta: Double = 0) {
    (self.function, self.alpha, self.beta) = (function, alpha, beta)
  }

  public func callAsFunction(_ x: Double) -> Double {
    switch function {
    case .relu: max(x, 0)
    case .tanh: Glibc.tanh(x)
    case .sigmoid: 1 / (1 + exp(-x))
    case .affine: alpha * x + beta
    case .leakyRelu: x >= 0 ? x : alpha * x
    case .thresholdedRelu: x >= alpha ? x : 0
    case .scaledTanh: alpha * Glibc.tanh(beta * x)
    case .hardSigmoid: min(max(alpha * x + beta, 0), 1)
    case .elu: x >= 0 ? x : alpha * expm1(x)
    case .softsign: x / (1 + abs(x))
    case .softplus: max(x, 0) + log1p(exp(-abs(x)))
    }
  }
}

/// The parameters of a recurrent network as numbers, and one step of one sequence.
private struct RecurrentWeights {
  let op: Recurrent
  let inputs: Int
  let w, r, bias, peepholes: [Double]

  init(_ op: Recurrent, _ x: [HostTensor]) {
    self.op = op
    inputs = x[0].shape[2]
    (w, r, bias) = (x[1].doubles, x[2].doubles, x[3].doubles)
    peepholes = op.kind == .lstm ? x[6].doubles : []
  }

  /// Row `gate·H + u` of w times the input, with its bias.
  private func fromInput(_ d: Int, _ gate: Int, _ u: Int, _ input: [Double]) -> Double {
    let row = d * op.kind.gates * op.hidden + gate * op.hidden + u
    let start = bias[d * 2 * op.kind.gates * op.hidden + gate * op.hidden + u]
    return input.indices.reduce(start) { $0 + w[row * inputs + $1] * input[$1] }
  }

  /// Row `gate·H + u` of r times the state, with its bias.
  private func fromState(_ d: Int, _ gate: Int, _ u: Int, _ state: [Double], withBias: Bool = true) -> Double {
    let row = d * op.kind.gates * op.hidden + gate * op.hidden + u
    let start = withBias ? recurrentBias(d, gate, u) : 0
    return state.indices.reduce(start) { $0 + r[row * op.hidden + $1] * state[$1] }
  }

  private func recurrentBias(_ d: Int, _ gate: Int, _ u: Int) -> Double {
    bias[(d * 2 + 1) * op.kind.gates * op.hidden + gate * op.hidden + u]
  }

  private func activate(_ d: Int, _ i: Int, _ x: Double) -> Double {
    op.activations[d * op.kind.activations + i](op.clip > 0 ? min(max(x, -op.clip), op.clip) : x)
  }

  func step(_ d: Int, _ x: [Double], _ h: inout [Double], _ c: inout [Double]) {
    let (old, units) = (h, 0..<op.hidden)
    switch op.kind {
    case .rnn: h = units.map { activate(d, 0, fromInput(d, 0, $0, x) + fromState(d, 0, $0, old)) }
    case .gru:
      let z = units.map { activate(d, 0, fromInput(d, 0, $0, x) + fromState(d, 0, $0, old)) }
      let reset = units.map { activate(d, 0, fromInput(d, 1, $0, x) + fromState(d, 1, $0, old)) }
      let resetState = units.map { reset[$0] * old[$0] }
      h = units.map { u in
        let recurrent =
          op.linearBeforeReset
          ? reset[u] * fromState(d, 2, u, old)
          : fromState(d, 2, u, resetState, withBias: false) + recurrentBias(d, 2, u)
        return (1 - z[u]) * activate(d, 1, fromInput(d, 2, u, x) + recurrent) + z[u] * old[u]
      }
    case .lstm:
      let previous = c
      func gate(_ number: Int, _ u: Int, _ peephole: Int?, _ cell: Double) -> Double {
        let peep = peephole.map { peepholes[(d * 3 + $0) * op.hidden + u] * cell } ?? 0
        return fromInput(d, number, u, x) + fromState(d, number, u, old) + peep
      }
      for u in units {
        let input = activate(d, 0, gate(0, u, 0, previous[u]))
        let forget = op.inputForget ? 1 - input : activate(d, 0, gate(2, u, 2, previous[u]))
        c[u] = forget * previous[u] + input * activate(d, 1, gate(3, u, nil, 0))
        h[u] = activate(d, 0, gate(1, u, 1, c[u])) * activate(d, 2, c[u])
      }
    }
  }
}

import GraphIR
import TensorTypes

// RNN, GRU and LSTM.

let recurrentRows: [OperatorRow] = [
  OperatorRow("RNN") { n in try n.recurrent(.rnn, gates: 1, defaults: ["Tanh"]) },
  OperatorRow("GRU") { n in try n.recurrent(.gru, gates: 3, defaults: ["Sigmoid", "Tanh"]) },
  OperatorRow("LSTM") { n in try n.recurrent(.lstm, gates: 4, defaults: ["Sigmoid", "Tanh", "Tanh"]) },
]

/// ONNX's names in lower case, with the default parameters of its documentation.
private let activationsByName: [String: Activation] = [
  "relu": Activation(.relu), "tanh": Activation(.tanh), "sigmoid": Activation(.sigmoid),
  "affine": Activation(.affine, alpha: 1, beta: 0), "leakyrelu": Activation(.leakyRelu, alpha: 0.01),
  "thresholdedrelu": Activation(.thresholdedRelu, alpha: 1), "scaledtanh": Activation(.scaledTanh, alpha: 1, beta: 1),
  "hardsigmoid": Activation(.hardSigmoid, alpha: 0.2, beta: 0.5), "elu": Activation(.elu, alpha: 1),
  "softsign": Activation(.softsign), "softplus": Activation(.softplus),
]

extension NodeImport {
  fileprivate func recurrent(_ kind: Recurrent.Kind, gates: Int, defaults: [String]) throws -> [ValueID?] {
    let isBatchFirst = try flag("layout")
    let w = try input(1)
    let r = try input(2)
    let direction = try choice("direction", default: Recurrent.Direction.forward)
    let directions = direction == .bidirectional ? 2 : 1
    guard rank(try input(0)) == 3, rank(r) == 3, let hidden = try optionalInt("hidden_size") ?? shape(r)[2].constant,
      (1..<1 << 31).contains(hidden)
    else {
      throw Failure.badData("needs inputs of rank 3 and a known hidden size")
    }
    let x = isBatchFirst ? try transpose(input(0), [1, 0, 2]) : try input(0)
    let batch = shape(x)[1]
    func operand(_ i: Int, _ shape: Shape, isState: Bool = false) throws -> ValueID {
      guard let given = try optionalInput(i) else { return try broadcast(constant(0, element(x)), shape) }
      return isState && isBatchFirst ? try transpose(given, [1, 0, 2]) : given
    }
    let state: Shape = [Dim(directions), batch, Dim(hidden)]
    var operands = [x, w, r, try operand(3, [Dim(directions), Dim(2 * gates * hidden)])]
    operands.append(try operand(5, state, isState: true))
    if kind == .lstm {
      operands.append(try operand(6, state, isState: true))
      operands.append(try operand(7, [Dim(directions), Dim(3 * hidden)]))
    }
    if let lengths = try optionalInput(4) { operands.append(lengths) }
    let op = Recurrent(
      kind, hidden: hidden, direction: direction, activations: try activations(defaults, directions),
      clip: try float("clip", default: 0), linearBeforeReset: try flag("linear_before_reset"),
      inputForget: try flag("input_forget"))
    let results = try addAll(op, operands)
    guard isBatchFirst else { return results }
    return try [transpose(results[0], [2, 0, 1, 3])] + results.dropFirst().map { try transpose($0, [1, 0, 2]) }
  }

  private func activations(_ defaults: [String], _ directions: Int) throws -> [Activation] {
    let names = try strings("activations") ?? (0..<directions).flatMap { _ in defaults }
    guard names.count == defaults.count * directions else {
      throw Failure.badData("\(names.count) activations for \(directions) directions")
    }
    // Parameters are listed for those functions only that have them.
    var alphas = (try floats("activation_alpha") ?? [])[...]
    var betas = (try floats("activation_beta") ?? [])[...]
    return try names.map { name in
      guard var activation = activationsByName[name.lowercased()] else {
        throw Failure.badData("there is no activation '\(name)'")
      }
      switch activation.function {
      case .relu, .tanh, .sigmoid, .softsign, .softplus: break
      case .leakyRelu, .thresholdedRelu, .elu: activation.alpha = alphas.popFirst() ?? activation.alpha
      case .affine, .scaledTanh, .hardSigmoid:
        activation.alpha = alphas.popFirst() ?? activation.alpha
        activation.beta = betas.popFirst() ?? activation.beta
      }
      return activation
    }
  }
}

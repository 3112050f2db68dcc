import GraphIR
import Kernels
import TensorTypes

// Recurrent networks: the inputs' part of all gates of all steps is one matrix product, then comes the recurrence.

extension Planner {
  mutating func plan(_ op: Recurrent, _ node: NodeID) throws {
    let operands = try graph[node].operands.map { try placement($0!) }
    guard operands[0].view.element == .float32 else { return reject(node, "recurrent of \(operands[0].view.element)") }
    let (w, r) = (operands[1], operands[2])
    let (directions, hidden) = (w.view.shape[0], Dim(op.hidden))
    let gates = w.view.shape[1].divided(exactlyBy: hidden)!
    let projected = try project(node, operands[0], w, [directions, gates, hidden])
    let recurrent = r.view.strides(reshapedTo: [directions * gates, hidden, hidden]) == nil ? dense(r, origin: nil) : r
    let matrices = View(
      .float32, [directions * gates, hidden, hidden],
      strides: recurrent.view.strides(reshapedTo: [directions * gates, hidden, hidden])!)
    let halves: Shape = [directions, 2, gates, hidden]
    let bias = operands[3].reshaped(halves) ?? dense(operands[3], origin: nil).reshaped(halves)!
    let isLSTM = op.kind == .lstm
    let peepholes = isLSTM ? try peepholes(node, operands[6], [directions, 3, hidden]) : nil
    let lengths = operands.count > (isLSTM ? 7 : 5) ? operands.last : nil
    let outputs = graph[node].results.map { result in
      let place = destination(result)
      placements[result] = place
      return place
    }
    let workload = RecurrentWorkload(
      kind: op.workloadKind, direction: op.workloadDirection,
      activations: op.activations.map { $0.expression(clip: op.clip) }, projected: projected.view,
      weights: matrices.permuted([0, 2, 1]), weightsAreConstant: tensor(recurrent) != nil, bias: bias.view,
      hidden: operands[4].view, cell: isLSTM ? operands[5].view : nil, peepholes: peepholes?.view,
      lengths: lengths?.view, output: outputs[0].view, lastHidden: outputs[1].view,
      lastCell: isLSTM ? outputs[2].view : nil)
    emit(
      .recurrent(workload),
      [projected, recurrent, bias, operands[4]] + (isLSTM ? [operands[5]] : [])
        + [peepholes, lengths].compactMap { $0 }, outputs[0], extras: Array(outputs[1...]), origins: origins(node))
  }

  /// x·wᵀ. Dimensions steps, batch, direction, gate, unit.
  private mutating func project(_ node: NodeID, _ x: Placement, _ w: Placement, _ rows: Shape) throws -> Placement {
    let (steps, batch, inputs) = (x.view.shape[0], x.view.shape[1], x.view.shape[2])
    let x =
      x.reshaped([1, steps * batch, inputs]) ?? dense(x, origin: graph[node].origin)
      .reshaped([1, steps * batch, inputs])!
    let w =
      w.reshaped([1, rows.product, inputs]) ?? dense(w, origin: graph[node].origin)
      .reshaped([1, rows.product, inputs])!
    let output = newStorage(TensorType(.float32, [1, steps * batch, rows.product]))
    let workload = MatmulWorkload(
      a: x.view, b: w.view.permuted([0, 2, 1]), bIsConstant: tensor(w) != nil, epilogue: Epilogue(output: output.view))
    emit(.matmul(workload), [x, w], output, origins: origins(node))
    return output.reshaped([steps, batch] + rows)!
  }

  /// nil if they are all 0, as where the model has none.
  private mutating func peepholes(_ node: NodeID, _ given: Placement, _ shape: Shape) throws -> Placement? {
    if let (_, tensor) = tensor(given), tensor.doubles.allSatisfy({ $0 == 0 }) { return nil }
    return given.reshaped(shape) ?? dense(given, origin: graph[node].origin).reshaped(shape)!
  }
}

extension Recurrent {
  fileprivate var workloadKind: RecurrentWorkload.Kind {
    switch kind {
    case .rnn: .rnn
    case .gru: .gru(resetsAfter: linearBeforeReset)
    case .lstm: .lstm(isCoupled: inputForget)
    }
  }

  fileprivate var workloadDirection: RecurrentWorkload.Direction {
    switch direction {
    case .forward: .forward
    case .reverse: .reverse
    case .bidirectional: .both
    }
  }
}

extension Activation {
  /// On one f32 input, which is first clamped to ±clip (0: it is not).
  fileprivate func expression(clip: Double) -> Expression {
    Expression(inputs: [.float32]) { e in
      func constant(_ value: Double) -> Expression.Operand { e.constant(value, .float32) }
      var x = e.input(0)
      if clip > 0 { x = e.binary(.maximum, e.binary(.minimum, x, constant(clip)), constant(-clip)) }
      let zero = constant(0)
      switch function {
      case .relu: return e.binary(.maximum, x, zero)
      case .tanh: return e.unary(.tanh, x)
      case .sigmoid: return e.unary(.sigmoid, x)
      case .affine: return e.binary(.add, e.binary(.multiply, x, constant(alpha)), constant(beta))
      case .leakyRelu:
        return e.select(e.binary(.less, x, zero), e.binary(.multiply, x, constant(alpha)), x)
      case .thresholdedRelu: return e.select(e.binary(.greaterEqual, x, constant(alpha)), x, zero)
      case .scaledTanh:
        return e.binary(.multiply, e.unary(.tanh, e.binary(.multiply, x, constant(beta))), constant(alpha))
      case .hardSigmoid:
        let line = e.binary(.add, e.binary(.multiply, x, constant(alpha)), constant(beta))
        return e.binary(.minimum, e.binary(.maximum, line, zero), constant(1))
      case .elu:
        return e.select(e.binary(.less, x, zero), e.binary(.multiply, e.unary(.expm1, x), constant(alpha)), x)
      case .softsign: return e.binary(.divide, x, e.binary(.add, e.unary(.abs, x), constant(1)))
      case .softplus:
        let tail = e.unary(.log1p, e.unary(.exp, e.unary(.negate, e.unary(.abs, x))))
        return e.binary(.add, e.binary(.maximum, x, zero), tail)
      }
    }
  }
}

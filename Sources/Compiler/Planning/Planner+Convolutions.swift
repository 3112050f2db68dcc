import GraphIR
import Kernels
import TensorTypes

// Convolutions as workloads: plain ones, those that are matrix products, and transposed ones phase by phase.

extension Planner {
  mutating func plan(_ given: Convolve, _ node: NodeID) throws {
    let w = try placement(operand(node, 1))
    let all = try placement(operand(node, 0))
    let order = Self.spaceOrder(all.view.rank, given.layout)
    let output = complete(node)
    var (op, x) = given.readingEach(all.transposed(order), weights: w.view, output: output.transposed(order).view)
    if op.isProduct(w.view.shape) {
      // Every few positions, copied once, are a matrix; each task of a convolution would copy its patch.
      if op != given, x.view.collapsing(1..<x.view.rank - 1) == nil { x = dense(x, origin: graph[node].origin) }
      if try emitPointwise(op, node, x, w, output, order) { return }
    }
    let arranged = try epilogue(node, output) { $0.permuted(order) }!
    var workload = ConvolutionWorkload(
      x: x.view, w: Self.convolutionWeights(w.view, groups: op.groups), wIsConstant: tensor(w) != nil,
      wLimit: limit(w, besides: x.view), strides: op.strides, dilations: op.dilations, padsBefore: op.padsBefore,
      border: op.border == 0 ? nil : op.border, groups: op.groups, mayRound: op.mayRound, epilogue: arranged.epilogue)
    let readable = withChannelsReadable(x, channelsPerGroup: w.view.shape[1], output.transposed(order), node)
    workload.x = readable.view
    let input = withChannelsInnermost(readable, where: workload, node)
    workload.x = input.view
    emit(.convolution(workload.withLongRows), [input, w] + arranged.operands, output, origins: origins(node))
  }

  /// With a channel a group there is no sum over channels to fill vectors with: they hold channels instead, which must
  /// lie side by side, or positions of a row, if those do in input and output. Otherwise a copy of the input's part under
  /// a task is made in any case.
  private mutating func withChannelsReadable(
    _ x: Placement, channelsPerGroup: Dim, _ output: Placement, _ node: NodeID
  ) -> Placement {
    guard channelsPerGroup == 1, x.view.strides.last != 1, x.view.shape.last != 1, !hasRows(x.view, output.view) else {
      return x
    }
    return dense(x, origin: graph[node].origin)
  }

  /// x with channels innermost, copied if the kernel gains more than a copy costs.
  private mutating func withChannelsInnermost(
    _ x: Placement, where workload: ConvolutionWorkload, _ node: NodeID
  ) -> Placement {
    guard x.view.strides.last != 1, x.view.shape.last != 1, !workload.epilogue.output.isEmpty else { return x }
    var copied = workload
    copied.x = View(x.view.element, x.view.shape)
    // Elements are turned around in registers.
    let copying = 1.5 * Double(x.view.shape.product.estimate)
    guard let there = templates.cycles(for: .convolution(copied.withLongRows), on: machine),
      let here = templates.cycles(for: .convolution(workload.withLongRows), on: machine), there + copying < here
    else { return x }
    return dense(x, origin: graph[node].origin)
  }

  /// `[O, C, tap…]` as dimensions group, tap…, channel, output channel.
  private static func convolutionWeights(_ w: View, groups: Int) -> View {
    let outputs = w.shape[0].divided(exactlyBy: Dim(groups))!
    let taps = 2..<w.rank
    return View(
      w.element, [Dim(groups)] + taps.map { w.shape[$0] } + [w.shape[1], outputs],
      strides: [w.strides[0] * outputs] + taps.map { w.strides[$0] } + [w.strides[1], w.strides[0]])
  }

  /// A convolution of one tap: a matrix product of positions by channels; of outputs by channels where positions, not
  /// channels, lie side by side in x and in the result.
  private mutating func emitPointwise(
    _ op: Convolve, _ node: NodeID, _ x: Placement, _ w: Placement, _ output: Placement, _ order: [Int]
  ) throws -> Bool {
    let rank = x.view.rank
    if hasRows(x.view, output.transposed(order).view), try emitTransposedPointwise(op, node, x, w, output, order) {
      return true
    }
    let all: (View) -> View? = { $0.collapsing(0..<rank - 1).map { $0.insertingBatch() } }
    let images: (View) -> View? = { $0.collapsing(1..<rank - 1) }
    for collapse in [all, images] {
      let arrange: (View) -> View? = { collapse($0.permuted(order)) }
      guard let a = collapse(x.view), arrange(output.view) != nil, let arranged = try epilogue(node, output, arrange)
      else { continue }
      let b = View(
        w.view.element, [a.shape[0], w.view.shape[1], w.view.shape[0]],
        strides: [0, w.view.strides[1], w.view.strides[0]])
      let workload = MatmulWorkload(
        a: a, b: b, bIsConstant: tensor(w) != nil, bLimit: limit(w, besides: a), mayRound: op.mayRound,
        epilogue: arranged.epilogue)
      emit(.matmul(workload), [x, w] + arranged.operands, output, origins: origins(node))
      return true
    }
    return false
  }

  /// `y[n, o, p] = Σ w[o, c] · x[n, c, p]`
  private mutating func emitTransposedPointwise(
    _ op: Convolve, _ node: NodeID, _ x: Placement, _ w: Placement, _ output: Placement, _ order: [Int]
  ) throws -> Bool {
    let rank = x.view.rank
    let arrange: (View) -> View? = { $0.collapsing(1..<rank - 1).map { $0.permuted([0, 2, 1]) } }
    guard x.view.element == .float32, w.view.element == .float32, let b = arrange(x.view),
      let arranged = try epilogue(node, output, { arrange($0.permuted(order)) })
    else {
      return false
    }
    let a = View(
      w.view.element, [b.shape[0], w.view.shape[0], w.view.shape[1]],
      strides: [0, w.view.strides[0], w.view.strides[1]])
    let workload = MatmulWorkload(
      a: a, b: b, aIsConstant: tensor(w) != nil && tensor(x) == nil, bIsConstant: false, mayRound: op.mayRound,
      epilogue: arranged.epilogue)
    emit(.matmul(workload), [w, x] + arranged.operands, output, origins: origins(node))
    return true
  }

  /// Whether neighbours along the last space dimension lie side by side in both, of dimensions n, space…, channel, and
  /// channels do not.
  private func hasRows(_ x: View, _ y: View) -> Bool {
    let row = x.rank - 2
    return [x, y].allSatisfy { $0.strides[row] == 1 && $0.strides[row + 1] != 1 }
  }

  // MARK: Transposed

  /// Output positions that are equal modulo the strides take part in the same taps: each such phase is an ordinary
  /// convolution of stride 1, whose results lie `stride` apart in the output (sub-pixel convolution: Shi et al., "Is the
  /// deconvolution layer the same as a convolutional layer?", 2016).
  mutating func plan(_ op: ConvolveTransposed, _ node: NodeID) throws {
    let (x, w) = (try placement(operand(node, 0)), try placement(operand(node, 1)))
    let order = Self.spaceOrder(x.view.rank, op.layout)
    let output = complete(node)
    let input = withChannelsReadable(
      x.transposed(order), channelsPerGroup: w.view.shape[0].divided(exactlyBy: Dim(op.groups)) ?? 0,
      output.transposed(order), node)
    let arranged = try epilogue(node, output) { $0.permuted(order) }!
    var choices: [[SubpixelPhase]] = [[]]
    for d in op.strides.indices {
      let phases = (0..<op.strides[d]).map {
        SubpixelPhase(op, dimension: d, kernel: w.view.shape[2 + d].constant!, $0)
      }
      choices = choices.flatMap { chosen in phases.map { chosen + [$0] } }
    }
    for phases in choices {
      let epilogue = arranged.epilogue
      let piece = output.transposed(order).phase(phases)
      // A phase past the end of a small output has nothing to do.
      if piece.view.shape.contains(where: { $0.constant.map { $0 <= 0 } ?? false }) { continue }
      let operands = zip(arranged.operands, epilogue.operands).map {
        Placement(
          storage: $0.storage, offset: $0.offset, view: $1
        ).phase(phases)
      }
      let finish = Epilogue(expression: epilogue.expression, operands: operands.map(\.view), output: piece.view)
      guard phases.allSatisfy({ $0.taps > 0 }) else {
        emit(.elementwise(finish.ofZero), operands, piece, origins: origins(node))
        continue
      }
      let weights = Self.transposedWeights(w, groups: op.groups, phases)
      let workload = ConvolutionWorkload(
        x: input.view, w: weights.view, wIsConstant: tensor(w) != nil,
        strides: phases.map { _ in 1 }, dilations: phases.map(\.dilation), padsBefore: phases.map(\.padBefore),
        groups: op.groups, epilogue: finish)
      emit(.convolution(workload), [input, weights] + operands, piece, origins: origins(node))
    }
  }

  /// The taps of a phase, out of `[C, O / groups, tap…]`, as dimensions group, tap…, channel, output channel.
  private static func transposedWeights(_ w: Placement, groups: Int, _ phases: [SubpixelPhase]) -> Placement {
    let (shape, strides) = (w.view.shape, w.view.strides)
    let channels = shape[0].divided(exactlyBy: Dim(groups))!
    var result = w
    for (d, phase) in phases.enumerated() {
      result.offset = result.offset + Dim(phase.firstTap) * strides[2 + d]
    }
    result.view = View(
      w.view.element, [Dim(groups)] + phases.map { Dim($0.taps) } + [channels, shape[1]],
      strides: [channels * strides[0]] + phases.enumerated().map { Dim($1.tapStep) * strides[2 + $0] }
        + [strides[0], strides[1]])
    return result
  }
}

extension Convolve {
  /// The same with strides of 1 along dimensions of one tap without a border, and of x only what is read then: its
  /// neighbours would be copied to a patch for nothing. Where channels lie side by side; else whole rows are soonest read.
  /// - Parameters:
  ///   - x: dimensions n, space…, channel, as `output`.
  fileprivate func readingEach(_ x: Placement, weights: View, output: View) -> (Convolve, Placement) {
    var (op, read) = (self, x)
    guard x.view.strides.last == 1 else { return (op, x) }
    for d in strides.indices
    where strides[d] > 1 && weights.shape[2 + d] == 1 && padsBefore[d] == 0 && padsAfter[d] == 0 {
      op.strides[d] = 1
      read.view.shape[1 + d] = output.shape[1 + d]
      read.view.strides[1 + d] = x.view.strides[1 + d] * Dim(strides[d])
    }
    return (op, read)
  }

  /// Whether it takes one tap, of every position: a matrix product.
  func isProduct(_ weights: Shape) -> Bool {
    groups == 1 && weights.dropFirst(2).allSatisfy { $0 == 1 } && strides.allSatisfy { $0 == 1 }
      && (padsBefore + padsAfter).allSatisfy { $0 == 0 }
  }
}

/// One residue of the output's positions along one dimension of a transposed convolution.
///
/// Output `q = ρ + s·j` takes input `i` at tap `t` where `q = i·s + t·δ − pad`. The taps that can be are `t₀, t₀ + s/g,
/// t₀ + 2s/g …` with `g = gcd(δ, s)`, at inputs `j + c, j + c − δ/g, …` with `c = (ρ + pad − t₀·δ) / s`: taken from the
/// last to the first, a convolution of dilation `δ/g`.
private struct SubpixelPhase {
  /// ρ
  let residue: Int
  /// s: outputs of the phase lie so far apart.
  let stride: Int
  /// How many; none if no input reaches these outputs.
  let taps: Int
  /// Where the convolution's first tap lies among the weights, and its next one from there (backwards).
  let firstTap: Int
  let tapStep: Int
  let dilation: Int
  /// May be negative.
  let padBefore: Int

  init(_ op: ConvolveTransposed, dimension d: Int, kernel: Int, _ residue: Int) {
    let (s, dilation, pad) = (op.strides[d], op.dilations[d], op.padsBefore[d])
    let period = s / gcd(dilation, s)
    (self.residue, stride, tapStep, self.dilation) = (residue, s, -period, dilation / gcd(dilation, s))
    let first = (0..<min(kernel, period)).first { (residue + pad - $0 * dilation) % s == 0 }
    guard let first else {
      (taps, firstTap, padBefore) = (0, 0, 0)
      return
    }
    taps = (kernel - first + period - 1) / period
    firstTap = first + (taps - 1) * period
    padBefore = (taps - 1) * self.dilation - (residue + pad - first * dilation) / s
  }
}

private func gcd(_ a: Int, _ b: Int) -> Int { b == 0 ? a : gcd(b, a % b) }

extension Placement {
  /// The positions of a phase, of dimensions n, space…, channel.
  fileprivate func phase(_ phases: [SubpixelPhase]) -> Placement {
    var copy = self
    for (d, phase) in phases.enumerated() {
      copy.offset = copy.offset + Dim(phase.residue) * view.strides[1 + d]
      copy.view.shape[1 + d] = (view.shape[1 + d] - Dim(phase.residue)).ceilDivided(by: Dim(phase.stride))
      copy.view.strides[1 + d] = view.strides[1 + d] * Dim(phase.stride)
    }
    return copy
  }
}

extension Epilogue {
  /// What it makes of zeros.
  fileprivate var ofZero: ElementwiseWorkload {
    let types = expression.inputTypes
    let onlyOperands = Expression(inputs: Array(types.dropFirst())) { e in
      let zero = e.constant(0, types[0])
      let others = types.indices.dropFirst().map { e.input($0 - 1) }
      return e.inline(expression, [zero] + others)
    }
    return ElementwiseWorkload(expression: onlyOperands, operands: operands, output: output)
  }
}

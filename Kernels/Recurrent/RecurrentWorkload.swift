import TensorTypes

/// The recurrence of an RNN, GRU or LSTM over S steps of batch B, with H hidden units, G gates (1; 3: z r h; 4: i o f c)
/// and D directions, the input's part of every gate being there already. See GraphIR's `Recurrent` for the equations.
public struct RecurrentWorkload: Hashable, Sendable, Codable {
  public enum Kind: Hashable, Sendable, Codable {
    case rnn
    /// Whether the reset gate acts after the product with the weights, not before.
    case gru(resetsAfter: Bool)
    /// Whether the forget gate is 1 − input gate.
    case lstm(isCoupled: Bool)
  }
  public enum Direction: Hashable, Sendable, Codable { case forward, reverse, both }

  public var kind: Kind
  public var direction: Direction
  /// A direction after the other; each of one f32 input, clipping done.
  public var activations: [Expression]
  /// The inputs' part. Dimensions S, B, D, G, H.
  public var projected: View
  /// Dimensions D·G, H (of the state), H (of the result).
  public var weights: View
  /// Whether `weights` is a constant, so that it may be packed at compile time.
  public var weightsAreConstant: Bool
  /// Dimensions D, 2 (input's, state's), G, H.
  public var bias: View
  /// Dimensions D, B, H.
  public var hidden: View
  /// LSTM: dimensions D, B, H.
  public var cell: View?
  /// LSTM: dimensions D, 3 (i o f), H.
  public var peepholes: View?
  /// Steps of each sequence; beyond them the output is 0.
  public var lengths: View?
  /// Dimensions S, D, B, H.
  public var output: View
  /// Dimensions D, B, H.
  public var lastHidden: View
  /// LSTM: dimensions D, B, H.
  public var lastCell: View?

  public init(
    kind: Kind, direction: Direction, activations: [Expression], projected: View, weights: View,
    weightsAreConstant: Bool, bias: View, hidden: View, cell: View?, peepholes: View?, lengths: View?, output: View,
    lastHidden: View, lastCell: View?
  ) {
    (self.kind, self.direction, self.activations) = (kind, direction, activations)
    (self.projected, self.weights, self.weightsAreConstant) = (projected, weights, weightsAreConstant)
    (self.bias, self.hidden, self.cell, self.peepholes) = (bias, hidden, cell, peepholes)
    (self.lengths, self.output, self.lastHidden, self.lastCell) = (lengths, output, lastHidden, lastCell)
  }

  public var operands: [View] {
    [projected, weights, bias, hidden] + [cell, peepholes, lengths].compactMap { $0 }
  }
  public var extraOutputs: [View] { [lastHidden] + [lastCell].compactMap { $0 } }

  var gates: Int {
    switch kind {
    case .rnn: 1
    case .gru: 3
    case .lstm: 4
    }
  }
  /// Activations of one direction.
  var activationCount: Int {
    switch kind {
    case .rnn: 1
    case .gru: 2
    case .lstm: 3
    }
  }
}

import GraphIR

extension GraphPass {
  /// Drops nodes and constants that no output needs.
  static let deadCode = GraphPass("deadCode") { $0.withoutDeadNodes() }
}

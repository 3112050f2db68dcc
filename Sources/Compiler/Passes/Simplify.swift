extension GraphPass {
  /// The algebraic equations of `simplificationRules`, to a fixed point.
  static let simplify = GraphPass("simplify") { try GraphRewriter.rewrite($0, simplificationRules) }
}

/// What every rewriting pass keeps applying to what it builds, so that graphs stay in normal form.
let simplificationRules: [Rule] = foldingRules + elementwiseRules + movementRules + attentionMovementRules

import GraphIR

extension GraphPass {
  /// Finds what exporters spell out (normalisations, activations, softmax, attention) and writes it as the op that a
  /// kernel computes in one go.
  static let recognise = GraphPass(
    "recognise",
    logging: { graph, log in
      try GraphRewriter.rewrite(
        graph, recognitionRules + simplificationRules, notes: log.map { RecognitionNotes($0, of: recognitionRules) })
    })

  /// Finds products of quantised numbers, before anything decides what becomes of quantised weights otherwise.
  static let recogniseIntegerProducts = GraphPass("recogniseIntegerProducts") { graph in
    try GraphRewriter.rewrite(graph, integerProductRules + simplificationRules)
  }

  /// Multiplies constant factors into constant weights.
  static let foldScaleIntoWeights = GraphPass("foldScaleIntoWeights") { graph in
    try GraphRewriter.rewrite(graph, weightRules + simplificationRules)
  }
}

/// From the small to the large: attention looks for a softmax, its causal form for attention.
let recognitionRules: [Rule] =
  normalizationRules + activationRules + softmaxRules + attentionRules + causalRules + interleavingRules + concatRules

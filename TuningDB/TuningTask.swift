/// What was to be computed: a workload's full text, never only its hash.
public struct TuningTask: Hashable, Sendable, Codable {
  /// `matmul`, `convolution`, …
  public var family: String
  /// The workload as JSON, keys sorted, a model's names for sizes replaced by `s0`, `s1`, … in the order of their
  /// first appearance: two models' equal tasks have equal texts.
  public var text: String

  public init(family: String, text: String) {
    self.family = family
    self.text = text
  }
}

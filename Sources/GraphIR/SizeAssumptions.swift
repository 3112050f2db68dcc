import TensorTypes

/// Sizes that inference took to be equal, since nothing says that they are not: what must be checked when they have
/// values.
public final class SizeAssumptions: @unchecked Sendable {
  @TaskLocal private static var current: SizeAssumptions?

  /// Used by the task that collects only.
  private var pairs: [(Dim, Dim)] = []

  /// The pairs that inference assumes equal while `body` runs.
  public static func made(by body: () throws -> Void) rethrows -> [(Dim, Dim)] {
    let assumptions = SizeAssumptions()
    try $current.withValue(assumptions) { try body() }
    return assumptions.pairs
  }

  static func note(_ a: Dim, equals b: Dim) { current?.pairs.append((a, b)) }
}

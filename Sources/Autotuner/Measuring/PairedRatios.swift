import Foundation

/// Ratios of a challenger's times to another's, one a round: both ran in the round, so what slows the machine down
/// for a while slows both.
public struct PairedRatios: Sendable {
  public private(set) var sorted: [Double]

  /// - Precondition: `ratios` is not empty, all above 0.
  public init(_ ratios: [Double]) {
    precondition(!ratios.isEmpty, "at least one round")
    sorted = ratios.sorted()
  }

  public init(_ times: [Double], over others: [Double]) { self.init(zip(times, others).map { $0 / $1 }) }

  public var median: Double { Self.quantile(sorted, 0.5) }

  /// The confidence interval of the median from order statistics, which assumes nothing of how times are spread
  /// (David & Nagaraja, Order Statistics, 2003, section 7.1): with n rounds the median lies below the k-th smallest
  /// ratio with probability P(Bin(n, ½) < k).
  /// - Returns: nil if there are too few rounds: fewer than 8 at 99 %.
  public func interval(confidence: Double = 0.99) -> ClosedRange<Double>? {
    let n = sorted.count
    let allowed = (1 - confidence) / 2
    var probability = pow(0.5, Double(n))
    var below = probability
    guard below <= allowed else { return nil }
    var k = 1
    while k < n / 2 {
      probability *= Double(n - k + 1) / Double(k)
      guard below + probability <= allowed else { break }
      below += probability
      k += 1
    }
    return sorted[k - 1]...sorted[n - k]
  }

  /// Between neighbours by straight line.
  static func quantile(_ sorted: [Double], _ q: Double) -> Double {
    let position = q * Double(sorted.count - 1)
    let below = Int(position)
    let above = min(below + 1, sorted.count - 1)
    return sorted[below] + (position - Double(below)) * (sorted[above] - sorted[below])
  }
}

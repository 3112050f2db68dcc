import Compiler
import Foundation
import Kernels
import TuningDB

/// Predicts a candidate's time over the default's from its knobs and the task's sizes: ridge regression over powers
/// and products of logarithms (Hoerl & Kennard, 1970), an equation a template. Learned from trials of this task and,
/// with less weight, from the database's records of others.
struct CostModel {
  private var weights: [String: (names: [String], coefficients: [Double])] = [:]

  struct Sample {
    var candidate: Candidate
    /// The task's sizes, which knobs act together with.
    var work: Work
    /// Natural logarithm of the ratio to the default.
    var cost: Double
    var weight: Double
  }

  /// Templates with fewer samples than this are not judged.
  private static let least = 12
  private static let ridge = 0.3

  init(_ samples: [Sample]) {
    for (template, group) in Dictionary(grouping: samples, by: \.candidate.template) where group.count >= Self.least {
      let names = group[0].candidate.knobs.values.keys.sorted()
      let usable = group.filter { $0.candidate.knobs.values.keys.sorted() == names }
      weights[template] = (names, Self.fit(usable, names))
    }
  }

  /// Expected logarithm of the ratio; nil where nothing was learned.
  func cost(_ candidate: Candidate, _ work: Work) -> Double? {
    guard let (names, coefficients) = weights[candidate.template] else { return nil }
    return zip(Self.features(candidate, work, names), coefficients).reduce(0) { $0 + $1.0 * $1.1 }
  }

  private static func features(_ candidate: Candidate, _ work: Work, _ names: [String]) -> [Double] {
    let knobs = names.map { log2(1 + Double(min(candidate.knobs.values[$0] ?? 0, 1 << 16))) / 4 }
    let sizes = [log2(1 + work.operations) / 16, log2(1 + work.bytes) / 16, log2(1 + Double(work.reduction)) / 8]
    var features = [1.0] + knobs + sizes
    for (i, x) in knobs.enumerated() {
      for y in knobs[i...] { features.append(x * y) }
      for y in sizes { features.append(x * y) }
    }
    return features
  }

  /// Minimises Σ weight · (cost − f·c)² + ridge · |c|², by Cholesky on the normal equations.
  private static func fit(_ samples: [Sample], _ names: [String]) -> [Double] {
    let rows = samples.map { features($0.candidate, $0.work, names) }
    let n = rows[0].count
    var a = [[Double]](repeating: [Double](repeating: 0, count: n), count: n)
    var b = [Double](repeating: 0, count: n)
    for (row, sample) in zip(rows, samples) {
      for i in 0..<n {
        b[i] += sample.weight * row[i] * sample.cost
        for j in 0...i { a[i][j] += sample.weight * row[i] * row[j] }
      }
    }
    for i in 0..<n { a[i][i] += ridge }
    for i in 0..<n {
      for j in 0...i {
        let sum = (0..<j).reduce(a[i][j]) { $0 - a[i][$1] * a[j][$1] }
        a[i][j] = i == j ? max(sum, 1e-12).squareRoot() : sum / a[j][j]
      }
    }
    for i in 0..<n { b[i] = (0..<i).reduce(b[i]) { $0 - a[i][$1] * b[$1] } / a[i][i] }
    for i in (0..<n).reversed() { b[i] = (i + 1..<n).reduce(b[i]) { $0 - a[$1][i] * b[$1] } / a[i][i] }
    return b
  }
}

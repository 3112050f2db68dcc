import Compiler
import Foundation
import Kernels
import TuningDB

/// Predicts the logarithm of a candidate's time over the default's: a Gaussian process (Rasmussen & Williams, 2006,
/// algorithm 2.1) over the logarithms of a template's knobs. Learned from the trials of a task and from records of
/// others, which count the less the more their sizes differ.
struct CostModel {
  struct Sample {
    var candidate: Candidate
    /// Of the task that it was measured for.
    var work: Work
    /// Natural logarithm of the ratio to the default.
    var cost: Double
  }

  /// Samples of one template, and what they say.
  private struct Process {
    var names: [String]
    var points: [[Double]]
    var works: [[Double]]
    /// Lower triangle of the Cholesky factor of the samples' covariance, rows one after another.
    var factor: [[Double]]
    /// Covariance⁻¹ · costs.
    var weights: [Double]
  }
  private var processes: [String: Process] = [:]

  /// More samples than this are not used, of a template: the first ones are.
  private static let most = 240
  /// Variance of costs before anything is known, that of a measurement, and what is left between equal knobs of tasks.
  private static let (prior, noise) = (0.15, 0.0012)
  /// Octaves of a knob, and of a task's sizes, over which costs are alike.
  private static let (knobScale, workScale) = (1.5, 4.0)

  /// - Parameter samples: the most telling first.
  init(_ samples: [Sample]) {
    for (template, group) in Dictionary(grouping: samples, by: \.candidate.template) {
      let names = group[0].candidate.knobs.values.keys.sorted()
      let usable = group.filter { $0.candidate.knobs.values.keys.sorted() == names }.prefix(Self.most)
      processes[template] = Self.learn(Array(usable), names)
    }
  }

  /// Expected logarithm of the ratio and its standard deviation; nil of a template of which nothing is known.
  func cost(_ candidate: Candidate, _ work: Work) -> (mean: Double, deviation: Double)? {
    guard let process = processes[candidate.template] else { return nil }
    let (point, place) = (Self.point(candidate, process.names), Self.place(work))
    let covariances = zip(process.points, process.works).map { Self.covariance(point, place, $0, $1) }
    let mean = zip(covariances, process.weights).reduce(0) { $0 + $1.0 * $1.1 }
    let solved = Self.forward(process.factor, covariances)
    let variance = Self.prior - solved.reduce(0) { $0 + $1 * $1 }
    return (mean, max(0, variance).squareRoot())
  }

  // MARK: Learning

  private static func learn(_ samples: [Sample], _ names: [String]) -> Process {
    let points = samples.map { point($0.candidate, names) }
    let works = samples.map { place($0.work) }
    var factor: [[Double]] = []
    for i in samples.indices {
      var row: [Double] = []
      for j in 0...i {
        let own = covariance(points[i], works[i], points[j], works[j]) + (i == j ? noise : 0)
        let known = zip(row, i == j ? row : factor[j]).reduce(0) { $0 + $1.0 * $1.1 }
        row.append(i == j ? max(own - known, 1e-9).squareRoot() : (own - known) / factor[j][j])
      }
      factor.append(row)
    }
    // What is far above the default is merely bad; how bad teaches nothing about the good ones.
    let costs = samples.map { min($0.cost, 1) }
    return Process(names: names, points: points, works: works, factor: factor, weights: solve(factor, costs))
  }

  /// L⁻¹ · b
  private static func forward(_ factor: [[Double]], _ b: [Double]) -> [Double] {
    var x: [Double] = []
    x.reserveCapacity(b.count)
    for (i, row) in factor.enumerated() {
      var sum = b[i]
      for j in 0..<i { sum -= row[j] * x[j] }
      x.append(sum / row[i])
    }
    return x
  }

  /// (L · Lᵀ)⁻¹ · b
  private static func solve(_ factor: [[Double]], _ b: [Double]) -> [Double] {
    var x = forward(factor, b)
    for i in x.indices.reversed() {
      var sum = x[i]
      for j in (i + 1)..<x.count { sum -= factor[j][i] * x[j] }
      x[i] = sum / factor[i][i]
    }
    return x
  }

  // MARK: Likeness

  /// Octaves. Blocks that hold all there is are not far from large ones.
  private static func point(_ candidate: Candidate, _ names: [String]) -> [Double] {
    names.map { log2(1 + Double(min(candidate.knobs.values[$0] ?? 0, 1 << 11))) }
  }

  private static func place(_ work: Work) -> [Double] {
    [log2(1 + work.operations), log2(1 + work.bytes), log2(1 + Double(work.reduction))]
  }

  /// Half of it knob by knob, since most knobs act by themselves; half of all together.
  private static func covariance(_ a: [Double], _ workA: [Double], _ b: [Double], _ workB: [Double]) -> Double {
    var (alone, all) = (0.0, 0.0)
    for (x, y) in zip(a, b) {
      let distance = (x - y) * (x - y) / (2 * knobScale * knobScale)
      alone += exp(-distance)
      all += distance
    }
    let together = exp(-all / 2)
    let apart = zip(workA, workB).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    let alike = exp(-apart / (2 * workScale * workScale))
    return prior * alike * (a.isEmpty ? 1 : 0.5 * alone / Double(a.count) + 0.5 * together)
  }
}

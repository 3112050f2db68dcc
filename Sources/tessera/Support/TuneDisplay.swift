import Autotuner
import Compiler
import Foundation
import Kernels
import TuningDB

/// A tune as it goes on: one JSON line a trial, or lines for people.
final class TuneDisplay: @unchecked Sendable {
  private let format: OutputFormat
  private let isTerminal = isatty(2) != 0

  init(format: OutputFormat) { self.format = format }

  /// What is printed of a trial as JSON.
  private struct Line: Encodable {
    var family: String
    var template: String
    var knobs: [String: Int]
    var isDefault: Bool
    var status: String
    var medianNanoseconds: Double?
    var ratio: Double?
    var ratioLow: Double?
    var ratioHigh: Double?
    var best: Double

    enum CodingKeys: String, CodingKey {
      case family, template, knobs, status, ratio, best
      case isDefault = "default"
      case medianNanoseconds = "median_ns"
      case ratioLow = "ratio_low"
      case ratioHigh = "ratio_high"
    }
  }

  func trial(_ tuner: TaskTuner, _ trial: Trial) {
    guard format == .json else { return }
    let timing = trial.timing
    try? Console.print(
      json: Line(
        family: tuner.task.task.family, template: trial.candidate.template, knobs: trial.candidate.knobs.values,
        isDefault: trial.candidate == tuner.baseline, status: trial.status.rawValue,
        medianNanoseconds: timing?.median, ratio: timing?.ratio, ratioLow: timing?.ratioLow,
        ratioHigh: timing?.ratioHigh, best: tuner.bestRatio))
  }

  func step(_ tuner: ModelTuner, _ number: Int, _ used: Double) {
    guard isTerminal else { return }
    let share = tuner.shares[number]
    let time = tuner.time
    let text = String(
      format: "[%2.0f %%] task %d of %d, %@: best %.3f of the default, %d trials; model %.3f of the default",
      used * 100, number + 1, tuner.shares.count, String(share.label.prefix(40)), share.tuner.bestRatio,
      share.tuner.trials.count, time.tuned / max(1, time.usual))
    FileHandle.standardError.write(Data("\r\u{1B}[K\(text)".utf8))
  }

  func finish(_ tuner: ModelTuner) {
    if isTerminal { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) }
    guard format == .text else { return }
    for share in tuner.shares.sorted(by: { $0.tuner.work.operations > $1.tuner.work.operations }) {
      Console.print(Self.summary(share))
    }
    let time = tuner.time
    let trials = tuner.shares.reduce(0) { $0 + $1.tuner.trials.count { !$0.isReused } }
    Console.print(
      String(
        format: "tuned kernels take %.3f of the defaults' time; %d trials", time.tuned / max(1, time.usual), trials))
  }

  static func summary(_ share: ModelTuner.Share) -> String {
    let tuner = share.tuner
    let failures = tuner.trials.count { $0.status != .ok }
    var parts = ["\(share.calls)× \(share.label.isEmpty ? tuner.task.task.family : share.label):"]
    guard let usual = tuner.baselineTime else { return parts[0] + " not measured" }
    let rate = String(
      format: "default %.1f µs, %.1f Gop/s, %.1f GB/s", usual / 1000, tuner.work.operations / usual,
      tuner.work.bytes / usual)
    parts.append(rate)
    if let best = tuner.best, let timing = best.timing {
      let knobs = best.candidate.knobs.values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
      parts.append(
        String(format: "→ %.3f of it (99 %%: %.3f to %.3f)", timing.ratio, timing.ratioLow, timing.ratioHigh))
      parts.append("by \(best.candidate.template) \(knobs.joined(separator: " "))")
    } else {
      parts.append("nothing better")
    }
    parts.append("(\(tuner.trials.count) trials\(failures > 0 ? ", \(failures) failed" : ""))")
    return parts.joined(separator: " ")
  }
}

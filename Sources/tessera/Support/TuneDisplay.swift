import Autotuner
import Compiler
import Foundation
import Kernels
import TuningDB

/// A tune as it goes on: one JSON line a trial on stdout, or for people what became better, and on a terminal a line that
/// says where it is.
final class TuneDisplay: @unchecked Sendable {
  private let format: OutputFormat
  private let isTerminal = isatty(2) != 0
  /// Of each task the best ratio that was shown.
  private var shown: [String: Double] = [:]
  private let started = ContinuousClock().now
  var roofline: Roofline?

  init(format: OutputFormat) { self.format = format }

  /// What is printed of a trial as JSON.
  private struct Line: Encodable {
    var task: String
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
      case task, template, knobs, status, ratio, best
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
        task: tuner.task.workload.summary, template: trial.candidate.template, knobs: trial.candidate.knobs.values,
        isDefault: trial.candidate == tuner.baseline, status: trial.status.rawValue,
        medianNanoseconds: timing?.median, ratio: timing?.ratio, ratioLow: timing?.ratioLow,
        ratioHigh: timing?.ratioHigh, best: tuner.bestRatio))
  }

  /// Before a batch: what has become better since, then where the tune is.
  func step(_ tuner: ModelTuner, _ number: Int, _ used: Double) {
    if format == .text { showNews(tuner) }
    guard isTerminal else { return }
    let share = tuner.shares[number]
    let time = tuner.time
    let elapsed = (ContinuousClock().now - started) / .seconds(1)
    let left = used > 0.01 ? Self.duration(elapsed / used - elapsed) : "?"
    let trials = tuner.shares.reduce(0) { $0 + $1.tuner.trials.count }
    let text = String(
      format: "[%2.0f %%, at most %@ left] model at %.3f of the defaults' time, %d trials; now %@", used * 100, left,
      time.tuned / max(1, time.usual), trials, String(Self.name(share).prefix(50)))
    clearLine()
    FileHandle.standardError.write(Data(text.utf8))
  }

  private func showNews(_ tuner: ModelTuner) {
    for share in tuner.shares where share.tuner.bestRatio < shown[share.tuner.task.task.text, default: 1] * 0.995 {
      shown[share.tuner.task.task.text] = share.tuner.bestRatio
      // What an earlier tune found is no news.
      guard share.tuner.best?.isReused == false else { continue }
      clearLine()
      Console.say(summary(share))
    }
  }

  func finish(_ tuner: ModelTuner) {
    clearLine()
    let time = tuner.time
    let trials = tuner.shares.reduce(0) { $0 + $1.tuner.trials.count { !$0.isReused } }
    let known = tuner.shares.reduce(0) { $0 + $1.tuner.trials.count(where: \.isReused) }
    let text = String(
      format: "tuned kernels take %.3f of the defaults' time (%.2f of %.2f ms); %d trials, %d known before",
      time.tuned / max(1, time.usual), time.tuned / 1e6, time.usual / 1e6, trials, known)
    guard format == .text else { return Console.say(text) }
    for share in tuner.shares.sorted(by: { Self.time($0) > Self.time($1) }) { Console.print(summary(share)) }
    Console.print(text)
  }

  private static func time(_ share: ModelTuner.Share) -> Double {
    Double(share.calls) * (share.tuner.baselineTime ?? 0)
  }

  private func clearLine() { if isTerminal { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) } }

  private static func duration(_ seconds: Double) -> String {
    seconds < 90 ? "\(Int(seconds)) s" : "\(Int(seconds / 60 + 0.5)) min"
  }

  private static func name(_ share: ModelTuner.Share) -> String {
    share.label.isEmpty ? share.tuner.task.workload.summary : share.label
  }

  private func summary(_ share: ModelTuner.Share) -> String {
    let tuner = share.tuner
    let failures = tuner.trials.count { $0.status != .ok }
    var parts = ["\(share.calls)× \(Self.name(share)):"]
    guard let usual = tuner.baselineTime else { return parts[0] + " not measured" }
    parts.append(String(format: "default %.1f µs", usual / 1000))
    if let best = tuner.best, let timing = best.timing {
      let knobs = best.candidate.knobs.values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
      parts.append(
        String(format: "→ %.1f (× %.3f, at most %.3f)", usual * timing.ratio / 1000, timing.ratio, timing.ratioHigh))
      parts.append("by \(best.candidate.template) \(knobs.joined(separator: " "))")
    } else {
      parts.append("stays")
    }
    if let share = roofline.flatMap({ tuner.share(of: $0) }) {
      // Winograd's algorithm multiplies less often, and may pass it.
      let isConvolution = if case .convolution = tuner.task.workload { true } else { false }
      parts.append(String(format: "at %.0f %% of the \(isConvolution ? "direct sum's " : "")roofline", 100 * share))
    }
    parts.append("(\(tuner.trials.count) trials\(failures > 0 ? ", \(failures) failed" : ""))")
    return parts.joined(separator: " ")
  }
}

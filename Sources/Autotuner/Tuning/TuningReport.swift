import Compiler
import Foundation
import Kernels
import TuningDB

/// What a tune found, as one HTML page that needs no network: for each task the best so far over the trials, the
/// default's and the tuned time, and failures by class.
public struct TuningReport {
  public let html: String

  public init(_ tuner: ModelTuner, _ roofline: Roofline, title: String) {
    let time = tuner.time
    let measured = tuner.shares.filter { $0.tuner.baselineTime != nil }
    let order = measured.map { (share: $0, gain: Self.gain($0), time: Self.time($0)) }
      .sorted { ($0.gain, $0.time) > ($1.gain, $1.time) }
    let rows = order.map { Self.row($0.share, roofline) }
    let others = tuner.shares.count - measured.count
    let note = others == 0 ? "" : "<p>\(others) more tasks take so little time that none was spent on them.</p>"
    let head = String(
      format: "%.2f ms by defaults, %.2f ms tuned, in the kernels' own time", time.usual / 1e6, time.tuned / 1e6)
    let peaks = String(
      format: "%.0f Gop/s in fp32 and %.1f GB/s of memory at most", roofline.operations, roofline.memoryRate)
    html = """
      <!doctype html><html lang="en"><meta charset="utf-8"><title>Tuning \(Self.escaped(title))</title>
      <style>\(Self.style)</style>
      <h1>Tuning \(Self.escaped(title))</h1><p>\(head). Machine: \(Self.escaped(Device.current.cpu)), \(peaks).</p>
      <table><tr><th>task</th><th>calls</th><th>default µs</th><th>tuned µs</th><th>ratio (99 %)</th>
      <th>Gop/s</th><th>of the roofline</th>
      <th>best so far</th><th>trials</th><th>failures</th></tr>
      \(rows.joined(separator: "\n"))
      </table>\(note)
      <p><small>Ratio: tuned over default, median of paired rounds, with its 99 % interval. The roofline is that of the direct
      sum, in the operands' types, of data that stay in the cache that holds them: Winograd's convolutions may pass it.</small></p></html>
      """
  }

  private static let style = """
    body{font:14px/1.5 system-ui,sans-serif;margin:2em;color:#1b1b1b;background:#fff}
    table{border-collapse:collapse}td,th{padding:.35em .8em;border-bottom:1px solid #ddd;text-align:right}
    td:first-child,th:first-child{text-align:left;max-width:32em}small{color:#666}
    polyline{fill:none;stroke:#0a62c9;stroke-width:1.5}line{stroke:#bbb}
    """

  private static func time(_ share: ModelTuner.Share) -> Double {
    Double(share.calls) * (share.tuner.baselineTime ?? 0)
  }

  private static func gain(_ share: ModelTuner.Share) -> Double {
    time(share) * (1 - share.tuner.bestRatio)
  }

  private static func row(_ share: ModelTuner.Share, _ roofline: Roofline) -> String {
    let tuner = share.tuner
    let usual = tuner.baselineTime ?? 0
    let knobs = tuner.best.map { best in
      let settings = best.candidate.knobs.values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
      return "\(best.candidate.template) \(settings.joined(separator: " "))"
    }
    let interval = tuner.best?.timing.map { String(format: "%.3f (%.3f–%.3f)", $0.ratio, $0.ratioLow, $0.ratioHigh) }
    let failures = Dictionary(grouping: tuner.trials.filter { $0.status != .ok }, by: \.status)
      .map { "\($0.value.count) \($0.key.rawValue)" }.sorted().joined(separator: ", ")
    let cells = [
      "\(escaped(share.label))<br><small>\(escaped(tuner.task.workload.summary))<br>\(escaped(knobs ?? "the default"))</small>",
      "\(share.calls)", String(format: "%.1f", usual / 1000), String(format: "%.1f", usual * tuner.bestRatio / 1000),
      interval ?? "1", usual > 0 ? String(format: "%.1f", tuner.work.operations / usual / tuner.bestRatio) : "",
      tuner.share(of: roofline).map { String(format: "%.0f %%", 100 * $0) } ?? "",
      curve(tuner.trials), "\(tuner.trials.count)", failures,
    ]
    return "<tr>" + cells.map { "<td>\($0)</td>" }.joined() + "</tr>"
  }

  /// The best ratio to the default after each trial, from 1 at the top to 0.5 or the best at the bottom.
  private static func curve(_ trials: [Trial]) -> String {
    let (width, height) = (160.0, 40.0)
    var best = 1.0
    var points = ["0,0"]
    let bottom = min(0.5, trials.compactMap(\.ratio).min() ?? 1)
    for (i, trial) in trials.enumerated() {
      best = min(best, trial.ratio ?? best)
      let (x, y) = (Double(i + 1) / Double(trials.count) * width, (1 - best) / (1 - bottom) * height)
      points.append(String(format: "%.1f,%.1f", x, y))
    }
    return """
      <svg width="\(Int(width))" height="\(Int(height) + 2)" role="img" aria-label="best so far over trials">\
      <line x1="0" y1="0" x2="\(Int(width))" y2="0"/><polyline points="\(points.joined(separator: " "))"/></svg>
      """
  }

  private static func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
      .replacingOccurrences(of: "\"", with: "&quot;")
  }
}

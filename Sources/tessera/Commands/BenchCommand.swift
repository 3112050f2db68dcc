import ArgumentParser
import Foundation
import TensorTypes
import TesseraRuntime

/// Runs a library over and over, and prints how long a run takes.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measures how long one run of a compiled model takes.")

  @Argument(help: "The library that `tessera compile` made.")
  var library: String

  @OptionGroup var options: RunOptions

  @Option(help: "Seconds to measure; at least three runs are made.")
  var duration = 5.0

  @Option(help: "How to print: \(OutputFormat.allCases.map(\.rawValue).joined(separator: " or ")).")
  var format = OutputFormat.text

  @Flag(help: "Also print each kernel's share of the time. Taking it costs a little of it.")
  var profile = false

  func validate() throws {
    guard duration.isFinite, duration >= 0 else { throw ValidationError("--duration is a number of seconds") }
  }

  /// What is printed as JSON; times in milliseconds.
  struct Report: Encodable {
    struct Kernel: Encodable {
      var kernel: Int
      var name: String
      /// A run's calls and time of this kernel.
      var calls: Double
      var ms: Double
      var share: Double
    }
    var median: Double
    var p10: Double
    var p90: Double
    var n: Int
    var threads: Int
    var target: String
    var kernels: [Kernel]?

    enum CodingKeys: String, CodingKey {
      case median = "median_ms"
      case p10 = "p10_ms"
      case p90 = "p90_ms"
      case n, threads, target, kernels
    }
  }

  func run() throws {
    let library = try Library(path: library, options: Library.Options(threads: options.threads))
    let session = try Session(library: library, options: Session.Options(profile: profile))
    let inputs = try TensorFolder(path: options.inputs).read(for: library.inputs)
    let times = Statistics(try measure(session, inputs))
    let report = Report(
      median: times.median, p10: times.quantile(0.1), p90: times.quantile(0.9), n: times.count,
      threads: library.pool.workers, target: library.target,
      kernels: profile ? kernels(session, runs: times.count) : nil)
    switch format {
    case .json: try Console.print(json: report)
    case .text: Console.print(text(report))
    }
  }

  /// Milliseconds of each run, in memory bound once, after two runs that warm caches and touch the workspace.
  private func measure(_ session: Session, _ inputs: [HostTensor]) throws -> [Double] {
    // A first run through the checked way also makes the outputs' memory, which is then written again and again.
    let outputs = try session.run(inputs)
    for (index, tensor) in inputs.enumerated() {
      try session.bind(input: index, to: TensorView(tensor.element, tensor.shape, tensor.bytes))
    }
    let memory = outputs.map {
      UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, $0.byteCount), alignment: 4096)
    }
    defer { for buffer in memory { buffer.deallocate() } }
    for (index, tensor) in outputs.enumerated() {
      // What has another size in each run goes to memory of the session's.
      let isUnknown = session.library.outputs[index].isUnknown
      let place = isUnknown ? UnsafeMutableRawBufferPointer(start: nil, count: 0) : memory[index]
      try session.bind(output: index, to: MutableTensorView(tensor.element, tensor.shape, place))
    }
    return try withExtendedLifetime(inputs) {
      try session.runBound()
      session.resetProfile()
      let clock = ContinuousClock()
      let end = clock.now + .seconds(duration)
      var times: [Double] = []
      while times.count < 3 || clock.now < end {
        let elapsed = try clock.measure { try session.runBound() }
        times.append(elapsed / .milliseconds(1))
      }
      return times
    }
  }

  /// Kernels by their time, longest first.
  private func kernels(_ session: Session, runs: Int) -> [Report.Kernel] {
    let manifest = Manifest(of: session.library)
    let times = session.profile
    let total = Double(max(1, times.reduce(0) { $0 + $1.nanoseconds }))
    return times.sorted { $0.nanoseconds > $1.nanoseconds }.map {
      Report.Kernel(
        kernel: $0.kernel, name: manifest.launchName($0.kernel), calls: Double($0.calls) / Double(runs),
        ms: Double($0.nanoseconds) / 1e6 / Double(runs), share: Double($0.nanoseconds) / total)
    }
  }

  private func text(_ report: Report) -> String {
    let head =
      "median \(fixed(report.median)) ms, p10 \(fixed(report.p10)), p90 \(fixed(report.p90)), "
      + "\(report.n) runs, \(report.threads) threads, \(report.target)"
    guard let kernels = report.kernels else { return head }
    let lines = kernels.map {
      "\(padded(fixed($0.ms), 10)) ms \(padded(fixed(100 * $0.share, 1), 6)) % \(padded(fixed($0.calls, 0), 5))×  \($0.name)"
    }
    return ([head] + lines).joined(separator: "\n")
  }

  private func fixed(_ value: Double, _ digits: Int = 3) -> String { String(format: "%.\(digits)f", value) }
  private func padded(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}

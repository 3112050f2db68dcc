import ArgumentParser
import Foundation
import TensorTypes
import TesseraRuntime

/// Runs a model and compares its outputs with those expected.
struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Runs a model and compares its outputs with the expected ones.",
    discussion: """
      Element types and shapes must be the same, and every element within A + R·|expected|, or, if neither --rtol nor
      --atol is given, within 1e-4 of the output's largest magnitude. Exits with 0 if all agree, else with 1.
      """)

  @Argument(help: "A model (.onnx, .json), which is compiled first, or a library (.so).")
  var model: String

  @OptionGroup var options: RunOptions

  @Option(help: "A folder with NAME.npy or NN_NAME.npy for every output.")
  var expected: String

  @Option(help: "Tolerance relative to each element.")
  var rtol: Double?

  @Option(help: "Tolerance of every element.")
  var atol: Double?

  @Option(help: "How to print: \(OutputFormat.allCases.map(\.rawValue).joined(separator: " or ")).")
  var format = OutputFormat.text

  struct Report: Encodable {
    struct Output: Encodable {
      var name: String
      var passed: Bool
      var worstAbsolute: Double?
      var worstOverPeak: Double?
      var wrong: Int
      var elements: Int
      var mismatch: String?

      enum CodingKeys: String, CodingKey {
        case name, passed, wrong, elements, mismatch
        case worstAbsolute = "worst_abs"
        case worstOverPeak = "worst_over_peak"
      }
    }
    var passed: Bool
    var outputs: [Output]
  }

  func run() throws {
    let library = try ModelCompiler.library(model, threads: options.threads)
    let session = try Session(library: library, options: Session.Options(poison: true))
    let inputs = try TensorFolder(path: options.inputs).read(for: library.inputs)
    let wanted = try TensorFolder(path: expected).read(library.outputs.map(\.name))
    let found = try session.run(inputs)
    let outputs = zip(library.outputs, zip(found, wanted)).map { port, pair in
      let comparison = Comparison(pair.0, expected: pair.1, rtol: rtol, atol: atol)
      return Report.Output(
        name: port.name, passed: comparison.isGood, worstAbsolute: comparison.worstAbsolute.finite,
        worstOverPeak: comparison.worstOverPeak.finite, wrong: comparison.wrongCount, elements: pair.1.elementCount,
        mismatch: comparison.mismatch)
    }
    let report = Report(passed: outputs.allSatisfy(\.passed), outputs: outputs)
    switch format {
    case .json: try Console.print(json: report)
    case .text: for output in outputs { Console.print(line(output)) }
    }
    if !report.passed { throw ExitCode(1) }
  }

  private func line(_ output: Report.Output) -> String {
    let verdict = output.passed ? "ok" : "WRONG"
    if let mismatch = output.mismatch { return "\(verdict) \(output.name): \(mismatch)" }
    func text(_ x: Double?) -> String { x.map { String(format: "%.3g", $0) } ?? "infinite" }
    return
      "\(verdict) \(output.name): worst error \(text(output.worstAbsolute)), \(text(output.worstOverPeak)) of the peak, "
      + "\(output.wrong) of \(output.elements) elements wrong"
  }
}

extension Double {
  /// nil where JSON has no number.
  fileprivate var finite: Double? { isFinite ? self : nil }
}

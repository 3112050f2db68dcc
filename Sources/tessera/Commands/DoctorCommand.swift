import ArgumentParser
import Foundation
import LLVMBackend
import TensorTypes
import TesseraRuntime

/// Says what this machine offers, and whether a library is whole.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Says what this machine offers: CPU, features, threads, the linker; and checks libraries in full.")

  @Argument(help: "Libraries to check: every byte against the hashes, weights included.")
  var libraries: [String] = []

  @Option(help: "How to print: \(OutputFormat.allCases.map(\.rawValue).joined(separator: " or ")).")
  var format = OutputFormat.text

  struct Report: Encodable {
    var cpu: String
    var cpus: Int
    var features: [String]
    /// Microseconds that a parallel loop of nothing takes, on all CPUs.
    var launch: Double
    /// Path of lld, or null with the reason on stderr.
    var linker: String?
    var libraries: [Checked]

    enum CodingKeys: String, CodingKey {
      case cpu, cpus, features, linker, libraries
      case launch = "launch_us"
    }
  }

  struct Checked: Encodable {
    var path: String
    var target: String?
    var error: String?
  }

  func run() throws {
    let pool = try ThreadPool.shared(workers: ThreadPool.usualSize)
    var report = Report(
      cpu: CPU.name, cpus: CPU.available, features: CPU.features.sorted(), launch: pool.launchLatency() / 1000,
      linker: nil, libraries: [])
    do { report.linker = try Linker.locate() } catch { Console.say("warning: \(error)") }
    var worst: Failure?
    for path in libraries {
      do {
        let library = try Library(path: path, options: Library.Options(verification: .full))
        report.libraries.append(Checked(path: path, target: library.target, error: nil))
      } catch {
        report.libraries.append(Checked(path: path, target: nil, error: error.description))
        worst = worst ?? error
      }
    }
    switch format {
    case .json: try Console.print(json: report)
    case .text: Console.print(text(report))
    }
    if let worst { throw worst }
  }

  private func text(_ report: Report) -> String {
    let rows =
      [
        ("cpu", "\(report.cpu), \(report.cpus) available"),
        ("features", report.features.joined(separator: " ")),
        ("launch", String(format: "%.2f µs for a parallel loop of nothing", report.launch)),
        ("linker", report.linker ?? "none: compiling needs lld-22"),
      ] + report.libraries.map { ("library", "\($0.path): \($0.error ?? "whole; runs here as \($0.target ?? "")")") }
    return rows.map { $0.0.padding(toLength: 10, withPad: " ", startingAt: 0) + $0.1 }.joined(separator: "\n")
  }
}

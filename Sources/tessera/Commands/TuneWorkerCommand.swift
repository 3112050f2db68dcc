import ArgumentParser
import Autotuner

/// A child of `tune`: builds or measures what the job says. Not for people.
struct TuneWorkerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tune-worker", abstract: "Serves one job of tessera tune.", shouldDisplay: false)

  @Argument(help: "The job's file.")
  var job: String

  func run() throws { try Worker.serve(jobAt: job) }
}

import ArgumentParser
import Foundation
import TensorTypes

/// The command line: results on stdout, messages and progress on stderr, exit codes after `sysexits.h`.
@main struct RootCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tessera",
    abstract: "Compiles a neural network into one shared library, and runs it.",
    version: "0.1.0",
    subcommands: commands)

  /// One file a command, in the order of a model's life.
  private static let commands: [any ParsableCommand.Type] = [
    InspectCommand.self,
    CompileCommand.self,
    RunCommand.self,
    RunCaseCommand.self,
    VerifyCommand.self,
    BenchCommand.self,
    TuneCommand.self,
    TuneWorkerCommand.self,
    DatabaseCommand.self,
    DoctorCommand.self,
  ]

  static func main() {
    Console.endOnInterrupt()
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let failure as Failure {
      Console.say("error: \(Console.shortened("\(failure)"))")
      Foundation.exit(failure.kind.rawValue)
    } catch {
      // Help, version, and mistakes in the arguments (64).
      exit(withError: error)
    }
  }
}

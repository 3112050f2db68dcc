import Compiler
import Foundation
import TensorTypes

/// The cases of `tessera run --list`, each run by a child process.
struct CaseList {
  /// Wall-clock seconds after which a case has hung.
  static let secondsPerCase: UInt32 = 60

  private let cases: [(folder: String, output: String)]

  /// - Throws: `noInput` if there is no such file, `badData` naming the line that is not `CASE<TAB>OUT`.
  init(path: String) throws {
    let file = try MappedFile.open(path)
    let text = withExtendedLifetime(file) { String(decoding: file.bytes, as: UTF8.self) }
    cases = try text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().compactMap { number, line in
      if line.isEmpty { return nil }
      let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
      guard fields.count == 2, !fields[0].isEmpty, !fields[1].isEmpty else {
        throw Failure.badData("is not CASE<TAB>OUT", file: path, place: "line \(number + 1)")
      }
      return (String(fields[0]), String(fields[1]))
    }
  }

  /// Starts the cases in order, `jobs` at a time, and returns when every one has a status.
  func run(jobs: Int) throws {
    try concurrently(cases.count, jobs: jobs) { i in
      do { try run(cases[i].folder, cases[i].output) } catch {
        throw error as? Failure ?? Failure(.ours, "\(error)")
      }
    }
  }

  private func run(_ folder: String, _ output: String) throws {
    do { try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true) } catch {
      throw Failure(.inputOutput, file: output, "the folder cannot be made")
    }
    unlink(output + "/status")
    let state = try Self.waitForChild([CommandLine.arguments[0], "run-case", "--", folder, output])
    let signal = state & 0x7f
    switch signal {
    case 0:
      // A child that ends well has written its status, and whoever reads it may have taken the folder away already.
      guard state != 0 else { return }
      try Self.write(status: "error: exit \(state >> 8 & 0xff)", to: output)
    case SIGALRM: try Self.write(status: "timeout: over \(Self.secondsPerCase) s", to: output)
    default: try Self.write(status: "crashed: \(String(cString: strsignal(signal)))", to: output)
    }
  }

  /// Runs this program with `arguments` and returns its wait status.
  private static func waitForChild(_ arguments: [String]) throws -> CInt {
    var child = pid_t()
    var strings = arguments.map { strdup($0) } + [nil]
    defer { for string in strings { free(string) } }
    let error = posix_spawn(&child, "/proc/self/exe", nil, nil, &strings, environ)
    guard error == 0 else { throw Failure(.ours, "no process for a case: \(String(cString: strerror(error)))") }
    var state: CInt = 0
    while waitpid(child, &state, 0) < 0 {
      guard errno == EINTR else {
        throw Failure(.ours, "a case's process is lost: \(String(cString: strerror(errno)))")
      }
    }
    return state
  }

  /// Puts `status`, on one line, into `output`; the last thing that happens to a case.
  static func write(status: String, to output: String) throws {
    let line = status.split(whereSeparator: \.isNewline).joined(separator: " ")
    try AtomicFile.write(line + "\n", to: output + "/status")
  }
}

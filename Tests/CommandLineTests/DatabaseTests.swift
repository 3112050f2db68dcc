import Foundation
import TensorTypes
import Testing
import TuningDB

@testable import tessera

/// What `--db PATH` does where there is no such file.
@Suite struct DatabaseTests {
  private let path = FileManager.default.temporaryDirectory.appendingPathComponent("tessera-\(UUID().uuidString).db")
    .path
  private func remove() { for end in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + end) } }

  /// A mistyped name is not a database without records: who reads one is told what makes it, and nothing is made.
  @Test func readingWantsTheFile() throws {
    for read in [
      { _ = try TuningFiles.tunings(path, threads: 1) }, { _ = try TuningFiles.store(path, isReadOnly: true) },
    ] {
      let failure = try #require(throws: Failure.self) { try read() }
      #expect(failure.kind == .noInput)
      #expect(failure.file == path)
      #expect(failure.message.contains("`tessera tune`"))
    }
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  @Test func recordingMakesTheFile() throws {
    defer { remove() }
    _ = try TuningFiles.store(path)
    _ = try TuningFiles.tunings(path, threads: 1)
    #expect(try TuningFiles.store(path, isReadOnly: true).all().isEmpty)
  }

  /// Only compiling can do without: a tune would make a file of that name.
  @Test func noDatabase() throws {
    _ = try TuningFiles.tunings("none", threads: 1)
    for isReadOnly in [false, true] {
      let failure = try #require(throws: Failure.self) { try TuningFiles.store("none", isReadOnly: isReadOnly) }
      #expect(failure.kind == .usage)
    }
  }
}

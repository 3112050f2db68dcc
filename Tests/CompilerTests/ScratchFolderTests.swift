import Foundation
import TensorTypes
import Testing

@testable import Compiler

@Suite struct ScratchFolderTests {
  /// What a killed process left goes, with all that is in it; what another one uses, or anybody else's, stays.
  @Test func whatIsLeftBehindIsRemoved() throws {
    let folder = try ScratchFolder()
    defer { folder.remove() }
    // No process has that number.
    let parent = FileManager.default.temporaryDirectory
    let left = parent.appendingPathComponent("tessera-\(Int32.max)-abcdef")
    let others = parent.appendingPathComponent("tessera-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: others) }
    for url in [left.appendingPathComponent("task"), others] {
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }
    _ = try folder.write([1], "file")
    ScratchFolder.removeLeftBehind()
    #expect(!FileManager.default.fileExists(atPath: left.path))
    #expect(FileManager.default.fileExists(atPath: others.path))
    #expect(FileManager.default.fileExists(atPath: folder.path("file")))
    folder.remove()
    #expect(!FileManager.default.fileExists(atPath: folder.path))
  }
}

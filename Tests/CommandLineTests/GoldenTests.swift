import Foundation
import Testing

@testable import tessera

/// What the graph pipeline makes of the hand-written models, against texts in `Goldens/`. `UPDATE_GOLDEN=1` rewrites them and
/// fails, so that no run blesses itself.
@Suite struct GoldenTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  private static let examples = folder.appendingPathComponent("../ONNXImportTests/Examples").standardizedFileURL

  @Test(arguments: ["attention_block", "small_cnn"]) func optimisedGraph(name: String) throws {
    let graph = try ModelCompiler.graph(Self.examples.appendingPathComponent(name + ".json").path)
    try compare("\(graph)\n", with: name + ".graph")
  }

  private func compare(_ text: String, with name: String) throws {
    let file = Self.folder.appendingPathComponent("Goldens/" + name)
    if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" {
      try text.write(to: file, atomically: true, encoding: .utf8)
      Issue.record("\(name) is written anew: read the difference, then run again without UPDATE_GOLDEN")
      return
    }
    let wanted = try String(contentsOf: file, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
    let found = text.split(separator: "\n", omittingEmptySubsequences: false)
    let difference = found.difference(from: wanted).map { change in
      switch change {
      case .insert(let line, let element, _): "+\(line + 1): \(element)"
      case .remove(let line, let element, _): "-\(line + 1): \(element)"
      }
    }
    #expect(difference.isEmpty, "\(name) differs:\n\(difference.prefix(40).joined(separator: "\n"))")
  }
}

import Foundation
import GraphIR
import TensorTypes
import Testing

@testable import ONNXImport

/// Changed models are read, and imported where that works: whatever they hold, the end is a graph or a failure that
/// says bad data, never a trap. `FUZZ_SECONDS` (2 by default) says how long, for each encoding.
@Suite struct FuzzTests {
  static let words: [[UInt8]] = [
    "-1", "0", "1", "33", "65536", "2147483647", "9223372036854775807", "-9223372036854775808", "1e308", "null", "[]",
    "{}", #""""#, #""NaN""#, "true", "[0]",
  ].map { Array($0.utf8) }

  func changed(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
      let i = bytes.indices.randomElement(using: &random)!
      let end = min(bytes.count, i + Int.random(in: 1...16, using: &random))
      switch Int.random(in: 0..<6, using: &random) {
      case 0: bytes[i] = UInt8.random(in: 0...255, using: &random)
      case 1: bytes[i] ^= 1 << UInt8.random(in: 0...7, using: &random)
      case 2: bytes.removeSubrange(i..<end)
      case 3: bytes.insert(contentsOf: bytes[i..<end], at: i)
      case 4: bytes.insert(contentsOf: [UInt8](repeating: 0xff, count: 8) + [0x7f], at: i)
      default:
        // A number of JSON becomes another word.
        let isDigit = { (byte: UInt8) in byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
        guard let first = bytes[i...].firstIndex(where: isDigit) else { continue }
        let last = bytes[first...].firstIndex { !isDigit($0) } ?? bytes.count
        bytes.replaceSubrange(first..<last, with: Self.words.randomElement(using: &random)!)
      }
    }
    return bytes
  }

  func fuzz(_ corpus: [[UInt8]], beside path: String) {
    let seed = UInt64.random(in: 0...UInt64(UInt32.max))
    print("fuzzing from seed \(seed)")
    let seconds = Double(ProcessInfo.processInfo.environment["FUZZ_SECONDS"] ?? "") ?? 2
    let end = Date().addingTimeInterval(seconds)
    var random = SeededGenerator(seed: seed)
    while Date() < end {
      let bytes = changed(corpus.randomElement(using: &random)!, &random)
      let start = Date()
      do { _ = try importModel(readModel(bytes, beside: path)) } catch {
        #expect((error as? Failure)?.kind == .badData, "\(error) for \(bytes)")
      }
      #expect(Date().timeIntervalSince(start) < 5, "slow for \(bytes)")
    }
  }

  @Test func binary() { fuzz([modelBytes(smallGraph)], beside: "model.onnx") }

  @Test func json() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Examples")
    let examples = try ["attention_block.json", "small_cnn.json"].map {
      Array(try Data(contentsOf: folder.appendingPathComponent($0)))
    }
    fuzz(examples, beside: folder.appendingPathComponent("model.json").path)
  }
}

import Foundation
import TensorTypes

/// What is printed, and where.
enum Console {
  /// A line on stderr.
  static func say(_ text: String) { FileHandle.standardError.write(Data("tessera: \(text)\n".utf8)) }

  /// A message with its middle left out where a model's names make it longer than anyone reads.
  static func shortened(_ text: String, to limit: Int = 1000) -> String {
    text.utf8.count <= limit ? text : "\(text.prefix(limit / 2)) … \(text.suffix(limit / 2))"
  }

  /// A line on stdout.
  static func print(_ text: String) { FileHandle.standardOutput.write(Data("\(text)\n".utf8)) }

  /// A value as JSON on stdout, keys sorted.
  static func print(json value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // JSON has no infinity or NaN; a plan's expressions have.
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    do { print(String(decoding: try encoder.encode(value), as: UTF8.self)) } catch {
      throw Failure(.ours, "a result could not be written as JSON: \(error)")
    }
  }

  /// Ctrl-C ends with 130, as shells expect. Files are written under temporary names, so nothing is left half done.
  static func endOnInterrupt() { signal(SIGINT) { _ in _exit(130) } }
}

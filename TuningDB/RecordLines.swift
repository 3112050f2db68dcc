import Foundation
import TensorTypes

/// Records as text, one a line: how databases are exchanged.
public enum RecordLines {
  /// The records' lines in ascending order, so that equal sets give equal files.
  public static func text(_ records: [TuningRecord]) -> String {
    records.map(\.line).sorted().map { $0 + "\n" }.joined()
  }

  /// - Throws: `Failure` of kind `badData` naming the line, or that the file can't be read.
  public static func read(path: String) throws(Failure) -> [TuningRecord] {
    guard FileManager.default.fileExists(atPath: path) else { throw Failure(.noInput, file: path, "no such file") }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Failure(.inputOutput, file: path, "can't be read")
    }
    var records: [TuningRecord] = []
    for (number, line) in data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
      if line.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") }) { continue }
      do throws(Failure) { records.append(try TuningRecord(line: String(decoding: line, as: UTF8.self))) } catch {
        throw error.at("line \(number + 1)").inFile(path)
      }
    }
    return records
  }
}

extension RecordLines {
  /// Of each identity the preferred record: the same whatever the order.
  public static func merge(_ records: [TuningRecord]) -> [TuningRecord] {
    var byIdentity: [String: TuningRecord] = [:]
    for record in records {
      let identity = record.identity
      if let known = byIdentity[identity], !record.isPreferred(to: known) { continue }
      byIdentity[identity] = record
    }
    return byIdentity.sorted { $0.key < $1.key }.map(\.value)
  }
}

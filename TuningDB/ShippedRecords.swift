import Foundation
import TensorTypes

/// The read-only layer beneath the user's database: `TuningDB/Records/*.jsonl`, a file a class of machine.
public enum ShippedRecords {
  /// The records beside the program, in `tessera_TuningDB.resources/Records` as the build puts them or in
  /// `../share/tessera/records`; none if neither is there.
  public static func load() throws(Failure) -> [TuningRecord] {
    let program =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    let beside = (program as NSString).deletingLastPathComponent
    var records: [TuningRecord] = []
    for folder in [beside + "/tessera_TuningDB.resources/Records", beside + "/../share/tessera/records"] {
      let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
      for file in files.sorted() where file.hasSuffix(".jsonl") {
        records += try RecordLines.read(path: folder + "/" + file)
      }
      if !files.isEmpty { break }
    }
    return records
  }
}

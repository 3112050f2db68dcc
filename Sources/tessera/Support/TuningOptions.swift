import ArgumentParser
import Autotuner
import Compiler
import Foundation
import TensorTypes
import TesseraRuntime
import TuningDB

/// The user's database and the records that came with the program.
enum TuningFiles {
  /// - Parameter path: nil for the user's own, `none` for nothing at all.
  static func tunings(_ path: String?, threads: Int?) throws -> Tunings {
    if path == "none" { return .none }
    var records = try ShippedRecords.load()
    let file = path ?? TuningStore.defaultPath
    if path != nil || FileManager.default.fileExists(atPath: file) {
      records += try store(path, isReadOnly: true).winners()
    }
    return Tunings(records, device: .current, threads: threads ?? ThreadPool.usualSize)
  }

  /// Whoever records makes the database that isn't there. Whoever reads one by name wants it to be there: a mistyped name must not
  /// pass for one without records.
  /// - Parameter path: nil for the user's own.
  static func store(_ path: String?, isReadOnly: Bool = false) throws(Failure) -> TuningStore {
    guard path != "none" else {
      throw Failure(.usage, "--db none means no database, which only `tessera compile` can do without")
    }
    return try TuningStore(path: path ?? TuningStore.defaultPath, isReadOnly: isReadOnly)
  }
}

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
      records += try TuningStore(path: file, isReadOnly: true).winners()
    }
    return Tunings(records, device: .current, threads: threads ?? ThreadPool.usualSize)
  }
}

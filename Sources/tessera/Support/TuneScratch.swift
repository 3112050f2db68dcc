import Foundation
import TensorTypes

/// A folder for libraries on their way, named after this process so that a later tune can remove what a killed one left.
struct TuneScratch {
  let path: String
  private static let prefix = "tessera-tune-"

  init() throws(Failure) {
    let temporary = FileManager.default.temporaryDirectory
    for name in (try? FileManager.default.contentsOfDirectory(atPath: temporary.path)) ?? [] {
      guard name.hasPrefix(Self.prefix), let process = Int32(name.dropFirst(Self.prefix.count)),
        kill(process, 0) != 0, errno == ESRCH
      else { continue }
      try? FileManager.default.removeItem(at: temporary.appendingPathComponent(name))
    }
    path = temporary.appendingPathComponent("\(Self.prefix)\(getpid())").path
    do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
      throw Failure(.inputOutput, file: path, "the folder cannot be made")
    }
  }

  func remove() { try? FileManager.default.removeItem(atPath: path) }
}

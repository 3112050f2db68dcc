import Foundation
import TensorTypes

/// A temporary folder of this process: for objects on their way to the linker, and libraries on theirs to be measured.
public struct ScratchFolder {
  /// Where it is.
  public let path: String

  private static let prefix = "tessera-"
  private static var parent: String { FileManager.default.temporaryDirectory.path }

  public init() throws(Failure) {
    // The process's number says later whether a folder is still in use.
    var template = Array("\(Self.parent)/\(Self.prefix)\(getpid())-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw Failure(
        .inputOutput, file: Self.parent, "no temporary folder can be made: \(String(cString: strerror(errno)))")
    }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Where the file of this name is.
  public func path(_ name: String) -> String { path + "/" + name }

  /// - Returns: the file's path.
  func write(_ bytes: [UInt8], _ name: String) throws -> String {
    let path = path(name)
    try AtomicFile.write(bytes, to: path)
    return path
  }

  /// Removes the folder and what is in it.
  public func remove() { try? FileManager.default.removeItem(atPath: path) }

  /// Removes the folders of processes that were killed before they could.
  public static func removeLeftBehind() {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? [] {
      let parts = name.dropFirst(prefix.count).split(separator: "-")
      guard name.hasPrefix(prefix), parts.count == 2, let process = Int32(parts[0]), kill(process, 0) != 0,
        errno == ESRCH
      else { continue }
      try? FileManager.default.removeItem(atPath: parent + "/" + name)
    }
  }
}

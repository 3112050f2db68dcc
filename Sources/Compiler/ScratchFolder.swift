import Glibc
import TensorTypes

/// A temporary folder for objects on their way to the linker.
struct ScratchFolder {
  private let folder: String

  init() throws {
    let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array((base + "/tessera-XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else {
      throw Failure(.inputOutput, file: base, "no temporary folder can be made: \(String(cString: strerror(errno)))")
    }
    folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  func path(_ name: String) -> String { folder + "/" + name }

  /// - Returns: the file's path.
  func write(_ bytes: [UInt8], _ name: String) throws -> String {
    let path = path(name)
    try AtomicFile.write(bytes, to: path)
    return path
  }

  func remove() {
    guard let directory = opendir(folder) else { return }
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      unlink(path(name))
    }
    closedir(directory)
    rmdir(folder)
  }
}

import Glibc
import Synchronization

/// Files that appear whole or not at all: written to a temporary name beside, synced, renamed.
public enum AtomicFile {
  private static let serial = Atomic<Int>(0)

  /// Puts `chunks`, one after the other, at `path`, in place of what is there.
  /// - Parameter mode: permissions before the process's mask: `0o777` for what is executable.
  /// - Throws: `Failure` of kind `inputOutput`; then nothing has changed at `path`.
  public static func write(_ chunks: [UnsafeRawBufferPointer], to path: String, mode: UInt32 = 0o666) throws {
    try make(at: path, mode: mode) { temporary in
      let descriptor = open(temporary, O_WRONLY | O_CLOEXEC)
      guard descriptor >= 0 else { throw Failure(.inputOutput, "can't be written: \(systemError())") }
      defer { close(descriptor) }
      for chunk in chunks { try append(chunk, to: descriptor) }
    }
  }

  /// Puts at `path`, in place of what is there, the file that `body` makes of the empty one at the path that it is given.
  /// - Throws: what `body` throws, or `Failure` of kind `inputOutput`; then nothing has changed at `path`.
  public static func make(
    at path: String, mode: UInt32 = 0o666, _ body: (_ temporary: String) throws -> Void
  ) throws {
    let number = serial.add(1, ordering: .relaxed).newValue
    let temporary = "\(path).tmp-\(getpid())-\(number)"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_t(mode))
    guard descriptor >= 0 else { throw Failure(.inputOutput, file: path, "can't be written: \(systemError())") }
    close(descriptor)
    do {
      try body(temporary)
      try sync(temporary)
      guard rename(temporary, path) == 0 else {
        throw Failure(.inputOutput, "can't be replaced: \(systemError())")
      }
    } catch {
      unlink(temporary)
      throw (error as? Failure)?.inFile(path) ?? error
    }
    syncFolder(of: path)
  }

  private static func sync(_ path: String) throws {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Failure(.inputOutput, "can't be written: \(systemError())") }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw Failure(.inputOutput, systemError()) }
  }

  public static func write(_ bytes: [UInt8], to path: String, mode: UInt32 = 0o666) throws {
    try bytes.withUnsafeBytes { try write([$0], to: path, mode: mode) }
  }

  public static func write(_ text: String, to path: String) throws { try write(Array(text.utf8), to: path) }

  private static func append(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let written = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
      if written < 0 {
        if errno == EINTR { continue }
        throw Failure(.inputOutput, "can't be written: \(systemError())")
      }
      rest = rest.dropFirst(written)
    }
  }

  /// Makes the new name last; a file system that can't sync a folder loses nothing by it.
  private static func syncFolder(of path: String) {
    let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
    let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }
}

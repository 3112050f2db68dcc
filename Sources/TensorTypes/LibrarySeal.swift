import Glibc

/// Writes a linked library's hash into its own note, where the linker has left 64 zeros.
public enum LibrarySeal {
  /// Replaces the zeros after `hash ` in the note of the library at `path` by the SHA-256 of the file as it was, zeros
  /// and all, which is what the runtime computes again. About 300 MB a second.
  ///
  /// - Throws: `inputOutput` if the file cannot be read or written, `ours` if it has no such note.
  public static func seal(path: String) throws(Failure) {
    let descriptor = open(path, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { throw systemFailure(path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_size > 0 else { throw systemFailure(path) }
    let size = Int(status.st_size)
    guard let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), memory != MAP_FAILED else {
      throw systemFailure(path)
    }
    defer { munmap(memory, size) }
    let marker = "\nhash \(String(repeating: "0", count: 64))\n"
    guard let found = find(Array(marker.utf8), memory, size) else {
      throw Failure(.ours, file: path, "a linked library has no note to seal")
    }
    let digest = SHA256.hexDigest(UnsafeRawBufferPointer(start: memory, count: size))
    (found + 6).copyMemory(from: Array(digest.utf8), byteCount: 64)
  }

  /// The first place in `size` bytes at `memory` that holds `marker`.
  private static func find(_ marker: [UInt8], _ memory: UnsafeMutableRawPointer, _ size: Int)
    -> UnsafeMutableRawPointer?
  {
    let end = memory + size
    var at = memory
    while end - at >= marker.count, let next = memchr(at, Int32(marker[0]), end - at) {
      if end - next >= marker.count, memcmp(next, marker, marker.count) == 0 { return next }
      at = next + 1
    }
    return nil
  }

  private static func systemFailure(_ path: String) -> Failure {
    Failure(.inputOutput, file: path, String(cString: strerror(errno)))
  }
}

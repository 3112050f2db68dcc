import Glibc
import TensorTypes

/// A new file of a fixed size, written in any order and by any thread.
final class PreallocatedFile: Sendable {
  let path: String
  let byteCount: Int
  private let descriptor: CInt

  /// Makes a file of zeros. Room is taken now, so that a full disk shows before the work.
  /// - Parameter byteCount: more than 0.
  /// - Throws: `Failure` of kind `inputOutput` if the file can't be made or there is no room for it.
  init(path: String, byteCount: Int) throws {
    descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw Failure(.inputOutput, file: path, "can't be written: \(String(cString: strerror(errno)))")
    }
    let status = posix_fallocate(descriptor, 0, byteCount)
    guard status == 0 else {
      close(descriptor)
      throw Failure(.inputOutput, file: path, "no room for \(byteCount) bytes: \(String(cString: strerror(status)))")
    }
    (self.path, self.byteCount) = (path, byteCount)
  }

  deinit { close(descriptor) }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    var done = 0
    while done < bytes.count {
      let count = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        throw Failure(.inputOutput, file: path, "can't be written: \(String(cString: strerror(errno)))")
      }
      done += count
    }
  }
}

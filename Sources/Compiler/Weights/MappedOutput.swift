import Glibc
import TensorTypes

/// A new file of a fixed size that is written by writing to memory. Its pages are the kernel's to write back and drop:
/// the file may be larger than what memory is free.
final class MappedOutput {
  let path: String
  let bytes: UnsafeMutableRawBufferPointer

  /// Makes a file of zeros.
  /// - Parameter byteCount: more than 0.
  /// - Throws: `Failure` of kind `inputOutput` if the file can't be made or there is no room for it.
  init(path: String, byteCount: Int) throws {
    let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw Failure(.inputOutput, file: path, "can't be written: \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    // Room is taken now: writing to a mapping has no way to say later that the disk is full.
    let status = posix_fallocate(descriptor, 0, byteCount)
    guard status == 0 else {
      throw Failure(.inputOutput, file: path, "no room for \(byteCount) bytes: \(String(cString: strerror(status)))")
    }
    guard let address = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), address != MAP_FAILED
    else { throw Failure(.inputOutput, file: path, "can't be mapped: \(String(cString: strerror(errno)))") }
    self.path = path
    bytes = UnsafeMutableRawBufferPointer(start: address, count: byteCount)
  }

  deinit { munmap(bytes.baseAddress!, bytes.count) }

  /// Part of the file.
  subscript(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer { .init(rebasing: bytes[range]) }
}

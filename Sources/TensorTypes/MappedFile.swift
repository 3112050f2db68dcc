import Glibc

/// Files mapped into memory, read-only and whole: what is never touched is never read.
///
/// A file that is cut short while it is mapped makes later reads of it fail with SIGBUS; files that may change under
/// us are copied by their readers, models are not.
public enum MappedFile {
  /// The bytes of the regular file at `path`.
  /// - Throws: `Failure` of kind `noInput` if there is no such file, `badData` if it is not a regular file,
  ///   `inputOutput` if it can't be read.
  public static func open(_ path: String) throws -> HostTensor.Storage {
    // Non-blocking, so that opening a FIFO that nobody writes returns and can be refused.
    let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      let missing = errno == ENOENT || errno == ENOTDIR
      throw Failure(missing ? .noInput : .inputOutput, file: path, missing ? "no such file" : systemError())
    }
    defer { close(descriptor) }
    return try map(descriptor, name: path)
  }

  /// The bytes of the open regular file `descriptor`, which may be closed afterwards.
  /// - Parameter name: what messages call the file.
  public static func map(_ descriptor: CInt, name: String) throws -> HostTensor.Storage {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Failure(.inputOutput, file: name, systemError()) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      let what = status.st_mode & S_IFMT == S_IFDIR ? "is a folder, not a file" : "is not a regular file"
      throw Failure(.badData, file: name, what)
    }
    let count = Int(status.st_size)
    if count == 0 { return HostTensor.Storage(UnsafeRawBufferPointer(start: nil, count: 0)) {} }
    guard let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
      throw Failure(.inputOutput, file: name, "can't be mapped: \(systemError())")
    }
    let mapping = Mapping(address: address, count: count)
    return HostTensor.Storage(UnsafeRawBufferPointer(start: address, count: count)) { mapping.unmap() }
  }

  private struct Mapping: @unchecked Sendable {
    let address: UnsafeMutableRawPointer
    let count: Int
    func unmap() { munmap(address, count) }
  }
}

/// What `errno` says, in words.
func systemError() -> String { String(cString: strerror(errno)) }

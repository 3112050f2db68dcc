internal import Glibc
internal import TensorTypes

/// A file mapped read-only for as long as the object lives.
final class WeightsFile: @unchecked Sendable {
  let bytes: UnsafeRawBufferPointer

  /// - Throws: `noInput` or `inputOutput` if the file cannot be opened or mapped.
  init(path: String) throws(Failure) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw LibraryFile.systemFailure(path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw LibraryFile.systemFailure(path) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .badData("not a file", file: path) }
    let size = Int(status.st_size)
    guard size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    let memory = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let memory, memory != MAP_FAILED else { throw LibraryFile.systemFailure(path) }
    bytes = UnsafeRawBufferPointer(start: memory, count: size)
  }

  deinit {
    if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
  }

  /// The weights beside the library at `library`: a file of exactly `size` bytes in the same folder.
  static func sidecar(_ name: String, of library: String, size: UInt64) throws(Failure) -> WeightsFile {
    guard !name.isEmpty, name != ".", name != "..", !name.utf8.contains(UInt8(ascii: "/")) else {
      throw .badData("the weights' file name '\(name)' is not one beside the library", file: library)
    }
    let folder = library.lastIndex(of: "/").map { String(library[...$0]) } ?? ""
    let file: WeightsFile
    do throws(Failure) { file = try WeightsFile(path: folder + name) } catch {
      guard error.kind == .noInput else { throw error }
      throw Failure(.noInput, file: library, "its weights, \(name), are not in the same folder: keep the two together")
    }
    guard UInt64(file.bytes.count) == size else {
      throw .badData("holds \(file.bytes.count) bytes, but the library needs \(size)", file: folder + name)
    }
    return file
  }
}

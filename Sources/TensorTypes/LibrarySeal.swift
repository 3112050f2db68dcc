import Glibc

/// Writes into a linked library's own note what only the linked file tells: where its weights lie, and its hash.
public enum LibrarySeal {
  /// The section that holds nothing but weights.
  public static let weightsSection = ".tessera.weights"
  /// The note's line for the range of the file that the hash leaves out: offset and size, 16 hex digits each.
  public static let dataLine = "data \(zeros(16)) \(zeros(16))\n"
  public static let hashLine = "hash \(zeros(64))\n"

  /// Replaces the zeros of the data line, if the note has one, and then those of the hash line by the SHA-256 of the
  /// file as it is, zeros and all but without its weights, which is what the runtime computes again. About 300 MB a second.
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
    guard let found = find(Array("\n\(hashLine)".utf8), memory, size) else {
      throw Failure(.ours, file: path, "a linked library has no note to seal")
    }
    let file = UnsafeRawBufferPointer(start: memory, count: size)
    var left = size..<size
    if let place = find(Array("\n\(dataLine)".utf8), memory, size), let weights = section(weightsSection, of: file) {
      left = weights
      let digits = hex(weights.lowerBound) + " " + hex(weights.count)
      (place + 6).copyMemory(from: Array(digits.utf8), byteCount: 33)
    }
    var hash = SHA256()
    hash.update(UnsafeRawBufferPointer(rebasing: file[..<left.lowerBound]))
    hash.update(UnsafeRawBufferPointer(rebasing: file[left.upperBound...]))
    (found + 6).copyMemory(from: Array(hash.hexDigest().utf8), byteCount: 64)
  }

  private static func zeros(_ count: Int) -> String { String(repeating: "0", count: count) }
  private static func hex(_ number: Int) -> String {
    let digits = String(number, radix: 16)
    return zeros(16 - digits.utf8.count) + digits
  }

  /// Where the section called `name` lies in an ELF64 file (System V ABI, chapter 4).
  private static func section(_ name: String, of file: UnsafeRawBufferPointer) -> Range<Int>? {
    func number<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, _: T.Type) -> Int {
      offset + MemoryLayout<T>.size <= file.count ? Int(file.loadUnaligned(fromByteOffset: offset, as: T.self)) : 0
    }
    let (table, size) = (number(40, UInt64.self), number(58, UInt16.self))
    let names = number(table + size * number(62, UInt16.self) + 24, UInt64.self)
    for i in 0..<number(60, UInt16.self) {
      let header = table + i * size
      let start = names + number(header, UInt32.self)
      guard start < file.count, file[start...].prefix(name.utf8.count + 1).elementsEqual(Array(name.utf8) + [0]) else {
        continue
      }
      let (offset, count) = (number(header + 24, UInt64.self), number(header + 32, UInt64.self))
      return offset <= file.count && count <= file.count - offset ? offset..<offset + count : nil
    }
    return nil
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

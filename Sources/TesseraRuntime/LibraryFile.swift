internal import Glibc
public import TensorTypes
internal import TesseraABI

/// A compiled model as a file, before it is loaded: its ELF structure is checked so that the system's loader, which
/// trusts what it maps, meets no truncated or foreign file.
///
/// Read with `pread`, never mapped: a file that shrinks meanwhile is an error here, not a signal.
public struct LibraryFile: ~Copyable {
  public let path: String
  public let size: Int
  /// Device and inode, which tell a file from another that has taken its name.
  let identity: Identity
  public private(set) var note: LibraryNote
  /// Where the note's hash digits are in the file.
  private var hashOffset = 0
  private let descriptor: CInt

  struct Identity: Hashable, Sendable {
    var device: UInt
    var inode: UInt
  }

  /// Opens the file and reads its headers and note.
  ///
  /// - Throws: `noInput`, `inputOutput`, or `badData` for a file that is no library of ours, is cut short, or speaks
  ///   another ABI version.
  public init(path: String) throws(Failure) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw Self.systemFailure(path) }
    do throws(Failure) {
      var status = stat()
      guard fstat(descriptor, &status) == 0 else { throw Self.systemFailure(path) }
      guard status.st_mode & S_IFMT == S_IFREG else { throw .badData("not a file", file: path) }
      let size = Int(status.st_size)
      let reader = Reader(descriptor: descriptor, size: size)
      let found: (text: String, offset: Int)
      let note: LibraryNote
      do throws(Failure) {
        found = try ELF.checkedNote(reader)
        note = try LibraryNote(parsing: found.text)
        guard note.abi == Int(TESSERA_ABI_VERSION) else {
          throw .badData(
            "the library speaks ABI \(note.abi), this runtime ABI \(TESSERA_ABI_VERSION): compile the model again")
        }
        if let data = note.data, data.upperBound > size { throw .badData("the note's data lies outside the file") }
      } catch { throw error.inFile(path) }
      self.note = note
      self.path = path
      self.size = size
      self.descriptor = descriptor
      identity = Identity(device: UInt(status.st_dev), inode: UInt(status.st_ino))
      let before = found.text.utf8.prefix(Self.hashPosition(in: found.text)).count
      hashOffset = found.offset + before
    } catch {
      close(descriptor)
      throw error
    }
  }

  deinit { close(descriptor) }

  /// How many bytes `checkHash` has to read.
  public var hashedByteCount: Int { size - (note.data?.count ?? 0) }

  /// Compares the file's contents with the hash in its note. About 300 MB a second.
  public func checkHash() throws(Failure) {
    let found = try contentHash()
    guard found == note.hash else {
      throw .badData("the contents do not match their hash: the file is damaged", file: path)
    }
  }

  /// SHA-256 of the file with the note's 64 hash digits read as `0`, and without the note's `data`. A compiler that
  /// writes zeros for the digits, links, and puts this in their place gets the note right.
  public func contentHash() throws(Failure) -> String {
    let reader = Reader(descriptor: descriptor, size: size)
    var hash = SHA256()
    let digits = hashOffset..<(hashOffset + 64)
    let data = note.data ?? size..<size
    for part in [0..<data.lowerBound, data.upperBound..<size] {
      var offset = part.lowerBound
      while offset < part.upperBound {
        let count = min(1 << 18, part.upperBound - offset)
        var bytes = try reader.bytes(offset, count, "contents")
        for i in digits.clamped(to: offset..<(offset + count)) { bytes[i - offset] = UInt8(ascii: "0") }
        bytes.withUnsafeBytes { hash.update($0) }
        offset += count
      }
    }
    return hash.hexDigest()
  }

  /// The byte of `text` at which the hash's digits begin.
  private static func hashPosition(in text: String) -> Int {
    var position = 0
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("hash ") { return position + 5 }
      position += line.utf8.count + 1
    }
    return position
  }

  static func systemFailure(_ path: String) -> Failure {
    let code = errno
    let kind: Failure.Kind = code == ENOENT || code == ENOTDIR ? .noInput : .inputOutput
    return Failure(kind, file: path, String(cString: strerror(code)))
  }
}

/// Bounded reads from an open file.
struct Reader {
  var descriptor: CInt
  var size: Int

  /// Exactly `count` bytes at `offset`.
  func bytes(_ offset: Int, _ count: Int, _ what: String) throws(Failure) -> [UInt8] {
    guard offset >= 0, count >= 0, offset <= size, count <= size - offset else {
      throw .badData("cut short: \(what) at \(offset) with \(count) bytes in a file of \(size)")
    }
    var done = 0
    let result = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      while done < count, let base = buffer.baseAddress {
        let got = pread(descriptor, base + done, count - done, off_t(offset + done))
        if got < 0 && errno == EINTR { continue }
        guard got > 0 else { break }
        done += got
      }
      initialized = done
    }
    guard done == count else { throw Failure(.inputOutput, "\(what) could not be read") }
    return result
  }
}

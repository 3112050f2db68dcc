import Glibc
import TensorTypes

/// The files beside a model that hold its weights: opened beneath the model's folder only, mapped once each.
///
/// A path is followed one component at a time from the folder's descriptor, refusing `..`, absolute paths and
/// symbolic links: whoever sends a model can't make us read another file of this machine.
final class ExternalFiles {
  private let folder: String
  private var mapped: [String: HostTensor.Storage] = [:]
  private var safetensors: [String: Safetensors] = [:]

  /// - Parameter folder: where the model lies; it may itself be reached by links.
  init(folder: String) { self.folder = folder }

  /// The folder of the file at `path`.
  convenience init(beside path: String) {
    let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
    self.init(folder: slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? ".")
  }

  /// The bytes that the entries of a tensor's `external_data` point at.
  /// - Parameter byteCount: what the tensor needs; assumed where the entries give no length.
  func externalData(_ entries: [(key: String, value: String)], byteCount: Int) throws -> HostTensor.Storage {
    var location: String?
    var offset = 0
    var length = byteCount
    for (key, value) in entries {
      switch key {
      case "location": location = value
      case "offset": offset = try size(value, "offset")
      case "length": length = try size(value, "length")
      default: continue  // checksum, basepath: hints that nothing depends on
      }
    }
    guard let location else { throw Failure.badData("its external data name no file (location)") }
    let file = try bytes(location)
    guard offset <= file.bytes.count, length <= file.bytes.count - offset else {
      throw Failure.badData(
        "its external data are \(length) bytes at \(offset) of '\(location)', which has \(file.bytes.count)")
    }
    return file.slice(offset..<offset + length)
  }

  private func size(_ text: String, _ what: String) throws -> Int {
    guard let value = Int(text), value >= 0 else {
      throw Failure.badData("its external data have \(what) '\(text)', which is no size")
    }
    return value
  }

  /// The tensor in an `.npy` file, or the one called `name` in a `.safetensors` file.
  func tensor(_ location: String, named name: String) throws -> HostTensor {
    let file = try bytes(location)
    do {
      if location.hasSuffix(".npy") { return try HostTensor.npy(file) }
      guard location.hasSuffix(".safetensors") else {
        throw Failure.badData("expected an .npy or .safetensors file")
      }
      let tensors = try safetensors[location] ?? Safetensors(file)
      safetensors[location] = tensors
      return try tensors.tensor(name)
    } catch let failure as Failure { throw Failure(failure.kind, "file '\(location)': \(failure)") }
  }

  /// The whole file at `location`, a path relative to the folder.
  func bytes(_ location: String) throws -> HostTensor.Storage {
    if let known = mapped[location] { return known }
    let components = location.split(separator: "/", omittingEmptySubsequences: false).filter { $0 != "." }
    guard !components.isEmpty, !components.contains(""), !components.contains(".."), !location.utf8.contains(0) else {
      throw Failure.badData("file '\(location)' is not a path beneath the model's folder")
    }
    var descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Failure(.inputOutput, file: folder, String(cString: strerror(errno))) }
    defer { close(descriptor) }
    for (i, component) in components.enumerated() {
      let kind = i == components.count - 1 ? O_NONBLOCK : O_DIRECTORY
      let next = openat(descriptor, String(component), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | kind)
      guard next >= 0 else { throw refusal(location, errno, in: descriptor, String(component)) }
      close(descriptor)
      descriptor = next
    }
    let storage: HostTensor.Storage
    do { storage = try MappedFile.map(descriptor, name: location) } catch let failure as Failure {
      throw Failure(.badData, "file '\(location)' beside the model \(failure.message)")
    }
    mapped[location] = storage
    return storage
  }

  private func refusal(_ location: String, _ error: CInt, in folder: CInt, _ component: String) -> Failure {
    var status = stat()
    let isLink = fstatat(folder, component, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_mode & S_IFMT == S_IFLNK
    if isLink {
      return .badData("file '\(location)' is reached by a symbolic link, '\(component)', which is not followed")
    }
    return .badData("file '\(location)' beside the model can't be opened: \(String(cString: strerror(error)))")
  }
}

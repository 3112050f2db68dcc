import Foundation
import TensorTypes
import TesseraRuntime

/// A folder of tensors, a file each: `NAME.npy` or `NN_NAME.npy`, NN being the position among inputs or outputs. Inputs
/// can be pictures and sound as well, in `.png` and `.wav` files (`MediaFile`).
struct TensorFolder {
  let path: String

  /// `name` as file names have it: whatever is not a letter, digit or underscore becomes one underscore.
  static func sanitised(_ name: String) -> String {
    var result = ""
    var isInGap = false
    for character in name.unicodeScalars {
      let isPlain = character.isASCII && (character.properties.isAlphabetic || ("0"..."9").contains(character))
      if isPlain || character == "_" {
        result.unicodeScalars.append(character)
      } else if !isInGap {
        result += "_"
      }
      isInGap = !(isPlain || character == "_")
    }
    return result
  }

  /// The file name under which the tensor called `name` is written.
  static func fileName(_ position: Int, _ name: String) -> String {
    "\(position < 10 ? "0" : "")\(position)_\(sanitised(name)).npy"
  }

  /// The tensors called `names`, in that order.
  ///
  /// - Throws: `noInput` naming the tensor if no file is its, `usage` if two are.
  func read(_ names: [String]) throws -> [HostTensor] {
    try files(names, [.npy]).map { try HostTensor.npy(path: $0!.path) }
  }

  /// What `ports` take, in that order.
  /// - Parameter rate: samples a second that sound must have.
  func read(for ports: [Port], rate: Int? = nil) throws -> [HostTensor] {
    try read(for: ports, except: [], rate: rate).map { $0! }
  }

  /// What `ports` take, nil for those at the positions `given`.
  func read(for ports: [Port], except given: Set<Int>, rate: Int?) throws -> [HostTensor?] {
    try zip(files(ports.map(\.name), MediaFile.Kind.allCases, except: given, rate: rate), ports).map { file, port in
      try file?.read(for: port)
    }
  }

  private func files(
    _ names: [String], _ kinds: [MediaFile.Kind], except given: Set<Int> = [], rate: Int? = nil
  ) throws -> [MediaFile?] {
    guard let files = try? FileManager.default.contentsOfDirectory(atPath: path) else {
      throw Failure(.noInput, file: path, "no such folder")
    }
    let present = Set(files)
    return try names.enumerated().map { position, name in
      if given.contains(position) { return nil }
      let plain = Self.sanitised(name)
      let padded = "\(position < 10 ? "0" : "")\(position)_\(plain)"
      // Some of these are the same: from position 10 on the first two, and often the last two.
      var stems: [String] = []
      for stem in [padded, "\(position)_\(plain)", plain, name] where !stems.contains(stem) { stems.append(stem) }
      let found = stems.flatMap { stem in kinds.map { "\(stem).\($0.rawValue)" } }.filter { present.contains($0) }
      guard let file = found.first else {
        throw Failure(.noInput, file: path, place: "'\(name)'", "neither \(plain).npy nor \(stems[0]).npy is there")
      }
      guard found.count == 1 else {
        throw Failure(.usage, file: path, place: "'\(name)'", "\(found.joined(separator: " and ")) are both there")
      }
      return try MediaFile(path: path + "/" + file, rate: rate)
    }
  }

  /// Writes each tensor as `NN_NAME.npy`, making the folder if it is missing.
  func write(_ tensors: [(name: String, value: HostTensor)]) throws {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch { throw Failure(.inputOutput, file: path, "the folder cannot be made") }
    for (position, tensor) in tensors.enumerated() {
      var value = tensor.value
      // NumPy has no bfloat16: its bits are what one can read there.
      if value.element == .bfloat16 { value = HostTensor(.uint16, value.shape, storage: value.storage) }
      try value.writeNPY(to: path + "/" + Self.fileName(position, tensor.name))
    }
  }
}

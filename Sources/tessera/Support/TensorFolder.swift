import Foundation
import TensorTypes

/// A folder of tensors, a file each: `NAME.npy` or `NN_NAME.npy`, NN being the position among inputs or outputs.
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
    guard let files = try? FileManager.default.contentsOfDirectory(atPath: path) else {
      throw Failure(.noInput, file: path, "no such folder")
    }
    let present = Set(files)
    return try names.enumerated().map { position, name in
      let plain = Self.sanitised(name) + ".npy"
      // Some of these are the same: from position 10 on the first two, and often the last two.
      var candidates: [String] = []
      for candidate in [Self.fileName(position, name), "\(position)_\(plain)", plain, name + ".npy"]
      where !candidates.contains(candidate) {
        candidates.append(candidate)
      }
      let found = candidates.filter { present.contains($0) }
      guard let file = found.first else {
        throw Failure(.noInput, file: path, place: "'\(name)'", "neither \(plain) nor \(candidates[0]) is there")
      }
      guard found.count == 1 else {
        throw Failure(.usage, file: path, place: "'\(name)'", "\(found.joined(separator: " and ")) are both there")
      }
      return try HostTensor.npy(path: path + "/" + file)
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

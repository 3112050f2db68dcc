import Foundation
import TensorTypes
import TesseraRuntime

/// A tensor in a file of its own, whose name says how: `.npy`, `.png` for a picture, `.wav` for sound.
struct MediaFile {
  enum Kind: String, CaseIterable { case npy, png, wav }

  let path: String
  let kind: Kind
  /// Samples a second that sound must have, or is written with.
  var rate: Int?

  /// - Throws: `usage` for another ending.
  init(path: String, rate: Int? = nil) throws {
    guard let kind = Kind(rawValue: (path as NSString).pathExtension.lowercased()) else {
      throw Failure(.usage, file: path, "its ending should be one of \(Kind.allCases.map(\.rawValue))")
    }
    (self.path, self.kind, self.rate) = (path, kind, rate)
  }

  /// What the file holds, as `port` wants it.
  /// - Throws: `badData` for a damaged file, `usage` if the port takes no such thing.
  func read(for port: Port) throws -> HostTensor {
    switch kind {
    case .npy: return try HostTensor.npy(path: path)
    case .png:
      let picture = try decoded { bytes throws(Failure) in try PNG.decode(bytes) }
      return try fitting(picture.tensor(port.element, port.knownSizes), port, "picture")
    case .wav:
      let sound = try decoded { bytes throws(Failure) in try WAV.decode(bytes) }
      if let rate, rate != sound.rate {
        throw Failure(.usage, file: path, "\(sound.rate) samples a second, not \(rate); resample it first")
      }
      return try fitting(sound.tensor(port.element, port.knownSizes), port, "sound")
    }
  }

  private func decoded<T>(_ decode: ([UInt8]) throws(Failure) -> T) throws -> T {
    let file = try MappedFile.open(path)
    do { return try withExtendedLifetime(file) { () throws(Failure) in try decode(Array(file.bytes)) } } catch {
      throw error.inFile(path)
    }
  }

  private func fitting(_ tensor: HostTensor?, _ port: Port, _ what: String) throws -> HostTensor {
    guard let tensor else { throw Failure(.usage, file: path, "input '\(port)' takes no \(what)") }
    return tensor
  }

  /// Writes an output.
  /// - Throws: `usage` if it is no picture or no sound, or no rate is given for sound.
  func write(_ tensor: HostTensor, _ port: Port) throws {
    switch kind {
    case .npy: try tensor.writeNPY(to: path)
    case .png:
      guard let picture = Picture(tensor) else {
        throw Failure(.usage, file: path, "output '\(port)' of shape \(tensor.shape) is no picture")
      }
      try AtomicFile.write(PNG.encode(picture), to: path)
    case .wav:
      guard let rate else { throw Failure(.usage, file: path, "sound needs --sample-rate") }
      guard let sound = Sound(tensor, rate: rate) else {
        throw Failure(.usage, file: path, "output '\(port)' of shape \(tensor.shape) is no sound")
      }
      try AtomicFile.write(WAV.encode(sound), to: path)
    }
  }
}

/// Ours, not Foundation's.
typealias Port = TesseraRuntime.Port

extension Port {
  /// The sizes that are fixed; nil for the others.
  var knownSizes: [Int?] {
    sizes.map { size in
      switch size {
      case .fixed(let size): size
      case .symbol, .computed, .unknown: nil
      }
    }
  }
}

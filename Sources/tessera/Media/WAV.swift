import TensorTypes

/// Sound of one channel.
struct Sound {
  /// Samples a second.
  var rate: Int
  /// -1 to 1.
  var samples: [Float]
}

/// Sound as WAV files (RIFF): reads PCM of 8 to 32 bits and 32-bit floats, several channels averaged; writes 16-bit PCM.
enum WAV {
  private static func number(_ bytes: ArraySlice<UInt8>, _ at: Int, _ count: Int) -> Int {
    (0..<count).reduce(0) { $0 | Int(bytes[bytes.startIndex + at + $1]) << (8 * $1) }
  }

  /// - Throws: `badData` saying what is wrong.
  static func decode(_ file: [UInt8]) throws(Failure) -> Sound {
    guard file.count >= 12, file.starts(with: Array("RIFF".utf8)), file[8..<12].elementsEqual("WAVE".utf8) else {
      throw .badData("not a WAV file")
    }
    var format: ArraySlice<UInt8>?
    var at = 12
    while file.count - at >= 8 {
      let size = min(number(file[...], at + 4, 4), file.count - at - 8)
      let body = file[at + 8..<at + 8 + size]
      switch String(decoding: file[at..<at + 4], as: UTF8.self) {
      case "fmt ": format = body
      case "data":
        guard let format, format.count >= 16 else { throw .badData("a WAV file without a format") }
        return try sound(body, format)
      default: break
      }
      at += 8 + size + size % 2
    }
    throw .badData("a WAV file without samples")
  }

  private static func sound(_ data: ArraySlice<UInt8>, _ format: ArraySlice<UInt8>) throws(Failure) -> Sound {
    var kind = number(format, 0, 2)
    let (channels, rate, bits) = (number(format, 2, 2), number(format, 4, 4), number(format, 14, 2))
    if kind == 0xFFFE, format.count >= 26 { kind = number(format, 24, 2) }  // said further down
    guard channels > 0, rate > 0, kind == 1 && [8, 16, 24, 32].contains(bits) || kind == 3 && bits == 32 else {
      throw .badData("a WAV file of kind \(kind) with \(bits) bits; PCM and 32-bit floats are read")
    }
    let (width, frame) = (bits / 8, channels * bits / 8)
    return Sound(
      rate: rate,
      samples: (0..<data.count / frame).map { i in
        let sum = (0..<channels).reduce(Float(0)) { sum, channel in
          let raw = number(data, i * frame + channel * width, width)
          if kind == 3 { return sum + Float(bitPattern: UInt32(raw)) }
          // 8-bit samples have their zero at 128, wider ones are signed.
          let value = bits == 8 ? raw - 128 : (raw << (64 - bits)) >> (64 - bits)
          return sum + Float(value) / Float(1 << (bits - 1))
        }
        return sum / Float(channels)
      })
  }

  static func encode(_ sound: Sound) -> [UInt8] {
    func little(_ value: Int, _ count: Int) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    let size = 2 * sound.samples.count
    var file = Array("RIFF".utf8) + little(36 + size, 4) + Array("WAVEfmt ".utf8) + little(16, 4)
    file +=
      little(1, 2) + little(1, 2) + little(sound.rate, 4) + little(2 * sound.rate, 4) + little(2, 2) + little(16, 2)
    file += Array("data".utf8) + little(size, 4)
    for sample in sound.samples {
      let bounded = sample.isNaN ? 0 : max(-1, min(1, sample))
      file += little(Int((bounded * 32767).rounded()), 2)
    }
    return file
  }
}

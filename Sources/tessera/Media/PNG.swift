import TensorTypes

/// A picture: rows from the top, samples of a pixel side by side.
struct Picture: Hashable {
  var width: Int
  var height: Int
  /// 1 grey, 2 grey and alpha, 3 red, green, blue, 4 and alpha.
  var channels: Int
  /// 0 to 255.
  var samples: [UInt8]
}

/// Pictures as PNG files (W3C PNG specification, third edition).
///
/// Reads every colour type and depth that is not interlaced, 16-bit samples by their upper byte; writes 8-bit samples,
/// uncompressed.
enum PNG {
  private static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
  private static let samplesLimit = 1 << 30

  private struct Header {
    var width = 0
    var height = 0
    var depth = 0
    var colour = 0

    /// Samples of a pixel in the file.
    var samples: Int { [0: 1, 2: 3, 3: 1, 4: 2, 6: 4][colour] ?? 0 }
    var rowBytes: Int { (width * samples * depth + 7) / 8 }

    init(_ bytes: [UInt8]) throws(Failure) {
      guard bytes.count == 13 else { throw .badData("a damaged header") }
      (width, height) = (PNG.number(bytes, 0), PNG.number(bytes, 4))
      (depth, colour) = (Int(bytes[8]), Int(bytes[9]))
      let depths = [0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16]][colour] ?? []
      guard depths.contains(depth), bytes[10] == 0, bytes[11] == 0 else { throw .badData("a damaged header") }
      guard bytes[12] == 0 else { throw .badData("an interlaced picture; save it without interlacing") }
      guard width > 0, height > 0, width <= PNG.samplesLimit / height / 8 else {
        throw .badData("a picture of \(width) by \(height) pixels")
      }
    }
  }

  private static func number(_ bytes: [UInt8], _ at: Int) -> Int { bytes[at..<at + 4].reduce(0) { $0 << 8 | Int($1) } }

  /// - Throws: `badData` saying what is wrong.
  static func decode(_ file: [UInt8]) throws(Failure) -> Picture {
    guard file.starts(with: signature) else { throw .badData("not a PNG file") }
    var (header, palette, data): (Header?, [UInt8], [UInt8]) = (nil, [], [])
    var at = signature.count
    chunks: while true {
      guard file.count - at >= 12 else { throw .badData("a PNG file that is cut short") }
      let size = number(file, at)
      guard size <= file.count - at - 12 else { throw .badData("a PNG file that is cut short") }
      let body = Array(file[at + 8..<at + 8 + size])
      guard Checksums.crc32(file[at + 4..<at + 8 + size]) == UInt32(number(file, at + 8 + size)) else {
        throw .badData("a PNG file whose checksum is wrong")
      }
      switch String(decoding: file[at + 4..<at + 8], as: UTF8.self) {
      case "IHDR": header = try Header(body)
      case "PLTE": palette = body
      case "IDAT": data += body
      case "IEND": break chunks
      default: break
      }
      at += 12 + size
    }
    guard let header else { throw .badData("a PNG file without a header") }
    let rows = try unfiltered(try Inflate.zlib(data, size: header.height * (header.rowBytes + 1)), header)
    return try picture(rows, header, palette)
  }

  /// The rows without the byte before each that says how it was predicted (section 9).
  private static func unfiltered(_ data: [UInt8], _ header: Header) throws(Failure) -> [UInt8] {
    let (row, step) = (header.rowBytes, max(1, header.samples * header.depth / 8))
    var result = [UInt8](repeating: 0, count: header.height * row)
    for y in 0..<header.height {
      let filter = data[y * (row + 1)]
      guard filter < 5 else { throw .badData("a row predicted in an unknown way") }
      for i in 0..<row {
        let left = i >= step ? Int(result[y * row + i - step]) : 0
        let up = y > 0 ? Int(result[(y - 1) * row + i]) : 0
        let corner = y > 0 && i >= step ? Int(result[(y - 1) * row + i - step]) : 0
        let predicted: Int
        switch filter {
        case 0: predicted = 0
        case 1: predicted = left
        case 2: predicted = up
        case 3: predicted = (left + up) / 2
        default: predicted = paeth(left, up, corner)
        }
        result[y * row + i] = data[y * (row + 1) + 1 + i] &+ UInt8(predicted)
      }
    }
    return result
  }

  private static func paeth(_ left: Int, _ up: Int, _ corner: Int) -> Int {
    let p = left + up - corner
    let (a, b, c) = (abs(p - left), abs(p - up), abs(p - corner))
    return a <= b && a <= c ? left : b <= c ? up : corner
  }

  private static func picture(_ rows: [UInt8], _ header: Header, _ palette: [UInt8]) throws(Failure) -> Picture {
    let (width, depth, samples) = (header.width, header.depth, header.samples)
    let isIndexed = header.colour == 3
    var result = Picture(width: width, height: header.height, channels: isIndexed ? 3 : samples, samples: [])
    result.samples.reserveCapacity(width * header.height * result.channels)
    for y in 0..<header.height {
      for i in 0..<width * samples {
        let bit = i * depth
        let byte = rows[y * header.rowBytes + bit / 8]
        let value = depth >= 8 ? Int(byte) : Int(byte) >> (8 - depth - bit % 8) & (1 << depth - 1)
        if isIndexed {
          guard 3 * value + 2 < palette.count else { throw .badData("a colour that the palette does not hold") }
          result.samples += palette[3 * value..<3 * value + 3]
        } else {
          result.samples.append(UInt8(depth >= 8 ? value : value * 255 / (1 << depth - 1)))
        }
      }
    }
    return result
  }

  // MARK: Writing

  static func encode(_ picture: Picture) -> [UInt8] {
    let row = picture.width * picture.channels
    var data: [UInt8] = []
    data.reserveCapacity((row + 1) * picture.height)
    for y in 0..<picture.height {
      data.append(0)
      data += picture.samples[y * row..<(y + 1) * row]
    }
    let colour: UInt8 = [0, 0, 4, 2, 6][picture.channels]
    let header = bigEndian(picture.width) + bigEndian(picture.height) + [8, colour, 0, 0, 0]
    return signature + chunk("IHDR", header) + chunk("IDAT", stored(data)) + chunk("IEND", [])
  }

  private static func bigEndian(_ value: Int) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }
  }

  private static func chunk(_ name: String, _ body: [UInt8]) -> [UInt8] {
    let named = Array(name.utf8) + body
    return bigEndian(body.count) + named + bigEndian(Int(Checksums.crc32(named)))
  }

  /// A zlib stream of stored blocks.
  private static func stored(_ data: [UInt8]) -> [UInt8] {
    var result: [UInt8] = [0x78, 0x01]
    var at = 0
    repeat {
      let count = min(65535, data.count - at)
      result.append(at + count == data.count ? 1 : 0)
      for number in [count, count ^ 0xFFFF] { result += [UInt8(number & 0xFF), UInt8(number >> 8)] }
      result += data[at..<at + count]
      at += count
    } while at < data.count
    return result + bigEndian(Int(Checksums.adler32(data)))
  }
}

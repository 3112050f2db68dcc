// Strings with their escapes, and bytes in base64.

extension JSONReader {
  /// - Throws: also where the text is not UTF-8, or an escape means nothing.
  public mutating func string() throws -> String {
    let (range, escaped) = try rawString()
    let bytes = escaped ? try unescaped(range) : Array(source.bytes[range])
    guard let text = String(validating: bytes, as: UTF8.self) else { throw failure("a string is not UTF-8") }
    return text
  }

  /// Bytes in base64, with either alphabet, padded or not.
  public mutating func base64() throws -> HostTensor.Storage {
    let (range, escaped) = try rawString()
    guard escaped else { return try decodeBase64(UnsafeRawBufferPointer(rebasing: source.bytes[range])) }
    return try unescaped(range).withUnsafeBytes { try decodeBase64($0) }
  }

  private func unescaped(_ range: Range<Int>) throws -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(range.count)
    var i = range.lowerBound
    while i < range.upperBound {
      let byte = source.bytes[i]
      i += 1
      guard byte == UInt8(ascii: "\\") else {
        result.append(byte)
        continue
      }
      // A quote that a backslash precedes does not end the string, so there is one more byte.
      let escape = source.bytes[i]
      i += 1
      switch escape {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(escape)
      case UInt8(ascii: "b"): result.append(0x08)
      case UInt8(ascii: "f"): result.append(0x0c)
      case UInt8(ascii: "n"): result.append(0x0a)
      case UInt8(ascii: "r"): result.append(0x0d)
      case UInt8(ascii: "t"): result.append(0x09)
      case UInt8(ascii: "u"): result += Array(String(try scalar(&i, range.upperBound)).utf8)
      default: throw failure("a string holds an unknown escape")
      }
    }
    return result
  }

  /// The scalar that the four digits at `i`, or two surrogates of four digits each, stand for.
  private func scalar(_ i: inout Int, _ end: Int) throws -> Character {
    let first = try hexadecimal(&i, end)
    if let scalar = Unicode.Scalar(first) { return Character(scalar) }
    guard first < 0xdc00, i + 1 < end, source.bytes[i] == UInt8(ascii: "\\"), source.bytes[i + 1] == UInt8(ascii: "u")
    else {
      throw failure("a string holds half of a surrogate pair")
    }
    i += 2
    let second = try hexadecimal(&i, end)
    guard (0xdc00..<0xe000).contains(second),
      let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
    else { throw failure("a string holds half of a surrogate pair") }
    return Character(scalar)
  }

  private func hexadecimal(_ i: inout Int, _ end: Int) throws -> UInt32 {
    guard end - i >= 4 else { throw failure("a string holds a broken \\u escape") }
    defer { i += 4 }
    var value: UInt32 = 0
    for byte in source.bytes[i..<i + 4] {
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw failure("a string holds a broken \\u escape")
      }
      value = value << 4 | UInt32(digit)
    }
    return value
  }

  private func decodeBase64(_ text: UnsafeRawBufferPointer) throws -> HostTensor.Storage {
    var count = text.count
    while count > 0, text.count - count < 2, text[count - 1] == UInt8(ascii: "=") { count -= 1 }
    let padded = count != text.count
    guard count % 4 != 1, !padded || text.count % 4 == 0 else {
      throw failure("base64 text of \(text.count) characters is cut short")
    }
    var invalid: UInt8 = 0
    let storage = HostTensor.Storage.make(byteCount: count / 4 * 3 + max(0, count % 4 - 1)) { target in
      base64Values.withUnsafeBufferPointer { values in
        var out = 0
        var i = 0
        while i + 4 <= count {
          let (a, b, c, d) = (
            values[Int(text[i])], values[Int(text[i + 1])], values[Int(text[i + 2])], values[Int(text[i + 3])]
          )
          invalid |= a | b | c | d
          target[out] = a << 2 | b >> 4
          target[out + 1] = b << 4 | c >> 2
          target[out + 2] = c << 6 | d
          i += 4
          out += 3
        }
        if i < count {
          let (a, b) = (values[Int(text[i])], values[Int(text[i + 1])])
          let c = i + 2 < count ? values[Int(text[i + 2])] : 0
          invalid |= a | b | c
          target[out] = a << 2 | b >> 4
          if i + 2 < count { target[out + 1] = b << 4 | c >> 2 }
        }
      }
    }
    guard invalid < 64 else { throw failure("base64 text holds a character that base64 has not") }
    return storage
  }
}

/// The six bits of each character of both alphabets; 255 for the others.
private let base64Values: [UInt8] = {
  var values = [UInt8](repeating: 255, count: 256)
  for (i, character) in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8.enumerated() {
    values[Int(character)] = UInt8(i)
  }
  values[Int(UInt8(ascii: "-"))] = 62
  values[Int(UInt8(ascii: "_"))] = 63
  return values
}()

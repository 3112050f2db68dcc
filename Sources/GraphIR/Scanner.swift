import TensorTypes

/// Walks over the bytes of a text, token by token.
struct Scanner {
  private let text: [UInt8]
  private var position = 0

  init(_ text: String) { self.text = Array(text.utf8) }

  var atEnd: Bool { position >= text.count }
  /// Counted from 1.
  var line: Int { 1 + text[..<position].count { $0 == UInt8(ascii: "\n") } }

  func expected(_ what: String) -> Failure {
    let rest = String(decoding: text[position..<min(position + 24, text.count)], as: UTF8.self)
    return .badData("expected \(what), not '\(rest)'")
  }

  mutating func skipSpace() {
    while position < text.count, [0x20, 0x0a, 0x0d, 0x09].contains(text[position]) { position += 1 }
  }

  mutating func peek(_ token: String) -> Bool {
    skipSpace()
    return text[position...].starts(with: token.utf8)
  }

  /// Steps over `token` if it is next. A token that is a word must be a whole one.
  mutating func accept(_ token: String) -> Bool {
    guard peek(token) else { return false }
    let end = position + token.utf8.count
    if token.utf8.allSatisfy(isWordByte), end < text.count, isWordByte(text[end]), token != "0x" { return false }
    position = end
    return true
  }

  mutating func accept(_ token: Character) -> Bool { accept(String(token)) }

  mutating func require(_ token: String) throws {
    if !accept(token) { throw expected("'\(token)'") }
  }

  /// Letters, digits and underscores.
  mutating func word() throws -> String {
    skipSpace()
    let start = position
    while position < text.count, isWordByte(text[position]) { position += 1 }
    guard position > start else { throw expected("a word") }
    return String(decoding: text[start..<position], as: UTF8.self)
  }

  mutating func scalar() throws -> Scalar {
    skipSpace()
    let start = position
    while position < text.count, isWordByte(text[position]) || [0x2b, 0x2d, 0x2e].contains(text[position]) {
      position += 1
    }
    let word = String(decoding: text[start..<position], as: UTF8.self)
    guard let value = Scalar(parsing: word) else {
      position = start
      throw expected("a number")
    }
    return value
  }

  mutating func integer() throws -> Int {
    guard case .integer(let value) = try scalar() else { throw Failure.badData("expected an integer") }
    return Int(value)
  }

  mutating func string() throws -> String {
    try require("\"")
    guard let string = QuotedText.read(text, from: &position) else { throw Failure.badData("a string is not closed") }
    return string
  }

  /// The text up to one of `ends` outside of parentheses and single quotes.
  mutating func balanced(until ends: [Character]) throws -> String {
    let stops = ends.compactMap(\.asciiValue)
    let start = position
    var (depth, isQuoted) = (0, false)
    while position < text.count {
      let byte = text[position]
      if byte == UInt8(ascii: "'") { isQuoted.toggle() }
      if !isQuoted {
        if depth == 0 && stops.contains(byte) { return String(decoding: text[start..<position], as: UTF8.self) }
        if byte == UInt8(ascii: "(") { depth += 1 }
        if byte == UInt8(ascii: ")") { depth -= 1 }
      }
      position += 1
    }
    throw Failure.badData("the text ends within a size")
  }

  /// The text up to `end` and including it.
  mutating func through(_ end: Character) throws -> String {
    skipSpace()
    guard let stop = text[position...].firstIndex(of: end.asciiValue!) else { throw expected("'\(end)' in the end") }
    defer { position = stop + 1 }
    return String(decoding: text[position...stop], as: UTF8.self)
  }

  /// Bytes, two digits each.
  mutating func hexadecimal() throws -> [UInt8] {
    func digit(_ byte: UInt8) -> UInt8? {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
      default: nil
      }
    }
    var bytes: [UInt8] = []
    while position + 1 < text.count, let high = digit(text[position]), let low = digit(text[position + 1]) {
      bytes.append(high << 4 | low)
      position += 2
    }
    return bytes
  }
}

private func isWordByte(_ c: UInt8) -> Bool {
  (c >= UInt8(ascii: "a") && c <= UInt8(ascii: "z")) || (c >= UInt8(ascii: "A") && c <= UInt8(ascii: "Z"))
    || (c >= UInt8(ascii: "0") && c <= UInt8(ascii: "9")) || c == UInt8(ascii: "_")
}

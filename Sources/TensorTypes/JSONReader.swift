import Glibc

/// Reads JSON from bytes, front to back, without building a tree: the caller asks for what it expects next.
///
/// Memory is what the caller keeps. Nesting is limited, names of one object must differ, and nothing but white space
/// may follow the value. Every error is a `Failure` of kind `badData` that names line and column.
/// Source: RFC 8259; numbers and base64 as in protobuf's JSON mapping.
public struct JSONReader: Sendable {
  /// The bytes being read; kept alive.
  public let source: HostTensor.Storage
  public let depthLimit: Int
  private(set) var position = 0
  private var depth = 0

  public enum Kind: Sendable { case null, bool, number, string, array, object }

  public init(_ source: HostTensor.Storage, depthLimit: Int = 256) {
    self.source = source
    self.depthLimit = depthLimit
  }

  public init(text: String, depthLimit: Int = 256) {
    let bytes = Array(text.utf8)
    self.init(.make(byteCount: bytes.count) { $0.copyBytes(from: bytes) }, depthLimit: depthLimit)
  }

  // MARK: Structure

  /// What comes next, which isn't consumed.
  public mutating func peek() throws -> Kind {
    skipSpace()
    switch current {
    case UInt8(ascii: "{"): return .object
    case UInt8(ascii: "["): return .array
    case UInt8(ascii: "\""): return .string
    case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
    case UInt8(ascii: "n"): return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
    default:
      throw failure(position < source.bytes.count ? "expected a JSON value" : "the file ends where a value should be")
    }
  }

  /// Reads an object, calling `member` for each name; it must consume the value.
  /// - Parameter canonical: names that it makes equal count as duplicates, and `member` gets the canonical one.
  public mutating func object(
    canonical: (String) -> String = { $0 }, _ member: (inout JSONReader, String) throws -> Void
  ) throws {
    try open("{", "an object")
    var seen = Set<String>()
    if try !accept("}") {
      repeat {
        skipSpace()
        guard current == UInt8(ascii: "\"") else { throw failure("expected a member's name in quotes") }
        let name = canonical(try string())
        guard seen.insert(name).inserted else { throw failure("member '\(name)' is given twice") }
        guard try accept(":") else { throw failure("expected ':' after '\(name)'") }
        try member(&self, name)
      } while try accept(",")
      guard try accept("}") else { throw failure("expected ',' or '}'") }
    }
    depth -= 1
  }

  /// Reads an array, calling `element` for each; it must consume the value.
  public mutating func array(_ element: (inout JSONReader) throws -> Void) throws {
    try open("[", "an array")
    if try !accept("]") {
      repeat { try element(&self) } while try accept(",")
      guard try accept("]") else { throw failure("expected ',' or ']'") }
    }
    depth -= 1
  }

  /// Reads a value of any kind and forgets it.
  public mutating func skip() throws {
    switch try peek() {
    case .null: try word("null")
    case .bool: _ = try bool()
    case .number: _ = try number()
    case .string: _ = try rawString()
    case .array: try array { try $0.skip() }
    case .object: try object { reader, _ in try reader.skip() }
    }
  }

  /// - Throws: if anything but white space is left.
  public mutating func end() throws {
    skipSpace()
    guard position == source.bytes.count else { throw failure("expected the end of the file") }
  }

  private mutating func open(_ bracket: Character, _ what: String) throws {
    skipSpace()
    guard current == bracket.asciiValue else { throw failure("expected \(what)") }
    guard depth < depthLimit else { throw failure("nesting is deeper than \(depthLimit) levels") }
    position += 1
    depth += 1
  }

  private mutating func accept(_ character: Character) throws -> Bool {
    skipSpace()
    guard position < source.bytes.count else { throw failure("the file ends within an array or object") }
    guard current == character.asciiValue else { return false }
    position += 1
    return true
  }

  // MARK: Leaves

  public mutating func bool() throws -> Bool {
    skipSpace()
    if current == UInt8(ascii: "t") {
      try word("true")
      return true
    }
    try word("false")
    return false
  }

  /// Reads `null` if it comes next.
  public mutating func null() throws -> Bool {
    guard try peek() == .null else { return false }
    try word("null")
    return true
  }

  /// A number's text, or a string's: protobuf writes wide integers and NaN as strings.
  public mutating func numberText() throws -> Substring {
    switch try peek() {
    case .number: return Substring(String(decoding: source.bytes[try number()], as: UTF8.self))
    case .string:
      let text = try string()
      guard text.utf8.count <= 400 else { throw failure("expected a number") }
      return Substring(text)
    case .null, .bool, .array, .object: throw failure("expected a number")
    }
  }

  /// An integer, as a number or a string; `1.0` and `1e3` are integers too.
  public mutating func int64() throws -> Int64 {
    let text = try numberText()
    if let value = Int64(text) { return value }
    guard let real = Double(text), let value = Int64(exactly: real) else {
      throw failure("expected a whole number of 64 bits, not \(text.prefix(40))")
    }
    return value
  }

  public mutating func uint64() throws -> UInt64 {
    let text = try numberText()
    if let value = UInt64(text) { return value }
    guard let real = Double(text), let value = UInt64(exactly: real) else {
      throw failure("expected a whole number of 64 bits without sign, not \(text.prefix(40))")
    }
    return value
  }

  public mutating func double() throws -> Double {
    let text = try numberText()
    if let special = specialNumbers[text] { return special }
    guard let value = Double(text), isDecimal(text) else {
      throw failure("expected a number, not '\(text.prefix(40))'")
    }
    return value
  }

  /// Rounded once, from the text.
  public mutating func float() throws -> Float {
    let text = try numberText()
    if let special = specialNumbers[text] { return Float(special) }
    guard let value = Float(text), isDecimal(text) else { throw failure("expected a number, not '\(text.prefix(40))'") }
    return value
  }

  // MARK: Scanning

  /// The byte at the cursor; 0, which is valid nowhere outside of strings, at the end.
  private var current: UInt8 { position < source.bytes.count ? source.bytes[position] : 0 }

  private mutating func skipSpace() {
    while position < source.bytes.count {
      switch source.bytes[position] {
      case 0x20, 0x0a, 0x0d, 0x09: position += 1
      default: return
      }
    }
  }

  private mutating func word(_ word: StaticString) throws {
    let count = word.utf8CodeUnitCount
    let matches = word.withUTF8Buffer { source.bytes[position...].starts(with: $0) }
    guard matches else { throw failure("expected \(word)") }
    position += count
  }

  /// Skips a number as RFC 8259 spells it; returns where its text is.
  private mutating func number() throws -> Range<Int> {
    let start = position
    func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
    func digits(_ reader: inout JSONReader) throws {
      guard isDigit(reader.current) else { throw reader.failure("expected a digit") }
      while isDigit(reader.current) { reader.position += 1 }
    }
    if current == UInt8(ascii: "-") { position += 1 }
    if current == UInt8(ascii: "0") { position += 1 } else { try digits(&self) }
    if current == UInt8(ascii: ".") {
      position += 1
      try digits(&self)
    }
    if current | 0x20 == UInt8(ascii: "e") {
      position += 1
      if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
      try digits(&self)
    }
    guard position - start <= 400 else { throw failure("a number of more than 400 characters") }
    return start..<position
  }

  /// Skips a string; returns where its text between the quotes is, and whether that holds escapes.
  mutating func rawString() throws -> (text: Range<Int>, escaped: Bool) {
    skipSpace()
    guard current == UInt8(ascii: "\"") else { throw failure("expected a string") }
    let start = position + 1
    // Weights are strings of megabytes: whole passes by library routines beat one by bytes of ours.
    guard var end = find("\"", from: start) else { throw failure("the file ends within a string") }
    let firstEscape = find("\\", from: start, to: end)
    if let firstEscape {
      var i = firstEscape
      while i < source.bytes.count, source.bytes[i] != UInt8(ascii: "\"") {
        i += source.bytes[i] == UInt8(ascii: "\\") ? 2 : 1
      }
      guard i < source.bytes.count else { throw failure("the file ends within a string") }
      end = i
    }
    guard source.bytes[start..<end].reduce(0xff, min) >= 0x20 else {
      throw failure("a control character within the string")
    }
    position = end + 1
    return (start..<end, firstEscape != nil)
  }

  /// Where `character` comes first in a range of the source.
  private func find(_ character: Character, from start: Int, to end: Int? = nil) -> Int? {
    let end = end ?? source.bytes.count
    guard start < end, let base = source.bytes.baseAddress, let code = character.asciiValue else { return nil }
    return memchr(base + start, CInt(code), end - start).map { UnsafeRawPointer($0) - base }
  }

  /// What is wrong here, with line and column.
  public func failure(_ message: String) -> Failure {
    let before = source.bytes[..<min(position, source.bytes.count)]
    let line = before.count { $0 == 0x0a } + 1
    let column = before.count - (before.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0) + 1
    return .badData("\(message) at line \(line), column \(column)")
  }
}

private let specialNumbers: [Substring: Double] = [
  "NaN": .nan, "Infinity": .infinity, "-Infinity": -.infinity,
]

/// Whether `text` is spelled with digits: Swift also reads `inf`, `nan` and hexadecimal.
private func isDecimal(_ text: Substring) -> Bool {
  text.utf8.allSatisfy {
    switch $0 {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
      UInt8(ascii: "e"), UInt8(ascii: "E"):
      true
    default: false
    }
  }
}

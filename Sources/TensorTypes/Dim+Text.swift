import Synchronization

// The text of a size: `2*h*w + 3`, `floor(h + 1, 2)`, `mod(h, 4)`, `min(a, b)`, `max(a, b)`. A symbol that is not a
// plain identifier is quoted: `'unk 1'`.

extension Dim: CustomStringConvertible {
  public var description: String {
    if terms.isEmpty { return "0" }
    var text = ""
    for (i, term) in terms.enumerated() {
      let negative = term.coefficient < 0
      text += i == 0 ? (negative ? "-" : "") : (negative ? " - " : " + ")
      let magnitude = term.coefficient.magnitude
      var parts = term.factors.map(\.description)
      if magnitude != 1 || parts.isEmpty { parts.insert(String(magnitude), at: 0) }
      text += parts.joined(separator: "*")
    }
    return text
  }
}

extension Dim.Atom: CustomStringConvertible {
  public var description: String {
    switch self {
    case .symbol(let name): Dim.isPlain(name) ? name : "'\(name.map { $0 == "'" ? "_" : String($0) }.joined())'"
    case .quotient(let a, let b): "floor(\(a), \(b))"
    case .remainder(let a, let b): "mod(\(a), \(b))"
    case .minimum(let a, let b): "min(\(a), \(b))"
    case .maximum(let a, let b): "max(\(a), \(b))"
    }
  }
}

extension Dim {
  static func isPlain(_ name: String) -> Bool {
    guard let first = name.utf8.first, isLetter(first), !["floor", "mod", "min", "max"].contains(name) else {
      return false
    }
    return name.utf8.allSatisfy { isLetter($0) || isDigit($0) }
  }

  /// Reads what `description` writes.
  /// - Throws: `Failure` of kind `badData` naming the column.
  public init(parsing text: String) throws {
    var parser = DimParser(text: Array(text.utf8))
    self = try parser.sum(depth: 0)
    parser.skipSpace()
    guard parser.position == parser.text.count else { throw parser.failure("end of the size") }
  }
}

extension Dim: Codable {
  public init(from decoder: any Decoder) throws {
    try self.init(parsing: decoder.singleValueContainer().decode(String.self))
  }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    let names = encoder.userInfo[.symbolNames] as? SymbolNames
    try container.encode((names?.renaming(self) ?? self).description)
  }
}

extension CodingUserInfoKey {
  /// A `SymbolNames`: sizes are written with its names instead of their own.
  public static let symbolNames = CodingUserInfoKey(rawValue: "symbolNames")!
}

/// Names `s0`, `s1`, … for symbols, in the order in which they are first met: what is written with them does not
/// depend on what a model calls its sizes.
public final class SymbolNames: Sendable {
  private let names = Mutex<[String: Dim]>([:])
  public init() {}

  /// The size with its symbols renamed. New symbols of one size are met in the order of its text.
  public func renaming(_ dim: Dim) -> Dim {
    let symbols = dim.symbols
    if symbols.isEmpty { return dim }
    return names.withLock { names in
      for symbol in symbols.sorted() where names[symbol] == nil { names[symbol] = .symbol("s\(names.count)") }
      return dim.substituting(names)
    }
  }

  /// What each symbol met so far is called.
  public var all: [String: String] { names.withLock { $0.mapValues(\.description) } }
}

private func isLetter(_ c: UInt8) -> Bool {
  (c >= UInt8(ascii: "a") && c <= UInt8(ascii: "z")) || (c >= UInt8(ascii: "A") && c <= UInt8(ascii: "Z"))
    || c == UInt8(ascii: "_")
}
private func isDigit(_ c: UInt8) -> Bool { c >= UInt8(ascii: "0") && c <= UInt8(ascii: "9") }

private struct DimParser {
  var text: [UInt8]
  var position = 0

  func failure(_ expected: String) -> Failure { .badData("expected \(expected) at column \(position + 1) of a size") }

  mutating func skipSpace() { while position < text.count, text[position] == UInt8(ascii: " ") { position += 1 } }

  mutating func accept(_ character: Character) -> Bool {
    skipSpace()
    guard position < text.count, text[position] == character.asciiValue else { return false }
    position += 1
    return true
  }

  mutating func sum(depth: Int) throws -> Dim {
    guard depth < 64 else { throw Failure.badData("a size nests deeper than 64 levels") }
    var total = accept("-") ? Dim(0) - (try product(depth: depth)) : try product(depth: depth)
    while true {
      if accept("+") {
        total = total + (try product(depth: depth))
      } else if accept("-") {
        total = total - (try product(depth: depth))
      } else {
        return total
      }
    }
  }

  mutating func product(depth: Int) throws -> Dim {
    var result = try atom(depth: depth)
    while accept("*") { result = result * (try atom(depth: depth)) }
    return result
  }

  mutating func atom(depth: Int) throws -> Dim {
    skipSpace()
    guard position < text.count else { throw failure("a number or a name") }
    if accept("'") {
      let start = position
      while position < text.count, text[position] != UInt8(ascii: "'") { position += 1 }
      let name = String(decoding: text[start..<position], as: UTF8.self)
      guard accept("'") else { throw failure("a closing quote") }
      return .symbol(name)
    }
    let start = position
    while position < text.count, isDigit(text[position]) { position += 1 }
    if position > start {
      guard let value = Int(String(decoding: text[start..<position], as: UTF8.self)) else {
        throw failure("a smaller number")
      }
      return Dim(value)
    }
    while position < text.count, isLetter(text[position]) || isDigit(text[position]) { position += 1 }
    guard position > start else { throw failure("a number or a name") }
    let word = String(decoding: text[start..<position], as: UTF8.self)
    let operations: [String: (Dim, Dim) -> Dim] = [
      "floor": { $0.floorDivided(by: $1) }, "mod": { $0.remainder(dividingBy: $1) },
      "min": { Dim.minimum($0, $1) }, "max": { Dim.maximum($0, $1) },
    ]
    guard let operation = operations[word] else { return .symbol(word) }
    guard accept("(") else { throw failure("'('") }
    let a = try sum(depth: depth + 1)
    guard accept(",") else { throw failure("','") }
    let b = try sum(depth: depth + 1)
    guard accept(")") else { throw failure("')'") }
    return operation(a, b)
  }
}

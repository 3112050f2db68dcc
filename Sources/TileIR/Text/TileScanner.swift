import TensorTypes

/// Reads the tokens of a tile program's text.
struct TileScanner {
  let text: [UInt8]
  private(set) var position = 0
  private var line = 1

  init(_ text: String) { self.text = Array(text.utf8) }

  func failure(_ message: String) -> Failure { .badData(message, place: "line \(line) of the tile program") }

  // MARK: Characters

  mutating func skipSpace() {
    while position < text.count {
      switch text[position] {
      case UInt8(ascii: "\n"):
        line += 1
        position += 1
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"):
        position += 1
      case UInt8(ascii: "/") where position + 1 < text.count && text[position + 1] == UInt8(ascii: "/"):
        while position < text.count, text[position] != UInt8(ascii: "\n") { position += 1 }
      default: return
      }
    }
  }

  var isAtEnd: Bool {
    mutating get {
      skipSpace()
      return position == text.count
    }
  }

  mutating func next(is character: Character) -> Bool {
    skipSpace()
    return position < text.count && text[position] == character.asciiValue
  }

  mutating func accept(_ character: Character) -> Bool {
    guard next(is: character) else { return false }
    position += 1
    return true
  }

  mutating func expect(_ character: Character) throws {
    if !accept(character) { throw failure("expected '\(character)'") }
  }

  // MARK: Tokens

  private func isWord(_ c: UInt8) -> Bool {
    switch c {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// Letters, digits and underscores; "" if none stand here.
  mutating func word() -> String {
    skipSpace()
    let start = position
    while position < text.count, isWord(text[position]) { position += 1 }
    return String(decoding: text[start..<position], as: UTF8.self)
  }

  mutating func expect(word expected: String) throws {
    if word() != expected { throw failure("expected '\(expected)'") }
  }

  /// Takes the word if it stands here.
  mutating func accept(word expected: String) -> Bool {
    let saved = self
    if word() == expected { return true }
    self = saved
    return false
  }

  mutating func integer() throws -> Int {
    let negative = accept("-")
    guard let value = Int((negative ? "-" : "") + word()) else { throw failure("expected an integer") }
    return value
  }

  /// An integer or floating number, as `Scalar` writes it.
  mutating func scalar() throws -> Scalar {
    skipSpace()
    let start = position
    while position < text.count,
      isWord(text[position]) || text[position] == UInt8(ascii: ".") || text[position] == UInt8(ascii: "-")
        || text[position] == UInt8(ascii: "+")
    {
      position += 1
    }
    guard let scalar = Scalar(parsing: String(decoding: text[start..<position], as: UTF8.self)) else {
      throw failure("expected a number")
    }
    return scalar
  }

  mutating func string() throws -> String {
    try expect("\"")
    guard let string = QuotedText.read(text, from: &position) else { throw failure("a string is not closed") }
    return string
  }

  /// A size, up to a comma, colon, semicolon or bracket that is not within parentheses or quotes.
  mutating func dim() throws -> Dim {
    skipSpace()
    let start = position
    var parentheses = 0
    var isQuoted = false
    scan: while position < text.count {
      switch text[position] {
      case UInt8(ascii: "'"): isQuoted.toggle()
      case _ where isQuoted: break
      case UInt8(ascii: "("): parentheses += 1
      case UInt8(ascii: ")"): parentheses -= 1
      case UInt8(ascii: ",") where parentheses > 0: break
      case UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: ";"), UInt8(ascii: "]"), UInt8(ascii: "\n"): break scan
      default: break
      }
      position += 1
    }
    guard position - start <= TileProgram.TextLimits.sizeBytes else { throw failure("a size is too long") }
    do {
      return try Dim(parsing: String(decoding: text[start..<position], as: UTF8.self))
    } catch let problem as Failure {
      throw failure(problem.message)
    }
  }
}

// NumPy's `.npy` format, versions 1 to 3: magic, version, a header that is a Python dictionary, the elements.
// Source: NumPy Enhancement Proposal 1, and `numpy.lib.format`.

extension HostTensor {
  /// The tensor in the `.npy` file at `path`; its elements are the mapped file's where they are in row-major order.
  /// - Throws: `Failure` naming the file: missing, not `.npy`, of a type we lack, or of the wrong length.
  public static func npy(path: String) throws -> HostTensor {
    let bytes = try MappedFile.open(path)
    do { return try npy(bytes) } catch let failure as Failure { throw failure.inFile(path) }
  }

  /// The tensor in the bytes of an `.npy` file.
  public static func npy(_ file: Storage) throws -> HostTensor {
    let bytes = file.bytes
    guard bytes.count >= 10, bytes.prefix(6).elementsEqual([0x93] + Array("NUMPY".utf8)) else {
      throw Failure.badData("is not an .npy file")
    }
    let version = bytes[6]
    guard (1...3).contains(version) else { throw Failure.badData(".npy version \(version) is not known") }
    let start = version == 1 ? 10 : 12
    guard bytes.count >= start else { throw Failure.badData("ends within the .npy header") }
    let length = (8..<start).reversed().reduce(0) { $0 << 8 | Int(bytes[$1]) }
    guard length <= bytes.count - start else { throw Failure.badData("ends within the .npy header") }
    guard length <= 1 << 20 else { throw Failure.badData("has an .npy header of \(length) bytes; the limit is 1 MiB") }

    var parser = HeaderParser(text: Array(bytes[start..<start + length]))
    let header = try parser.header()
    let data = file.slice(start + length..<bytes.count)
    guard header.fortranOrder else { return try checked(header.element, header.shape, data) }
    return try checked(header.element, header.shape.reversed(), data).transposedFromFortran()
  }

  /// Writes `.npy` version 1 in row-major order, whole or not at all.
  /// - Precondition: not bf16, which NumPy has no name for: write its bits as u16.
  public func writeNPY(to path: String) throws {
    let header = npyHeader()
    try header.withUnsafeBytes { try AtomicFile.write([$0, bytes], to: path) }
  }

  /// Everything of the file before the elements; a multiple of 64 bytes long.
  func npyHeader() -> [UInt8] {
    guard let name = numpyNames.first(where: { $0.element == element })?.name else {
      preconditionFailure("an element type that NumPy has, not \(element.rawValue)")
    }
    let descr = (element.byteCount == 1 ? "|" : "<") + name
    let sizes = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var text = Array("{'descr': '\(descr)', 'fortran_order': False, 'shape': (\(sizes)), }".utf8)
    text += [UInt8](repeating: UInt8(ascii: " "), count: (64 - (10 + text.count + 1) % 64) % 64) + [UInt8(ascii: "\n")]
    return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(text.count & 255), UInt8(text.count >> 8)] + text
  }
}

private let numpyNames: [(name: String, element: ElementType)] = [
  ("f8", .float64), ("f4", .float32), ("f2", .float16), ("i8", .int64), ("i4", .int32), ("i2", .int16), ("i1", .int8),
  ("u8", .uint64), ("u4", .uint32), ("u2", .uint16), ("u1", .uint8), ("b1", .bool),
]

/// Reads the dictionary that an `.npy` header is: strings, booleans and tuples of integers, nothing nested.
private struct HeaderParser {
  struct Header {
    var element: ElementType
    var fortranOrder: Bool
    var shape: [Int]
  }

  let text: [UInt8]
  var position = 0

  init(text: [UInt8]) { self.text = text }

  func failure(_ expected: String) -> Failure {
    .badData("expected \(expected) at byte \(position) of the .npy header")
  }

  mutating func header() throws -> Header {
    var descr: String?
    var fortran: Bool?
    var shape: [Int]?
    try expect("{")
    while !accept("}") {
      let key = try string()
      try expect(":")
      switch key {
      case "descr" where descr == nil: descr = try string()
      case "fortran_order" where fortran == nil: fortran = try bool()
      case "shape" where shape == nil: shape = try tuple()
      default: throw failure("each of 'descr', 'fortran_order' and 'shape' once, not '\(key)'")
      }
      if !accept(",") {
        try expect("}")
        break
      }
    }
    guard let descr, let fortran, let shape else { throw failure("'descr', 'fortran_order' and 'shape'") }
    return Header(element: try elementType(descr), fortranOrder: fortran, shape: shape)
  }

  private func elementType(_ descr: String) throws -> ElementType {
    guard let order = descr.first, "<|=".contains(order),
      let known = numpyNames.first(where: { $0.name == descr.dropFirst() })
    else { throw Failure.badData("holds elements of NumPy type '\(descr)', which Tessera does not read") }
    return known.element
  }

  private mutating func skipSpace() {
    while position < text.count, text[position] == UInt8(ascii: " ") || text[position] == UInt8(ascii: "\n") {
      position += 1
    }
  }

  private mutating func accept(_ character: Character) -> Bool {
    skipSpace()
    guard position < text.count, text[position] == character.asciiValue else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ character: Character) throws {
    guard accept(character) else { throw failure("'\(character)'") }
  }

  private mutating func string() throws -> String {
    skipSpace()
    guard position < text.count, text[position] == UInt8(ascii: "'") || text[position] == UInt8(ascii: "\"") else {
      throw failure("a string")
    }
    guard let end = text[(position + 1)...].firstIndex(of: text[position]) else { throw failure("a closed string") }
    defer { position = end + 1 }
    return String(decoding: text[(position + 1)..<end], as: UTF8.self)
  }

  private mutating func bool() throws -> Bool {
    skipSpace()
    for (word, value) in [("True", true), ("False", false)] where text[position...].starts(with: word.utf8) {
      position += word.utf8.count
      return value
    }
    throw failure("True or False")
  }

  private mutating func tuple() throws -> [Int] {
    var sizes: [Int] = []
    try expect("(")
    while !accept(")") {
      skipSpace()
      let digits = text[position...].prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      guard let size = Int(String(decoding: digits, as: UTF8.self)) else { throw failure("a size") }
      position += digits.count
      sizes.append(size)
      guard sizes.count <= HostTensor.rankLimit else { throw failure("at most \(HostTensor.rankLimit) sizes") }
      if !accept(",") {
        try expect(")")
        break
      }
    }
    return sizes
  }
}

internal import TensorTypes

/// As much of the ELF64 format as a loader must check (System V ABI, chapters 4 and 5).
enum ELF {
  private static let sharedObject = 3
  #if arch(arm64)
    private static let machine = (number: 183, name: "AArch64")
  #else
    private static let machine = (number: 62, name: "x86-64")
  #endif
  private enum Segment { static let load = 1, dynamic = 2, note = 4 }
  private static let maximumSegments = 256
  private static let maximumNote = 1 << 20

  /// One program header.
  private struct Header {
    var type: Int
    var offset: Int
    var address: Int
    var fileSize: Int
    var memorySize: Int
    var alignment: Int
  }

  /// Checks that the file is a whole shared object for this machine, and finds the note named "Tessera".
  ///
  /// - Returns: the note's text and where in the file it begins.
  static func checkedNote(_ file: Reader) throws(Failure) -> (text: String, offset: Int) {
    let header = try file.bytes(0, 64, "the ELF header")
    guard header[0..<4].elementsEqual([0x7F, 0x45, 0x4C, 0x46]) else {
      throw .badData("not a shared library (no ELF header)")
    }
    guard header[4] == 2, header[5] == 1 else { throw .badData("not a 64-bit little-endian library") }
    let found = integer(header, 18, 2)
    guard found == machine.number else {
      throw Failure(.noDevice, "the library is for another machine (ELF machine \(found)); this one is \(machine.name)")
    }
    guard integer(header, 16, 2) == sharedObject else { throw .badData("an ELF file, but not a shared library") }

    // Linkers put the section table last: a file that ends before it has been cut.
    let sections = (offset: integer(header, 40, 8), size: integer(header, 58, 2) * integer(header, 60, 2))
    guard sections.offset >= 0, sections.offset <= file.size, sections.size <= file.size - sections.offset else {
      throw .badData("cut short: its section table lies beyond the file's \(file.size) bytes")
    }
    let headers = try programHeaders(header, file)
    try checkSegments(headers, file)
    for segment in headers where segment.type == Segment.note {
      guard segment.fileSize <= maximumNote else { throw .badData("a note segment of \(segment.fileSize) bytes") }
      let bytes = try file.bytes(segment.offset, segment.fileSize, "a note segment")
      if let range = try tesseraNote(bytes, alignment: segment.alignment == 8 ? 8 : 4) {
        let text = bytes[range].prefix { $0 != 0 }
        guard text.allSatisfy({ $0 == 10 || (32...126).contains($0) }) else {
          throw .badData("the Tessera note is not plain text")
        }
        return (String(decoding: text, as: UTF8.self), segment.offset + range.lowerBound)
      }
    }
    throw .badData("a shared library, but not one that tessera compiled (it has no Tessera note)")
  }

  private static func programHeaders(_ header: [UInt8], _ file: Reader) throws(Failure) -> [Header] {
    let count = integer(header, 56, 2)
    guard integer(header, 54, 2) == 56, count > 0, count <= maximumSegments else {
      throw .badData("a damaged ELF header: \(count) segments")
    }
    let offset = integer(header, 32, 8)
    let table = try file.bytes(offset, count * 56, "the program headers")
    return (0..<count).map { i in
      let at = i * 56
      return Header(
        type: integer(table, at, 4), offset: integer(table, at + 8, 8), address: integer(table, at + 16, 8),
        fileSize: integer(table, at + 32, 8), memorySize: integer(table, at + 40, 8),
        alignment: integer(table, at + 48, 8))
    }
  }

  /// What the system's loader takes on trust: segments inside the file, ascending, and the dynamic table inside one.
  private static func checkSegments(_ headers: [Header], _ file: Reader) throws(Failure) {
    let damaged = Failure.badData("damaged: a segment lies outside of the file, or its sizes contradict each other")
    var end = 0
    for segment in headers {
      let fits =
        segment.offset >= 0 && segment.fileSize >= 0 && segment.offset <= file.size
        && segment.fileSize <= file.size - segment.offset
      switch segment.type {
      case Segment.load:
        // 2^40: no library needs a terabyte of addresses, and sums below stay far from overflow.
        guard fits, segment.address >= end, segment.memorySize >= segment.fileSize, segment.address < 1 << 40,
          segment.memorySize < 1 << 40, segment.alignment >= 4096, segment.alignment <= 1 << 24,
          segment.alignment & (segment.alignment - 1) == 0,
          (segment.address - segment.offset) % segment.alignment == 0
        else { throw damaged }
        end = segment.address + segment.memorySize
      case Segment.dynamic:
        guard fits,
          headers.contains(where: {
            $0.type == Segment.load && $0.address <= segment.address
              && segment.memorySize <= $0.memorySize - min($0.memorySize, segment.address - $0.address)
          })
        else { throw damaged }
      case Segment.note:
        guard fits else { throw damaged }
      default: continue
      }
    }
    guard end > 0, headers.contains(where: { $0.type == Segment.dynamic }) else {
      throw .badData("a shared library without code or dynamic table")
    }
  }

  /// The description of the note with name "Tessera" and type 1, as a range of `bytes`.
  private static func tesseraNote(_ bytes: [UInt8], alignment: Int) throws(Failure) -> Range<Int>? {
    func padded(_ n: Int) -> Int { (n + alignment - 1) / alignment * alignment }
    var at = 0
    while bytes.count - at >= 12 {
      let (nameSize, textSize) = (integer(bytes, at, 4), integer(bytes, at + 4, 4))
      let name = at + 12
      let text = at + padded(12 + nameSize)
      guard nameSize <= bytes.count - name, text <= bytes.count, textSize <= bytes.count - text else {
        throw .badData("damaged: a note runs over the end of its segment")
      }
      if integer(bytes, at + 8, 4) == 1, bytes[name..<(name + nameSize)].elementsEqual("Tessera\0".utf8) {
        return text..<(text + textSize)
      }
      at = text + padded(textSize)
    }
    return nil
  }

  /// A little-endian number of `count` bytes; one above `Int.max` becomes -1, which every check refuses.
  private static func integer(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> Int {
    var value: UInt64 = 0
    for i in 0..<count { value |= UInt64(bytes[offset + i]) << UInt64(8 * i) }
    return Int(exactly: value) ?? -1
  }
}

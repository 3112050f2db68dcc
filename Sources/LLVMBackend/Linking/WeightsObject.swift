import TensorTypes

/// An object file that holds nothing but weights, on pages of their own, under the name `tessera_weights`: bytes to put
/// before and after them in a file, so that weights of any size go to the linker without passing through memory.
///
/// ELF-64, relocatable (System V ABI, Object Files): a section of data, and what names it.
public enum WeightsObject {
  /// Where the weights begin in the file.
  public static let offset = 4096

  /// - Parameter byteCount: the weights' size, a multiple of 4096.
  public static func frame(byteCount: Int) -> (head: [UInt8], tail: [UInt8]) {
    precondition(byteCount % offset == 0, "whole pages")
    let names = Array("\0\(LibrarySeal.weightsSection)\0.symtab\0.strtab\0.shstrtab\0".utf8)
    let strings = Array("\0tessera_weights\0".utf8)
    var tail = Bytes()
    let base = offset + byteCount
    // One symbol, after the null one: global object, hidden, in section 1.
    let symbols = base
    tail.zeros(24)
    tail.word32(1)
    tail.bytes += [0x11, 2]
    tail.word16(1)
    tail.word64(0)
    tail.word64(byteCount)
    let stringsOffset = base + tail.bytes.count
    tail.bytes += strings
    let namesOffset = base + tail.bytes.count
    tail.bytes += names
    tail.zeros((8 - tail.bytes.count % 8) % 8)
    let sections = base + tail.bytes.count
    tail.zeros(64)
    tail.section(name: 1, type: 1, flags: 2, offset: offset, size: byteCount, alignment: 4096)
    tail.section(name: 18, type: 2, offset: symbols, size: 48, link: 3, info: 1, alignment: 8, entry: 24)
    tail.section(name: 26, type: 3, offset: stringsOffset, size: strings.count, alignment: 1)
    tail.section(name: 34, type: 3, offset: namesOffset, size: names.count, alignment: 1)

    var head = Bytes()
    head.bytes = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
    head.word16(1)  // relocatable
    head.word16(62)  // x86-64
    head.word32(1)
    head.word64(0)
    head.word64(0)
    head.word64(sections)
    head.word32(0)
    for field in [64, 0, 0, 64, 5, 4] { head.word16(field) }
    head.zeros(offset - head.bytes.count)
    return (head.bytes, tail.bytes)
  }

  private struct Bytes {
    var bytes: [UInt8] = []

    mutating func zeros(_ count: Int) { bytes += [UInt8](repeating: 0, count: count) }
    private mutating func little(_ value: Int, _ count: Int) {
      for i in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * i))) }
    }
    mutating func word16(_ value: Int) { little(value, 2) }
    mutating func word32(_ value: Int) { little(value, 4) }
    mutating func word64(_ value: Int) { little(value, 8) }

    mutating func section(
      name: Int, type: Int, flags: Int = 0, offset: Int, size: Int, link: Int = 0, info: Int = 0, alignment: Int,
      entry: Int = 0
    ) {
      word32(name)
      word32(type)
      for field in [flags, 0, offset, size] { word64(field) }
      word32(link)
      word32(info)
      for field in [alignment, entry] { word64(field) }
    }
  }
}

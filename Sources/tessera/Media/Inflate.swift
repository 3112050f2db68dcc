import TensorTypes

/// Decompresses a zlib stream (RFC 1950) of deflate blocks (RFC 1951).
struct Inflate {
  private let input: [UInt8]
  private var position = 0
  private var bits: UInt32 = 0
  private var bitCount = 0
  private var output: [UInt8] = []
  private let limit: Int

  /// The `size` bytes that `input` holds.
  /// - Throws: `badData` for a damaged stream, or one that holds more or fewer bytes.
  static func zlib(_ input: [UInt8], size: Int) throws(Failure) -> [UInt8] {
    var state = Inflate(input, limit: size)
    try state.run()
    guard state.output.count == size else {
      throw .badData("the compressed data hold \(state.output.count) bytes where \(size) belong")
    }
    return state.output
  }

  private init(_ input: [UInt8], limit: Int) {
    self.input = input
    self.limit = limit
    output.reserveCapacity(min(limit, 64 * input.count))
  }

  private mutating func run() throws(Failure) {
    guard input.count >= 6, input[0] & 0x0F == 8, input[1] & 0x20 == 0, (Int(input[0]) << 8 | Int(input[1])) % 31 == 0
    else { throw .badData("not a zlib stream") }
    position = 2
    var isLast = false
    while !isLast {
      isLast = try take(1) == 1
      switch try take(2) {
      case 0: try copyStored()
      case 1: try decode(Self.fixedLiterals, Self.fixedDistances)
      case 2:
        let (literals, distances) = try readCodes()
        try decode(literals, distances)
      default: throw .badData("a deflate block of an unknown kind")
      }
    }
    bitCount = 0
    guard input.count - position >= 4 else { throw Self.cutShort }
    let sum = input[position..<position + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    guard sum == Checksums.adler32(output) else { throw .badData("the checksum of the compressed data is wrong") }
  }

  // MARK: Blocks

  private static let cutShort = Failure.badData("the compressed data are cut short")

  private mutating func take(_ count: Int) throws(Failure) -> Int {
    while bitCount < count {
      guard position < input.count else { throw Self.cutShort }
      bits |= UInt32(input[position]) << UInt32(bitCount)
      position += 1
      bitCount += 8
    }
    let value = bits & (1 << UInt32(count) - 1)
    bits >>= UInt32(count)
    bitCount -= count
    return Int(value)
  }

  private mutating func copyStored() throws(Failure) {
    (bits, bitCount) = (0, 0)
    guard input.count - position >= 4 else { throw Self.cutShort }
    let count = Int(input[position]) | Int(input[position + 1]) << 8
    let inverse = Int(input[position + 2]) | Int(input[position + 3]) << 8
    position += 4
    guard count ^ 0xFFFF == inverse else { throw .badData("a stored block whose length is damaged") }
    guard input.count - position >= count else { throw Self.cutShort }
    guard output.count + count <= limit else { throw .badData("more compressed data than belong there") }
    output += input[position..<position + count]
    position += count
  }

  private static let lengthBase = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
  ]
  private static let lengthBits = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
  ]
  private static let distanceBase = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
    8193, 12289, 16385, 24577,
  ]

  private mutating func decode(_ literals: Code, _ distances: Code) throws(Failure) {
    while true {
      let symbol = try next(literals)
      if symbol == 256 { return }
      guard output.count < limit else { throw .badData("more compressed data than belong there") }
      if symbol < 256 {
        output.append(UInt8(symbol))
        continue
      }
      guard symbol - 257 < Self.lengthBase.count else { throw .badData("a length symbol that there is not") }
      let length = Self.lengthBase[symbol - 257] + (try take(Self.lengthBits[symbol - 257]))
      let far = try next(distances)
      guard far < Self.distanceBase.count else { throw .badData("a distance symbol that there is not") }
      let distance = Self.distanceBase[far] + (try take(max(0, far / 2 - 1)))
      guard distance <= output.count, output.count + length <= limit else {
        throw .badData("a repetition that reaches outside the data")
      }
      for _ in 0..<length { output.append(output[output.count - distance]) }
    }
  }

  // MARK: Huffman codes

  /// A canonical code: how many symbols have each length, and the symbols in the order of their codes.
  private struct Code {
    var counts = [Int](repeating: 0, count: 16)
    var symbols: [Int] = []

    /// - Parameter lengths: of each symbol's code in bits, 0 for one that does not occur.
    init(_ lengths: [Int]) throws(Failure) {
      for length in lengths where length > 0 { counts[length] += 1 }
      var free = 1
      for length in 1..<16 {
        free = 2 * free - counts[length]
        guard free >= 0 else { throw .badData("a Huffman code with too many symbols") }
      }
      for length in 1..<16 { symbols += lengths.indices.filter { lengths[$0] == length } }
    }
  }

  private static let fixedLiterals = known((0..<288).map { $0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8 })
  private static let fixedDistances = known([Int](repeating: 5, count: 30))
  private static func known(_ lengths: [Int]) -> Code {
    guard let code = try? Code(lengths) else { preconditionFailure("RFC 1951's own codes") }
    return code
  }

  private mutating func next(_ code: Code) throws(Failure) -> Int {
    var (value, first, index) = (0, 0, 0)
    for length in 1..<16 {
      value |= try take(1)
      let count = code.counts[length]
      if value - first < count { return code.symbols[index + value - first] }
      index += count
      first = (first + count) << 1
      value <<= 1
    }
    throw .badData("a code that stands for no symbol")
  }

  private static let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

  private mutating func readCodes() throws(Failure) -> (literals: Code, distances: Code) {
    let (literals, distances, count) = (try take(5) + 257, try take(5) + 1, try take(4) + 4)
    var own = [Int](repeating: 0, count: 19)
    for i in 0..<count { own[Self.order[i]] = try take(3) }
    let lengthCode = try Code(own)
    var lengths: [Int] = []
    while lengths.count < literals + distances {
      let symbol = try next(lengthCode)
      switch symbol {
      case 16:
        guard let last = lengths.last else { throw .badData("a repeated code length before the first") }
        lengths += [Int](repeating: last, count: 3 + (try take(2)))
      case 17: lengths += [Int](repeating: 0, count: 3 + (try take(3)))
      case 18: lengths += [Int](repeating: 0, count: 11 + (try take(7)))
      default: lengths.append(symbol)
      }
    }
    guard lengths.count == literals + distances else { throw .badData("more code lengths than symbols") }
    return (try Code(Array(lengths[..<literals])), try Code(Array(lengths[literals...])))
  }
}

enum Checksums {
  /// RFC 1950, section 8.
  static func adler32(_ bytes: some Sequence<UInt8>) -> UInt32 {
    var (a, b): (UInt32, UInt32) = (1, 0)
    for byte in bytes {
      a = (a + UInt32(byte)) % 65521
      b = (b + a) % 65521
    }
    return b << 16 | a
  }

  private static let crcTable: [UInt32] = (0..<256).map {
    (0..<8).reduce($0) { c, _ in c & 1 == 1 ? 0xEDB8_8320 ^ c >> 1 : c >> 1 }
  }

  /// PNG specification, annex D.
  static func crc32(_ bytes: some Sequence<UInt8>) -> UInt32 {
    ~bytes.reduce(~UInt32(0)) { crcTable[Int(($0 ^ UInt32($1)) & 0xFF)] ^ $0 >> 8 }
  }
}

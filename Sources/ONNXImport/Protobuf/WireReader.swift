import TensorTypes

/// Reads protobuf's wire format from a mapped file. Every read is checked against the end of the message it is in;
/// bytes are slices of the map.
/// Source: protobuf.dev/programming-guides/encoding.
struct WireReader: FieldReader {
  enum WireType: UInt64 {
    case varint, fixed64, lengthDelimited, startGroup, endGroup, fixed32
  }

  let context: ReadContext
  private let source: HostTensor.Storage
  private var position = 0
  /// Where the innermost message ends.
  private var end: Int
  /// Of the field at hand; nil before the outermost message.
  private var wire: WireType?
  private var depth = 0

  init(_ source: HostTensor.Storage, context: ReadContext) {
    self.source = source
    self.context = context
    end = source.bytes.count
  }

  func failure(_ message: String) -> Failure { .badData("\(message) at byte \(position)") }

  // MARK: Structure

  mutating func message<F: MessageField>(_ fields: F.Type, _ body: (inout WireReader, F) throws -> Void) throws {
    let outerEnd = end
    // `length` moves the position; the order matters.
    if wire != nil {
      let count = try length()
      end = position + count
    }
    depth += 1
    try context.countMessage(depth: depth)
    while position < end {
      let key = try varint()
      guard let kind = WireType(rawValue: key & 7), key >> 3 > 0, key >> 3 < 1 << 29 else {
        throw failure("no field of a message")
      }
      wire = kind
      if let field = F(rawValue: Int(key >> 3)) { try body(&self, field) } else { try skip() }
    }
    depth -= 1
    end = outerEnd
  }

  mutating func each(_ body: (inout WireReader) throws -> Void) throws { try body(&self) }

  mutating func skip() throws {
    switch wire {
    case .varint: _ = try varint()
    case .fixed64: try advance(8)
    case .fixed32: try advance(4)
    case .lengthDelimited: try advance(length())
    case .startGroup, .endGroup, nil: throw failure("a group, which ONNX does not use")
    }
  }

  // MARK: Scalars

  mutating func string() throws -> String {
    let bytes = try take()
    guard let text = String(validating: source.bytes[bytes], as: UTF8.self) else {
      throw failure("a string that is not UTF-8 ends")
    }
    return text
  }

  mutating func text() throws -> String { String(decoding: source.bytes[try take()], as: UTF8.self) }
  mutating func bytes() throws -> HostTensor.Storage { source.slice(try take()) }

  mutating func int64() throws -> Int64 {
    try expect(.varint)
    return Int64(bitPattern: try varint())
  }

  mutating func float() throws -> Float {
    try expect(.fixed32)
    try advance(4)
    return source.bytes.loadUnaligned(fromByteOffset: position - 4, as: Float.self)
  }

  mutating func enumeration(_ names: [String: Int]) throws -> Int { Int(try int64()) }

  // MARK: Repeated scalars

  mutating func strings(into list: inout [String]) throws { list.append(try string()) }
  mutating func texts(into list: inout [String]) throws { list.append(try text()) }

  mutating func int64s(into list: inout [Int64]) throws {
    try varints { list.append(Int64(bitPattern: $0)) }
  }

  mutating func uint64s(into list: inout [UInt64]) throws {
    try varints { list.append($0) }
  }

  mutating func floats(into data: inout ChunkedBytes) throws { try fixed(.fixed32, 4, into: &data) }
  mutating func doubles(into data: inout ChunkedBytes) throws { try fixed(.fixed64, 8, into: &data) }

  /// Packed, or one at a time: both are allowed for every repeated number.
  private mutating func varints(_ body: (UInt64) -> Void) throws {
    guard wire == .lengthDelimited else {
      try expect(.varint)
      return body(try varint())
    }
    let outerEnd = end
    let count = try length()
    end = position + count
    while position < end { body(try varint()) }
    end = outerEnd
  }

  private mutating func fixed(_ single: WireType, _ size: Int, into data: inout ChunkedBytes) throws {
    if wire == .lengthDelimited {
      let bytes = try take()
      guard bytes.count % size == 0 else { throw failure("packed numbers of \(size) bytes take \(bytes.count) bytes") }
      data.append(source.slice(bytes))
    } else {
      try expect(single)
      try advance(size)
      data.append(source.slice(position - size..<position))
    }
  }

  // MARK: Bytes

  private func expect(_ type: WireType) throws {
    guard wire == type else { throw failure("a field is encoded as another type than ONNX gives it") }
  }

  private mutating func advance(_ count: Int) throws {
    guard count <= end - position else { throw failure("the file or a message ends within a field") }
    position += count
  }

  /// Reads the length of the field at hand, which then lies between `position` and `end`.
  private mutating func length() throws -> Int {
    try expect(.lengthDelimited)
    let count = try varint()
    guard count <= UInt64(end - position) else {
      throw failure("a field says it is \(count) bytes long, where \(end - position) are left")
    }
    return Int(count)
  }

  private mutating func take() throws -> Range<Int> {
    let count = try length()
    position += count
    return position - count..<position
  }

  private mutating func varint() throws -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < end {
      let byte = source.bytes[position]
      position += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
      guard shift < 64 else { throw failure("a number of more than 64 bits") }
    }
    throw failure("the file or a message ends within a number")
  }
}

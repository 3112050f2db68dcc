import TensorTypes

/// Reads a model from the JSON that protobuf's `MessageToJson` writes.
///
/// Names in camelCase or as in `onnx.proto`; wide integers as numbers or strings; enums as names or numbers; bytes in
/// base64; a member that is `null` is absent. Unlike protobuf's own parser, a name that no message has is refused
/// with the names there are: people write these files.
struct JSONFieldReader: FieldReader {
  let context: ReadContext
  private var json: JSONReader
  private var depth = 0

  init(_ source: HostTensor.Storage, context: ReadContext) {
    self.context = context
    json = JSONReader(source)
  }

  /// - Throws: if anything but white space is left.
  mutating func end() throws { try json.end() }

  mutating func message<F: MessageField>(_ fields: F.Type, _ body: (inout JSONFieldReader, F) throws -> Void) throws {
    depth += 1
    try context.countMessage(depth: depth)
    let names = context.names(of: fields)
    // The object and the messages in it are read by one cursor: it goes into the copy and comes back.
    var cursor = json
    try cursor.object(canonical: camelCase) { reader, name in
      guard let field = names[name].flatMap(F.init(rawValue:)) else {
        throw reader.failure("unknown member '\(name)'; known are \(names.keys.sorted().joined(separator: ", "))")
      }
      if try reader.null() { return }
      json = reader
      defer { reader = json }
      try body(&self, field)
    }
    json = cursor
    depth -= 1
  }

  mutating func each(_ body: (inout JSONFieldReader) throws -> Void) throws { try list { try body(&$0) } }

  mutating func skip() throws { try json.skip() }

  mutating func string() throws -> String { try json.string() }
  mutating func text() throws -> String { String(decoding: try json.base64().array(of: UInt8.self), as: UTF8.self) }
  mutating func bytes() throws -> HostTensor.Storage { try json.base64() }
  mutating func int64() throws -> Int64 { try json.int64() }
  mutating func float() throws -> Float { try json.float() }

  mutating func enumeration(_ names: [String: Int]) throws -> Int {
    guard try json.peek() == .string else { return Int(try json.int64()) }
    let name = try json.string()
    guard let value = names[name] ?? Int(name) else {
      throw json.failure("'\(name)' is none of \(names.keys.sorted().joined(separator: ", "))")
    }
    return value
  }

  mutating func strings(into list: inout [String]) throws { try self.list { list.append(try $0.string()) } }
  mutating func texts(into list: inout [String]) throws { try self.list { list.append(try $0.text()) } }
  mutating func int64s(into list: inout [Int64]) throws { try json.array { list.append(try $0.int64()) } }
  mutating func uint64s(into list: inout [UInt64]) throws { try json.array { list.append(try $0.uint64()) } }
  mutating func floats(into data: inout ChunkedBytes) throws { try json.array { data.append(try $0.float()) } }
  mutating func doubles(into data: inout ChunkedBytes) throws { try json.array { data.append(try $0.double()) } }

  private mutating func list(_ element: (inout JSONFieldReader) throws -> Void) throws {
    var cursor = json
    try cursor.array { reader in
      json = reader
      defer { reader = json }
      try element(&self)
    }
    json = cursor
  }
}

/// `raw_data` → `rawData`; a name that has no `_` stays.
func camelCase(_ name: String) -> String {
  guard name.utf8.contains(UInt8(ascii: "_")) else { return name }
  var result = ""
  var raise = false
  for character in name {
    if character == "_" {
      raise = true
    } else {
      result += raise ? character.uppercased() : String(character)
      raise = false
    }
  }
  return result
}

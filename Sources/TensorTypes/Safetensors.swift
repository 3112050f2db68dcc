/// A `.safetensors` file: an 8-byte length, a JSON header that names tensors, their elements.
///
/// Tensors are slices of the file; nothing is copied.
/// Source: the format's description in the `safetensors` project's README.
public struct Safetensors: Sendable {
  private struct Entry: Sendable {
    var type: String
    var shape: [Int]
    var bytes: Range<Int>
  }

  private let file: HostTensor.Storage
  private var entries: [String: Entry] = [:]

  /// Largest header that is read, as in the format's own library.
  static let headerLimit = 100_000_000

  /// - Throws: `Failure` naming the file.
  public static func open(_ path: String) throws -> Safetensors {
    let bytes = try MappedFile.open(path)
    do { return try Safetensors(bytes) } catch let failure as Failure { throw failure.inFile(path) }
  }

  public init(_ file: HostTensor.Storage) throws {
    self.file = file
    let bytes = file.bytes
    guard bytes.count >= 8 else { throw Failure.badData("is not a .safetensors file: shorter than its length field") }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(min(bytes.count - 8, Self.headerLimit)) else {
      throw Failure.badData("is not a .safetensors file: its header would be \(length) bytes long")
    }
    let start = 8 + Int(length)
    var reader = JSONReader(file.slice(8..<start))
    var entries: [String: Entry] = [:]
    try reader.object { reader, name in
      guard name != "__metadata__" else { return try reader.skip() }
      do { entries[name] = try Self.entry(&reader, data: start..<bytes.count) } catch let failure as Failure {
        throw failure.at("tensor '\(name)'")
      }
    }
    try reader.end()
    self.entries = entries
  }

  private static func entry(_ reader: inout JSONReader, data: Range<Int>) throws -> Entry {
    var type = ""
    var shape: [Int] = []
    var offsets: [Int] = []
    try reader.object { reader, key in
      switch key {
      case "dtype": type = try reader.string()
      case "shape": try reader.array { shape.append(Int(try $0.int64())) }
      case "data_offsets": try reader.array { offsets.append(Int(try $0.int64())) }
      default: try reader.skip()
      }
    }
    guard offsets.count == 2, offsets[0] >= 0, offsets[0] <= offsets[1], offsets[1] <= data.count else {
      throw Failure.badData("data_offsets \(offsets) do not lie within the file's \(data.count) bytes of data")
    }
    return Entry(
      type: type, shape: shape, bytes: data.lowerBound + offsets[0]..<data.lowerBound + offsets[1])
  }

  /// In alphabetical order.
  public var names: [String] { entries.keys.sorted() }

  /// - Throws: `Failure` naming the tensor: absent, of a type we lack, or of a length other than its shape's.
  public func tensor(_ name: String) throws -> HostTensor {
    guard let entry = entries[name] else {
      throw Failure.badData("holds no tensor '\(name)'; it holds \(entries.count) others")
    }
    guard let element = safetensorsTypes[entry.type] else {
      throw Failure.badData("elements of type '\(entry.type)' are not read by Tessera", place: "tensor '\(name)'")
    }
    do { return try HostTensor.checked(element, entry.shape, file.slice(entry.bytes)) } catch let failure as Failure {
      throw failure.at("tensor '\(name)'")
    }
  }
}

private let safetensorsTypes: [String: ElementType] = [
  "F64": .float64, "F32": .float32, "F16": .float16, "BF16": .bfloat16, "I64": .int64, "I32": .int32, "I16": .int16,
  "I8": .int8, "U64": .uint64, "U32": .uint32, "U16": .uint16, "U8": .uint8, "BOOL": .bool,
]

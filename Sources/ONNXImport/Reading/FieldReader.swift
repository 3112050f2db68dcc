import TensorTypes

/// Bounds on what is read from a file; memory stays in proportion to the file's size.
public struct ONNXLimits: Sendable {
  /// Messages within messages; a graph within a graph takes three.
  public var nesting = 64
  /// Nodes of all graphs together.
  public var nodes = 1_000_000
  /// Messages of every kind together.
  public var messages = 8_000_000

  public init() {}
}

/// The fields of one kind of message: raw values are protobuf's numbers, case names are JSON's.
///
/// A negative number is a field that only our JSON has.
protocol MessageField: RawRepresentable<Int>, CaseIterable, Hashable {}

/// What is common to the two encodings of a model. The readers of messages are written once, over this.
protocol FieldReader {
  var context: ReadContext { get }
  /// Reads a message, calling `body` for each field present in it; `body` must consume the value.
  mutating func message<F: MessageField>(_ fields: F.Type, _ body: (inout Self, F) throws -> Void) throws
  /// Calls `body` for each message of a repeated field that is at hand.
  mutating func each(_ body: (inout Self) throws -> Void) throws
  mutating func skip() throws

  mutating func string() throws -> String
  /// Bytes that are text by convention only; repaired where they are not UTF-8.
  mutating func text() throws -> String
  mutating func bytes() throws -> HostTensor.Storage
  mutating func int64() throws -> Int64
  mutating func float() throws -> Float
  /// A number, or in JSON one of `names`.
  mutating func enumeration(_ names: [String: Int]) throws -> Int

  // Repeated fields: append what is at hand.
  mutating func strings(into list: inout [String]) throws
  mutating func texts(into list: inout [String]) throws
  mutating func int64s(into list: inout [Int64]) throws
  mutating func uint64s(into list: inout [UInt64]) throws
  mutating func floats(into data: inout ChunkedBytes) throws
  mutating func doubles(into data: inout ChunkedBytes) throws
}

/// What the readers of one model share: limits, counts, and the files beside the model.
final class ReadContext {
  let limits: ONNXLimits
  let files: ExternalFiles
  private var nodes = 0
  private var messages = 0
  private var fieldNames: [ObjectIdentifier: [String: Int]] = [:]

  init(limits: ONNXLimits, files: ExternalFiles) {
    self.limits = limits
    self.files = files
  }

  func countMessage(depth: Int) throws {
    guard depth <= limits.nesting else { throw Failure.badData("messages nest deeper than \(limits.nesting) levels") }
    messages += 1
    guard messages <= limits.messages else { throw Failure.badData("holds more than \(limits.messages) messages") }
  }

  /// The numbers of the fields of one kind of message by their names in JSON.
  func names<F: MessageField>(of fields: F.Type) -> [String: Int] {
    if let known = fieldNames[ObjectIdentifier(fields)] { return known }
    let names = Dictionary(uniqueKeysWithValues: F.allCases.map { ("\($0)", $0.rawValue) })
    fieldNames[ObjectIdentifier(fields)] = names
    return names
  }

  func countNode() throws {
    nodes += 1
    guard nodes <= limits.nodes else { throw Failure.badData("holds more than \(limits.nodes) nodes") }
  }
}

/// Little-endian elements that arrive in pieces: the only piece is kept where it is, several are joined.
struct ChunkedBytes {
  private var only: HostTensor.Storage?
  private var joined: [UInt8] = []
  private(set) var isEmpty = true

  mutating func append(_ chunk: HostTensor.Storage) {
    if isEmpty {
      only = chunk
    } else {
      join()
      joined += chunk.bytes
    }
    isEmpty = false
  }

  mutating func append<T: BitwiseCopyable>(_ value: T) {
    join()
    withUnsafeBytes(of: value) { joined += $0 }
    isEmpty = false
  }

  private mutating func join() {
    if let only { joined += only.bytes }
    only = nil
  }

  var storage: HostTensor.Storage {
    only ?? .make(byteCount: joined.count) { $0.copyBytes(from: joined) }
  }
}

/// Runs `body`; a failure in it is at `place`, unless it says a closer one.
func locating<R>(_ place: @autoclosure () -> String, _ body: () throws -> R) throws -> R {
  do { return try body() } catch let failure as Failure { throw failure.at(place()) }
}

import Foundation
import Testing

@testable import TensorTypes

@Suite struct TensorFileTests {
  func temporary(_ name: String) -> String { NSTemporaryDirectory() + "/tessera-\(UUID().uuidString)-\(name)" }

  func npy(_ header: String, _ data: [UInt8], version: UInt8 = 1) throws -> HostTensor {
    let length = Array(header.utf8).count
    let size = [UInt8(length & 255), UInt8(length >> 8)] + (version == 1 ? [] : [0, 0])
    let bytes = [0x93] + Array("NUMPY".utf8) + [version, 0] + size + Array(header.utf8) + data
    return try .npy(.make(byteCount: bytes.count) { $0.copyBytes(from: bytes) })
  }

  @Test(arguments: [[], [0], [5], [2, 3], [1, 0, 4], [2, 1, 3, 2]])
  func npyRoundTrip(_ shape: [Int]) throws {
    for element in ElementType.allCases where element != .bfloat16 {
      let path = temporary("t.npy")
      defer { try? FileManager.default.removeItem(atPath: path) }
      let count = shape.reduce(1, *) * element.byteCount
      let bytes = (0..<count).map { element == .bool ? UInt8($0 & 1) : UInt8($0 & 255) }
      let tensor = HostTensor(element, shape, storage: .make(byteCount: count) { $0.copyBytes(from: bytes) })
      try tensor.writeNPY(to: path)
      let again = try HostTensor.npy(path: path)
      #expect(again.element == element && again.shape == shape && again.storage.array(of: UInt8.self) == bytes)
      #expect(tensor.npyHeader().count % 64 == 0, "elements start at a multiple of 64 bytes, as NumPy writes them")
    }
  }

  @Test func npyReadsFortranOrder() throws {
    // The matrix [[1, 2, 3], [4, 5, 6]] column by column.
    let tensor = try npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n", [1, 4, 2, 5, 3, 6])
    #expect(tensor.shape == [2, 3] && tensor.array() == [1, 2, 3, 4, 5, 6] as [UInt8])
    let wide = try npy(
      "{'descr': '<u2', 'fortran_order': True, 'shape': (2, 1, 2)}", [1, 0, 2, 0, 3, 0, 4, 0], version: 2)
    #expect(wide.array() == [1, 3, 2, 4] as [UInt16])
  }

  @Test(arguments: [
    "{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "{'descr': '<f4', 'shape': (1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1,",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999), }", "", "{",
    "{'descr': '<f4', 'fortran_order': 3, 'shape': (1,), }", "{'descr': '<f4",
  ])
  func npyRefuses(_ header: String) {
    let failure = #expect(throws: Failure.self) { try npy(header, [0, 0, 0, 0]) }
    #expect(failure?.kind == .badData)
  }

  func safetensors(_ header: String, _ data: [UInt8], length: UInt64? = nil) throws -> Safetensors {
    let count = length ?? UInt64(header.utf8.count)
    let bytes = (0..<8).map { UInt8(count >> (8 * $0) & 255) } + Array(header.utf8) + data
    return try Safetensors(.make(byteCount: bytes.count) { $0.copyBytes(from: bytes) })
  }

  @Test func safetensorsGiveTheirTensors() throws {
    let header =
      #"{"__metadata__":{"a":"b"},"x":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},"#
      + #""y":{"dtype":"F8_E4M3","shape":[],"data_offsets":[0,1]},"b":{"dtype":"BOOL","shape":[],"data_offsets":[2,3]}}"#
    let file = try safetensors(header, [7, 8, 9])
    #expect(file.names == ["b", "x", "y"])
    #expect(try file.tensor("x").array() == [8, 9] as [UInt8])
    #expect(try file.tensor("b").array() == [1] as [UInt8])
    #expect(throws: Failure.self) { try file.tensor("y") }
    #expect(throws: Failure.self) { try file.tensor("z") }
  }

  @Test(arguments: [
    #"{"x":{"dtype":"U8","shape":[2],"data_offsets":[1,4]}}"#,
    #"{"x":{"dtype":"U8","shape":[2],"data_offsets":[2,1]}}"#,
    #"{"x":{"dtype":"U8","shape":[2],"data_offsets":[-1,1]}}"#, #"{"x":{},"x":{}}"#, #"{"x":3}"#, "", "[]", "{}x",
  ])
  func safetensorsRefuse(_ header: String) {
    #expect(throws: Failure.self) { try safetensors(header, [7, 8, 9]) }
    #expect(throws: Failure.self) { try safetensors(header, [], length: .max) }
  }

  @Test func filesAreReplacedWholeOrNotAtAll() throws {
    let path = temporary("file")
    defer { try? FileManager.default.removeItem(atPath: path) }
    try AtomicFile.write("first", to: path)
    try AtomicFile.write("second", to: path)
    #expect(try MappedFile.open(path).array(of: UInt8.self) == Array("second".utf8))
    #expect(throws: Failure.self) { try AtomicFile.write("x", to: path + "/below") }
    let missing = #expect(throws: Failure.self) { try MappedFile.open(path + "-missing") }
    #expect(missing?.kind == .noInput)
  }

  /// A byte more or another one anywhere is another hash.
  @Test func piecewiseHashSeesAllBytes() {
    let size = PiecewiseHash.pieceSize
    var bytes = [UInt8](repeating: 7, count: 2 * size + 1)
    func hash(_ count: Int) -> String {
      bytes.withUnsafeBytes { PiecewiseHash(UnsafeRawBufferPointer(rebasing: $0[..<count])).hexDigest() }
    }
    var seen = Set([0, 1, size, size + 1, 2 * size, 2 * size + 1].map(hash))
    for place in [0, size - 1, size, 2 * size] {
      bytes[place] = 8
      seen.insert(hash(bytes.count))
    }
    #expect(seen.count == 10)
  }
}

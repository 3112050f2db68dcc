import Foundation
import TensorTypes
import Testing

@testable import tessera

@Suite struct TensorFolderTests {
  private func withFolder(_ body: (TensorFolder) throws -> Void) throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("tessera-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: url) }
    try body(TensorFolder(path: url.path))
  }

  @Test(arguments: [
    ("x", "x"), ("input.1", "input_1"), ("a//b::c", "a_b_c"), ("/x", "_x"), ("größe", "gr_e"), ("é", "_"),
    ("a_-_b", "a___b"),
  ]) func sanitisesNames(_ name: String, _ expected: String) {
    #expect(TensorFolder.sanitised(name) == expected)
  }

  @Test func readsWhatItWrites() throws {
    try withFolder { folder in
      let x = HostTensor(.float32, [2, 1], [1, 2] as [Float])
      let y = HostTensor(.bool, [], [1] as [UInt8])
      let b = HostTensor(.bfloat16, [1], [0x3F80] as [UInt16])
      try folder.write([("images.0", x), ("flag", y), ("b", b)])
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
          == ["00_images_0.npy", "01_flag.npy", "02_b.npy"])
      let read = try folder.read(["images.0", "flag", "b"])
      #expect(read.map(\.shape) == [[2, 1], [], [1]])
      #expect(read[0].array(of: Float.self) == [1, 2])
      #expect(read.map(\.element) == [.float32, .bool, .uint16])
    }
  }

  /// From position 10 on the padded and the plain position are one; digits at a name's end are the name's.
  @Test func readsMoreThanTenTensors() throws {
    try withFolder { folder in
      let names = (0..<10).map { "past_value_\($0)" } + ["past_key_2", "11"]
      try folder.write(names.enumerated().map { ($1, HostTensor(.int64, [1], [Int64($0)])) })
      #expect(try folder.read(names).map { $0.array(of: Int64.self)[0] } == (0..<12).map { Int64($0) })
      let files = FileManager.default
      try files.moveItem(atPath: folder.path + "/10_past_key_2.npy", toPath: folder.path + "/past_key_2.npy")
      #expect(try folder.read(names)[10].array(of: Int64.self) == [10])
    }
  }

  @Test func findsPlainNamesAndNamesWhatIsMissing() throws {
    try withFolder { folder in
      try folder.write([("x", HostTensor(.int64, [1], [7] as [Int64]))])
      let files = FileManager.default
      try files.moveItem(atPath: folder.path + "/00_x.npy", toPath: folder.path + "/in_put.npy")
      #expect(try folder.read(["in/put"])[0].array(of: Int64.self) == [7])
      #expect(throws: Failure(.noInput, file: folder.path, place: "'z'", "neither z.npy nor 01_z.npy is there")) {
        _ = try folder.read(["in/put", "z"])
      }
      try files.copyItem(atPath: folder.path + "/in_put.npy", toPath: folder.path + "/00_in_put.npy")
      #expect(throws: Failure.self) { _ = try folder.read(["in/put"]) }
    }
    #expect(throws: Failure(.noInput, file: "/nowhere", "no such folder")) {
      _ = try TensorFolder(path: "/nowhere").read(["x"])
    }
  }

  @Test func interpolatesQuantiles() {
    let sample = Statistics([4, 1, 3, 2, 5])
    #expect(sample.median == 3)
    #expect(sample.quantile(0) == 1)
    #expect(sample.quantile(1) == 5)
    #expect(abs(sample.quantile(0.1) - 1.4) < 1e-12)
    #expect(Statistics([7]).quantile(0.9) == 7)
  }
}

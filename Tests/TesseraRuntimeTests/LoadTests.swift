import Foundation
import TensorTypes
import Testing

@testable import TesseraRuntime

/// What `body` throws; nil if nothing.
func failure(_ body: () throws -> Void) -> Failure? {
  do {
    try body()
    return nil
  } catch { return error as? Failure ?? Failure(.ours, "another error: \(error)") }
}

@Suite struct LoadTests {
  @Test func describesWhatItLoaded() throws {
    let fixture = try Fixture()
    defer { fixture.remove() }
    let library = try Library(path: fixture.path, options: .init(threads: 2))
    #expect(library.modelName == "affine")
    #expect(library.target == "baseline")
    #expect(library.inputs.map(\.description) == ["x: f32[n, m]", "bias: f32[m]"])
    #expect(library.outputs.map(\.description) == ["y: f32[n, m]", "sums: f32[2*n]"])
    #expect(library.symbols == ["n", "m"])
    #expect(library.manifest.contains("kernels"))
    #expect(library.pool.workers == 2)
  }

  @Test func loadsWithinFiftyMilliseconds() throws {
    let fixture = try Fixture()
    defer { fixture.remove() }
    let clock = ContinuousClock()
    // The best of five: the machine may be busy with something else.
    let times = try (0..<5).map { _ in try clock.measure { _ = try Library(path: fixture.path) } }
    #expect(times.min().map { $0 < .milliseconds(50) } == true)
  }

  @Test func refusesMissingFeaturesByName() throws {
    let fixture = try Fixture("IMPOSSIBLE")
    defer { fixture.remove() }
    let error = failure { _ = try Library(path: fixture.path) }
    #expect(error?.kind == .noDevice)
    #expect(error?.message.contains("dream_unit, moon_lanes") == true)
    #expect(error?.message.contains("compiled for dream") == true)
  }

  @Test(arguments: [
    "BAD_DIM", "BAD_ELEMENT", "BAD_COUNT", "BAD_MESSAGES", "BAD_RUN", "BAD_RETURN", "BAD_ABI", "NO_NOTE",
  ])
  func refusesWrongDescriptors(_ define: String) throws {
    let fixture = try Fixture(define)
    defer { fixture.remove() }
    let error = failure { _ = try Library(path: fixture.path) }
    #expect(error?.kind == .badData, "\(define): \(error?.description ?? "loaded")")
    #expect(error?.file != nil)
  }

  @Test func refusesWhatIsNotThere() throws {
    #expect(failure { _ = try Library(path: "/nowhere/model.so") }?.kind == .noInput)
    #expect(failure { _ = try Library(path: "/") }?.kind == .badData)
    #expect(failure { _ = try Library(path: "") }?.kind == .noInput)
  }

  @Test func refusesTruncatedAtEveryLength() throws {
    let fixture = try Fixture()
    defer { fixture.remove() }
    let whole = try Data(contentsOf: URL(fileURLWithPath: fixture.path))
    let cut = fixture.folder.appendingPathComponent("cut.so")
    for length in Array(0..<128) + Array(stride(from: 128, to: whole.count, by: 61)) + [whole.count - 1] {
      try whole.prefix(length).write(to: cut)
      let error = failure { _ = try Library(path: cut.path) }
      #expect(error?.kind == .badData, "\(length) bytes: \(error?.description ?? "loaded")")
    }
  }

  @Test func refusesAnyChangedByte() throws {
    let fixture = try Fixture()
    defer { fixture.remove() }
    let whole = try Data(contentsOf: URL(fileURLWithPath: fixture.path))
    let changed = fixture.folder.appendingPathComponent("changed.so")
    var random = SeededGenerator()
    for i in 0..<400 {
      var data = whole
      // Headers are where a change could lead a loader astray: every second change goes there.
      let at = Int.random(in: 0..<(i % 2 == 0 ? 1200 : data.count), using: &random)
      data[at] ^= UInt8.random(in: 1...255, using: &random)
      try data.write(to: changed)
      let error = failure { _ = try Library(path: changed.path) }
      #expect(error != nil, "seed \(random.seed): byte \(at) changed, and it loaded")
    }
  }

  @Test func readsSidecarWeights() throws {
    let fixture = try Fixture("SIDECAR=\"affine.weights\"")
    defer { fixture.remove() }
    let missing = failure { _ = try Library(path: fixture.path) }
    #expect(missing?.kind == .noInput)
    #expect(missing?.message.contains("affine.weights") == true)

    let sidecar = fixture.folder.appendingPathComponent("affine.weights")
    try Data(count: 4095).write(to: sidecar)
    #expect(failure { _ = try Library(path: fixture.path) }?.kind == .badData)

    var weights = [Float](repeating: 0, count: 1024)
    weights[0] = 3
    try weights.withUnsafeBytes { Data($0) }.write(to: sidecar)
    let session = try Session(library: Library(path: fixture.path))
    let out = try session.run([HostTensor(.float32, [1, 1], [5 as Float]), HostTensor(.float32, [1], [1 as Float])])
    #expect(out[0].array(of: Float.self) == [16])
    // The fixture's hash of the weights is zeros: a full check must notice.
    #expect(failure { _ = try Library(path: fixture.path, options: .init(verification: .full)) }?.kind == .badData)
  }

  @Test func refusesSidecarsElsewhere() throws {
    let fixture = try Fixture("SIDECAR=\"../x\"")
    defer { fixture.remove() }
    #expect(failure { _ = try Library(path: fixture.path) }?.kind == .badData)
  }

  @Test func takesTheFileThatHasTheNameNow() throws {
    let one = try Fixture("SIDECAR=\"w\"")
    let two = try Fixture()
    defer {
      one.remove()
      two.remove()
    }
    try Data(count: 4096).write(to: one.folder.appendingPathComponent("w"))
    let first = try Session(library: Library(path: one.path))
    // As a recompile does it: a new file takes the name.
    #expect(rename(two.path, one.path) == 0)
    let second = try Session(library: Library(path: one.path))
    let inputs = [HostTensor(.float32, [1, 1], [5 as Float]), HostTensor(.float32, [1], [1 as Float])]
    #expect(try first.run(inputs)[0].array(of: Float.self) == [1])
    #expect(try second.run(inputs)[0].array(of: Float.self) == [11])
  }

  @Test func hashesAsTheStandardSays() {
    // FIPS 180-4's examples, and a million a's from its second part.
    func hash(_ text: String) -> String { Array(text.utf8).withUnsafeBytes { SHA256.hexDigest($0) } }
    #expect(hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(hash("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    let million = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    #expect(hash(String(repeating: "a", count: 1_000_000)) == million)
    var pieces = SHA256()
    for count in [1, 63, 64, 65, 127, 999_680] {
      [UInt8](repeating: 97, count: count).withUnsafeBytes { pieces.update($0) }
    }
    #expect(pieces.hexDigest() == million)
  }

  @Test func knowsThisCPU() throws {
    #expect(CPU.available >= 1)
    #if arch(x86_64)
      let info = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
      let line = try #require(info.split(separator: "\n").first { $0.hasPrefix("flags") })
      let flags = Set(line.split(separator: " ").map(String.init))
      for feature in CPU.features { #expect(flags.contains(feature), "\(feature) is not in /proc/cpuinfo") }
      for name in ["sse4_2", "avx2", "fma", "f16c", "bmi2", "avx512f", "avx512vl", "avx512_vnni", "amx_tile"] {
        #expect(flags.contains(name) == CPU.features.contains(name), "\(name)")
      }
    #endif
  }
}

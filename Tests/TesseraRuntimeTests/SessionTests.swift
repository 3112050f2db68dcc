import Foundation
import TensorTypes
import Testing

@testable import TesseraRuntime

@Suite struct SessionTests {
  private func tensors(_ n: Int, _ m: Int, _ random: inout SeededGenerator) -> (x: [Float], bias: [Float]) {
    (
      (0..<(n * m)).map { _ in Float.random(in: -1...1, using: &random) },
      (0..<m).map { _ in Float.random(in: -1...1, using: &random) }
    )
  }

  /// Exact: the library does the same operations in the same order. 2·x is exact, so fusing changes nothing.
  @Test func takesAnySizesWithoutRecompiling() throws {
    let fixture = try Fixture()
    defer { fixture.remove() }
    var random = SeededGenerator()
    let session = try Session(
      library: Library(path: fixture.path, options: .init(threads: 3)), options: .init(poison: true))
    for (n, m) in [(1, 1), (0, 4), (4, 0), (700, 3), (2, 5), (64, 64), (1000, 17), (3, 1)] {
      let (x, bias) = tensors(n, m, &random)
      #expect(try session.outputShapes(for: [[n, m], [m]]) == [[n, m], [2 * n]])
      let outputs = try session.run([HostTensor(.float32, [n, m], x), HostTensor(.float32, [m], bias)])
      let expected = Fixture.expected(x: x, bias: bias, n: n, m: m)
      #expect(outputs.map(\.shape) == [[n, m], [2 * n]])
      #expect(outputs[0].array(of: Float.self) == expected.y, "seed \(random.seed), n \(n), m \(m)")
      #expect(outputs[1].array(of: Float.self) == expected.sums, "seed \(random.seed), n \(n), m \(m)")
    }
  }

  @Test func namesInputAndDimensionOfAConflict() throws {
    let fixture = try Fixture()
    defer { fixture.remove() }
    let session = try Session(library: Library(path: fixture.path))
    let conflict = failure { _ = try session.outputShapes(for: [[2, 3], [4]]) }
    #expect(conflict?.kind == .badData)
    #expect(conflict?.place == "input 'bias'")
    #expect(conflict?.message == "dimension 0, 'm', is 4, but dimension 1 of input 'x' makes it 3")
    #expect(failure { _ = try session.outputShapes(for: [[2, 3]]) }?.kind == .usage)
    #expect(failure { _ = try session.outputShapes(for: [[2, 3, 4], [3]]) }?.kind == .badData)
    #expect(failure { _ = try session.outputShapes(for: [[2, -3], [3]]) }?.kind == .badData)
    #expect(failure { _ = try session.outputShapes(for: [[13, 3], [3]]) }?.message == "n must not be 13")
    #expect(failure { _ = try session.outputShapes(for: [[1 << 40, 1 << 40], [1 << 40]]) }?.kind == .badData)
    let wrong = [HostTensor(.float64, [1, 1], [1.0]), HostTensor(.float32, [1], [1 as Float])]
    #expect(failure { _ = try session.run(wrong) }?.place == "input 'x'")
    let checked = [HostTensor(.float32, [1, 1], [12345 as Float]), HostTensor(.float32, [1], [1 as Float])]
    #expect(failure { _ = try session.run(checked) }?.message == "x must not begin with 12345")
  }

  @Test func refusesMemoryThatDoesNotFit() throws {
    let fixture = try Fixture()
    defer { fixture.remove() }
    let session = try Session(library: Library(path: fixture.path))
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 64)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0)
    func part(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer { .init(rebasing: memory[range]) }
    let x = TensorView(.float32, [2, 2], UnsafeRawBufferPointer(part(0..<16)))
    let bias = TensorView(.float32, [2], UnsafeRawBufferPointer(part(16..<24)))
    let y = MutableTensorView(.float32, [2, 2], part(64..<80))
    let sums = MutableTensorView(.float32, [4], part(128..<144))
    try session.run([x, bias], into: [y, sums])
    var other = y
    other.bytes = part(12..<28)
    #expect(failure { try session.run([x, bias], into: [other, sums]) }?.message.contains("overlaps") == true)
    other.bytes = part(65..<81)
    #expect(failure { try session.run([x, bias], into: [other, sums]) }?.message.contains("aligned") == true)
    other.bytes = part(64..<79)
    #expect(failure { try session.run([x, bias], into: [other, sums]) }?.kind == .badData)
    other = y
    other.shape = [4, 1]
    #expect(failure { try session.run([x, bias], into: [other, sums]) }?.place == "output 'y'")
    #expect(failure { try session.run([x, bias], into: [y]) }?.kind == .usage)
    #expect(failure { try session.runBound() }?.message == "input 'x' is not bound")
    try session.bind(input: 0, to: x)
    try session.bind(input: 1, to: bias)
    try session.bind(output: 0, to: y)
    #expect(failure { try session.runBound() }?.message == "output 'sums' is not bound")
    try session.bind(output: 1, to: sums)
    try session.runBound()
    #expect(failure { try session.bind(input: 2, to: x) }?.kind == .usage)
  }

  @Test func profilesKernels() throws {
    let fixture = try Fixture()
    defer { fixture.remove() }
    let session = try Session(library: Library(path: fixture.path), options: .init(profile: true))
    let inputs = [
      HostTensor(.float32, [64, 64], [Float](repeating: 1, count: 4096)),
      HostTensor(.float32, [64], [Float](repeating: 1, count: 64)),
    ]
    for _ in 0..<5 { _ = try session.run(inputs) }
    #expect(session.profile.map(\.kernel) == [0, 1])
    #expect(session.profile.map(\.calls) == [5, 5])
    #expect(session.profile[0].nanoseconds > 0)
    session.resetProfile()
    #expect(session.profile.isEmpty)
  }

  @Test func runsManySessionsOnManyThreads() throws {
    let fixture = try Fixture()
    defer { fixture.remove() }
    let library = try Library(path: fixture.path, options: .init(threads: 4))
    let shared = try Session(library: library)
    let seed = SeededGenerator().seed
    DispatchQueue.concurrentPerform(iterations: 8) { thread in
      var random = SeededGenerator(seed: seed &+ UInt64(thread))
      do {
        let own = try Session(library: library)
        for round in 0..<100 {
          let n = Int.random(in: 0..<200, using: &random)
          let m = Int.random(in: 0..<40, using: &random)
          guard n != 13 else { continue }
          let (x, bias) = tensors(n, m, &random)
          let session = round % 4 == 0 ? shared : own
          let out = try session.run([HostTensor(.float32, [n, m], x), HostTensor(.float32, [m], bias)])
          let expected = Fixture.expected(x: x, bias: bias, n: n, m: m)
          #expect(out[0].array(of: Float.self) == expected.y, "seed \(seed)")
          #expect(out[1].array(of: Float.self) == expected.sums, "seed \(seed)")
        }
      } catch { Issue.record("seed \(seed): \(error)") }
    }
  }

  @Test func handlesAreNeverUsedTwice() throws {
    final class Thing: Sendable {}
    let table = HandleTable<Thing>("thing")
    var seen: Set<UInt64> = [0]
    for _ in 0..<100 {
      let handle = table.insert(Thing())
      #expect(seen.insert(handle).inserted)
      _ = try table[handle]
      try table.remove(handle)
      #expect(failure { try table.remove(handle) }?.kind == .usage)
      #expect(failure { _ = try table[handle] }?.kind == .usage)
    }
    for garbage in [0, 1, .max, 0xFFFF_FFFF, 1 << 32, 0xDEAD_BEEF_0000_0001] as [UInt64] {
      #expect(failure { _ = try table[garbage] }?.kind == .usage)
    }
  }
}

import Foundation
import GraphIR
import TensorTypes
import TesseraRuntime
import Testing

@Suite struct DataDependentSizeTests {
  private func places() throws -> Graph {
    var net = Net()
    let x = net.input("x", ["n", "m"])
    let found = try net.graph.add(NonZero(count: "hits"), x)
    let row = try net.graph.add(Slice(axes: [0], starts: [1], sizes: [1], steps: [1]), found)
    let cast = Expression(inputs: [.int64]) { $0.cast($0.input(0), .float32) }
    let columns = try net.graph.add(Elementwise(cast), try net.graph.add(Reshape(["hits"]), row))
    return net.returning(found, try net.graph.add(Reduce(.sum, axes: [0], keepDims: false), columns))
  }

  private let sparse = [
    floats([2, 3], [0, 1, 2, 0, .nan, 0]), floats([1, 1], [0]), floats([0, 3], []), ramp([40, 33]),
    floats([3, 2], [0, -0.0, 0, 0, 0, 0]),
  ]

  @Test func placesOfElementsThatAreNotZero() throws {
    let compiled = try CompiledGraph(places())
    defer { compiled.remove() }
    try compiled.expectAgreement(sparse.map { [$0] })
    let session = try Session(library: compiled.library)
    #expect(compiled.library.outputs.map(\.isUnknown) == [true, false])
    #expect(try session.outputShapes(for: [[2, 3]]) == [[2, -1], []])
  }

  /// In the caller's memory if it is large enough, else in the session's; sessions do not disturb each other.
  @Test func memoryForTheResult() async throws {
    let compiled = try CompiledGraph(places())
    defer { compiled.remove() }
    let session = try Session(library: compiled.library, options: .init(poison: true))
    let x = sparse[0]
    let view = TensorView(x.element, x.shape, x.bytes)
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 64)
    let sum = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 64)
    defer { for buffer in [memory, sum] { buffer.deallocate() } }
    let total = MutableTensorView(.float32, [], UnsafeMutableRawBufferPointer(rebasing: sum[..<4]))
    let given = try session.run([view], into: [MutableTensorView(.int64, [2, -1], memory), total])
    #expect(given[0].shape == [2, 3] && given[0].bytes.baseAddress == memory.baseAddress)
    #expect(Array(given[0].bytes.bindMemory(to: Int64.self)) == [0, 0, 1, 1, 2, 1])
    let tooSmall = UnsafeMutableRawBufferPointer(rebasing: memory[..<40])
    let refused = failure { try session.run([view], into: [MutableTensorView(.int64, [2, -1], tooSmall), total]) }
    #expect(refused?.kind == .badData && refused?.place == "output 'y0'", "\(refused?.description ?? "")")
    let none = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    let own = try session.run([view], into: [MutableTensorView(.int64, [2, -1], none), total])
    #expect(own[0].shape == [2, 3] && Array(own[0].bytes.bindMemory(to: Int64.self)) == [0, 0, 1, 1, 2, 1])
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<4 { group.addTask { for _ in 0..<4 { try compiled.expectAgreement(sparse.map { [$0] }) } } }
      try await group.waitForAll()
    }
  }

  private func range() throws -> Graph {
    var net = Net()
    let count = net.input("count", [1], .int64)
    let x = net.input("x", ["n"])
    _ = try net.graph.add(BindSymbols(["m"]), count)
    let positions = try net.graph.add(Iota(.float32, ["m", 64], axis: 0))
    let scaled = try net.binary(.multiply, positions, try net.graph.add(Reshape([1]), x))
    return net.returning(scaled, try net.unary(.exp, scaled))
  }

  @Test func sizeFromAnElement() throws {
    let compiled = try CompiledGraph(range())
    defer { compiled.remove() }
    try compiled.expectAgreement([0, 1, 8, 1000].map { [integers([1], [$0]), floats([1], [0.001])] })
  }

  @Test func refusesSizesThatCannotBe() throws {
    let compiled = try CompiledGraph(range())
    defer { compiled.remove() }
    let session = try Session(library: compiled.library)
    let one = floats([1], [1])
    for count: Int64 in [-1, .min, .max, 1 << 41] {
      let refused = failure { _ = try session.run([integers([1], [count]), one]) }
      #expect(refused?.kind == .badData, "\(count): \(refused?.description ?? "")")
    }
    // 256 TiB, more than any machine's memory.
    let large = failure { _ = try session.run([integers([1], [1 << 40]), one]) }
    #expect(large?.kind == .noDevice, "\(large?.description ?? "")")
    // A reshape that only fits inputs of one element: found before anything runs.
    let unequal = failure { _ = try session.outputShapes(for: [[1], [2]]) }
    #expect(unequal?.kind == .badData && unequal?.message.contains("must be equal") == true)
    // The session is none the worse for it.
    try compiled.expectAgreement([[integers([1], [3]), one]])
  }

  /// Sizes that the graph takes to be equal are found not to be while it runs.
  @Test func checksSizesThatMustBeEqual() throws {
    var net = Net()
    let (a, b) = (net.input("a", ["n"]), net.input("b", ["n"]))
    let x = try net.graph.add(NonZero(count: "p"), a)
    let y = try net.graph.add(NonZero(count: "q"), b)
    let compiled = try CompiledGraph(net.returning(try net.binary(.add, x, y)))
    defer { compiled.remove() }
    try compiled.expectAgreement([[floats([3], [1, 0, 1]), floats([3], [0, 1, 1])]])
    let session = try Session(library: compiled.library)
    let refused = failure { _ = try session.run([floats([3], [1, 0, 1]), floats([3], [1, 1, 1])]) }
    #expect(refused?.kind == .badData && refused?.message.contains("p and q must be equal") == true)
  }

  @Test func checksAssumptions() throws {
    var net = Net()
    let condition = net.input("c", [], .bool)
    _ = try net.graph.add(Assert("the condition must hold", expected: true), condition)
    let compiled = try CompiledGraph(net.returning(try net.unary(.exp, net.input("x", ["n"]))))
    defer { compiled.remove() }
    let session = try Session(library: compiled.library)
    #expect(failure { _ = try session.run([flag(false), ramp([3])]) }?.message == "the condition must hold")
    try compiled.expectAgreement([[flag(true), ramp([3])]])
    // A scalar may come as a tensor of one element.
    _ = try session.run([HostTensor(.bool, [1, 1], [UInt8(1)]), ramp([3])])
    #expect(failure { _ = try session.run([HostTensor(.bool, [2], [UInt8(1), 1]), ramp([3])]) }?.kind == .badData)
  }

  @Test func compilesToTheSameBytesTwice() throws {
    let compiled = try CompiledGraph(places())
    defer { compiled.remove() }
    let (first, second) = (
      compiled.folder.appendingPathComponent("model.so"), compiled.folder.appendingPathComponent("b")
    )
    try FileManager.default.createDirectory(at: second, withIntermediateDirectories: true)
    let again = second.appendingPathComponent("model.so")
    try CompiledGraph.write(places(), to: again.path)
    #expect(try Data(contentsOf: first) == Data(contentsOf: again))
  }
}

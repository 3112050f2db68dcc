import Compiler
import Foundation
import GraphIR
import LLVMBackend
import TensorTypes
import TesseraRuntime
import Testing

/// A graph on its whole way: optimised, compiled into a library for this machine, loaded, and run beside the
/// reference evaluation of the graph as it was.
struct CompiledGraph {
  let graph: Graph
  let folder: URL
  let library: Library

  init(_ graph: Graph) throws {
    try graph.verify()
    self.graph = graph
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("tessera-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try Self.write(graph, to: folder.appendingPathComponent("model.so").path)
    library = try Library(path: folder.appendingPathComponent("model.so").path, options: .init(threads: 2))
  }

  static func write(_ graph: Graph, to path: String, _ options: PipelineOptions = .fromEnvironment()) throws {
    let target = Target.native(CPU.features)
    try Compilation(optimise(graph, options: options), modelHash: "", options: CompileOptions(targets: [target])).write(
      to: path)
  }

  func remove() { try? FileManager.default.removeItem(at: folder) }

  /// Runs one session, with poisoned memory, on each list of inputs in turn and compares with the reference.
  ///
  /// Graphs of these tests are a few operations deep, on numbers of order 1: each rounds once, relative to the peak,
  /// and exp and sums add a few units; 64 units in the last place leave room. Integers and sizes are exact.
  func expectAgreement(_ cases: [[HostTensor]], sourceLocation: SourceLocation = #_sourceLocation) throws {
    let session = try Session(library: library, options: .init(poison: true))
    for inputs in cases {
      let (expected, actual) = (try graph.evaluate(inputs), try session.run(inputs))
      #expect(expected.map(\.type) == actual.map(\.type), sourceLocation: sourceLocation)
      for (x, y) in zip(expected, actual) {
        let peak = x.doubles.map(abs).max() ?? 0
        let tolerance = x.element.isFloat ? 0x1p-17 * peak : 0
        let isNear = zip(x.doubles, y.doubles).allSatisfy { abs($0 - $1) <= tolerance }
        #expect(
          isNear, "inputs \(inputs.map(\.doubles)): \(y.doubles), not \(x.doubles)", sourceLocation: sourceLocation)
      }
    }
  }
}

func floats(_ shape: [Int], _ values: [Float]) -> HostTensor { HostTensor(.float32, shape, values) }
/// Numbers that repeat late and are no round ones.
func ramp(_ shape: [Int], from start: Float = 0.3) -> HostTensor {
  floats(shape, (0..<shape.reduce(1, *)).map { (start + Float($0) * 0.37).truncatingRemainder(dividingBy: 1.9) - 0.8 })
}
func integers(_ shape: [Int], _ values: [Int64]) -> HostTensor { HostTensor(.int64, shape, values) }
func flag(_ value: Bool) -> HostTensor { HostTensor(.bool, [], [UInt8(value ? 1 : 0)]) }

/// A graph under construction.
struct Net {
  var graph = Graph(name: "test")

  mutating func input(_ name: String, _ shape: Shape, _ element: ElementType = .float32) -> ValueID {
    graph.addInput(name, TensorType(element, shape))
  }
  mutating func binary(_ function: BinaryFunction, _ x: ValueID, _ y: ValueID) throws -> ValueID {
    try graph.add(Elementwise(.binary(function, graph.type(x).element)), x, y)
  }
  mutating func unary(_ function: UnaryFunction, _ x: ValueID) throws -> ValueID {
    try graph.add(Elementwise(.unary(function, graph.type(x).element)), x)
  }
  mutating func returning(_ values: ValueID...) -> Graph {
    var copy = graph
    for (i, value) in values.enumerated() { copy.addOutput("y\(i)", value) }
    return copy
  }
}

extension Dim: ExpressibleByStringLiteral {
  public init(stringLiteral name: String) { self = .symbol(name) }
}
extension Dim: ExpressibleByExtendedGraphemeClusterLiteral {}
extension Dim: ExpressibleByUnicodeScalarLiteral {}

/// What `body` throws.
func failure(_ body: () throws -> Void) -> Failure? {
  do {
    try body()
    return nil
  } catch { return error as? Failure }
}

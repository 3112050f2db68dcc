import Foundation
import GraphIR
import TensorTypes
import Testing

@testable import Compiler

struct PipelineTests {
  /// A chain of random steps over images of symbolic size.
  private func randomGraph() throws -> (graph: Graph, seed: UInt64) {
    var n = Net()
    var values = [n.input([1, 4, "h", "w"])]
    for _ in 0..<12 {
      let x = values.randomElement(using: &n.random)!
      let y = values.randomElement(using: &n.random)!
      switch Int.random(in: 0..<9, using: &n.random) {
      case 0: values.append(try n.convolve(x, 4))
      case 1: values.append(try n.binary(.multiply, n.binary(.add, x, y), 0.5))
      case 2: values.append(try n.binary(.multiply, x, n.constant([4, 1, 1])))
      case 3:
        let joint = try n.add(Concat(axis: 1), x, y)
        values.append(try n.add(Slice(axes: [1], starts: [2], sizes: [4], steps: [1]), joint))
      case 4: values.append(try n.add(Softmax(axis: 1), x))
      case 5: values.append(try n.binary(.subtract, x, n.mean(x, [1])))
      case 6:
        let turned = try n.add(Transpose([0, 3, 1, 2]), n.unary(.tanh, n.add(Transpose([0, 2, 3, 1]), x)))
        values.append(try n.binary(.multiply, turned, n.unary(.sigmoid, turned)))
      case 7:
        let flat = try n.add(Reshape([1, 4, Dim.symbol("h") * "w"]), x)
        values.append(try n.add(Reshape([1, 4, "h", "w"]), n.unary(.abs, flat)))
      default: values.append(try n.relu(x))
      }
    }
    return (n.returning(values[values.count - 1], values[values.count - 2]), n.random.seed)
  }

  @Test func everyPassKeepsTheMeaning() throws {
    for _ in 0..<8 {
      let (graph, seed) = try randomGraph()
      var current = graph
      for pass in graphPipeline {
        let next = try pass.run(current)
        do { try expectAgreement(current, next, sizes: ["h": 5, "w": 3]) } catch {
          Issue.record("\(pass.name) on the graph of seed \(seed): \(error)")
        }
        current = next
      }
      try expectAgreement(graph, current, sizes: ["h": 5, "w": 3])
    }
  }

  @Test func passesHaveFixedPoints() throws {
    let (graph, seed) = try randomGraph()
    let once = try optimise(graph, options: PipelineOptions())
    let twice = try optimise(once, options: PipelineOptions())
    #expect(once.mnemonics == twice.mnemonics, "seed \(seed)")
  }

  @Test func dumpsAreNumberedAndParse() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "passes-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    var n = Net()
    let graph = n.returning(try n.binary(.add, n.input(["b"]), 1))
    var options = PipelineOptions()
    options.dump = .afterAll
    options.dumpFolder = folder.path
    let after = try optimise(graph, options: options)
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    #expect(files.count == graphPipeline.count)
    #expect(files.first == "00-foldConstants.graph")
    let last = try String(contentsOf: folder.appending(path: files.last!), encoding: .utf8)
    #expect(try Graph(parsing: last) == after)
    options.dumpFolder = folder.appending(path: "nowhere").path
    #expect(throws: Failure.self) { try optimise(graph, options: options) }
  }

  @Test func aBrokenPassIsNamed() throws {
    let breaking = GraphPass("breaking") { graph in
      var copy = graph
      copy.addOutput(graph.outputs[0].name, graph.outputs[0].value)
      return copy
    }
    var n = Net()
    let graph = n.returning(n.input([2]))
    var options = PipelineOptions()
    options.verifiesEach = true
    let failure = #expect(throws: Failure.self) { try run([breaking], on: graph, options: options) }
    #expect(failure?.kind == .ours)
    #expect(failure?.message.contains("breaking") == true)
  }
}

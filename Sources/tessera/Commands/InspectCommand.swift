import ArgumentParser
import Foundation
import GraphIR
import ONNXImport
import TensorTypes

/// Says what is in a model and whether it can be compiled, without compiling it.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Shows a model's inputs, outputs, operators and cost, and what is not supported; or what a library holds."
  )

  @Argument(help: "The model: .onnx or .json; or a compiled library: .so.")
  var model: String

  @Option(help: "How to print: \(OutputFormat.allCases.map(\.rawValue).joined(separator: " or ")).")
  var format = OutputFormat.text

  @Flag(
    help: "Show which patterns are recognised in the model's graph (attention, norms, activations), and which nearly.")
  var fusions = false

  @Option(help: "Of a library: the value of an open size, NAME=N, for the arena's size. Can be given for several.")
  var size: [String] = []

  struct Report: Encodable {
    struct Port: Encodable {
      var name: String
      var type: String
    }
    struct Unsupported: Encodable {
      var op: String
      var nodes: [String]
    }
    var inputs: [Port] = []
    var outputs: [Port] = []
    var operators: [String: Int]
    var unsupported: [Unsupported]
    var parameters: Int
    /// Of products and convolutions, two a multiplication; open sizes count as 1.
    var flops: Double?
    /// Of what lives between nodes at its largest; open sizes count as 1.
    var peakMemoryBytes: Int?

    enum CodingKeys: String, CodingKey {
      case inputs, outputs, operators, unsupported, parameters, flops
      case peakMemoryBytes = "peak_memory_bytes"
    }
  }

  func run() throws {
    if fusions {
      let report = try FusionReport(path: model)
      return format == .json ? try Console.print(json: report) : Console.print(report.text)
    }
    if model.hasSuffix(".so") {
      let report = try LibraryReport(path: model, sizes: sizes())
      return format == .json ? try Console.print(json: report) : Console.print(report.text)
    }
    let source = try ONNXModelReader.read(path: model)
    let missing = unsupportedOperators(source)
    var report = Report(
      operators: source.operatorCounts, unsupported: missing.map { .init(op: $0.name, nodes: $0.nodes) },
      parameters: source.parameterCount)
    if missing.isEmpty {
      let graph = try importModel(source)
      report.inputs = graph.inputs.map { .init(name: graph[$0].name ?? "", type: "\(graph.type($0))") }
      report.outputs = graph.outputs.map { .init(name: $0.name, type: "\(graph.type($0.value))") }
      report.flops = graph.flops
      report.peakMemoryBytes = graph.peakMemoryBytes
    }
    switch format {
    case .json: try Console.print(json: report)
    case .text: show(report)
    }
  }

  private func sizes() throws -> [String: Int] {
    let pairs = try size.map { text in
      guard let sign = text.lastIndex(of: "="), let value = Int(text[text.index(after: sign)...]), value >= 0 else {
        throw Failure(.usage, "--size is NAME=N, not '\(text)'")
      }
      return (String(text[..<sign]), value)
    }
    return Dictionary(pairs) { _, last in last }
  }

  private func show(_ report: Report) {
    for port in report.inputs { Console.print("input   \(port.name): \(port.type)") }
    for port in report.outputs { Console.print("output  \(port.name): \(port.type)") }
    Console.print("\(report.parameters) parameters")
    if let flops = report.flops { Console.print(String(format: "%.3f GFLOP, open sizes counted as 1", flops / 1e9)) }
    if let bytes = report.peakMemoryBytes {
      Console.print("\(bytes / 1024) KiB between nodes at most, open sizes counted as 1")
    }
    for (name, count) in report.operators.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
      Console.print("\(count)\t\(name)")
    }
    for op in report.unsupported { Console.print("not supported: \(op.op) (\(op.nodes.joined(separator: ", ")))") }
  }
}

extension ONNXModel {
  /// How often each operator stands in the graph and the graphs within.
  fileprivate var operatorCounts: [String: Int] {
    var counts: [String: Int] = [:]
    func visit(_ graph: ONNXGraph) {
      for node in graph.nodes {
        counts[node.domain.isEmpty ? node.opType : "\(node.domain).\(node.opType)", default: 0] += 1
        for attribute in node.attributes {
          switch attribute.value {
          case .graph(let inner): visit(inner)
          case .graphs(let inner): for graph in inner { visit(graph) }
          default: continue
          }
        }
      }
    }
    visit(graph)
    return counts
  }

  fileprivate var parameterCount: Int { graph.initializers.reduce(0) { $0 + $1.dims.reduce(1, *) } }
}

extension Graph {
  private func size(_ dim: Dim) -> Int {
    dim.evaluate(Dictionary(uniqueKeysWithValues: dim.symbols.map { ($0, 1) })) ?? 1
  }
  private func elements(_ value: ValueID) -> Int { type(value).shape.reduce(1) { $0 * max(1, size($1)) } }

  /// Operations of products and convolutions.
  fileprivate var flops: Double {
    nodes.reduce(0) { total, node in
      guard let result = node.results.first, let left = node.operands.first ?? nil, node.operands.count > 1,
        let right = node.operands[1]
      else { return total }
      switch node.op {
      case let op as MatMul:
        let shape = type(left).shape
        return total + 2 * Double(elements(result)) * Double(size(shape[shape.count - (op.transposeLeft ? 2 : 1)]))
      case is Convolve:
        return total + 2 * Double(elements(result)) * Double(elements(right))
          / Double(max(1, size(type(right).shape[0])))
      default: return total
      }
    }
  }

  /// The most bytes of results that are alive at once.
  fileprivate var peakMemoryBytes: Int {
    let uses = uses()
    var dying: [NodeID: Int] = [:]
    var (live, peak) = (0, 0)
    for id in nodeIDs {
      for result in self[id].results {
        let bytes = elements(result) * type(result).element.byteCount
        live += bytes
        dying[uses[result.index].last ?? id, default: 0] += bytes
      }
      peak = max(peak, live)
      live -= dying[id] ?? 0
    }
    return peak
  }
}

import Autotuner
import Compiler
import Foundation
import GraphIR
import LLVMBackend
import TensorTypes
import TesseraRuntime
import TuningDB

/// How a tune was called: kept in the database, for `--resume`.
struct TuneCall: Codable {
  var model: String?
  var op: String?
  var output: String?
  var budget: String
  var threads: Int
  var target: String
  var precision: Precision
  var inputs: String?
  var sizes: [String: Int]
  var shapes: [String: [Int]]
  var strategy: String
  var isThorough: Bool

  var title: String { op ?? model ?? "" }
  private static let note = "last tune"

  init(_ command: TuneCommand) throws {
    model = command.model.map { URL(fileURLWithPath: $0).path }
    op = command.op
    output = command.output.map { URL(fileURLWithPath: $0).path }
    budget = command.budget
    _ = try Budget(parsing: budget)
    threads = command.threads ?? ThreadPool.usualSize
    target = command.target
    precision = command.precision
    strategy = command.strategy
    isThorough = command.thorough
    inputs = command.inputs.map { URL(fileURLWithPath: $0).path }
    shapes = Dictionary(command.shape.map { ($0.name, $0.sizes) }, uniquingKeysWith: { _, last in last })
    sizes = [:]
    for pair in (command.sizes ?? "").split(separator: ",") {
      let sides = pair.split(separator: "=")
      guard sides.count == 2, let size = Int(sides[1]), size > 0 else {
        throw Failure(.usage, "--sizes is like height=512,width=512, not '\(pair)'")
      }
      sizes[String(sides[0])] = size
    }
  }

  static func last(in store: TuningStore) throws -> TuneCall {
    guard let text = try store.note(note), let call = try? JSONDecoder().decode(TuneCall.self, from: Data(text.utf8))
    else { throw Failure(.noInput, file: store.path, "no tune was begun with this database") }
    return call
  }

  func save(in store: TuningStore) throws {
    let text = try JSONEncoder().encode(self)
    try store.setNote(Self.note, String(decoding: text, as: UTF8.self))
  }

  /// What is to be tuned, and what open sizes are while it is measured.
  func tasks(_ target: Target) throws -> (tasks: [ModelTuner.Task], sizes: [String: Int]) {
    if let op { return ([.init(workload: try OperationText(parsing: op).workload, calls: 1, label: op)], [:]) }
    guard let model else { throw Failure(.usage, "neither a model nor an operation") }
    let compilation = try ModelCompiler.compile(
      model, shapes: shapes, precision: precision, options: CompileOptions(targets: [target]))
    let known = Set(compilation.symbols)
    if let unknown = sizes.keys.sorted().first(where: { !known.contains($0) }) {
      let names = known.sorted().joined(separator: ", ")
      throw Failure(
        .usage,
        "--sizes: the model leaves no size '\(unknown)' open; \(names.isEmpty ? "it leaves none" : "there are \(names)")"
      )
    }
    let sizes = try measuredSizes(compilation.graph).merging(sizes) { _, given in given }
    return (ModelTuner.tasks(compilation.plans[0]), sizes)
  }

  /// As in the folder of inputs; else 1 where an input begins with it, since that is how many there are of the rest.
  private func measuredSizes(_ graph: Graph) throws -> [String: Int] {
    let names = graph.inputs.map { graph[$0].name ?? "" }
    let shapes = try inputs.map { try TensorFolder(path: $0).read(names).map(\.shape) }
    var sizes: [String: Int] = [:]
    for (i, input) in graph.inputs.enumerated() {
      let type = graph.type(input)
      if let shape = shapes?[i], shape.count != type.shape.count {
        throw Failure.badData(
          "it has \(shape.count) dimensions, the model's input \(type.shape.count)", place: "input '\(names[i])'")
      }
      for (d, size) in type.shape.enumerated() {
        guard let name = size.name else { continue }
        if let shape = shapes?[i] {
          sizes[name] = max(1, shape[d])
        } else if d == 0, type.shape.count > 1 {
          sizes[name] = 1
        }
      }
    }
    return sizes
  }
}

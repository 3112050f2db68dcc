import ArgumentParser
import Autotuner
import Compiler
import Foundation
import Kernels
import LLVMBackend
import Synchronization
import TensorTypes
import TesseraRuntime
import TuningDB

/// Measures kernels and keeps what is better than the defaults.
struct TuneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tune", abstract: "Measures candidates for a model's kernels and records the best.",
    discussion: """
      What is measured goes to the database, which compile reads. A tune that is stopped, by Ctrl-C or otherwise, loses
      nothing, and the next one measures nothing twice.

        tessera tune model.onnx -o model.so --budget 10m
        tessera tune --op 'matmul f32 m=4096 n=320 k=320' --budget '200 trials'
        tessera tune --op 'conv f32 c=320 h=64 w=64 o=320 k=3'
        tessera tune --op 'attention f32 h=8 q=4096 d=40'
        tessera tune --resume
      """)

  @Argument(help: "The model.")
  var model: String?

  @Option(help: "A single operation instead of a model.")
  var op: String?

  @Option(name: [.short, .long], help: "Also compile the model with what was found into this library.")
  var output: String?

  @Option(help: "How long: 120s, 10m, '500 trials'. Ends sooner when little more is to be expected.")
  var budget = "10m"

  @Option(help: "Threads that kernels run on while they are measured; as many as there are CPUs unless given.")
  var threads: Int?

  @Option(help: "The database; the user's own unless given.")
  var db: String?

  @Option(help: "The instruction set; native unless given.")
  var target = "native"

  @Option(help: "Sizes that the model leaves open, as they are to be measured: height=512,width=512.")
  var sizes: String?

  @Option(help: "How candidates are chosen: evolutionary or random.")
  var strategy = "evolutionary"

  @Option(help: "How to print: text or json, a line a trial.")
  var format = OutputFormat.text

  @Option(help: "Write a report that needs no network to this HTML file.")
  var report: String?

  @Flag(help: "Go on with the last tune as it was called.")
  var resume = false

  func validate() throws {
    try RunOptions.check(threads: threads)
    guard [model != nil, op != nil, resume].count(where: { $0 }) == 1 else {
      throw ValidationError("give a model, or --op, or --resume")
    }
    guard TuningSettings.Strategy(rawValue: strategy) != nil else {
      throw ValidationError("--strategy is evolutionary or random")
    }
  }

  func run() throws {
    let store = try TuningStore(path: db ?? TuningStore.defaultPath)
    let call = resume ? try TuneCall.last(in: store) : try TuneCall(self)
    try call.save(in: store)
    Interrupt.catchFirst()
    let folder = NSTemporaryDirectory() + "/tessera-tune-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let database = TuningDatabase(store: store, shipped: try ShippedRecords.load())
    let targets = try ModelCompiler.targets(call.target)
    guard targets.count == 1 else { throw Failure(.usage, "tune for one target at a time") }
    var settings = TuningSettings(
      target: targets[0], threads: call.threads, database: database,
      worker: .ofThisProgram(folder: folder, isCancelled: { Interrupt.isRequested }), scratch: folder)
    settings.strategy = TuningSettings.Strategy(rawValue: call.strategy) ?? .evolutionary
    let display = TuneDisplay(format: format)
    settings.onTrial = { display.trial($0, $1) }
    let tasks = try call.tasks(targets[0])
    let shares = try tasks.compactMap { task in
      try TaskTuner(task.workload, sizes: call.sizes, settings: settings).map {
        ModelTuner.Share(tuner: $0, calls: task.calls, label: task.label)
      }
    }
    let tuner = ModelTuner(shares, budget: try Budget(parsing: call.budget), isCancelled: { Interrupt.isRequested })
    tuner.onStep = { display.step(tuner, $0, $1) }
    try tuner.run()
    display.finish(tuner)
    if let report { try AtomicFile.write(TuningReport(tuner, title: call.title).html, to: report) }
    if Interrupt.isRequested { Foundation.exit(130) }
    if let model = call.model, let output = call.output { try compile(model, to: output, call, targets[0]) }
  }

  private func compile(_ model: String, to output: String, _ call: TuneCall, _ target: Target) throws {
    var options = CompileOptions(targets: [target], jobs: ProcessInfo.processInfo.activeProcessorCount)
    options.tunings = try TuningFiles.tunings(db, threads: call.threads)
    try ModelCompiler.compile(model, options: options).write(to: output)
    Console.say("\(output) is written")
  }
}

/// How a tune was called: kept in the database, for `--resume`.
struct TuneCall: Codable {
  var model: String?
  var op: String?
  var output: String?
  var budget: String
  var threads: Int
  var target: String
  var sizes: [String: Int]
  var strategy: String

  var title: String { op ?? model ?? "" }
  private static let note = "last tune"

  init(_ command: TuneCommand) throws {
    model = command.model.map { URL(fileURLWithPath: $0).path }
    op = command.op
    output = command.output.map { URL(fileURLWithPath: $0).path }
    budget = command.budget
    _ = try Budget(parsing: budget)
    threads = command.threads ?? min(CPU.available, ThreadPool.limit)
    target = command.target
    strategy = command.strategy
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

  func tasks(_ target: Target) throws -> [(workload: Workload, calls: Int, label: String)] {
    if let op { return [(try OperationText(parsing: op).workload, 1, op)] }
    guard let model else { throw Failure(.usage, "neither a model nor an operation") }
    let compilation = try ModelCompiler.compile(model, options: CompileOptions(targets: [target]))
    return ModelTuner.tasks(compilation.plans[0])
  }
}

/// Ctrl-C: the first one asks for an end, the second one makes it.
enum Interrupt {
  private static let requests = Atomic<Int>(0)
  static var isRequested: Bool { requests.load(ordering: .relaxed) > 0 }

  static func catchFirst() {
    signal(SIGINT) { _ in if Interrupt.requests.add(1, ordering: .relaxed).oldValue > 0 { _exit(130) } }
  }
}

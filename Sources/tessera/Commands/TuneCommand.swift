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
      Every kernel has knobs: tile sizes, blocks, unrolling, sometimes another algorithm. Their defaults are found by
      reasoning; this measures others, each against the default in the same rounds, and records what is better beyond
      doubt in a database, which `tessera compile` reads. Results are checked before times count. A tune that is
      stopped, by Ctrl-C or otherwise, loses nothing, and the next one measures nothing twice. It stops by itself when
      little more is to be expected.

        tessera tune model.onnx -o model.so --budget 10m
        tessera tune model.onnx --budget 10m --report tuning.html
        tessera tune --op 'matmul f32 m=4096 n=320 k=320' --budget '200 trials'
        tessera tune --op 'conv f32 c=320 h=64 w=64 o=320 k=3'
        tessera tune --op 'attention f32 h=8 q=4096 d=40'
        tessera tune --resume

      A record counts for the threads it was measured with: tune and compile with the same --threads. What else is on
      the machine costs time but not truth: a default and its challengers share the weather.
      """)

  @Argument(help: "The model: .onnx or .json.")
  var model: String?

  @Option(help: "A single operation instead of a model.")
  var op: String?

  @Option(name: [.short, .long], help: "Also compile the model with what was found into this library.")
  var output: String?

  @Option(help: "How long in all: 120s, 10m, '500 trials'. Ends sooner when little more is to be expected.")
  var budget = "10m"

  @Option(help: "Threads that kernels run on while they are measured; as many as there are CPUs unless given.")
  var threads: Int?

  @Option(help: "The database; the user's own unless given.")
  var db: String?

  @Option(help: "The instruction set; native unless given.")
  var target = "native"

  @Option(help: Precision.help)
  var precision = Precision.fp32

  @Option(help: "Fix the sizes of an input: NAME=1x3x224x224. Can be given for several inputs.")
  var shape: [InputShape] = []

  @Option(
    help:
      "A folder with NAME.npy or NN_NAME.npy for every input: sizes that the model leaves open are measured as there.")
  var inputs: String?

  @Option(
    help: "Or those sizes themselves: height=512,width=512. Unless given, an input's first one is 1 and others are 64.")
  var sizes: String?

  @Option(help: "How candidates are chosen: evolutionary (with a cost model that learns) or random.")
  var strategy = "evolutionary"

  @Option(help: "How to print: text or json, a line a trial.")
  var format = OutputFormat.text

  @Option(help: "Write a report that needs no network to this HTML file.")
  var report: String?

  @Flag(
    help:
      "Go on until the budget is used up once more, however little is to be expected, and where an earlier tune ended.")
  var thorough = false

  @Flag(help: "Go on with the last tune as it was called.")
  var resume = false

  func validate() throws {
    try RunOptions.check(threads: threads)
    guard [model != nil, op != nil, resume].count(where: { $0 }) == 1 else {
      throw ValidationError("give a model, or --op, or --resume")
    }
    guard output == nil || op == nil else { throw ValidationError("-o is of a model, not of --op") }
    guard TuningSettings.Strategy(rawValue: strategy) != nil else {
      throw ValidationError("--strategy is evolutionary or random, not \(strategy)")
    }
  }

  func run() throws {
    let call = resume ? nil : try TuneCall(self)
    let store = try TuningFiles.store(db)
    try tune(try call ?? TuneCall.last(in: store), store)
  }

  private func tune(_ call: TuneCall, _ store: TuningStore) throws {
    let targets = try ModelCompiler.targets(call.target, threads: call.threads)
    guard targets.count == 1 else { throw Failure(.usage, "--target: tune for one instruction set at a time") }
    let missing = targets[0].requiredFeatures.filter { !CPU.features.contains($0) }
    guard missing.isEmpty else {
      let list = missing.joined(separator: ", ")
      throw Failure(.noDevice, "--target: kernels are measured on this CPU, which lacks \(list)")
    }
    warnIfBusy(threads: call.threads)
    let display = TuneDisplay(format: format)
    let (tasks, sizes) = try call.tasks(targets[0])
    try call.save(in: store)
    Interrupt.catchFirst()
    ScratchFolder.removeLeftBehind()
    let scratch = try ScratchFolder()
    defer { scratch.remove() }
    var settings = TuningSettings(
      target: targets[0], threads: call.threads,
      database: TuningDatabase(store: store, shipped: try ShippedRecords.load()),
      worker: .ofThisProgram(folder: scratch.path, isCancelled: { Interrupt.isRequested }), scratch: scratch.path)
    settings.isThorough = call.isThorough
    settings.strategy = TuningSettings.Strategy(rawValue: call.strategy) ?? .evolutionary
    let roofline = try Roofline.measure(targets[0], threads: call.threads, folder: scratch.path)
    display.roofline = roofline
    settings.onTrial = { display.trial($0, $1) }
    let shares = try tasks.compactMap { task in
      try TaskTuner(task.workload, sizes: sizes, settings: settings).map {
        ModelTuner.Share(tuner: $0, calls: task.calls, label: task.label)
      }
    }
    if let op = call.op, shares.isEmpty { throw Failure(.usage, place: op, "no kernel takes these element types") }
    let tuner = ModelTuner(shares, budget: try Budget(parsing: call.budget), settings: settings)
    tuner.onStep = { display.step(tuner, $0, $1) }
    try tuner.run()
    display.finish(tuner)
    if tuner.spentBefore > 0.5 {
      Console.say(
        "earlier tunes had used \(Int(tuner.spentBefore * 100)) % of this budget; a larger one or --thorough goes on")
    }
    if let report { try AtomicFile.write(TuningReport(tuner, roofline, title: call.title).html, to: report) }
    if Interrupt.isRequested {
      Console.say("interrupted; everything measured is kept in \(store.path)")
      throw ExitCode(130)
    }
    if let model = call.model, let output = call.output { try compile(model, to: output, call, targets[0]) }
  }

  /// Where threads must share processors with other work, kernels of few, uneven tasks look better than they are.
  private func warnIfBusy(threads: Int) {
    guard let (busy, all) = BusyProcessors.watch(), Double(all) - busy < Double(threads) - 0.3 else { return }
    let taken = String(format: "%.1f", busy)
    Console.say(
      "other work takes \(taken) of \(all) CPUs, and kernels are timed on \(threads) threads: what wins now may lose on a quiet machine"
    )
  }

  private func compile(_ model: String, to output: String, _ call: TuneCall, _ target: Target) throws {
    var options = CompileOptions(targets: [target], jobs: ProcessInfo.processInfo.activeProcessorCount)
    options.tunings = try TuningFiles.tunings(db, threads: call.threads)
    try ModelCompiler.compile(model, shapes: call.shapes, precision: call.precision, options: options).write(to: output)
    Console.say("\(output) is written")
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

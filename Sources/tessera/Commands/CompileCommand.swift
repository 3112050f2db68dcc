import ArgumentParser
import Compiler
import Foundation
import Kernels
import LLVMBackend
import TensorTypes
import TileIR

/// Turns a model into a shared library.
struct CompileCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compile", abstract: "Compiles an ONNX model (binary or JSON) into one shared library.",
    discussion: """
      The library needs nothing but libc and a host that loads it: `tessera run`, or any program through tessera.h.
      Sizes that the model leaves open stay open: one library serves them all.

        tessera compile model.onnx -o model.so
        tessera compile model.onnx -o model.so --target x86-64-v3,x86-64-v4
        tessera compile decoder.onnx -o decoder.so --precision int8
        tessera compile model.onnx -o model.so --shape x=1x3x224x224
        tessera compile model.onnx --emit plan
      """)

  enum Form: String, ExpressibleByArgument, CaseIterable { case graph, plan, tile, llvm, asm, so }
  enum Weights: String, ExpressibleByArgument, CaseIterable { case embedded, sidecar }

  @Argument(help: "The model: .onnx, or .json as protobuf's MessageToJson writes it.")
  var model: String

  @Option(name: [.short, .long], help: "The library to write; beside the model if not given.")
  var output: String?

  @Option(help: "Instruction sets, separated by commas: \(Target.all.map(\.name).joined(separator: ", ")), or native.")
  var target = "native"

  @Option(help: Precision.help)
  var precision = Precision.fp32

  @Option(help: "Where the weights go: into the library, or into LIBRARY.weights beside it.")
  var weights = Weights.embedded

  @Option(help: "Stop and print instead: \(Form.allCases.map(\.rawValue).joined(separator: ", ")).")
  var emit = Form.so

  @Option(help: "Fix the sizes of an input: NAME=1x3x224x224. Can be given for several inputs.")
  var shape: [InputShape] = []

  @Option(
    help: "Kernel templates not to use, separated by commas. convolution.winograd: convolutions by the direct sum only."
  )
  var without = ""

  @Option(help: "Kernels compiled at a time; as many as there are CPUs unless given.")
  var jobs: Int?

  @Option(help: "The database of measured kernels; the user's own unless given, 'none' for untuned kernels.")
  var db: String?

  @Option(help: "Threads that the library will run on, for which kernels were measured; the CPUs there are.")
  var threads: Int?

  @Flag(name: .shortAndLong, help: "Say nothing but errors.")
  var quiet = false

  func validate() throws {
    if let twice = Dictionary(grouping: shape, by: \.name).first(where: { $0.value.count > 1 }) {
      throw ValidationError("--shape is given twice for '\(twice.key)'")
    }
    let known = Set(allKernels.map(\.name))
    for name in withoutTemplates where !known.contains(name) {
      throw ValidationError("--without: no template \"\(name)\"; there are \(known.sorted().joined(separator: ", "))")
    }
    if let jobs, !(1...1024).contains(jobs) { throw ValidationError("--jobs is 1 to 1024, not \(jobs)") }
    try RunOptions.check(threads: threads)
  }

  private var withoutTemplates: Set<String> { Set(without.split(separator: ",").map(String.init)) }

  func run() throws {
    let shapes = Dictionary(uniqueKeysWithValues: shape.map { ($0.name, $0.sizes) })
    if emit == .graph {
      return Console.print("\(try ModelCompiler.graph(model, shapes: shapes, precision: precision))")
    }
    let started = ContinuousClock().now
    let progress = Progress(isShown: !quiet && isatty(2) != 0)
    var options = CompileOptions(
      targets: try ModelCompiler.targets(target, threads: threads),
      weights: weights == .embedded ? .embedded : .sidecar,
      jobs: jobs ?? ProcessInfo.processInfo.activeProcessorCount)
    guard !options.targets.isEmpty else { throw Failure(.usage, "--target names no target") }
    options.withoutTemplates = withoutTemplates
    options.tunings = try TuningFiles.tunings(db, threads: threads)
    options.progress = { progress.show($0, $1, $2) }
    let compilation = try ModelCompiler.compile(model, shapes: shapes, precision: precision, options: options)
    guard emit == .so else { return try printCode(compilation) }
    let path = output ?? (model as NSString).deletingPathExtension + ".so"
    try compilation.write(to: path)
    progress.clear()
    guard !quiet else { return }
    let size = (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
    let plan = compilation.plans[0]
    let seconds = String(format: "%.1f", (ContinuousClock().now - started) / .seconds(1))
    Console.say(
      "\(path): \(size / 1024) KiB, \(plan.launches.count) launches of \(plan.kernels.count) kernels for "
        + "\(compilation.options.targets.map(\.name).joined(separator: ", ")) in \(seconds) s")
    Console.say("arena \(ArenaReport(plan.arenas).text)")
  }

  private func printCode(_ compilation: Compilation) throws {
    for (plan, target) in zip(compilation.plans, compilation.options.targets) {
      if emit == .plan {
        try Console.print(json: plan)
        continue
      }
      for kernel in plan.kernels {
        let program = compilation.program(kernel, for: target)
        switch emit {
        case .tile: Console.print("\(program)")
        case .llvm, .asm:
          let form: CodeForm = emit == .llvm ? .llvm : .assembly
          let code = try Backend.compile(program, for: target, symbols: compilation.symbols, as: form)
          Console.print(String(decoding: code.object, as: UTF8.self))
        case .graph, .plan, .so: break
        }
      }
    }
  }
}

/// One line on a terminal, overwritten as work goes on.
final class Progress: @unchecked Sendable {
  private let isShown: Bool
  private let lock = NSLock()

  init(isShown: Bool) { self.isShown = isShown }

  func show(_ what: String, _ done: Int, _ all: Int) {
    guard isShown else { return }
    lock.withLock { write("\r\u{1B}[K[\(done + 1)/\(all)] \(what)") }
  }

  func clear() { if isShown { write("\r\u{1B}[K") } }

  private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}

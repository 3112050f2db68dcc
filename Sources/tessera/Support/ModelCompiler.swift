import Compiler
import Foundation
import GraphIR
import LLVMBackend
import ONNXImport
import TensorTypes
import TesseraRuntime

/// From a model's file to a library, as `compile`, `verify` and `run --list` do it.
enum ModelCompiler {
  /// The model at `path` as an optimised graph.
  /// - Parameters:
  ///   - shapes: sizes by inputs' names, in place of what the model leaves open.
  ///   - precision: what products may round.
  ///   - recognition: gets what was recognised in the graph.
  static func graph(
    _ path: String, shapes: [String: [Int]] = [:], precision: Precision = .fp32, recognition: RecognitionLog? = nil
  ) throws -> Graph {
    try inFile(path) {
      let model = try ONNXModelReader.read(path: path)
      var options = PipelineOptions.fromEnvironment()
      options.recognition = recognition
      options.precision = precision
      return try optimise(try importModel(model, shapes: shapes), options: options)
    }
  }

  static func compile(
    _ path: String, shapes: [String: [Int]] = [:], precision: Precision = .fp32, options: CompileOptions
  ) throws -> Compilation {
    let file = try MappedFile.open(path)
    // The map lasts as long as its storage.
    let hash = withExtendedLifetime(file) { SHA256.hexDigest(file.bytes) }
    let graph = try graph(path, shapes: shapes, precision: precision)
    return try inFile(path) { try Compilation(graph, modelHash: hash, options: options) }
  }

  private static func inFile<T>(_ path: String, _ body: () throws -> T) throws -> T {
    do { return try body() } catch let failure as Failure { throw failure.inFile(path) }
  }

  /// Targets by name; `native` is the most demanding one that this machine runs well.
  /// - Parameter threads: that share the work; the CPUs there are unless given.
  static func targets(_ names: String, threads: Int?) throws -> [Target] {
    try names.split(separator: ",").map { name in
      let target = name == "native" ? Target.native(CPU.features) : try Target.named(String(name))
      return target.shared(by: threads ?? ThreadPool.usualSize)
    }
  }

  /// The library at `path`, compiled into a temporary file first if it is a model.
  static func library(
    _ path: String, threads: Int?, jobs: Int = ProcessInfo.processInfo.activeProcessorCount
  ) throws -> Library {
    let options = Library.Options(threads: threads)
    if path.hasSuffix(".so") { return try Library(path: path, options: options) }
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tessera-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    // Once mapped the file is not needed.
    defer { try? FileManager.default.removeItem(at: folder) }
    let library = folder.appendingPathComponent("model.so").path
    try compile(path, options: CompileOptions(targets: targets("native", threads: threads), jobs: jobs)).write(
      to: library)
    return try Library(path: library, options: options)
  }
}

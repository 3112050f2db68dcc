import ArgumentParser
import TensorTypes
import TesseraRuntime

/// Runs a library once, from files to files.
struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Runs a compiled model on tensors in a folder, and writes its outputs to another.")

  @Argument(help: "The library that `tessera compile` made.")
  var library: String

  @OptionGroup var options: RunOptions

  @Option(help: "The folder that receives NN_NAME.npy for every output; made if missing.")
  var outputDir: String

  @Flag(help: "Fill memory with NaN bytes first, so that reading what was not written shows.")
  var poison = false

  func run() throws {
    let library = try Library(path: library, options: Library.Options(threads: options.threads))
    let session = try Session(library: library, options: Session.Options(poison: poison))
    let inputs = try TensorFolder(path: options.inputs).read(library.inputs.map(\.name))
    let outputs = try session.run(inputs)
    try TensorFolder(path: outputDir).write(zip(library.outputs.map(\.name), outputs).map { (name: $0, value: $1) })
  }
}

import ArgumentParser
import Foundation
import TensorTypes
import TesseraRuntime

/// Runs a library once, or many models once each, from files to files.
struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Runs a compiled model on tensors in a folder, and writes its outputs to another.",
    discussion: """
      With --list, a test suite is run: a line CASE<TAB>OUT for every case. CASE/model.onnx (or model.json) is compiled
      and run on CASE/input_K.npy; OUT receives output_K.npy and status, which is 'ok', 'error: WHY', 'crashed: SIGNAL'
      or 'timeout: WHY'. A case is a process of its own, so that none can spoil another.

        tessera run model.so --inputs IN --output-dir OUT
        tessera run --list cases.tsv --jobs 2
      """)

  @Argument(help: "The library that `tessera compile` made.")
  var library: String?

  @Option(help: "A folder with NAME.npy or NN_NAME.npy for every input; NN is its position.")
  var inputs: String?

  @Option(help: "Threads to run on; as many as there are CPUs unless given.")
  var threads: Int?

  @Option(help: "The folder that receives NN_NAME.npy for every output; made if missing.")
  var outputDir: String?

  @Flag(help: "Fill memory with NaN bytes first, so that reading what was not written shows.")
  var poison = false

  @Option(help: "Run the cases of this file instead.")
  var list: String?

  @Option(help: "Cases at a time.")
  var jobs = 1

  func validate() throws {
    try RunOptions.check(threads: threads)
    guard (1...1024).contains(jobs) else { throw ValidationError("--jobs is 1 to 1024, not \(jobs)") }
    if list != nil {
      guard library == nil, inputs == nil, outputDir == nil else {
        throw ValidationError("--list says what is run: no library, --inputs or --output-dir beside it")
      }
    } else if library == nil || inputs == nil || outputDir == nil {
      throw ValidationError("a library, --inputs and --output-dir are needed, or --list")
    }
  }

  func run() throws {
    if let list { return try CaseList(path: list).run(jobs: jobs) }
    guard let library, let inputs, let outputDir else { preconditionFailure("arguments that validate() let through") }
    try runOnce(library, inputs: inputs, outputs: outputDir)
  }

  private func runOnce(_ path: String, inputs: String, outputs: String) throws {
    let library = try Library(path: path, options: Library.Options(threads: threads))
    let session = try Session(library: library, options: Session.Options(poison: poison))
    let values = try session.run(try TensorFolder(path: inputs).read(library.inputs.map(\.name)))
    try TensorFolder(path: outputs).write(zip(library.outputs.map(\.name), values).map { (name: $0, value: $1) })
  }
}

import ArgumentParser
import Foundation
import TensorTypes
import TesseraRuntime

/// Runs a library once, or many models once each, from files to files.
struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Runs a compiled model on tensors, pictures or sound, and writes what it gives.",
    discussion: """
      With --list, a test suite is run: a line CASE<TAB>OUT for every case. CASE/model.onnx (or model.json) is compiled
      and run on CASE/input_K.npy; OUT receives output_K.npy and status, which is 'ok', 'error: WHY', 'crashed: SIGNAL'
      or 'timeout: WHY'. A case is a process of its own, so that none can spoil another.

      Files are NumPy's .npy, and .png and .wav where an input or output is a picture or sound:
      A picture is a tensor of rank 2 (height, width), 3 or 4 (a batch of one), whose third last dimension is the channels
      if there are 1, 3 or 4 of them (NCHW), else the last (NHWC). Floats are 0 to 1, u8 0 to 255; channels are
      converted, sizes are not. Sound is floats from -1 to 1 of one dimension, all others being 1; channels are averaged,
      and --sample-rate says how many samples a second it has.

        tessera run model.so --inputs IN --output-dir OUT
        tessera run upscale.so --input photo.png --output large.png
        tessera run hear.so --input audio=speech.wav --sample-rate 16000 --output-dir OUT
        tessera run --list cases.tsv --jobs 2
      """)

  @Argument(help: "The library that `tessera compile` made.")
  var library: String?

  @Option(help: "A folder with NAME.npy or NN_NAME.npy for every input that --input does not give; NN is its position.")
  var inputs: String?

  @Option(help: "The file of one input: NAME=FILE, or FILE for the first. Can be given for several.")
  var input: [String] = []

  @Option(help: "The file of one output: NAME=FILE, or FILE for the first. Can be given for several.")
  var output: [String] = []

  @Option(help: "Samples a second of .wav files.")
  var sampleRate: Int?

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
    if let sampleRate, !(1...10_000_000).contains(sampleRate) {
      throw ValidationError("--sample-rate is 1 to 10000000, not \(sampleRate)")
    }
    if list != nil {
      guard library == nil, inputs == nil, input.isEmpty, output.isEmpty, outputDir == nil else {
        throw ValidationError("--list says what is run: no library, inputs or outputs beside it")
      }
    } else if library == nil || inputs == nil && input.isEmpty || outputDir == nil && output.isEmpty {
      throw ValidationError("a library, --inputs or --input, and --output-dir or --output are needed, or --list")
    }
  }

  func run() throws {
    if let list { return try CaseList(path: list).run(jobs: jobs) }
    guard let library else { preconditionFailure("arguments that validate() let through") }
    try runOnce(library)
  }

  private func runOnce(_ path: String) throws {
    let library = try Library(path: path, options: Library.Options(threads: threads))
    let givenInputs = try files(input, of: library.inputs, "input")
    let givenOutputs = try files(output, of: library.outputs, "output")
    let session = try Session(library: library, options: Session.Options(poison: poison))
    let values = try session.run(try read(library.inputs, givenInputs))
    for (index, file) in givenOutputs.sorted(by: { $0.key < $1.key }) {
      try file.write(values[index], library.outputs[index])
    }
    if let outputDir {
      try TensorFolder(path: outputDir).write(zip(library.outputs.map(\.name), values).map { (name: $0, value: $1) })
    }
  }

  /// Files by the position of the port that they are for.
  private func files(_ arguments: [String], of ports: [Port], _ what: String) throws -> [Int: MediaFile] {
    var files: [Int: MediaFile] = [:]
    for argument in arguments {
      let named = ports.firstIndex { argument.hasPrefix($0.name + "=") }
      let path = named.map { String(argument.dropFirst(ports[$0].name.count + 1)) } ?? argument
      if named == nil, ports.count > 1, arguments.count > 1 || argument.contains("=") {
        throw Failure(.usage, "--\(what) \(argument) names none of \(ports.map(\.name))")
      }
      guard ports.indices.contains(named ?? 0) else { throw Failure(.usage, "the library has no \(what)") }
      guard files.updateValue(try MediaFile(path: path, rate: sampleRate), forKey: named ?? 0) == nil else {
        throw Failure(.usage, "--\(what) gives '\(ports[named ?? 0].name)' twice")
      }
    }
    return files
  }

  private func read(_ ports: [Port], _ given: [Int: MediaFile]) throws -> [HostTensor] {
    let rest = ports.indices.filter { given[$0] == nil }
    guard let inputs else {
      guard rest.isEmpty else {
        throw Failure(.usage, "no --input for \(rest.map { "'\(ports[$0].name)'" }.joined(separator: ", "))")
      }
      return try ports.indices.map { try given[$0]!.read(for: ports[$0]) }
    }
    let found = try TensorFolder(path: inputs).read(for: ports, except: Set(given.keys), rate: sampleRate)
    return try ports.indices.map { try given[$0]?.read(for: ports[$0]) ?? found[$0]! }
  }
}

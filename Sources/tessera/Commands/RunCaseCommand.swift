import ArgumentParser
import Compiler
import Foundation
import TensorTypes
import TesseraRuntime

/// One case of `tessera run --list`, in the process that `CaseList` started for it.
struct RunCaseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "run-case", shouldDisplay: false)

  @Argument var folder: String
  @Argument var output: String

  func run() throws {
    // A case that hangs is ended by the kernel, whatever its threads are doing.
    alarm(CaseList.secondsPerCase)
    let status: String
    do {
      try runCase()
      status = "ok"
    } catch let failure as Failure { status = "error: \(failure)" }
    try CaseList.write(status: status, to: output)
  }

  private func runCase() throws {
    let binary = folder + "/model.onnx"
    let model = access(binary, F_OK) == 0 ? binary : folder + "/model.json"
    // Cases are tiny: one job and one thread are the fastest, and poison shows what was read before it was written.
    let library = try ModelCompiler.library(model, threads: 1, jobs: 1)
    let session = try Session(library: library, options: Session.Options(poison: true))
    let outputs = try session.run(try library.inputs.enumerated().map { try input($0.offset, $0.element.element) })
    for (position, value) in outputs.enumerated() {
      let stem = "\(output)/output_\(position)"
      if value.element == .bfloat16 {
        try HostTensor(.uint16, value.shape, storage: value.storage).writeNPY(to: stem + ".bfloat16.npy")
      } else {
        try value.writeNPY(to: stem + ".npy")
      }
    }
  }

  private func input(_ position: Int, _ element: ElementType) throws -> HostTensor {
    let stem = "\(folder)/input_\(position)"
    guard element == .bfloat16 else { return try HostTensor.npy(path: stem + ".npy") }
    let bits = try HostTensor.npy(path: stem + ".bfloat16.npy")
    guard bits.element == .uint16 else {
      throw Failure.badData("holds \(bits.element.rawValue), not the bits of bfloat16", file: stem + ".bfloat16.npy")
    }
    return HostTensor(.bfloat16, bits.shape, storage: bits.storage)
  }
}

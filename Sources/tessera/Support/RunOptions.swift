import ArgumentParser
import TesseraRuntime

/// What `verify` and `bench` have in common.
struct RunOptions: ParsableArguments {
  @Option(help: "A folder with NAME.npy or NN_NAME.npy for every input; NN is its position.")
  var inputs: String

  @Option(help: "Threads to run on; as many as there are CPUs unless given.")
  var threads: Int?

  func validate() throws { try Self.check(threads: threads) }

  static func check(threads: Int?) throws {
    guard let threads, !(1...ThreadPool.limit).contains(threads) else { return }
    throw ValidationError("--threads is 1 to \(ThreadPool.limit), not \(threads)")
  }
}

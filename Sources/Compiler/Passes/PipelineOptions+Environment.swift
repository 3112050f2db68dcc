import Glibc
import GraphIR
import TensorTypes

extension PipelineOptions {
  /// As the environment says; the one place that reads it.
  ///
  /// - `TESSERA_DUMP=after-all|PASS`: one numbered file a pass, in `TESSERA_DUMP_FOLDER` or the current folder.
  /// - `TESSERA_VERIFY=each`: the graph is verified after every pass; in debug builds it always is.
  /// - `TESSERA_TIME_PASSES=1`: the time of each pass on stderr.
  public static func fromEnvironment() -> PipelineOptions {
    func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
    var options = PipelineOptions()
    switch variable("TESSERA_DUMP") {
    case nil, "": break
    case "after-all": options.dump = .afterAll
    case let pass?: options.dump = .after(pass)
    }
    options.dumpFolder = variable("TESSERA_DUMP_FOLDER") ?? "."
    #if DEBUG
      options.verifiesEach = true
    #endif
    if variable("TESSERA_VERIFY") == "each" { options.verifiesEach = true }
    if variable("TESSERA_TIME_PASSES") == "1" {
      options.reportTime = { name, nanoseconds in
        let line = "\(name): \(Double(nanoseconds / 1000) / 1000) ms\n"
        _ = line.withCString { write(STDERR_FILENO, $0, strlen($0)) }
      }
    }
    return options
  }
}

/// Writes `graph` as `NN-pass.graph` into `folder`.
func writeDump(_ graph: Graph, _ number: Int, _ pass: String, _ folder: String) throws {
  let path = "\(folder)/\(number < 10 ? "0" : "")\(number)-\(pass).graph"
  guard let file = fopen(path, "w") else { throw Failure(.inputOutput, file: path, "can't be written") }
  defer { fclose(file) }
  guard fputs(graph.description, file) >= 0 else { throw Failure(.inputOutput, file: path, "can't be written") }
}

import Compiler
import TensorTypes

/// What recognition finds in a model: the named rewrites that apply, and patterns that begin and are not completed.
struct FusionReport: Encodable {
  struct Recognised: Encodable {
    var rewrite: String
    var count: Int
    /// Names of the model's nodes that the patterns end with.
    var nodes: [String]
  }
  var recognised: [Recognised]
  var nearly: [RecognitionLog.Missed]

  /// - Throws: `Failure` for what is no model, or one with operators that are not supported.
  init(path: String) throws {
    guard !path.hasSuffix(".so") else {
      throw Failure(.usage, file: path, "is a library; fusions are shown of the model that it was made from")
    }
    let log = RecognitionLog()
    _ = try ModelCompiler.graph(path, recognition: log)
    recognised = log.found.map { Recognised(rewrite: $0.rewrite, count: $0.nodes.count, nodes: $0.nodes) }
    nearly = log.missed
  }

  var text: String {
    var lines = recognised.flatMap { found in
      ["\(found.count)\t\(found.rewrite)", "\t\(Console.shortened(found.nodes.joined(separator: ", "), to: 240))"]
    }
    if lines.isEmpty { lines = ["nothing recognised"] }
    lines += nearly.map { "nearly \($0.pattern.rawValue): \($0.node): \($0.reason)" }
    return lines.joined(separator: "\n")
  }
}

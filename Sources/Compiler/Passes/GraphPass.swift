import GraphIR
import TensorTypes

/// A step of the way from a model's graph to one that kernels are chosen for: a function of graphs that keeps their
/// meaning.
public struct GraphPass: Sendable {
  public let name: String
  private let body: @Sendable (Graph, RecognitionLog?) throws -> Graph

  init(_ name: String, _ run: @escaping @Sendable (Graph) throws -> Graph) {
    (self.name, body) = (name, { graph, _ in try run(graph) })
  }

  /// A pass that has something to say of what it recognises.
  init(_ name: String, logging run: @escaping @Sendable (Graph, RecognitionLog?) throws -> Graph) {
    (self.name, body) = (name, run)
  }

  func run(_ graph: Graph, log: RecognitionLog? = nil) throws -> Graph { try body(graph, log) }
}

/// What to watch while passes run. `docs/debugging.md` lists the environment variables.
public struct PipelineOptions: Sendable {
  public enum Dump: Hashable, Sendable {
    case afterAll
    case after(String)
  }

  /// After which passes to write the graph, into numbered files.
  public var dump: Dump?
  /// Where to write them.
  public var dumpFolder = "."
  /// Whether to verify the graph after every pass.
  public var verifiesEach = false
  /// Gets each pass's name and the nanoseconds it took.
  public var reportTime: (@Sendable (String, UInt64) -> Void)?
  /// Gets what was recognised and what nearly was.
  public var recognition: RecognitionLog?
  /// What weights may be rounded to.
  public var precision = Precision.fp32

  public init() {}
}

/// The graph after `passes`, in order.
/// - Throws: `Failure` of kind `ours` if verification finds a pass's result broken, naming the pass; of kind
///   `inputOutput` if a dump can't be written.
func run(_ passes: [GraphPass], on graph: Graph, options: PipelineOptions) throws -> Graph {
  var current = graph
  for (number, pass) in passes.enumerated() {
    let start = ContinuousClock.now
    current = try pass.run(current, log: options.recognition)
    if let report = options.reportTime {
      let time = (ContinuousClock.now - start).components
      report(pass.name, UInt64(time.seconds) * 1_000_000_000 + UInt64(time.attoseconds / 1_000_000_000))
    }
    if options.verifiesEach {
      do { try current.verify() } catch let failure as Failure {
        throw Failure(.ours, place: failure.place, "after the pass \(pass.name): \(failure.message)")
      }
    }
    switch options.dump {
    case .afterAll: try writeDump(current, number, pass.name, options.dumpFolder)
    case .after(pass.name): try writeDump(current, number, pass.name, options.dumpFolder)
    case .after, nil: break
    }
  }
  return current
}

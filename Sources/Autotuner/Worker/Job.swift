import Compiler
import Kernels
import TuningDB

/// What a worker process is asked to do. One JSON value on its standard input.
public struct WorkerJob: Codable, Sendable {
  public enum Work: Codable, Sendable {
    case build
    case measure(Measurement)
  }

  public struct Measurement: Codable, Sendable {
    public var threads: Int
    public var sizes: [String: Int]
    public var seed: UInt64
    /// Whether the default's output is checked with the tile interpreter.
    public var interprets: Bool
    /// Rounds after which the slower half leaves, and the last of which ends the contest.
    public var stages: [Int]
    /// Bytes of private memory that the process may have.
    public var memoryLimit: Int
  }

  public struct Entry: Codable, Sendable {
    public var candidate: Candidate
    /// Its library: to be written, or to be measured.
    public var library: String

    public init(candidate: Candidate, library: String) {
      self.candidate = candidate
      self.library = library
    }
  }

  public var task: TuningTask
  public var target: String
  /// To measure: the default first, then the best so far if that is another one, then challengers.
  public var entries: [Entry]
  public var work: Work
  /// A file in which the worker notes which entry it is at: what is to blame if it dies.
  public var marker: String
}

/// What a worker says, a line of JSON each.
public enum WorkerEvent: Codable, Sendable {
  /// Entry number, SHA-256 of its tile program.
  case built(Int, program: String)
  case failed(Int, TuningRecord.Status, String)
  case measured(Int, TuningRecord.Timing)
}

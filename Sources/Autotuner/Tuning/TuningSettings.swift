import Compiler
import LLVMBackend
import TuningDB

/// What all tasks of a tune have in common.
public struct TuningSettings: Sendable {
  public enum Strategy: String, Sendable, CaseIterable { case evolutionary, random }

  public var target: Target
  public var threads: Int
  public var database: SharedDatabase
  public var worker: WorkerProcess
  /// A folder for libraries on their way.
  public var scratch: String
  public var strategy = Strategy.evolutionary
  public var seed: UInt64 = 0
  /// Whether a search that has ended by itself goes on.
  public var isThorough = false
  /// Called after each trial.
  public var onTrial: @Sendable (TaskTuner, Trial) -> Void = { _, _ in }

  /// What a size that a model leaves open is taken to be, if nobody says.
  public static let usualSize = 64

  public init(target: Target, threads: Int, database: TuningDatabase, worker: WorkerProcess, scratch: String) {
    self.target = target
    self.threads = threads
    self.database = SharedDatabase(database)
    self.worker = worker
    self.scratch = scratch
  }
}

/// A database used by one thread: the one that steps the tuners.
public final class SharedDatabase: @unchecked Sendable {
  let value: TuningDatabase
  private var known: [String: [EvolutionarySearch.Elder]] = [:]

  init(_ value: TuningDatabase) { self.value = value }

  /// What the search for a task may begin with: the family's records as they are when they are first asked for.
  func elders(ofFamily family: String) throws -> [EvolutionarySearch.Elder] {
    if let elders = known[family] { return elders }
    var works: [TuningTask: CanonicalTask] = [:]
    let elders = try value.records(ofFamily: family).compactMap { record -> EvolutionarySearch.Elder? in
      if works[record.task] == nil { works[record.task] = try? CanonicalTask(record.task) }
      return works[record.task].map { (record: record, work: Work($0.workload, sizes: record.sizes)) }
    }
    known[family] = elders
    return elders
  }
}

import Compiler
import Foundation
import Kernels
import LLVMBackend
import TensorTypes
import TuningDB

/// Tunes one task, a batch of candidates at a time: proposes, builds the next batch while one is measured, records.
public final class TaskTuner {
  public let task: CanonicalTask
  public let work: Work
  public let baseline: Candidate
  /// Everything known, from the database and new.
  public private(set) var trials: [Trial] = []
  /// The default's time, nanoseconds a run, once it was measured.
  public private(set) var baselineTime: Double?
  /// Batches since the best became better by 1 %.
  public private(set) var staleBatches = 0
  public private(set) var batches = 0
  /// Whether nothing is left to try, or the default itself does not work.
  public private(set) var isExhausted = false

  private let settings: TuningSettings
  private let laboratory: Laboratory
  private let conditions: TuningDatabase.Conditions
  private let baselineHash: String
  private var strategy: any SearchStrategy
  private var builtBaseline: Laboratory.Built?
  private var ahead: Ahead<(built: [Laboratory.Built], failed: [Laboratory.Failed])>?
  private var number = 0
  private var pendingCandidates: Set<Candidate> = []

  /// Up to how many operations the default's output is checked by the interpreter, which does some millions a second.
  private static let interpretable = 3e6
  private static let batchSize = 8

  /// - Returns: nil if no template takes the workload.
  public init?(_ workload: Workload, sizes: [String: Int], settings: TuningSettings) throws {
    let task = CanonicalTask(workload)
    let machine = settings.target.machine
    guard let space = CandidateSpace(task.workload, on: machine) else { return nil }
    let renamed = Dictionary(
      task.names.map { ($1, sizes[$0] ?? TuningSettings.usualSize) }, uniquingKeysWith: { first, _ in first })
    self.task = task
    self.settings = settings
    let work = Work(task.workload, sizes: renamed)
    self.work = work
    baseline = space.baseline
    baselineHash = task.programHash(space.baseline, on: machine)
    conditions = .init(
      device: .current, target: settings.target.name, threads: settings.threads, llvm: Backend.version)
    let seed = task.task.text.utf8.reduce(UInt64(1_469_598_103_934_665_603)) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
    let folder = settings.scratch + "/" + String(seed, radix: 36)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    laboratory = Laboratory(
      task: task, target: settings.target, threads: settings.threads, sizes: renamed, seed: seed,
      worker: settings.worker, folder: folder,
      limits: .init(memory: (2 << 30) + 16 * Int(min(work.bytes, 1e11))))
    strategy = try Self.strategy(space, work, task, settings, seed)
    try recall()
  }

  deinit { try? FileManager.default.removeItem(atPath: laboratory.folder) }

  private static func strategy(
    _ space: CandidateSpace, _ work: Work, _ task: CanonicalTask, _ settings: TuningSettings, _ seed: UInt64
  ) throws -> any SearchStrategy {
    if let all = ExhaustiveSearch(space) { return all }
    switch settings.strategy {
    case .random: return RandomSearch(space, seed: seed ^ settings.seed)
    case .evolutionary:
      let records = try settings.database.value.store?.records(ofFamily: task.task.family) ?? []
      let elders = records.compactMap { record in
        (try? CanonicalTask(record.task)).map { (record: record, work: Work($0.workload, sizes: record.sizes)) }
      }
      return EvolutionarySearch(space, work: work, elders: elders, seed: seed ^ settings.seed)
    }
  }

  /// What was measured before under these conditions, of today's programs, is not measured again.
  private func recall() throws {
    for record in try settings.database.value.evidence(for: task.task, on: conditions)
    where record.toolchain.baseline == baselineHash {
      let candidate = Candidate(template: record.template, knobs: Knobs(record.knobs))
      guard candidate.isLegal(for: task.workload, on: settings.target.machine) else { continue }
      if record.status == .ok {
        guard task.programHash(candidate, on: settings.target.machine) == record.toolchain.program else { continue }
      }
      if candidate == baseline {
        baselineTime = record.timing?.median
      } else {
        trials.append(Trial(candidate: candidate, status: record.status, timing: record.timing, isReused: true))
      }
    }
    if let known = try settings.database.value.store?.note(doneNote), known == "\(Self.batchSize)" {
      isExhausted = true
    }
  }

  /// The best candidate that beats the default beyond doubt.
  public var best: Trial? {
    trials.filter { $0.status == .ok && ($0.timing?.ratioHigh ?? 2) < 1 }
      .min { ($0.timing?.ratioHigh ?? 2) < ($1.timing?.ratioHigh ?? 2) }
  }

  /// The best time over the default's: 1 if nothing beats it.
  public var bestRatio: Double { best?.ratio ?? 1 }

  // MARK: Steps

  /// Measures one batch, the default along with it.
  public func step() throws {
    let current = try ahead.map { try $0.value() } ?? build(propose())
    ahead = nil
    pendingCandidates = []
    guard !settings.worker.isCancelled() else { return }
    let next = propose()
    if !next.isEmpty {
      pendingCandidates = Set(next)
      let (lab, prefix) = (self.laboratory, nextPrefix())
      ahead = Ahead { try lab.build(next, prefix: prefix) }
    }
    let before = bestRatio
    try measure(current.built, failed: current.failed)
    batches += 1
    staleBatches = bestRatio < before * 0.99 ? 0 : staleBatches + 1
    for built in current.built { unlink(built.library) }
    if ahead == nil { isExhausted = true }
  }

  /// Measures the best few again, longer: what wins is not to have won by luck.
  public func confirm() throws {
    // What was built ahead would only disturb.
    _ = try? ahead?.value()
    ahead = nil
    let contenders = trials.filter { !$0.isReused && ($0.timing?.ratioHigh ?? 2) < 1 }
      .sorted { ($0.timing?.ratioHigh ?? 2) < ($1.timing?.ratioHigh ?? 2) }.prefix(3).map(\.candidate)
    guard !contenders.isEmpty, !settings.worker.isCancelled() else { return }
    let again = try build(contenders)
    try measure(again.built, failed: again.failed, stages: [12, 40])
  }

  /// Notes that the search ended by itself, so that a later tune does not begin anew.
  public func markDone() throws { try settings.database.value.store?.setNote(doneNote, "\(Self.batchSize)") }

  private var doneNote: String {
    let device = conditions.device
    let text = [
      task.task.text, baselineHash, device.cpu, "\(device.features)", "\(device.caches)", conditions.target,
      "\(conditions.threads)", conditions.llvm,
    ].joined(separator: "\n")
    return "done " + Array(text.utf8).withUnsafeBytes { SHA256.hexDigest($0) }
  }

  private func propose() -> [Candidate] {
    let pending = pendingCandidates.map { Trial(candidate: $0, status: .ok, timing: nil) }
    let own = Trial(candidate: baseline, status: .ok, timing: nil)
    return strategy.propose(Self.batchSize, tried: trials + pending + [own])
  }

  private func nextPrefix() -> String {
    number += 1
    return "batch\(number)"
  }

  private func build(_ candidates: [Candidate]) throws -> (built: [Laboratory.Built], failed: [Laboratory.Failed]) {
    try laboratory.build(candidates, prefix: nextPrefix())
  }

  private func measure(_ built: [Laboratory.Built], failed: [Laboratory.Failed], stages: [Int]? = nil) throws {
    let isFirst = builtBaseline == nil
    if isFirst {
      let made = try laboratory.build([baseline], prefix: "default")
      guard let first = made.built.first else {
        isExhausted = true
        return
      }
      builtBaseline = first
    }
    guard let builtBaseline else { return }
    let isSlow = (baselineTime ?? work.operations / 20) > 50e6
    let outcomes = try laboratory.measure(
      builtBaseline, built, stages: stages ?? (isSlow ? [8, 12] : [8, 16, 24]),
      interprets: isFirst && work.operations <= Self.interpretable)
    guard let own = outcomes[0], own.status == .ok else {
      if !settings.worker.isCancelled() {
        isExhausted = true
        if let own = outcomes[0] { try record(baseline, builtBaseline.program, own) }
      }
      return
    }
    baselineTime = own.timing?.median
    try record(baseline, builtBaseline.program, own)
    for failure in failed {
      try record(failure.candidate, failure.program, .init(status: failure.status))
    }
    for (candidate, outcome) in zip(built, outcomes.dropFirst()) {
      if let outcome { try record(candidate.candidate, candidate.program, outcome) }
    }
  }

  private func record(_ candidate: Candidate, _ program: String, _ outcome: Laboratory.Outcome) throws {
    let record = TuningRecord(
      task: task.task, sizes: laboratory.sizes, device: conditions.device,
      toolchain: .init(llvm: conditions.llvm, program: program, baseline: baselineHash), target: conditions.target,
      threads: conditions.threads, template: candidate.template, knobs: candidate.knobs.values,
      status: outcome.status, timing: outcome.timing)
    try settings.database.value.store?.merge([record])
    let trial = Trial(candidate: candidate, status: outcome.status, timing: outcome.timing)
    if candidate != baseline {
      trials.removeAll { $0.candidate == candidate }
      trials.append(trial)
    }
    settings.onTrial(self, trial)
  }
}

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
public struct SharedDatabase: @unchecked Sendable {
  let value: TuningDatabase
  init(_ value: TuningDatabase) { self.value = value }
}

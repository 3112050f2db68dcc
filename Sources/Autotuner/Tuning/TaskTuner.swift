import Compiler
import Foundation
import Kernels
import LLVMBackend
import TensorTypes
import TuningDB

/// Tunes one task, a batch of candidates at a time: proposes, builds, measures, records. Where the measured kernel leaves
/// a CPU free, the next batch is built there meanwhile.
public final class TaskTuner {
  public let task: CanonicalTask
  public let work: Work
  public let baseline: Candidate
  /// Everything known, from the database and new.
  public private(set) var trials: [Trial] = []
  /// The default's time, nanoseconds a run, once it was measured: the shortest median of a contest, in which the machine
  /// had least else to do.
  public private(set) var baselineTime: Double?
  /// Batches since the best became better by 1 %.
  public private(set) var staleBatches = 0
  /// Whether nothing is left to try, an earlier tune came to its end, or the default itself does not work.
  public private(set) var isExhausted = false

  private let space: CandidateSpace
  private let settings: TuningSettings
  private let laboratory: Laboratory
  private let conditions: TuningDatabase.Conditions
  private let baselineHash: String
  private var strategy: (any SearchStrategy)?
  private var builtBaseline: Laboratory.Built?
  private var ahead: Ahead<Laboratory.Batch>?
  private var number = 0
  private var pendingCandidates: Set<Candidate> = []

  /// Up to how many operations the default's output is checked by the interpreter, which does some millions a second.
  private static let interpretable = 3e6
  private static let batchSize = 8

  /// - Returns: nil if no template takes the workload.
  public init?(_ workload: Workload, sizes: [String: Int], settings: TuningSettings) throws {
    let task = CanonicalTask(workload)
    guard let space = CandidateSpace(task.workload, on: settings.target.machine) else { return nil }
    let renamed = Dictionary(
      task.names.map { ($1, sizes[$0] ?? TuningSettings.usualSize) }, uniquingKeysWith: { first, _ in first })
    self.task = task
    self.space = space
    self.settings = settings
    work = Work(task.workload, sizes: renamed)
    baseline = space.baseline
    baselineHash = task.programHash(space.baseline, on: settings.target.machine)
    conditions = .init(
      device: .current, target: settings.target.name, threads: settings.threads, llvm: Backend.version)
    let seed = Self.seed(task.task.text)
    laboratory = Laboratory(
      task: task, target: settings.target, threads: settings.threads, sizes: renamed, seed: seed,
      worker: settings.worker, folder: settings.scratch + "/" + String(seed, radix: 36),
      limits: Self.limits(work))
    try recall()
  }

  /// A step is a library loaded, operands packed and a run, or a round: at a thousandth of a machine's speed. The default's
  /// output is compared with the interpreter's, some millions of operations a second, in the first.
  private static func limits(_ work: Work) -> Laboratory.Limits {
    .init(
      step: 10 + work.operations / 2e9 + work.bytes / 2e7, memory: (2 << 30) + 16 * Int(min(work.bytes, 1e11)))
  }

  deinit { try? FileManager.default.removeItem(atPath: laboratory.folder) }

  /// FNV-1a: the same in every process.
  private static func seed(_ text: String) -> UInt64 {
    text.utf8.reduce(UInt64(1_469_598_103_934_665_603)) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
  }

  // MARK: What is known

  /// What was measured before under these conditions, of today's programs, is not measured again.
  private func recall() throws {
    let machine = settings.target.machine
    isExhausted = try !settings.isThorough && settings.database.value.store?.note("done " + searchKey) != nil
    for record in try settings.database.value.evidence(for: task.task, on: conditions)
    where record.toolchain.baseline == baselineHash && record.sizes == laboratory.sizes {
      let candidate = Candidate(template: record.template, knobs: Knobs(record.knobs))
      if candidate == baseline {
        baselineTime = record.timing?.median
        continue
      }
      guard candidate.isLegal(for: task.workload, on: machine) else { continue }
      // A search that has ended needs no more than its winners, and programs take their time to be made.
      let matters = record.status == .ok && (!isExhausted || record.beatsBaseline)
      if matters, task.programHash(candidate, on: machine) != record.toolchain.program { continue }
      trials.append(Trial(candidate: candidate, status: record.status, timing: record.timing, isReused: true))
    }
  }

  /// The best candidate that beats the default beyond doubt.
  public var best: Trial? {
    trials.filter { $0.status == .ok && ($0.timing?.ratioHigh ?? 2) < 1 }
      .min { ($0.timing?.ratioHigh ?? 2) < ($1.timing?.ratioHigh ?? 2) }
  }

  /// The best time over the default's: 1 if nothing beats it.
  public var bestRatio: Double { best?.ratio ?? 1 }

  /// How near the best comes to what the machine can do at most; nil if nothing was measured.
  public func share(of roofline: Roofline) -> Double? {
    baselineTime.map { usual in
      let products = task.workload.productsAtATime(on: settings.target.machine)
      return roofline.time(work, productsAtATime: products) / (usual * bestRatio)
    }
  }

  /// Notes that the search ended by itself, so that a later tune does not begin anew.
  public func markDone() throws { try settings.database.value.store?.setNote("done " + searchKey, "") }

  /// Names a search: for this task on this machine by this compiler, as long as no template that takes the task makes
  /// another program.
  private(set) lazy var searchKey: String = {
    let device = conditions.device
    let programs = space.templates.map { task.programHash($0.usual, on: settings.target.machine) }
    let text = [
      task.task.text, "\(laboratory.sizes.sorted { $0.key < $1.key })", "\(programs)", device.cpu, "\(device.features)",
      "\(device.caches)", conditions.target, "\(conditions.threads)", conditions.llvm,
    ].joined(separator: "\n")
    return Array(text.utf8).withUnsafeBytes { SHA256.hexDigest($0) }
  }()

  // MARK: Steps

  /// Measures one batch, the default along with it.
  public func step() throws {
    let current = try ahead.map { try $0.value() } ?? build(try propose())
    ahead = nil
    pendingCandidates = []
    guard !settings.worker.isCancelled() else { return }
    guard !current.built.isEmpty || !current.failed.isEmpty else {
      isExhausted = true
      return
    }
    if settings.threads < conditions.device.cores { try buildAhead() }
    let before = bestRatio
    try measure(current.built, failed: current.failed)
    staleBatches = bestRatio < before * 0.99 ? 0 : staleBatches + 1
    for built in current.built { unlink(built.library) }
  }

  private func buildAhead() throws {
    let next = try propose()
    guard !next.isEmpty else { return }
    pendingCandidates = Set(next)
    let (lab, prefix) = (laboratory, nextPrefix())
    ahead = Ahead { try lab.build(next, prefix: prefix) }
  }

  /// Whether a candidate of this tune seems to win, so that it should be measured again.
  public var hasUnconfirmed: Bool { !unconfirmed.isEmpty }

  private var unconfirmed: [Candidate] {
    trials.filter { !$0.isReused && ($0.timing?.ratioHigh ?? 2) < 1 }
      .sorted { ($0.timing?.ratioHigh ?? 2) < ($1.timing?.ratioHigh ?? 2) }.prefix(2).map(\.candidate)
  }

  /// Measures the best two again, longer: what wins is not to have won by luck.
  public func confirm() throws {
    // What was built ahead would only disturb.
    _ = try? ahead?.value()
    ahead = nil
    let contenders = unconfirmed
    guard !contenders.isEmpty, !settings.worker.isCancelled() else { return }
    let again = try build(contenders)
    try measure(again.built, failed: again.failed, isLast: true)
    for built in again.built { unlink(built.library) }
  }

  private func propose() throws -> [Candidate] {
    if strategy == nil { strategy = try newStrategy() }
    let pending = pendingCandidates.map { Trial(candidate: $0, status: .ok, timing: nil) }
    let own = Trial(candidate: baseline, status: .ok, timing: nil)
    return strategy?.propose(Self.batchSize, tried: trials + pending + [own]) ?? []
  }

  private func newStrategy() throws -> any SearchStrategy {
    if let all = ExhaustiveSearch(space) { return all }
    let seed = laboratory.seed ^ settings.seed
    switch settings.strategy {
    case .random: return RandomSearch(space, seed: seed)
    case .evolutionary:
      let elders = try settings.database.elders(ofFamily: task.task.family)
      return EvolutionarySearch(space, work: work, elders: elders, seed: seed)
    }
  }

  private func nextPrefix() -> String {
    number += 1
    return "batch\(number)"
  }

  private func build(_ candidates: [Candidate]) throws -> Laboratory.Batch {
    if candidates.isEmpty { return ([], []) }
    try FileManager.default.createDirectory(atPath: laboratory.folder, withIntermediateDirectories: true)
    if builtBaseline != nil {
      return try laboratory.build(candidates, prefix: nextPrefix(), jobs: conditions.device.cores)
    }
    var batch = try laboratory.build([baseline] + candidates, prefix: nextPrefix(), jobs: conditions.device.cores)
    builtBaseline = batch.built.first { $0.candidate == baseline }
    batch.built.removeAll { $0.candidate == baseline }
    return batch
  }

  /// Rounds of a contest: few of what takes long, many of what does not.
  private var rounds: Int {
    let time = baselineTime ?? (work.operations / 20 + work.bytes / 5)
    return max(10, min(60, Int(60e6 / max(1, time))))
  }

  /// - Parameter isLast: whether all are measured to the end, at double length, instead of the slower half leaving.
  private func measure(_ built: [Laboratory.Built], failed: [Laboratory.Failed], isLast: Bool = false) throws {
    for failure in failed where failure.candidate != baseline {
      try record(failure.candidate, failure.program, .init(status: failure.status))
    }
    guard let builtBaseline else {
      isExhausted = true
      return
    }
    let isFirst = baselineTime == nil
    let rounds = rounds
    let outcomes = try laboratory.measure(
      builtBaseline, built, stages: isLast ? [rounds * 2] : [rounds / 5, rounds * 2 / 5, rounds],
      interprets: isFirst && work.operations <= Self.interpretable)
    guard let own = outcomes[0], own.status == .ok else {
      if !settings.worker.isCancelled() {
        isExhausted = true
        if let own = outcomes[0] { try record(baseline, builtBaseline.program, own) }
      }
      return
    }
    if let median = own.timing?.median { baselineTime = min(median, baselineTime ?? median) }
    try record(baseline, builtBaseline.program, own)
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

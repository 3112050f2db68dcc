import Compiler
import Foundation
import LLVMBackend
import TensorTypes
import TuningDB

/// Where candidates of one task are built and measured: runs workers, and puts the blame where one dies.
struct Laboratory: Sendable {
  let task: CanonicalTask
  let target: Target
  let threads: Int
  let sizes: [String: Int]
  let seed: UInt64
  let worker: WorkerProcess
  /// A folder of its own for libraries.
  let folder: String
  let limits: Limits

  /// Seconds, and bytes of memory.
  struct Limits: Sendable {
    var build = 40.0
    var step = 20.0
    var memory = 4 << 30
  }

  struct Built: Sendable {
    var candidate: Candidate
    var library: String
    var program: String
  }
  struct Failed: Sendable {
    var candidate: Candidate
    var status: TuningRecord.Status
    var program: String
  }

  // MARK: Building

  typealias Batch = (built: [Built], failed: [Failed])

  /// Builds all that can be built, by `jobs` workers; a candidate on which the compiler dies or dawdles is left out, with
  /// its status.
  func build(_ candidates: [Candidate], prefix: String, jobs: Int = 1) throws -> Batch {
    let parts = (0..<max(1, min(jobs, candidates.count))).map { part in
      Ahead {
        try self.build(
          part: candidates.enumerated().filter { $0.offset % jobs == part }.map(\.element),
          prefix: "\(prefix)-\(part)")
      }
    }
    let batches = try parts.map { try $0.value() }
    let order = Dictionary(candidates.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    let built = batches.flatMap(\.built).sorted { order[$0.candidate] ?? 0 < order[$1.candidate] ?? 0 }
    return (built, batches.flatMap(\.failed))
  }

  private func build(part candidates: [Candidate], prefix: String) throws -> Batch {
    var built: [Built] = []
    var failed: [Failed] = []
    var waiting = candidates.enumerated().map {
      WorkerJob.Entry(candidate: $1, library: "\(folder)/\(prefix)-\($0).so")
    }
    while !waiting.isEmpty {
      var done = Set<Int>()
      let job = WorkerJob(
        task: task.task, target: target.name, entries: waiting, work: .build, marker: "\(folder)/\(prefix).build")
      let (end, entry) = try worker.run(job, stepLimit: limits.build) { event in
        switch event {
        case .built(let i, let program):
          done.insert(i)
          built.append(Built(candidate: waiting[i].candidate, library: waiting[i].library, program: program))
        case .failed(let i, let status, _):
          done.insert(i)
          failed.append(Failed(candidate: waiting[i].candidate, status: status, program: ""))
        case .measured: break
        }
      }
      if end == .cancelled { return (built, failed) }
      if end != .finished, let entry, !done.contains(entry) {
        done.insert(entry)
        let status: TuningRecord.Status = end == .timedOut ? .buildTimeout : .buildFailure
        failed.append(Failed(candidate: waiting[entry].candidate, status: status, program: ""))
      }
      // A worker that did nothing at all would go on doing so.
      guard !done.isEmpty else { throw Failure(.ours, "a worker could not begin its work: \(end)") }
      waiting = waiting.indices.filter { !done.contains($0) }.map { waiting[$0] }
    }
    return (built, failed)
  }

  // MARK: Measuring

  struct Outcome: Sendable {
    var status: TuningRecord.Status
    var timing: TuningRecord.Timing?
  }

  /// Measures challengers against the default (and against nothing else, though `best` runs along).
  /// - Returns: an outcome for each of `baseline` and `challengers`, in that order; nil where it was cancelled.
  func measure(_ baseline: Built, _ challengers: [Built], stages: [Int], interprets: Bool) throws -> [Outcome?] {
    let all = [baseline] + challengers
    var outcomes = [Outcome?](repeating: nil, count: all.count)
    var waiting = Array(all.indices)
    while true {
      let entries = waiting.map { WorkerJob.Entry(candidate: all[$0].candidate, library: all[$0].library) }
      let measurement = WorkerJob.Measurement(
        threads: threads, sizes: sizes, seed: seed, interprets: interprets, stages: stages, memoryLimit: limits.memory)
      let job = WorkerJob(
        task: task.task, target: target.name, entries: entries, work: .measure(measurement),
        marker: "\(folder)/measure")
      let (end, entry) = try worker.run(job, stepLimit: limits.step) { event in
        switch event {
        case .measured(let i, let timing): outcomes[waiting[i]] = Outcome(status: .ok, timing: timing)
        case .failed(let i, let status, _): outcomes[waiting[i]] = Outcome(status: status)
        case .built: break
        }
      }
      if end == .cancelled { return outcomes }
      if end != .finished, let entry { outcomes[waiting[entry]] = Outcome(status: Self.status(end)) }
      guard outcomes[0].map({ $0.status == .ok }) ?? true else { return outcomes }
      let rest = waiting.filter { $0 == 0 || outcomes[$0] == nil }
      // Done, or nothing has come of this run.
      guard rest.count > 1 || outcomes[0] == nil, rest.count < waiting.count, end != .finished else { return outcomes }
      waiting = rest
    }
  }

  private static func status(_ end: WorkerProcess.End) -> TuningRecord.Status {
    switch end {
    case .timedOut: .hang
    // The kernel's own remedy for want of memory is SIGKILL; ours come through `timedOut`.
    case .killed(let signal): signal == SIGKILL ? .outOfMemory : .crash
    case .exited, .finished, .cancelled: .crash
    }
  }
}

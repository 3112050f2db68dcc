import Kernels
import LLVMBackend
import TensorTypes
import TuningDB

/// What measuring has found: for a workload on a target the kernel to take instead of the default. A value that
/// planning is given; the same database gives the same choices, and so the same bytes.
public struct Tunings: Sendable {
  private let lookup: @Sendable (Workload, Target, Candidate) -> Candidate?

  /// Nothing is known: every kernel is the default.
  public static let none = Tunings { _, _, _ in nil }

  /// - Parameter lookup: of workload, target and default, the choice if one was measured.
  public init(_ lookup: @escaping @Sendable (Workload, Target, Candidate) -> Candidate?) { self.lookup = lookup }

  /// The kernel to take for a workload instead of the default, if measuring found one.
  public func choice(for workload: Workload, on target: Target, instead: Candidate) -> Candidate? {
    lookup(workload, target, instead)
  }

  /// The choices that a database's records support on one machine.
  /// - Parameter threads: how many the library is to run on.
  public init(_ records: [TuningRecord], device: Device, threads: Int) {
    let winners = records.filter { $0.beatsBaseline && $0.device.isSameClass(as: device) && $0.threads == threads }
    let byTask = Dictionary(grouping: winners) { $0.task.text }
    self.init { workload, target, baseline in
      guard !byTask.isEmpty else { return nil }
      let task = CanonicalTask(workload)
      let conditions = TuningDatabase.Conditions(
        device: device, target: target.name, threads: threads, llvm: Backend.version)
      guard let known = byTask[task.task.text]?.filter({ conditions.hold(for: $0) }), !known.isEmpty else { return nil }
      return Self.best(known, task, baseline, target)
    }
  }

  /// Of the records of each task, machine and number of threads the one that planning would take: what is worth keeping.
  public static func best(_ records: [TuningRecord]) -> [TuningRecord] {
    struct Place: Hashable {
      var task: TuningTask
      var device: Device
      var target: String
      var threads: Int
    }
    let places = Dictionary(grouping: records) {
      Place(task: $0.task, device: $0.device, target: $0.target, threads: $0.threads)
    }
    return places.compactMap { place, records in
      guard let task = try? CanonicalTask(place.task),
        let target = (try? Target.named(place.target))?.shared(by: place.threads),
        let usual = allKernels.best(for: task.workload, on: target.machine)
      else { return nil }
      let known = records.filter { $0.toolchain.llvm == Backend.version }
      let baseline = Candidate(template: usual.template.name, knobs: usual.knobs)
      guard let best = best(known, task, baseline, target) else { return nil }
      return known.filter { $0.template == best.template && Knobs($0.knobs) == best.knobs }
        .min { $0.ratioHigh < $1.ratioHigh }
    }
  }

  /// The winner that is fastest even at the slow end of its interval, among those whose programs, and whose default's
  /// program, are today's.
  public static func best(_ records: [TuningRecord], _ task: CanonicalTask, _ baseline: Candidate, _ target: Target)
    -> Candidate?
  {
    let machine = target.machine
    let baselineHash = task.programHash(baseline, on: machine)
    let ranked = records.filter { $0.beatsBaseline && $0.toolchain.baseline == baselineHash }.sorted { a, b in
      let (x, y) = (a.timing?.ratioHigh ?? 1, b.timing?.ratioHigh ?? 1)
      return x != y ? x < y : a.identity < b.identity
    }
    for record in ranked {
      let candidate = Candidate(template: record.template, knobs: Knobs(record.knobs))
      guard candidate.isLegal(for: task.workload, on: machine) else { continue }
      if task.programHash(candidate, on: machine) == record.toolchain.program { return candidate }
    }
    return nil
  }
}

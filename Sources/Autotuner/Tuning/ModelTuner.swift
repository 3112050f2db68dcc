import Compiler
import Kernels

/// Shares a budget among the tasks of a model: each batch goes to the task from which the whole model is expected to
/// gain most, until that is too little to go on for.
public final class ModelTuner {
  public struct Share {
    public var tuner: TaskTuner
    /// Launches in one run of the model.
    public var calls: Int
    /// Nodes that it does the work of.
    public var label: String

    public init(tuner: TaskTuner, calls: Int, label: String) {
      (self.tuner, self.calls, self.label) = (tuner, calls, label)
    }
  }
  /// A kernel of a plan: what it computes, launches in one run of the model, and the node that it does the work of.
  public struct Task: Sendable {
    public var workload: Workload
    public var calls: Int
    public var label: String

    public init(workload: Workload, calls: Int, label: String) {
      (self.workload, self.calls, self.label) = (workload, calls, label)
    }
  }
  public let shares: [Share]
  private let budget: Budget
  private let database: SharedDatabase
  /// The part of the budget that earlier tunes of the same tasks have used.
  public private(set) var spentBefore = 0.0
  /// Whether it goes on until the budget is used up.
  private let isThorough: Bool
  private let isCancelled: @Sendable () -> Bool
  /// Called before each batch with the task's number and the part of the budget that is used.
  public var onStep: (Int, Double) -> Void = { _, _ in }

  /// A first batch is expected to gain this share of a task's time; each stale one makes the next less promising.
  private static let (firstGain, fading) = (0.25, 0.55)
  /// Expected gain of a batch over the model's time at which tuning ends by itself.
  private static let threshold = 0.0005

  /// - Parameter budget: of all tunes of these tasks together; of this one alone if the settings say that it is thorough.
  public init(_ shares: [Share], budget: Budget, settings: TuningSettings) {
    self.shares = shares
    self.budget = budget
    database = settings.database
    isThorough = settings.isThorough
    isCancelled = settings.worker.isCancelled
  }

  /// The tasks of a plan, equal ones together, launches counted.
  public static func tasks(_ plan: Plan) -> [Task] {
    var order: [CanonicalTask] = []
    var found: [CanonicalTask: Task] = [:]
    let calls = Dictionary(plan.launches.map { ($0.kernel, 1) }, uniquingKeysWith: +)
    let labels = Dictionary(plan.launches.map { ($0.kernel, $0.origins.first ?? "") }) { first, _ in first }
    for (i, kernel) in plan.kernels.enumerated() {
      let task = CanonicalTask(kernel.workload)
      if found[task] == nil {
        order.append(task)
        found[task] = Task(workload: kernel.workload, calls: 0, label: labels[i] ?? "")
      }
      found[task]?.calls += calls[i] ?? 0
    }
    return order.compactMap { found[$0] }
  }

  /// The model's time by its defaults and as tuned, nanoseconds: measured where it was, else estimated.
  public var time: (usual: Double, tuned: Double) {
    shares.reduce((0, 0)) { sum, share in
      let time = Self.time(share)
      return (sum.0 + time, sum.1 + time * share.tuner.bestRatio)
    }
  }

  private static func time(_ share: Share) -> Double {
    // 20 operations and 5 bytes a nanosecond: enough to begin with the large ones.
    let guess = share.tuner.work.operations / 20 + share.tuner.work.bytes / 5
    return Double(share.calls) * (share.tuner.baselineTime ?? guess)
  }

  private func expectedGain(_ share: Share) -> Double {
    if share.tuner.isExhausted { return 0 }
    var promise = Self.firstGain
    for _ in 0..<share.tuner.staleBatches { promise *= Self.fading }
    return Self.time(share) * share.tuner.bestRatio * promise
  }

  /// The part of the budget that is kept for measuring winners again.
  private static let reserve = 0.15

  public func run() throws {
    let started = ContinuousClock().now
    let note = Spending.note(shares)
    let before = isThorough ? Spending() : try Spending(reading: note, in: database)
    func spending() -> Spending {
      var now = before
      now.seconds += (ContinuousClock().now - started) / .seconds(1)
      now.trials += shares.reduce(0) { $0 + $1.tuner.trials.count { !$0.isReused } }
      return now
    }
    func used() -> Double { spending().part(of: budget) }
    spentBefore = min(1, before.part(of: budget))
    let isLimitedByTime = if case .seconds = budget { true } else { false }
    while used() < (isLimitedByTime ? 1 - Self.reserve : 1), !isCancelled() {
      let gains = shares.map(expectedGain)
      guard let (i, gain) = gains.enumerated().max(by: { $0.element < $1.element }).map({ ($0.offset, $0.element) }),
        gain > (isThorough ? 0 : Self.threshold) * time.tuned
      else { break }
      onStep(i, used())
      try shares[i].tuner.step()
      try spending().write(note, in: database)
    }
    let byGain = shares.indices.sorted { saved(shares[$0]) > saved(shares[$1]) }
    for i in byGain where !isCancelled() {
      let tuner = shares[i].tuner
      if tuner.hasUnconfirmed, !isLimitedByTime || used() < 1 {
        onStep(i, min(1, used()))
        try tuner.confirm()
      }
      if !tuner.isExhausted, expectedGain(shares[i]) <= Self.threshold * time.tuned { try tuner.markDone() }
    }
  }

  private func saved(_ share: Share) -> Double { Self.time(share) * (1 - share.tuner.bestRatio) }
}

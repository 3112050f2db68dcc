import TensorTypes

/// What planning and tuning ask: the user's store over the shipped records.
///
/// The user's own measurements and shipped ones count alike; if one thing is in both, the preferred one counts.
public final class TuningDatabase {
  public let store: TuningStore?
  private let shipped: [String: [TuningRecord]]

  /// - Parameter store: nil for the shipped records alone.
  public init(store: TuningStore?, shipped: [TuningRecord]) {
    self.store = store
    self.shipped = Dictionary(grouping: shipped) { $0.task.text }
  }

  public func records(of task: TuningTask) throws(Failure) -> [TuningRecord] {
    let own = try store?.records(of: task) ?? []
    guard let beneath = shipped[task.text], !beneath.isEmpty else { return own }
    return RecordLines.merge(own + beneath)
  }

  /// All records of a family, the user's and the shipped ones: what a search may begin with.
  public func records(ofFamily family: String) throws(Failure) -> [TuningRecord] {
    let own = try store?.records(ofFamily: family) ?? []
    return own + shipped.values.joined().filter { $0.task.family == family }.sorted { $0.line < $1.line }
  }

  /// Records of the task that speak of this machine, compiler and number of threads. Whether they speak of today's
  /// kernels the caller has to see: it knows the programs.
  public func evidence(for task: TuningTask, on conditions: Conditions) throws(Failure) -> [TuningRecord] {
    try records(of: task).filter { conditions.hold(for: $0) }
  }

  /// What of a record must be equal, besides the task and the programs, for it to count.
  public struct Conditions: Hashable, Sendable {
    public var device: Device
    public var target: String
    public var threads: Int
    public var llvm: String

    public init(device: Device, target: String, threads: Int, llvm: String) {
      self.device = device
      self.target = target
      self.threads = threads
      self.llvm = llvm
    }

    public func hold(for record: TuningRecord) -> Bool {
      record.device.isSameClass(as: device) && record.target == target && record.threads == threads
        && record.toolchain.llvm == llvm
    }
  }
}

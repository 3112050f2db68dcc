import Foundation
import TensorTypes

/// One piece of evidence: what a candidate for a task did on a machine. Self-contained and versioned; one line of JSON.
public struct TuningRecord: Hashable, Sendable, Codable {
  /// The version of this layout that is written, and the only one that is read.
  public static let currentSchema = 1

  public enum Status: String, Hashable, Sendable, Codable, CaseIterable {
    case ok
    /// Another result than the reference's.
    case wrong
    case crash
    case hang
    case outOfMemory = "out of memory"
    case buildFailure = "build failure"
    case buildTimeout = "build timeout"
  }

  /// What the code came from. Equal toolchains mean equal code, so that a measurement speaks of today's kernels.
  public struct Toolchain: Hashable, Sendable, Codable {
    /// `LLVM 22.1.8`
    public var llvm: String
    /// SHA-256 of the candidate's tile program as text: see docs/decisions/070.
    public var program: String
    /// The same of the default that it was measured against.
    public var baseline: String

    public init(llvm: String, program: String, baseline: String) {
      self.llvm = llvm
      self.program = program
      self.baseline = baseline
    }
  }

  /// Times in nanoseconds a run, and their ratio to the default's in the same rounds (below 1: faster).
  public struct Timing: Hashable, Sendable, Codable {
    public var samples: Int
    public var median: Double
    public var p10: Double
    public var p90: Double
    /// (p90 − p10) / median
    public var spread: Double
    /// Median of the ratios round by round, and the ends of its 99 % confidence interval. With too few rounds for one
    /// the ends are 0 and 1e9.
    public var ratio: Double
    public var ratioLow: Double
    public var ratioHigh: Double

    public init(
      samples: Int, median: Double, p10: Double, p90: Double, ratio: Double, ratioLow: Double, ratioHigh: Double
    ) {
      (self.samples, self.median, self.p10, self.p90) = (samples, median, p10, p90)
      spread = median > 0 ? (p90 - p10) / median : 0
      (self.ratio, self.ratioLow, self.ratioHigh) = (ratio, ratioLow, ratioHigh)
    }
  }

  public var schema = TuningRecord.currentSchema
  public var task: TuningTask
  /// The values that the task's open sizes had.
  public var sizes: [String: Int]
  public var device: Device
  public var toolchain: Toolchain
  /// `x86-64-v3`
  public var target: String
  public var threads: Int
  /// `matmul.packed`
  public var template: String
  public var knobs: [String: Int]
  public var status: Status
  /// Nil unless the status is ok.
  public var timing: Timing?

  public init(
    task: TuningTask, sizes: [String: Int], device: Device, toolchain: Toolchain, target: String, threads: Int,
    template: String, knobs: [String: Int], status: Status, timing: Timing?
  ) {
    self.task = task
    self.sizes = sizes
    self.device = device
    self.toolchain = toolchain
    self.target = target
    self.threads = threads
    self.template = template
    self.knobs = knobs
    self.status = status
    self.timing = timing
  }

  /// Whether it is the default itself.
  public var isBaseline: Bool { toolchain.program == toolchain.baseline }

  /// The upper end of the interval of its time over the default's; infinite if it has none.
  public var ratioHigh: Double { timing?.ratioHigh ?? .infinity }

  /// Whether it was measured to be faster than the default beyond doubt.
  public var beatsBaseline: Bool { status == .ok && ratioHigh < 1 }

  // MARK: Identity and text

  /// Everything but the outcome, hashed: two records of one identity are two measurements of the same thing.
  public var identity: String {
    var bare = self
    bare.status = .ok
    bare.timing = nil
    return Array(bare.line.utf8).withUnsafeBytes { SHA256.hexDigest($0) }
  }

  /// The record as one line of JSON, keys sorted: equal records have equal lines.
  public var line: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else { preconditionFailure("a record's numbers are finite") }
    return String(decoding: data, as: UTF8.self)
  }

  /// Reads what `line` writes.
  /// - Throws: `Failure` of kind `badData`.
  public init(line: String) throws(Failure) {
    struct Version: Decodable { var schema: Int }
    let data = Data(line.utf8)
    guard let version = try? JSONDecoder().decode(Version.self, from: data) else {
      throw .badData("no tuning record: \(line.prefix(60))")
    }
    guard version.schema == Self.currentSchema else {
      throw .badData("a record of layout \(version.schema); this tessera reads layout \(Self.currentSchema)")
    }
    do { self = try JSONDecoder().decode(TuningRecord.self, from: data) } catch {
      throw .badData("not a whole tuning record: \(error)")
    }
    try check()
  }

  private func check() throws(Failure) {
    guard threads > 0, device.cores > 0 else { throw .badData("a record of no thread or no core") }
    guard (status == .ok) == (timing != nil) else { throw .badData("a record has times if and only if it is ok") }
    guard let timing else { return }
    let times = [timing.median, timing.p10, timing.p90, timing.ratio, timing.ratioHigh]
    guard timing.samples > 0, times.allSatisfy({ $0.isFinite && $0 > 0 }), timing.ratioLow >= 0, timing.spread >= 0
    else { throw .badData("a record's times are positive numbers") }
  }

  /// Of two records of one identity the one that is kept, whichever comes first: the one of more samples; if equal,
  /// the one whose line sorts last. A maximum of a total order, so that merging is commutative and associative.
  public func isPreferred(to other: TuningRecord) -> Bool {
    let (mine, theirs) = (timing?.samples ?? 0, other.timing?.samples ?? 0)
    return mine != theirs ? mine > theirs : line > other.line
  }
}

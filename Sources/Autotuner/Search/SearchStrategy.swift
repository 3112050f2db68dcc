import Compiler
import TensorTypes
import TuningDB

/// One thing tried and what came of it.
public struct Trial: Sendable {
  public var candidate: Candidate
  public var status: TuningRecord.Status
  public var timing: TuningRecord.Timing?
  /// Whether it was known from before.
  public var isReused = false

  /// Its time over the default's.
  public var ratio: Double? { timing?.ratio }
}

/// How to choose what to try next. One a task; asked for a batch at a time, between which it sees what came of the
/// last ones. Never proposes what was tried.
public protocol SearchStrategy {
  mutating func propose(_ count: Int, tried: [Trial]) -> [Candidate]
}

/// Everything, in order. For small spaces.
public struct ExhaustiveSearch: SearchStrategy {
  private var left: [Candidate]

  /// - Returns: nil if the space has more than `limit` settings.
  public init?(_ space: CandidateSpace, limit: Int = 64) {
    guard let all = space.everything(limit: limit) else { return nil }
    left = all
  }

  public mutating func propose(_ count: Int, tried: [Trial]) -> [Candidate] {
    let known = Set(tried.map(\.candidate))
    left.removeAll { known.contains($0) }
    let batch = Array(left.prefix(count))
    left.removeFirst(batch.count)
    return batch
  }
}

/// Legal settings drawn evenly.
public struct RandomSearch: SearchStrategy {
  private let space: CandidateSpace
  private var generator: SeededGenerator
  private var proposed: Set<Candidate> = []

  public init(_ space: CandidateSpace, seed: UInt64) {
    self.space = space
    generator = SeededGenerator(seed: seed)
  }

  public mutating func propose(_ count: Int, tried: [Trial]) -> [Candidate] {
    proposed.formUnion(tried.map(\.candidate))
    var batch: [Candidate] = []
    for _ in 0..<count * 20 where batch.count < count {
      if let candidate = space.random(&generator), proposed.insert(candidate).inserted { batch.append(candidate) }
    }
    return batch
  }
}

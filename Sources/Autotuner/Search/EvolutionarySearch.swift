import Compiler
import Foundation
import Kernels
import TensorTypes
import TuningDB

/// Neighbours of the best so far and random settings, many of them imagined, the few that the cost model likes best
/// proposed. Begins with other templates' defaults and with what was best for like tasks.
public struct EvolutionarySearch: SearchStrategy {
  private let space: CandidateSpace
  private let work: Work
  private var seeds: [Candidate]
  private let elders: [CostModel.Sample]
  private var generator: SeededGenerator
  private var proposed: Set<Candidate> = []

  /// What is known of other tasks, or of this one from elsewhere: a record and the work of its task.
  public typealias Elder = (record: TuningRecord, work: Work)

  /// Of candidates so many are imagined for each that is proposed.
  private static let imagination = 32

  public init(_ space: CandidateSpace, work: Work, elders: [Elder], seed: UInt64) {
    self.space = space
    self.work = work
    generator = SeededGenerator(seed: seed)
    proposed = [space.baseline]
    let near = elders.map { (elder: $0, distance: Self.distance($0.work, work)) }.sorted {
      $0.distance != $1.distance ? $0.distance < $1.distance : $0.elder.record.ratioHigh < $1.elder.record.ratioHigh
    }
    .map(\.elder)
    let inherited = near.filter(\.record.beatsBaseline).prefix(6).map {
      Candidate(template: $0.record.template, knobs: Knobs($0.record.knobs))
    }
    seeds = space.templates.map(\.usual) + inherited.filter(space.isLegal)
    self.elders = near.compactMap { elder in
      guard let ratio = elder.record.timing?.ratio else { return nil }
      return CostModel.Sample(
        candidate: Candidate(template: elder.record.template, knobs: Knobs(elder.record.knobs)), work: elder.work,
        cost: log(ratio))
    }
  }

  private static func distance(_ a: Work, _ b: Work) -> Double {
    func octaves(_ x: Double, _ y: Double) -> Double { abs(log2((1 + x) / (1 + y))) }
    return octaves(a.operations, b.operations) + octaves(a.bytes, b.bytes)
      + octaves(Double(a.reduction), Double(b.reduction))
  }

  public mutating func propose(_ count: Int, tried: [Trial]) -> [Candidate] {
    proposed.formUnion(tried.map(\.candidate))
    var batch: [Candidate] = []
    while let seed = seeds.first, batch.count < count {
      seeds.removeFirst()
      if proposed.insert(seed).inserted { batch.append(seed) }
    }
    if batch.count == count { return batch }
    let parents = parents(of: tried)
    let ranked = ranked(imagined(count * Self.imagination, parents), tried)
    // One in four without asking the model, which may be mistaken.
    let trusting = batch.count + (count - batch.count) * 3 / 4
    for candidate in ranked where batch.count < trusting {
      if proposed.insert(candidate).inserted { batch.append(candidate) }
    }
    for _ in 0..<count * 20 where batch.count < count {
      let parent = parents[Int.random(in: 0..<parents.count, using: &generator)]
      if let next = space.neighbour(of: parent, &generator), proposed.insert(next).inserted { batch.append(next) }
    }
    return batch
  }

  /// The best so far, best first, and the default.
  private func parents(of tried: [Trial]) -> [Candidate] {
    let good = tried.filter { $0.ratio != nil }.sorted { ($0.ratio ?? 9) < ($1.ratio ?? 9) }.prefix(6).map(\.candidate)
    return good.isEmpty ? [space.baseline] : good + [space.baseline]
  }

  /// Three in four a neighbour of a parent, the others drawn at random. In the order in which they were found, so that
  /// those of one cost are tried in no particular order of their knobs.
  private mutating func imagined(_ count: Int, _ parents: [Candidate]) -> [Candidate] {
    var found: [Candidate] = []
    var seen = proposed
    for i in 0..<count {
      let parent = parents[min(i % 8, parents.count - 1)]
      let next = i % 4 == 3 ? space.random(&generator) : space.neighbour(of: parent, &generator)
      if let next, seen.insert(next).inserted { found.append(next) }
    }
    return found
  }

  /// In the order in which they should be tried: by the cost that the model thinks likely at best. Where it knows nothing,
  /// the templates' own estimates say.
  private func ranked(_ candidates: [Candidate], _ tried: [Trial]) -> [Candidate] {
    let own = tried.compactMap { trial in
      trial.ratio.map { CostModel.Sample(candidate: trial.candidate, work: work, cost: log($0)) }
    }
    let usual = CostModel.Sample(candidate: space.baseline, work: work, cost: 0)
    let model = CostModel([usual] + own + elders)
    func cost(_ candidate: Candidate) -> Double {
      model.cost(candidate, work).map { $0.mean - Self.curiosity * $0.deviation } ?? space.estimatedCost(candidate)
    }
    return candidates.enumerated().map { (candidate: $1, cost: cost($1), number: $0) }
      .sorted { ($0.cost, $0.number) < ($1.cost, $1.number) }.map(\.candidate)
  }

  /// How many standard deviations below the mean a candidate is judged at.
  private static let curiosity = 0.5
}

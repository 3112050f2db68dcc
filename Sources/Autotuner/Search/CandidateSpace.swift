import Compiler
import Foundation
import Kernels
import TileIR

/// Everything that may be tried for a task: the templates that take it, with their legal knobs.
public struct CandidateSpace: Sendable {
  public struct Template: Sendable {
    public var name: String
    public var space: KnobSpace
    public var usual: Candidate
  }
  public let templates: [Template]
  /// What planning takes unless told otherwise.
  public let baseline: Candidate
  private let workload: Workload
  private let machine: Machine

  /// - Returns: nil if no template takes the workload.
  public init?(_ workload: Workload, on machine: Machine, templates all: [any KernelTemplate] = allKernels) {
    self.workload = workload
    self.machine = machine
    templates = all.compactMap { template in
      guard let space = template.space(for: workload, on: machine) else { return nil }
      let knobs = template.defaultKnobs(for: workload, on: machine)
      return Template(name: template.name, space: space, usual: Candidate(template: template.name, knobs: knobs))
    }
    guard let best = all.best(for: workload, on: machine) else { return nil }
    baseline = Candidate(template: best.template.name, knobs: best.knobs)
  }

  /// Settings in all, legal or not.
  public var size: Double {
    templates.reduce(0) { $0 + $1.space.choices.reduce(1) { $0 * Double($1.values.count) } }
  }

  /// Natural logarithm of the time over the default's as the templates themselves estimate it; 0 if one of the two
  /// templates does not say.
  public func estimatedCost(_ candidate: Candidate) -> Double {
    func estimate(_ candidate: Candidate) -> Double {
      candidate.kernel.estimate(for: workload, knobs: candidate.knobs, on: machine)
    }
    let (own, usual) = (estimate(candidate), estimate(baseline))
    return own > 0 && usual > 0 ? log(own / usual) : 0
  }

  public func isLegal(_ candidate: Candidate) -> Bool { candidate.isLegal(for: workload, on: machine) }

  /// A legal setting drawn at random; nil if 200 draws found none.
  public func random(_ generator: inout some RandomNumberGenerator) -> Candidate? {
    for _ in 0..<200 {
      guard let template = templates.randomElement(using: &generator) else { return nil }
      var knobs = Knobs()
      for choice in template.space.choices {
        knobs.values[choice.name] = choice.values.randomElement(using: &generator) ?? 0
      }
      let candidate = Candidate(template: template.name, knobs: knobs)
      if isLegal(candidate) { return candidate }
    }
    return nil
  }

  /// A legal neighbour: one or two knobs moved, mostly by one step of their list.
  public func neighbour(of candidate: Candidate, _ generator: inout some RandomNumberGenerator) -> Candidate? {
    guard let template = templates.first(where: { $0.name == candidate.template }) else { return nil }
    for _ in 0..<50 {
      var moved = candidate
      for _ in 0..<Int.random(in: 1...2, using: &generator) {
        guard let choice = template.space.choices.randomElement(using: &generator) else { return nil }
        let value = moved.knobs[choice.name]
        let near = choice.values.firstIndex { $0 >= value } ?? choice.values.count - 1
        let isLeap = Int.random(in: 0..<4, using: &generator) == 0
        let step =
          isLeap ? Int.random(in: -3...3, using: &generator) : Bool.random(using: &generator) ? 1 : -1
        moved.knobs[choice.name] = choice.values[max(0, min(choice.values.count - 1, near + step))]
      }
      if moved != candidate, isLegal(moved) { return moved }
    }
    return nil
  }

  /// Every legal setting, if there are no more than `limit` in all.
  public func everything(limit: Int) -> [Candidate]? {
    guard size <= Double(limit) else { return nil }
    return templates.flatMap { template in
      var settings = [Knobs()]
      for choice in template.space.choices {
        settings = settings.flatMap { setting in
          choice.values.map { value in
            var next = setting
            next.values[choice.name] = value
            return next
          }
        }
      }
      return settings.map { Candidate(template: template.name, knobs: $0) }.filter(isLegal)
    }
  }
}

import Kernels
import TensorTypes
import TileIR

extension SeededGenerator {
  /// A size where tiles begin and end: 1, 2, one less than a multiple of a tile, the multiple, one more; or a prime.
  /// - Parameters:
  ///   - tiles: what kernels step by.
  ///   - most: the largest size.
  public mutating func edge(_ tiles: [Int] = [4, 8, 16], most: Int) -> Int {
    let primes = [1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 61, 67, 101, 127, 131, 257, 509, 521, 1021]
    let multiples = tiles.flatMap { tile in stride(from: tile, through: max(tile, most), by: tile).prefix(4) }
    let candidates = (multiples.flatMap { [$0 - 1, $0, $0 + 1] } + primes).filter { (1...most).contains($0) }
    return candidates.randomElement(using: &self) ?? 1
  }

  public mutating func pick<T>(_ choices: [T]) -> T { choices.randomElement(using: &self)! }
  public mutating func pick<T>(_ choices: T...) -> T { choices.randomElement(using: &self)! }
  public mutating func flip(_ chance: Double = 0.5) -> Bool { Double.random(in: 0..<1, using: &self) < chance }
  public mutating func size(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
}

/// Sizes that a workload leaves open or knows, one by one as they are needed.
struct DrawnSizes {
  /// Whether sizes are symbols.
  let isSymbolic: Bool
  private(set) var values: [String: Int] = [:]

  init(_ isSymbolic: Bool) { self.isSymbolic = isSymbolic }

  mutating func dim(_ name: String, _ value: Int) -> Dim {
    guard isSymbolic else { return Dim(value) }
    values[name] = value
    return .symbol(name)
  }
}

/// A setting of a template's knobs: the default, or a random legal one.
public func drawnKnobs(
  _ template: any KernelTemplate, for workload: Workload, on machine: Machine, _ generator: inout SeededGenerator
) -> Knobs {
  let standard = template.defaultKnobs(for: workload, on: machine)
  guard let space = template.space(for: workload, on: machine), generator.flip() else { return standard }
  for _ in 0..<20 {
    var knobs = standard
    for (name, values) in space.choices { knobs[name] = generator.pick(values) }
    if space.isLegal(knobs) { return knobs }
  }
  return standard
}

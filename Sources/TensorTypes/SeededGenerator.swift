/// Random numbers that a seed repeats, on any machine and in any process: for what must be made again just so, be it by a tuner's
/// child or by whoever reads the seed of a failing test. SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", 2014).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  public let seed: UInt64
  private var state: UInt64

  /// - Parameter seed: any number unless given.
  public init(seed: UInt64 = .random(in: 0 ... .max)) { (self.seed, state) = (seed, seed) }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

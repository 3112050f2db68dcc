import TileIR

extension Workload {
  /// How many of its products a machine takes in the time of one fp32 multiply-add: more than one where words of narrow numbers are
  /// multiplied at a time.
  public func productsAtATime(on machine: Machine) -> Double {
    let parts: WordParts? =
      switch self {
      case .matmul(let w): w.parts(on: machine)
      case .convolution(let w): w.parts(on: machine)
      case .attention(let w): w.parts(on: machine)
      case .normalization, .reduction, .elementwise, .movement, .pool, .gather, .gatherSum, .resize,
        .generate,
        .scatter, .scan, .sort, .argReduce, .random, .recurrent, .nonZero:
        nil
      }
    guard let parts else { return 1 }
    return Double(parts.count) * machine.cyclesPerStep(of: nil) / machine.cyclesPerStep(of: parts)
  }
}

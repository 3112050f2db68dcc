import TileIR

extension Workload {
  /// Whether f32 factors may be rounded to bf16 before they are multiplied.
  public var mayRound: Bool {
    switch self {
    case .matmul(let w): w.mayRound
    case .convolution(let w): w.mayRound == true
    case .attention(let w): w.mayRound == true
    case .normalization, .reduction, .elementwise, .movement, .pool, .gather, .gatherSum, .resize, .generate, .scatter,
      .scan,
      .sort, .argReduce, .random, .recurrent, .nonZero:
      false
    }
  }

  /// The same work, which may round only where a kernel on this machine gains by it: elsewhere it is the task that it is without.
  public func roundingWhereUseful(on machine: Machine) -> Workload {
    switch self {
    case .matmul(var w) where w.mayRound && w.parts(on: machine) == nil:
      w.mayRound = false
      return .matmul(w)
    case .convolution(let w) where w.mayRound == true && w.parts(on: machine) == nil: return .convolution(w.unrounded)
    case .attention(var w) where w.mayRound == true && w.parts(on: machine) == nil:
      w.mayRound = nil
      return .attention(w)
    default: return self
    }
  }
}

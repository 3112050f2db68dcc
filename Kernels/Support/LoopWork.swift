import TileIR

/// What one iteration of a parallel loop does. Workers take so many at a time that they are worth waking: each kind of work says from
/// where on starting another worker saves more than it costs.
enum LoopWork {
  /// Simple operations on an element.
  case operations(Int)
  /// Products that are added up, many to an instruction.
  case products(Int)
  /// Elements that are brought to another place or joined.
  case elements(Int)
  /// Bytes that are read from memory and used once.
  case bytes(Int)

  /// How many iterations a worker takes at least.
  var grain: Int {
    switch self {
    case .operations(let count): LoopWork.iterations(of: count, upTo: 24_576)
    case .products(let count): LoopWork.iterations(of: count, upTo: 65_536)
    case .elements(let count): LoopWork.iterations(of: count, upTo: 16_384)
    case .bytes(let count): LoopWork.iterations(of: count, upTo: 65_536)
    }
  }

  private static func iterations(of work: Int, upTo enough: Int) -> Int { max(1, enough / max(1, work)) }
}

extension TileBuilder {
  /// Concurrent loops over `extents`, nested perfectly, so that all of them are shared out.
  /// - Parameter work: of one call of `body`.
  func parallel(_ extents: [Tile], work: LoopWork, _ body: ([Tile]) -> Void) {
    parallel(extents, grain: work.grain, body)
  }
}

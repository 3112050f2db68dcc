import TensorTypes
import TileIR

/// Consecutive positions along a dimension that a kernel works on at once.
struct Strip {
  let start: Tile
  /// Positions of the tile.
  let count: Int
  /// How many of them are there; nil: all.
  let limit: Tile?

  func index(_ dimension: Int, step: Int = 1) -> TileBuffer.Index { .span(start, dimension, step: step) }
}

/// A range of positions, with what is known of its length.
struct Span {
  let begin: Tile
  let end: Tile
  /// The length if it is known.
  let length: Int?
  /// A number that divides the length.
  let multiple: Int

  init(_ begin: Tile, _ end: Tile, length: Int?, multiple: Int = 1) {
    self.begin = begin
    self.end = end
    self.length = length
    self.multiple = length ?? multiple
  }
}

extension TileBuilder {
  /// All of a dimension.
  func span(_ dim: Dim) -> Span { Span(index(0), size(dim), length: dim.constant) }

  /// Part `number` of a dimension of this size that is cut into blocks; nil: all of it.
  func part(_ number: Tile, of dim: Dim, _ size: Tile, by block: Int?) -> Span {
    guard let block, dim.constant.map({ $0 > block }) ?? true else {
      return Span(index(0), size, length: dim.constant)
    }
    let begin = number * block
    if let known = dim.constant, known % block == 0 { return Span(begin, begin + block, length: block) }
    return Span(begin, (begin + block).minimum(size), length: nil, multiple: dim.constant.map { $0 & -$0 } ?? 1)
  }

  /// Cuts a span into strips of `vectors · lanes`, then of `lanes`, then what is left: of known length if the span
  /// has one, else with a limit.
  /// - Parameter padded: what is left of a known length has as many elements as `padded(_:lanes:)` says, with a limit: for arithmetic
  ///     on what may be read past the span's end.
  func strips(_ span: Span, lanes: Int, vectors: Int, padded: Bool = false, _ body: (Strip) -> Void) {
    let wide = vectors * lanes
    let (begin, end) = (span.begin, span.end)
    if let length = span.length {
      let whole = length / wide * wide
      if whole == wide {
        body(Strip(start: begin, count: wide, limit: nil))
      } else if whole > 0 {
        loop(from: begin, to: begin + whole, step: wide) { body(Strip(start: $0, count: wide, limit: nil)) }
      }
      let left = length - whole
      let count = padded ? TileBuilder.padded(left, lanes: lanes) : left
      if left > 0 { body(Strip(start: begin + whole, count: count, limit: count > left ? index(left) : nil)) }
      return
    }
    var position = begin
    if vectors > 1 {
      position = begin + (end - begin) / wide * wide
      loop(from: begin, to: position, step: wide) { body(Strip(start: $0, count: wide, limit: nil)) }
      if span.multiple % wide == 0 { return }
    }
    let whole = begin + (end - begin) / lanes * lanes
    loop(from: position, to: whole, step: lanes) { body(Strip(start: $0, count: lanes, limit: nil)) }
    if span.multiple % lanes == 0 { return }
    when(whole.less(end)) { body(Strip(start: whole, count: lanes, limit: end - whole)) }
  }

  /// `count`, or as many as fill whole vectors where that takes fewer instructions: 14 elements take one for 16, or one each for 8, 4
  /// and 2.
  static func padded(_ count: Int, lanes: Int) -> Int {
    let left = count % lanes
    return left == left & -left ? count : count - left + lanes
  }

  /// Concurrent loops over `extents`, nested perfectly, so that all of them are shared out.
  func parallel(_ extents: [Tile], grain: Int, _ body: ([Tile]) -> Void) {
    let zero = index(0)
    let extents = extents.isEmpty ? [index(1)] : extents
    func nest(_ indices: [Tile]) {
      if indices.count == extents.count { return body(indices) }
      loop(.parallel(grain: grain), from: zero, to: extents[indices.count]) { nest(indices + [$0]) }
    }
    nest([])
  }

  /// Sequential loops over `extents`.
  func nested(_ extents: [Tile], _ body: ([Tile]) -> Void) {
    func nest(_ indices: [Tile]) {
      if indices.count == extents.count { return body(indices) }
      loop(to: extents[indices.count]) { nest(indices + [$0]) }
    }
    nest([])
  }

  /// Sequential loops over `extents` that carry tiles.
  func nested(_ extents: [Tile], carrying initial: [Tile], _ body: ([Tile], [Tile]) -> [Tile]) -> [Tile] {
    func nest(_ indices: [Tile], _ carried: [Tile]) -> [Tile] {
      if indices.count == extents.count { return body(indices, carried) }
      return loop(to: extents[indices.count], carrying: carried) { nest(indices + [$0], $1) }
    }
    return nest([], initial)
  }
}

/// How loops are shared out among workers: the outer ones run in parallel, as many inner ones as make a piece worth
/// it run within, and the innermost one may be cut into blocks.
struct Division {
  /// How many of the outer dimensions are parallel.
  let parallelCount: Int
  /// Positions of the innermost dimension per piece; nil: all.
  let block: Int?
  /// Of a piece.
  let work: LoopWork

  /// - Parameters:
  ///   - outer: dimensions outside of the innermost one.
  ///   - inner: the innermost dimension.
  ///   - cost: of one position of the innermost dimension, in simple operations on an element.
  init(outer: [Dim], inner: Dim, cost: Int) {
    // A multiple of every strip's width.
    let blockSize = 4096
    block = inner.constant.map { $0 > 2 * blockSize } ?? true ? blockSize : nil
    var work = min(inner.estimate, block ?? .max) * cost
    var count = outer.count
    if block == nil {
      while count > 1, work < 2048 {
        count -= 1
        work *= max(1, outer[count].estimate)
      }
    }
    parallelCount = count
    self.work = .operations(work)
  }
}

extension TileBuilder {
  /// Runs `body` for each of the outer dimensions' indices and each span of the innermost one, divided among workers.
  func divided(_ division: Division, outer: [Dim], inner: Dim, _ body: ([Tile], Span) -> Void) {
    let sizes = outer.map { size($0) }
    let innerSize = size(inner)
    var extents = Array(sizes[..<division.parallelCount])
    guard let block = division.block else {
      parallel(extents, work: division.work) { indices in
        nested(Array(sizes[division.parallelCount...])) {
          body(Array(indices[..<division.parallelCount]) + $0, Span(index(0), innerSize, length: inner.constant))
        }
      }
      return
    }
    extents.append(innerSize.ceilDivided(by: block))
    let isWhole = inner.constant.map { $0 % block == 0 } ?? false
    parallel(extents, work: division.work) { indices in
      let begin = indices[division.parallelCount] * block
      let span = Span(
        begin, isWhole ? begin + block : (begin + block).minimum(innerSize), length: isWhole ? block : nil,
        multiple: inner.constant.map { greatestPowerOfTwo(dividing: $0, atMost: block) } ?? 1)
      nested(Array(sizes[division.parallelCount...])) { body(Array(indices[..<division.parallelCount]) + $0, span) }
    }
  }
}

func greatestPowerOfTwo(dividing n: Int, atMost limit: Int) -> Int {
  n == 0 ? limit : min(limit, n & -n)
}

extension Expression {
  /// What one element costs, in simple operations.
  var cost: Int {
    let weights = instructions.map { instruction in
      switch instruction {
      case .input, .constant: 0
      case .select, .cast: 1
      case .unary(let function, _):
        switch function {
        case .negate, .abs, .sign, .floor, .ceil, .truncate, .round, .not, .isNaN, .isInfinite: 1
        case .sqrt, .reciprocal: 4
        default: 16
        }
      case .binary(let function, _, _):
        switch function {
        case .divide, .modulo, .remainder: 4
        case .power: 32
        default: 1
        }
      }
    }
    return 1 + weights.reduce(0, +) / 8
  }
}

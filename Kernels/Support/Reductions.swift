import TensorTypes
import TileIR

/// A reduction over strips in progress: partial results in wide and narrow vectors, so that several chains of
/// operations overlap. The order is fixed: position i of a strip joins lane i.
struct PartialReduction {
  let function: ReductionFunction
  let element: ElementType
  let lanes: Int
  let vectors: Int
  let b: TileBuilder
  /// For a maximum: NaN is passed over, which takes one instruction instead of four.
  var ignoresNaN = false
  /// Rows that are reduced side by side, a dimension of every tile before that of the strip; nil: one, without such a dimension.
  var rows: Int?

  private var identity: Scalar { .identity(of: function, element) }
  private var leading: [Int] { rows.map { [$0] } ?? [] }

  /// What loops carry.
  /// - Parameter count: reductions of one span at once.
  func start(_ count: Int = 1) -> [Tile] {
    [vectors * lanes, lanes].flatMap { width in
      (0..<count).map { _ in b.constant(identity, element, leading + [width]) }
    }
  }

  func join(_ x: Tile, _ y: Tile) -> Tile { ignoresNaN ? x.larger(y) : x.joined(function, y) }

  /// Joins a span's values; `value` gives those of a strip, whatever past its limit.
  func adding(_ span: Span, to carried: [Tile], _ value: (Strip) -> Tile) -> [Tile] {
    addingEach(span, to: carried) { [value($0)] }
  }

  /// The same for several reductions: `values` gives a strip's for each.
  func addingEach(_ span: Span, to carried: [Tile], _ values: (Strip) -> [Tile]) -> [Tile] {
    let wide = vectors * lanes
    let (begin, end) = (span.begin, span.end)
    var (wideSums, sums) = (Array(carried[..<(carried.count / 2)]), Array(carried[(carried.count / 2)...]))
    func joined(_ sums: [Tile], _ strip: Strip) -> [Tile] { zip(sums, values(strip)).map { join($0, $1) } }
    if let length = span.length {
      let whole = length / wide * wide
      if whole > 0 {
        wideSums =
          b.loop(from: begin, to: begin + whole, step: wide, carrying: wideSums) { i, sums in
            joined(sums, Strip(start: i, count: wide, limit: nil))
          }
      }
      var position = whole
      while position + lanes <= length {
        sums = joined(sums, Strip(start: begin + position, count: lanes, limit: nil))
        position += lanes
      }
      if position < length { sums = edge(sums, begin + position, b.index(length - position), values) }
      return wideSums + sums
    }
    let wideEnd = begin + (end - begin) / wide * wide
    wideSums =
      b.loop(from: begin, to: wideEnd, step: wide, carrying: wideSums) { i, sums in
        joined(sums, Strip(start: i, count: wide, limit: nil))
      }
    if span.multiple % wide == 0 { return wideSums + sums }
    let whole = begin + (end - begin) / lanes * lanes
    sums =
      b.loop(from: wideEnd, to: whole, step: lanes, carrying: sums) { i, sums in
        joined(sums, Strip(start: i, count: lanes, limit: nil))
      }
    if span.multiple % lanes == 0 { return wideSums + sums }
    return wideSums + edge(sums, whole, end - whole, values)
  }

  private func edge(_ sums: [Tile], _ start: Tile, _ limit: Tile, _ values: (Strip) -> [Tile]) -> [Tile] {
    let values = values(Strip(start: start, count: lanes, limit: limit))
    let shape = leading + [lanes]
    let isInside = b.iota(shape, dimension: leading.count).less(limit.broadcast(to: shape))
    return zip(sums, values).map { isInside.select(join($0, $1), $0) }
  }

  /// All partial results as one scalar, or one for each row.
  func finish(_ carried: [Tile]) -> Tile {
    let along = leading.count
    let wide = carried[0].reshape(leading + [vectors, lanes]).reduce(function, dimension: along).reshape(
      leading + [lanes])
    return join(wide, carried[1]).reduce(function, dimension: along).reshape(leading)
  }

  /// The same of each of several reductions.
  func finishEach(_ carried: [Tile]) -> [Tile] {
    let count = carried.count / 2
    return (0..<count).map { finish([carried[$0], carried[count + $0]]) }
  }
}

extension ElementType {
  /// What sums of elements of this type are computed in.
  var accumulator: ElementType { self == .float16 || self == .bfloat16 ? .float32 : self }
}

extension Tile {
  /// A step of a reduction. Of zeros that differ in their sign a maximum or minimum is either one, which takes three
  /// instructions instead of six: what the processor calls the maximum is the second operand where either is NaN. Taken both
  /// ways round the two results are equal, or one of them is NaN, and so is what their bits make together.
  func joined(_ function: ReductionFunction, _ other: Tile) -> Tile {
    guard element == .float32 || element == .float64 else { return binary(function.combiner, other) }
    switch function {
    case .sum, .product: return binary(function.combiner, other)
    case .maximum, .minimum:
      let order: BinaryFunction = function == .maximum ? .greater : .less
      let (x, y) = (binary(order, other).select(self, other), other.binary(order, self).select(other, self))
      let bits: ElementType = element == .float64 ? .int64 : .int32
      return x.bitcast(bits).binary(.or, y.bitcast(bits)).bitcast(element)
    }
  }

  /// The larger of each pair, NaN of `self` ignored: one instruction where `maximum`, which keeps NaN, takes four.
  func larger(_ other: Tile) -> Tile { less(other).select(other, self) }
}

/// The operands of an epilogue, in a program: what a kernel needs to store its results.
struct EpilogueBuffers {
  let epilogue: Epilogue
  /// Of the loop's dimensions, as its operands and output look there.
  let operands: [TileBuffer]
  let output: TileBuffer

  /// Computes the epilogue of a tile and stores it.
  /// - Parameters:
  ///   - indices: where the tile stands, in the loop's dimensions.
  ///   - limits: per dimension of the tile.
  func store(_ tile: Tile, _ indices: [TileBuffer.Index], limits: [Tile?] = [], in b: TileBuilder) {
    let type = epilogue.expression.inputTypes[0]
    let arguments =
      [tile.cast(type)]
      + operands.map { operand in
        load(operand, indices, tile.shape, limits)
      }
    output.store(b.apply(epilogue.expression, arguments, shape: tile.shape), indices, limits: limits)
  }

  /// An operand that is the same all over the tile is read once.
  private func load(_ operand: TileBuffer, _ indices: [TileBuffer.Index], _ shape: [Int], _ limits: [Tile?]) -> Tile {
    var isUniform = true
    let scalars: [TileBuffer.Index] = zip(indices, operand.type.strides).map { index, stride in
      switch index {
      case .at: return index
      case .span(let start, _, _), .gather(let start, _):
        if stride != 0 { isUniform = false }
        return .at(start)
      }
    }
    if isUniform, !shape.isEmpty { return operand.load(scalars, shape: []) }
    return operand.load(indices, shape: shape, limits: limits)
  }
}

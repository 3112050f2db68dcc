import TensorTypes

/// A tile while a program is being written: operators append operations to the builder.
public struct Tile {
  public let value: TileValue
  public let element: ElementType
  public let shape: [Int]
  unowned let builder: TileBuilder

  // MARK: Elementwise

  public func unary(_ function: UnaryFunction) -> Tile {
    builder.emit(.unary(function, value), function.resultType(element), shape)
  }

  /// Scalars are broadcast against tiles.
  public func binary(_ function: BinaryFunction, _ other: Tile) -> Tile {
    precondition(element == other.element, "operands of one element type, not \(element) and \(other.element)")
    if shape != other.shape {
      return shape.count < other.shape.count || shape.isEmpty
        ? broadcast(to: other.shape).binary(function, other) : binary(function, other.broadcast(to: shape))
    }
    if shape.isEmpty, element == .int64, let folded = folded(function, other) { return folded }
    return builder.emit(.binary(function, value, other.value), function.resultType(element), shape)
  }

  /// What index arithmetic on known integers comes to.
  private func folded(_ function: BinaryFunction, _ other: Tile) -> Tile? {
    switch (function, builder.integer(self), builder.integer(other)) {
    case (.add, let x?, let y?): builder.index(x + y)
    case (.subtract, let x?, let y?): builder.index(x - y)
    case (.multiply, let x?, let y?): builder.index(x * y)
    case (.divide, let x?, let y?) where x >= 0 && y > 0: builder.index(x / y)
    case (.modulo, let x?, let y?) where x >= 0 && y > 0: builder.index(x % y)
    case (.minimum, let x?, let y?): builder.index(min(x, y))
    case (.maximum, let x?, let y?): builder.index(max(x, y))
    case (.add, _, 0?), (.subtract, _, 0?), (.multiply, _, 1?), (.divide, _, 1?): self
    case (.add, 0?, _), (.multiply, 1?, _): other
    case (.multiply, 0?, _): self
    case (.multiply, _, 0?): other
    default: nil
    }
  }

  public func select(_ a: Tile, _ b: Tile) -> Tile {
    let target = [shape, a.shape, b.shape].max { $0.count < $1.count }!
    let (c, x, y) = (broadcast(to: target), a.broadcast(to: target), b.broadcast(to: target))
    return builder.emit(.select(c.value, x.value, y.value), a.element, target)
  }

  /// `self · b + c`, rounded once.
  public func fma(_ b: Tile, _ c: Tile) -> Tile {
    let (x, y) = (broadcast(to: c.shape), b.broadcast(to: c.shape))
    return builder.emit(.fma(x.value, y.value, c.value), element, c.shape)
  }

  public func cast(_ type: ElementType) -> Tile {
    type == element ? self : builder.emit(.cast(value), type, shape)
  }
  /// Elements of another width make the innermost dimension shorter or longer.
  public func bitcast(_ type: ElementType) -> Tile {
    var target = shape
    if type.byteCount != element.byteCount {
      target[shape.count - 1] = shape[shape.count - 1] * element.byteCount / type.byteCount
    }
    return builder.emit(.bitcast(value), type, target)
  }

  // MARK: Shape

  public func broadcast(to target: [Int]) -> Tile {
    shape == target ? self : builder.emit(.broadcast(value), element, target)
  }
  public func reshape(_ target: [Int]) -> Tile {
    shape == target ? self : builder.emit(.reshape(value), element, target)
  }
  public func transpose(_ permutation: [Int]) -> Tile {
    builder.emit(.transpose(value, permutation: permutation), element, permutation.map { shape[$0] })
  }
  /// Element i is element i + `by`, around the end of the innermost dimension.
  public func rotate(by: Int) -> Tile {
    builder.emit(.rotate(value, by: (by + shape.last!) % shape.last!), element, shape)
  }
  /// The dimension becomes 1.
  public func reduce(_ function: ReductionFunction, dimension: Int) -> Tile {
    var target = shape
    target[dimension] = 1
    return builder.emit(.reduce(function, value, dimension: dimension), element, target)
  }

  /// `self[m, n] + Σₖ a[m, k] · b[k, n]`
  public func addingDot(_ a: Tile, _ b: Tile) -> Tile {
    precondition(
      shape.count == 2 && a.shape == [shape[0], b.shape[0]] && b.shape[1] == shape[1],
      "dot of \(a.shape) and \(b.shape) into \(shape)")
    return builder.emit(.dot(accumulator: value, a.value, b.value), element, shape)
  }

  /// `self[m, n] + Σₖ Σⱼ a[m, k]ⱼ · b[k, n]ⱼ` over the numbers j in words of 32 bits.
  public func addingDot(_ a: Tile, _ b: Tile, of parts: WordParts) -> Tile {
    precondition(
      shape.count == 2 && a.shape == [shape[0], b.shape[0]] && b.shape[1] == shape[1],
      "dot of \(a.shape) and \(b.shape) into \(shape)")
    return builder.emit(.dotOfWords(parts, accumulator: value, a.value, b.value), element, shape)
  }
}

extension Tile {
  public static func + (a: Tile, b: Tile) -> Tile { a.binary(.add, b) }
  public static func - (a: Tile, b: Tile) -> Tile { a.binary(.subtract, b) }
  public static func * (a: Tile, b: Tile) -> Tile { a.binary(.multiply, b) }
  public static func / (a: Tile, b: Tile) -> Tile { a.binary(.divide, b) }
  public static func % (a: Tile, b: Tile) -> Tile { a.binary(.modulo, b) }
  public static func + (a: Tile, b: Int) -> Tile { a + a.builder.index(b) }
  public static func - (a: Tile, b: Int) -> Tile { a - a.builder.index(b) }
  public static func * (a: Tile, b: Int) -> Tile { a * a.builder.index(b) }
  public static func / (a: Tile, b: Int) -> Tile { a / a.builder.index(b) }
  public static func % (a: Tile, b: Int) -> Tile { a % a.builder.index(b) }
  public func less(_ b: Tile) -> Tile { binary(.less, b) }
  public func lessEqual(_ b: Tile) -> Tile { binary(.lessEqual, b) }
  public func equal(_ b: Tile) -> Tile { binary(.equal, b) }
  public func and(_ b: Tile) -> Tile { binary(.and, b) }
  public func minimum(_ b: Tile) -> Tile { binary(.minimum, b) }
  public func maximum(_ b: Tile) -> Tile { binary(.maximum, b) }
  /// ⌈self / b⌉ for self ≥ 0.
  public func ceilDivided(by b: Int) -> Tile { (self + (b - 1)) / b }
}

/// A buffer while a program is being written.
public struct TileBuffer {
  public let value: TileValue
  public let type: BufferType
  unowned let builder: TileBuilder

  /// How one dimension is indexed: `.at(i)`, `.span(i, 0)`.
  public enum Index {
    case at(Tile)
    case span(Tile, Int, step: Int = 1)
    case gather(Tile, Int)

    var lowered: AxisIndex {
      switch self {
      case .at(let i): .at(i.value)
      case .span(let start, let dimension, let step): .span(start: start.value, dimension: dimension, step: step)
      case .gather(let indices, let dimension): .gather(indices.value, dimension: dimension)
      }
    }
  }

  private func access(_ indices: [Index], rank: Int, limits: [Tile?]) -> Access {
    precondition(indices.count == type.shape.count, "an index for each of the buffer's \(type.shape.count) dimensions")
    precondition(limits.isEmpty || limits.count == rank, "a limit or nil for each dimension of the tile")
    return Access(
      buffer: value, indices: indices.map(\.lowered),
      limits: limits.isEmpty ? [TileValue?](repeating: nil, count: rank) : limits.map { $0?.value })
  }

  public func load(_ indices: [Index], shape: [Int], limits: [Tile?] = [], fill: Scalar? = nil) -> Tile {
    let fill = fill ?? (type.element.isFloat ? .float(0) : .integer(0))
    return builder.emit(.load(access(indices, rank: shape.count, limits: limits), fill: fill), type.element, shape)
  }

  public func store(_ tile: Tile, _ indices: [Index], limits: [Tile?] = []) {
    precondition(tile.element == type.element, "a tile of \(type.element), not \(tile.element)")
    builder.emit(.store(tile.value, access(indices, rank: tile.shape.count, limits: limits)))
  }

  /// Brings the element's line of memory nearer. Costs an instruction.
  public func prefetch(_ indices: [Tile]) {
    builder.emit(.prefetch(access(indices.map { .at($0) }, rank: 0, limits: [])))
  }
}

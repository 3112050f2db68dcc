import GraphIR
import TensorTypes

// Sampling at places that a tensor of coordinates names, and such tensors.

let gridRows: [OperatorRow] = [
  .one("GridSample", since: 16) { n in try n.gridSample() },
  .one("AffineGrid") { n in try n.affineGrid() },
]

/// What stands for elements outside of the input.
private enum GridPadding: String { case zeros, border, reflection }

private enum GridSampling {
  case nearest, linear, cubic

  /// Elements along a dimension that count, from the one that a coordinate is rounded to: down, but for the nearest.
  var taps: [Int] {
    switch self {
    case .nearest: [0]
    case .linear: [0, 1]
    case .cubic: [-1, 0, 1, 2]
    }
  }
}

extension NodeImport {
  // MARK: Sampling

  /// x `[N, C, space…]`, grid `[N, space'…, D]` with coordinates in -1...1, innermost dimension first.
  fileprivate func gridSample() throws -> ValueID {
    let (x, grid) = (try input(0), try input(1))
    let space = rank(x) - 2
    guard space >= 1, rank(grid) == rank(x), shape(grid)[space + 1] == Dim(space), element(x).isFloat else {
      throw Failure.badData("a grid of \(type(grid)) for \(type(x))")
    }
    let align = try flag("align_corners")
    let padding = try choice("padding_mode", default: GridPadding.zeros)
    let sampling = try sampling()
    // Every combination of the dimensions' taps, the innermost dimension's fastest.
    let count = (0..<space).reduce(1) { product, _ in product * sampling.taps.count }
    let outer = Array(shape(grid).dropLast())
    let points = [outer[0], 1, outer.dropFirst().product]
    let places = Array(shape(x)[2...])
    let indexType: ElementType = places.product.constant.map { $0 <= Int(Int32.max) } ?? false ? .int32 : .int64
    // Per dimension: coordinates of shape [N, 1, points], sizes, and the taps' offsets of shape [taps, 1].
    var (coordinates, lengths, offsets): ([ValueID], [ValueID], [ValueID]) = ([], [], [])
    for d in 0..<space {
      let size = try sizeValue(places[d], element(x))
      // The innermost dimension's coordinate comes first.
      let part = try slice(grid, axis: space + 1, start: Dim(space - 1 - d), size: 1)
      let place = try denormalised(cast(reshape(part, points), element(x)), size, align)
      coordinates.append(
        try sampling == .cubic ? place : map(place, size) { e, x in e.moved(x[0], x[1], padding, align) })
      lengths.append(size)
      let stride = (d + 1..<space).reduce(1) { product, _ in product * sampling.taps.count }
      let taps = (0..<count).map { Double(sampling.taps[$0 / stride % sampling.taps.count]) }
      offsets.append(constant(HostTensor(element(x), [count, 1], .floats(taps))))
    }
    // Both of shape [N, taps, points], each in one pass over the coordinates: to find an element's position twice takes less than to
    // store it.
    let index = try map(coordinates + lengths + offsets + places.map { try sizeValue($0, indexType) }) { e, x in
      var index: Expression.Operand?
      for d in 0..<space {
        let size = x[space + d]
        let position = e.position(at: x[d], x[2 * space + d], sampling)
        let inside = padding == .zeros ? position : e.moved(position, size, padding, align)
        let own = e.cast(e.clamped(inside, size), indexType)
        index = index.map { e.binary(.add, e.binary(.multiply, $0, x[3 * space + d]), own) } ?? own
      }
      return index!
    }
    let weights = try map(coordinates + lengths + offsets) { e, x in
      var factors: [Expression.Operand] = []
      for d in 0..<space {
        let position = e.position(at: x[d], x[2 * space + d], sampling)
        if sampling != .nearest { factors.append(e.share(of: position, at: x[d], sampling)) }
        if padding == .zeros { factors.append(e.inside(position, x[space + d])) }
      }
      guard let first = factors.first else { return e.constant(1, e.types[x[0]]) }
      return factors.dropFirst().reduce(first) { e.binary(.multiply, $0, $1) }
    }
    let flat = try reshape(x, [shape(x)[0], shape(x)[1], places.product])
    return try reshape(add(GatherSum(), flat, index, weights), [outer[0], shape(x)[1]] + outer.dropFirst())
  }

  private func sampling() throws -> GridSampling {
    switch try string("mode", default: "linear") {
    case "nearest": return .nearest
    case "linear", "bilinear": return .linear
    case "cubic", "bicubic": return .cubic
    case let other: throw Failure.badData("attribute 'mode' is '\(other)'")
    }
  }

  /// A size as a scalar of an element type.
  private func sizeValue(_ size: Dim, _ element: ElementType) throws -> ValueID {
    if let known = size.constant { return constant(Double(known), element) }
    return try cast(reshape(builder.value(of: [size]), []), element)
  }

  /// -1 and 1 are the centres of the outermost elements if aligned, else their outer edges.
  private func denormalised(_ x: ValueID, _ size: ValueID, _ align: Bool) throws -> ValueID {
    try map(x, size) { e, x in
      let type = e.types[x[0]]
      let (one, half) = (e.constant(1, type), e.constant(0.5, type))
      let shifted = e.binary(.add, x[0], one)
      return align
        ? e.binary(.multiply, e.binary(.multiply, shifted, half), e.binary(.subtract, x[1], one))
        : e.binary(.multiply, e.binary(.subtract, e.binary(.multiply, shifted, x[1]), one), half)
    }
  }

  // MARK: Affine grids

  /// theta `[N, D, D + 1]` times the homogeneous coordinates of every place of the output: `[N, space…, D]`.
  fileprivate func affineGrid() throws -> ValueID {
    let theta = try input(0)
    let size = try sizes(input(1), "the size")
    let space = size.count - 2
    guard space == 2 || space == 3, rank(theta) == 3 else {
      throw Failure.badData("a grid of size \(size) from \(type(theta))")
    }
    let align = try flag("align_corners")
    let element = element(theta)
    let target = Array(size[2...])
    // Innermost dimension first, then ones.
    var columns = try (0..<space).reversed().map { d in
      let steps = try iota(target[d], element, trailing: space - 1 - d)
      let count = try sizeValue(target[d], element)
      let places = try map(steps, count) { e, x in
        let (one, two) = (e.constant(1, element), e.constant(2, element))
        if align {
          let last = e.binary(.maximum, e.binary(.subtract, x[1], one), one)
          return e.binary(.subtract, e.binary(.divide, e.binary(.multiply, x[0], two), last), one)
        }
        let middle = e.binary(.add, e.binary(.multiply, x[0], two), one)
        return e.binary(.subtract, e.binary(.divide, middle, x[1]), one)
      }
      return try reshape(broadcast(places, target), [target.product, 1])
    }
    columns.append(try broadcast(constant(1, element), [target.product, 1]))
    let base = try addAll(Concat(axis: 1), columns)[0]
    let grid = try add(MatMul(transposeRight: true), unsqueeze(base, [0]), theta)
    return try reshape(grid, [shape(theta)[0]] + target + [Dim(space)])
  }
}

/// What is made of a coordinate, in a place's dimension of some size.
extension Expression {
  /// Where a tap of the place stands, so far from the element that the coordinate is rounded to.
  fileprivate mutating func position(at place: Operand, _ offset: Operand, _ sampling: GridSampling) -> Operand {
    binary(.add, unary(sampling == .nearest ? .round : .floor, place), offset)
  }

  /// A coordinate brought inside as the padding says; zeros leave it alone.
  fileprivate mutating func moved(_ x: Operand, _ size: Operand, _ padding: GridPadding, _ align: Bool) -> Operand {
    switch padding {
    case .zeros: return x
    case .border: return clamped(x, size)
    case .reflection:
      // A triangle wave between the outermost centres, or edges.
      let type = types[x]
      let one = constant(1, type)
      let low = constant(align ? 0 : -0.5, type)
      let span = align ? binary(.subtract, size, one) : size
      let distance = unary(.abs, binary(.subtract, x, low))
      let period = binary(.maximum, binary(.multiply, span, constant(2, type)), one)
      let phase = binary(.modulo, distance, period)
      let folded = binary(.minimum, phase, binary(.subtract, period, phase))
      return clamped(binary(.add, folded, low), size)
    }
  }

  /// What the element at a position weighs for a place.
  fileprivate mutating func share(of position: Operand, at place: Operand, _ sampling: GridSampling) -> Operand {
    let type = types[position]
    let one = constant(1, type)
    let d = unary(.abs, binary(.subtract, position, place))
    guard sampling == .cubic else { return binary(.subtract, one, d) }
    // Keys' cubic with a = −0.75.
    let a = -0.75
    func polynomial(_ e: inout Expression, _ coefficients: [Double]) -> Operand {
      coefficients.dropFirst().reduce(e.constant(coefficients[0], type)) { sum, c in
        e.binary(.add, e.binary(.multiply, sum, d), e.constant(c, type))
      }
    }
    let near = polynomial(&self, [a + 2, -(a + 3), 0, 1])
    let far = polynomial(&self, [a, -5 * a, 8 * a, -4 * a])
    return select(binary(.lessEqual, d, one), near, far)
  }

  /// 1 within the dimension, 0 outside.
  fileprivate mutating func inside(_ position: Operand, _ size: Operand) -> Operand {
    let type = types[position]
    let isInside = binary(
      .and, binary(.greaterEqual, position, constant(0, type)), binary(.less, position, size))
    return cast(isInside, type)
  }

  /// The nearest coordinate within the dimension.
  fileprivate mutating func clamped(_ x: Operand, _ size: Operand) -> Operand {
    let type = types[x]
    let last = binary(.subtract, size, constant(1, type))
    return binary(.maximum, binary(.minimum, x, last), constant(0, type))
  }
}

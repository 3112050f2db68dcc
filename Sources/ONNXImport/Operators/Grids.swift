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
    // Of shape [N, taps, points].
    var (index, weight): (ValueID?, ValueID?) = (nil, nil)
    let places = Array(shape(x)[2...])
    let indexType: ElementType = places.product.constant.map { $0 <= Int(Int32.max) } ?? false ? .int32 : .int64
    for d in 0..<space {
      let size = try sizeValue(places[d], element(x))
      // The innermost dimension's coordinate comes first.
      let part = try slice(grid, axis: space + 1, start: Dim(space - 1 - d), size: 1)
      var place = try denormalised(cast(reshape(part, points), element(x)), size, align)
      if sampling != .cubic { place = try moved(place, size, padding, align) }
      let stride = (d + 1..<space).reduce(1) { product, _ in product * sampling.taps.count }
      let offsets = (0..<count).map { Double(sampling.taps[$0 / stride % sampling.taps.count]) }
      let base = try unary(sampling == .nearest ? .round : .floor, place)
      var position = try binary(.add, base, constant(HostTensor(element(x), [count, 1], .floats(offsets))))
      var factors = sampling == .nearest ? [] : [try share(of: position, at: place, sampling)]
      if padding == .zeros {
        factors.append(try inside(position, size))
      } else {
        position = try moved(position, size, padding, align)
      }
      let own = try clamped(position, size, to: indexType)
      index = try index.map { try binary(.add, binary(.multiply, $0, sizeValue(places[d], indexType)), own) } ?? own
      for factor in factors { weight = try weight.map { try binary(.multiply, $0, factor) } ?? factor }
    }
    guard let index else { throw Failure.badData("a grid without dimensions") }
    let weights = try weight ?? broadcast(constant(1, element(x)), shape(index))
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

  /// A coordinate brought inside as the padding says; zeros leave it alone.
  private func moved(_ x: ValueID, _ size: ValueID, _ padding: GridPadding, _ align: Bool) throws -> ValueID {
    switch padding {
    case .zeros: return x
    case .border:
      return try map(x, size) { e, x in
        let type = e.types[x[0]]
        let last = e.binary(.subtract, x[1], e.constant(1, type))
        return e.binary(.maximum, e.binary(.minimum, x[0], last), e.constant(0, type))
      }
    case .reflection:
      // A triangle wave between the outermost centres, or edges.
      return try map(x, size) { e, x in
        let type = e.types[x[0]]
        let (zero, one) = (e.constant(0, type), e.constant(1, type))
        let low = e.constant(align ? 0 : -0.5, type)
        let last = e.binary(.subtract, x[1], one)
        let span = align ? last : x[1]
        let distance = e.unary(.abs, e.binary(.subtract, x[0], low))
        let period = e.binary(.maximum, e.binary(.multiply, span, e.constant(2, type)), one)
        let phase = e.binary(.modulo, distance, period)
        let folded = e.binary(.minimum, phase, e.binary(.subtract, period, phase))
        let place = e.binary(.add, folded, low)
        return e.binary(.maximum, e.binary(.minimum, place, last), zero)
      }
    }
  }

  /// What the element at a position weighs for a place.
  private func share(of position: ValueID, at place: ValueID, _ sampling: GridSampling) throws -> ValueID {
    try map(position, place) { e, x in
      let type = e.types[x[0]]
      let one = e.constant(1, type)
      let d = e.unary(.abs, e.binary(.subtract, x[0], x[1]))
      guard sampling == .cubic else { return e.binary(.subtract, one, d) }
      // Keys' cubic with a = −0.75.
      let a = -0.75
      func polynomial(_ coefficients: [Double]) -> Expression.Operand {
        coefficients.dropFirst().reduce(e.constant(coefficients[0], type)) { sum, c in
          e.binary(.add, e.binary(.multiply, sum, d), e.constant(c, type))
        }
      }
      let near = polynomial([a + 2, -(a + 3), 0, 1])
      let far = polynomial([a, -5 * a, 8 * a, -4 * a])
      return e.select(e.binary(.lessEqual, d, one), near, far)
    }
  }

  /// 1 within the dimension, 0 outside.
  private func inside(_ position: ValueID, _ size: ValueID) throws -> ValueID {
    try map(position, size) { e, x in
      let type = e.types[x[0]]
      let isInside = e.binary(
        .and, e.binary(.greaterEqual, x[0], e.constant(0, type)), e.binary(.less, x[0], x[1]))
      return e.cast(isInside, type)
    }
  }

  /// The nearest index within the dimension.
  private func clamped(_ position: ValueID, _ size: ValueID, to index: ElementType) throws -> ValueID {
    try map(position, size) { e, x in
      let type = e.types[x[0]]
      let last = e.binary(.subtract, x[1], e.constant(1, type))
      return e.cast(e.binary(.maximum, e.binary(.minimum, x[0], last), e.constant(0, type)), index)
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

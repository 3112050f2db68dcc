import GraphIR
import TensorTypes

// Sampling at places that a tensor of coordinates names, and such tensors.

let gridRows: [OperatorRow] = [
  .one("GridSample", since: 16) { n in try n.gridSample() },
  .one("AffineGrid") { n in try n.affineGrid() },
]

/// What stands for elements outside of the input.
private enum GridPadding: String { case zeros, border, reflection }

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
    // Positions in the input, outermost dimension first, each of shape [N, points].
    let outer = Array(shape(grid).dropLast())
    let points = outer.dropFirst().product
    let coordinates = try (0..<space).map { d in
      let part = try slice(grid, axis: space + 1, start: Dim(space - 1 - d), size: 1)
      return try denormalised(
        cast(reshape(part, [outer[0], points]), element(x)), sizeValue(shape(x)[d + 2], element(x)), align)
    }
    // Channels last, so that each place is a row.
    let rows = try transpose(x, [0] + Array(2..<(space + 2)) + [1])
    let taps: [[(position: ValueID, weight: ValueID?)]] = try coordinates.enumerated().map { d, position in
      let size = try sizeValue(shape(x)[d + 2], element(x))
      switch try string("mode", default: "linear") {
      case "nearest":
        let whole = try moved(position, size, padding, align)
        return [(try unary(.round, whole), nil)]
      case "linear", "bilinear": return try linearTaps(moved(position, size, padding, align))
      case "cubic", "bicubic": return try cubicTaps(position)
      case let other: throw Failure.badData("attribute 'mode' is '\(other)'")
      }
    }
    let sampled = try weighted(rows, taps, padding, align, shape(x))
    let result = try reshape(sampled, [outer[0]] + outer.dropFirst() + [shape(x)[1]])
    return try transpose(result, [0, rank(result) - 1] + Array(1..<(rank(result) - 1)))
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

  private func linearTaps(_ x: ValueID) throws -> [(position: ValueID, weight: ValueID?)] {
    let base = try unary(.floor, x)
    let fraction = try binary(.subtract, x, base)
    let one = constant(1, element(x))
    return [(base, try binary(.subtract, one, fraction)), (try binary(.add, base, one), fraction)]
  }

  /// Keys' cubic with a = −0.75.
  private func cubicTaps(_ x: ValueID) throws -> [(position: ValueID, weight: ValueID?)] {
    let base = try unary(.floor, x)
    return try (-1...2).map { tap in
      let position = try binary(.add, base, constant(Double(tap), element(x)))
      let weight = try map(position, x) { e, x in
        let type = e.types[x[0]]
        let a = -0.75
        let d = e.unary(.abs, e.binary(.subtract, x[0], x[1]))
        func polynomial(_ coefficients: [Double]) -> Expression.Operand {
          coefficients.dropFirst().reduce(e.constant(coefficients[0], type)) { sum, c in
            e.binary(.add, e.binary(.multiply, sum, d), e.constant(c, type))
          }
        }
        let near = polynomial([a + 2, -(a + 3), 0, 1])
        let far = polynomial([a, -5 * a, 8 * a, -4 * a])
        return e.select(e.binary(.lessEqual, d, e.constant(1, type)), near, far)
      }
      return (position, weight)
    }
  }

  /// Σ over all combinations of the dimensions' taps of weights times rows of x `[N, space…, C]`.
  private func weighted(
    _ rows: ValueID, _ taps: [[(position: ValueID, weight: ValueID?)]], _ padding: GridPadding, _ align: Bool,
    _ given: Shape
  ) throws -> ValueID {
    let element = element(rows)
    var combinations: [[(position: ValueID, weight: ValueID?)]] = [[]]
    for dimension in taps { combinations = combinations.flatMap { known in dimension.map { known + [$0] } } }
    var total: ValueID?
    for combination in combinations {
      var weight: ValueID?
      var indices: [ValueID] = []
      for (d, tap) in combination.enumerated() {
        let size = try sizeValue(given[d + 2], element)
        var position = tap.position
        if padding == .zeros {
          // Weighs nothing outside.
          let inside = try map(position, size) { e, x in
            let type = e.types[x[0]]
            return e.cast(
              e.binary(
                .and, e.binary(.greaterEqual, x[0], e.constant(0, type)), e.binary(.less, x[0], x[1])), type)
          }
          weight = try weight.map { try binary(.multiply, $0, inside) } ?? inside
        } else {
          position = try moved(position, size, padding, align)
        }
        if let own = tap.weight { weight = try weight.map { try binary(.multiply, $0, own) } ?? own }
        let index = try map(position, size) { e, x in
          let type = e.types[x[0]]
          let last = e.binary(.subtract, x[1], e.constant(1, type))
          return e.cast(e.binary(.maximum, e.binary(.minimum, x[0], last), e.constant(0, type)), .int64)
        }
        indices.append(try unsqueeze(index, [2]))
      }
      let places = try add(Concat(axis: 2), indices: indices)
      var value = try add(GatherND(batchDims: 1), rows, places)
      if let weight { value = try binary(.multiply, value, unsqueeze(weight, [2])) }
      total = try total.map { try binary(.add, $0, value) } ?? value
    }
    guard let total else { throw Failure.badData("a grid without dimensions") }
    return total
  }

  private func add(_ op: Concat, indices: [ValueID]) throws -> ValueID {
    indices.count == 1 ? indices[0] : try addAll(op, indices)[0]
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

import GraphIR
import TensorTypes

// Resize and the older Upsample.

let resamplingRows: [OperatorRow] = [
  .one("Upsample", since: 7) { n in
    guard let scales = try n.floats("scales") else { throw Failure.badData("attribute 'scales' is missing") }
    return try n.resized(.old, scales: scales)
  },
  .one("Upsample", since: 9) { n in try n.resized(.old, scales: n.constant(n.input(1), "the scales").doubles) },
  .one("Resize", since: 10) { n in try n.resized(.old, scales: n.constant(n.input(1), "the scales").doubles) },
  .one("Resize", since: 11) { n in
    let scales = try n.optionalInput(2).map { try n.constant($0, "the scales").doubles } ?? []
    let sizes = scales.isEmpty ? try n.optionalInput(3).map { try n.sizes($0, "the sizes") } : nil
    return try n.resized(.current, scales: sizes == nil ? scales : nil, sizes: sizes)
  },
]

/// Before version 11 there was one way to place coordinates.
private enum ResizeStyle { case old, current }

extension NodeImport {
  fileprivate func resized(_ style: ResizeStyle, scales: [Double]?, sizes: [Dim]? = nil) throws -> ValueID {
    let x = try input(0)
    let axes = try self.axes(ints("axes") ?? Array(0..<rank(x)), rank: rank(x))
    var op = try resize(style)
    let region = op.coordinateMode == .tfCropAndResize ? try constant(input(1), "the region").doubles : []
    guard (scales ?? sizes.map { $0.map { _ in 1 } } ?? []).count == axes.count,
      region.isEmpty || region.count == 2 * axes.count
    else { throw Failure.badData("needs one scale or one size for each of \(axes.count) axes") }
    let (targets, factors) = try targets(x, axes, scales, sizes)
    for i in axes.indices.sorted(by: { axes[$0] < axes[$1] }) {
      let isWhole = region.isEmpty || (region[i] == 0 && region[axes.count + i] == 1)
      // All of an axis at its own size: as it is, unless coordinates are half a step off.
      if isWhole && op.coordinateMode != .tfHalfPixelForNN && targets[i] == shape(x)[axes[i]] { continue }
      op.axes.append(axes[i])
      op.sizes.append(targets[i])
      op.scales.append(factors[i])
      if !region.isEmpty {
        op.regionStarts.append(region[i])
        op.regionEnds.append(region[axes.count + i])
      }
    }
    if op.axes.isEmpty { return x }
    return try byAxes(op, x) ?? add(op, x)
  }

  /// Where the kernel's taps are many or irregular (antialias, a region, excluded edges, a cubic's 4 × 4) and all sizes are
  /// known: each axis by itself, with constants for the taps of each output position.
  private func byAxes(_ op: Resize, _ x: ValueID) throws -> ValueID? {
    let isSquare = op.mode == .cubic && op.axes.count > 1 && element(x).isFloat
    guard op.antialias || op.excludeOutside || op.coordinateMode == .tfCropAndResize || isSquare,
      op.mode != .nearest || !op.antialias
    else { return nil }
    var sizes: [(axis: Int, input: Int, output: Int)] = []
    for (axis, target) in zip(op.axes, op.sizes) {
      guard let input = shape(x)[axis].constant, let output = target.constant, input > 0, input < 1 << 20,
        output < 1 << 20, input * output <= 1 << 24
      else { return nil }
      sizes.append((axis, input, output))
    }
    let element = element(x)
    let computed: ElementType = element == .float64 || !element.isFloat ? .float64 : .float32
    var value = try cast(x, computed)
    // Each step leaves its axis innermost: after steps along all the innermost axes they are in order again.
    var order = Array(0..<rank(x))
    for (i, (axis, input, output)) in sizes.enumerated() {
      let place = order.firstIndex(of: axis)!
      let samples = op.samples(i, input: input, output: output)
      value = try resampled(value, axis: place, Taps(samples), input)
      if samples.contains(where: { $0 == nil }) {
        let isInside = constant(HostTensor(.bool, [output], samples.map { $0 != nil }))
        value = try map(isInside, value) { e, x in e.select(x[0], x[1], e.constant(op.extrapolationValue, computed)) }
      }
      order.append(order.remove(at: place))
    }
    return try cast(transpose(value, order.indices.map { order.firstIndex(of: $0)! }), element)
  }

  /// `x` resampled along an axis, which becomes the innermost one.
  private func resampled(_ x: ValueID, axis: Int, _ taps: Taps, _ input: Int) throws -> ValueID {
    let (before, after) = (Shape(shape(x)[..<axis]), Shape(shape(x)[(axis + 1)...]))
    let result: ValueID
    // A product does several times as many operations in the same time. Where the elements to pick are neighbours they are fetched
    // one by one; else products want a copy that brings them together.
    let isProduct = after.isEmpty ? 32 * taps.count >= input : 6 * taps.count > input + 32
    if isProduct {
      let moved = try transpose(x, (0..<rank(x)).filter { $0 != axis } + [axis])
      let matrix = constant(HostTensor(element(x), [input, taps.positions], .floats(taps.matrix(input))))
      result = try add(MatMul(), reshape(moved, [(before + after).product, Dim(input)]), matrix)
    } else {
      // Neighbours in memory have the same taps, unless these are neighbours themselves.
      let channels =
        after.isEmpty
        ? try reshape(x, [1, before.product, Dim(input)])
        : try transpose(reshape(x, [before.product, Dim(input), after.product]), [0, 2, 1])
      let shape = [1, taps.count, taps.positions]
      let indices = constant(HostTensor(.int32, shape, .integers(taps.indices)))
      let weights = constant(HostTensor(element(x), shape, .floats(taps.weights)))
      result = try add(GatherSum(), channels, indices, weights)
    }
    return try reshape(result, before + after + [Dim(taps.positions)])
  }

  /// The op with everything but axes and sizes.
  private func resize(_ style: ResizeStyle) throws -> Resize {
    let mode: Resize.Mode
    switch try string("mode", default: "nearest") {
    case "nearest": mode = .nearest
    case "linear", "bilinear": mode = .linear
    case "cubic": mode = .cubic
    case let other: throw Failure.badData("attribute 'mode' is '\(other)'")
    }
    if style == .old {
      return Resize(mode, axes: [], sizes: [], scales: [], coordinateMode: .asymmetric, nearestMode: .floor)
    }
    return Resize(
      mode, axes: [], sizes: [], scales: [],
      coordinateMode: try choice("coordinate_transformation_mode", default: .halfPixel),
      nearestMode: try choice("nearest_mode", default: .roundPreferFloor),
      cubicCoefficient: try float("cubic_coeff_a", default: -0.75), excludeOutside: try flag("exclude_outside"),
      antialias: try flag("antialias"), extrapolationValue: try float("extrapolation_value", default: 0))
  }

  /// Output sizes, and the scales as the op wants them: 0 where the sizes say all.
  private func targets(
    _ x: ValueID, _ axes: [Int], _ scales: [Double]?, _ sizes: [Dim]?
  ) throws -> (sizes: [Dim], scales: [Double]) {
    if let scales { return (try zip(axes, scales).map { try scaled(shape(x)[$0], by: $1) }, scales) }
    let sizes = sizes ?? []
    let policy = try string("keep_aspect_ratio_policy", default: "stretch")
    if policy == "stretch" { return (sizes, sizes.map { _ in 0 }) }
    let ratios = try zip(axes, sizes).map { axis, size in
      guard let from = shape(x)[axis].constant, let to = size.constant, from > 0, to < 1 << 40 else {
        throw Failure.badData("keeping the aspect ratio needs known sizes")
      }
      return Double(to) / Double(from)
    }
    guard policy == "not_larger" || policy == "not_smaller",
      let scale = policy == "not_larger" ? ratios.min() : ratios.max()
    else { throw Failure.badData("attribute 'keep_aspect_ratio_policy' is '\(policy)'") }
    let kept = axes.map { Dim(Int(min(Double(shape(x)[$0].constant ?? 0) * scale, 0x1p50).rounded())) }
    return (kept, axes.map { _ in scale })
  }

  /// `⌊size · scale⌋`; for a size that isn't known yet the scale must be a fraction.
  private func scaled(_ size: Dim, by scale: Double) throws -> Dim {
    guard scale > 0, scale.isFinite, scale < 0x1p20 else { throw Failure.badData("a scale of \(scale)") }
    if let known = size.constant {
      guard known < 1 << 40 else { throw Failure.badData("a scale of \(scale) of the size \(size)") }
      return Dim(Int((Double(known) * scale).rounded(.down)))
    }
    for divisor in 1...64 {
      let multiple = (scale * Double(divisor)).rounded()
      if Float(multiple / Double(divisor)) == Float(scale), multiple >= 1 {
        return (size * Dim(Int(multiple))).floorDivided(by: Dim(divisor))
      }
    }
    throw Failure.badData("a scale of \(scale) of the size \(size), which is not known before the model runs")
  }
}

/// The elements along an axis that each position of the output is made of, and their weights.
private struct Taps {
  let count: Int
  let positions: Int
  /// Of shape `[count, positions]`, as are `weights`.
  private(set) var indices: [Int64]
  private(set) var weights: [Double]

  /// - Parameter samples: nil for positions that are none of the input's.
  init(_ samples: [[(index: Int, weight: Double)]?]) {
    let joined = samples.map { sample in
      Dictionary((sample ?? []).map { ($0.index, $0.weight) }, uniquingKeysWith: +).filter { $0.value != 0 }.sorted {
        $0.key < $1.key
      }
    }
    positions = samples.count
    count = max(1, joined.map(\.count).max() ?? 1)
    indices = [Int64](repeating: 0, count: count * positions)
    weights = [Double](repeating: 0, count: count * positions)
    for (position, taps) in joined.enumerated() {
      for tap in 0..<count {
        // Those that have fewer repeat their last one, of no weight.
        indices[tap * positions + position] = Int64(taps.indices.contains(tap) ? taps[tap].key : taps.last?.key ?? 0)
        if taps.indices.contains(tap) { weights[tap * positions + position] = taps[tap].value }
      }
    }
  }

  /// Row-major, `input` rows: a column of weights for each position.
  func matrix(_ input: Int) -> [Double] {
    var matrix = [Double](repeating: 0, count: input * positions)
    for (i, weight) in weights.enumerated() { matrix[Int(indices[i]) * positions + i % positions] += weight }
    return matrix
  }
}

import TensorTypes

/// Resamples `axes` of a tensor to other sizes, one axis at a time, as ONNX's Resize (19 and later) states it.
///
/// Along each axis, output index `o` lies at `coordinate(o)` of the input; its value is the nearest element, or the
/// weighted sum of the 2 (linear) or 4 (cubic, Keys' kernel with coefficient a) nearest ones, the edge repeated. With
/// `antialias`, a kernel that shrinks is widened by 1 / scale.
///
/// - (resize_c1) One operand that is not bool; `axes` are distinct dimensions of it, ascending, with one size and one
///   scale each. (Integers are resampled in floating point and rounded toward zero.)
/// - (resize_c2) Scales are positive and finite, or 0 for output size / input size.
/// - (resize_c3) `tfCropAndResize` has a region's start and end for each axis, in units of the input size − 1.
public struct Resize: Op {
  public enum Mode: String, Hashable, Sendable, Codable, CaseIterable { case nearest, linear, cubic }

  /// The raw values are ONNX's words.
  public enum CoordinateMode: String, Hashable, Sendable, Codable, CaseIterable {
    case halfPixel = "half_pixel"  // (o + ½) / scale − ½
    case halfPixelSymmetric = "half_pixel_symmetric"  // the same, centred where the output size was rounded
    case pytorchHalfPixel = "pytorch_half_pixel"  // half_pixel, but 0 for an output of size 1
    case alignCorners = "align_corners"  // o · (in − 1) / (out − 1)
    case asymmetric  // o / scale
    case tfHalfPixelForNN = "tf_half_pixel_for_nn"  // (o + ½) / scale
    case tfCropAndResize = "tf_crop_and_resize"  // within a region, `extrapolationValue` outside of the input
  }

  /// How `nearest` rounds a coordinate. The raw values are ONNX's words.
  public enum NearestMode: String, Hashable, Sendable, Codable, CaseIterable {
    case roundPreferFloor = "round_prefer_floor"
    case roundPreferCeil = "round_prefer_ceil"
    case floor, ceil
  }

  public static let mnemonic = "resize"
  public var mode: Mode
  public var axes: [Int]
  /// Output sizes.
  public var sizes: [Dim]
  /// Output size / input size as the model states it, which may not be exactly so; 0 for exactly so.
  public var scales: [Double]
  public var coordinateMode: CoordinateMode
  public var nearestMode: NearestMode
  public var cubicCoefficient: Double
  /// Whether weights of elements outside of the input are 0 and the others are scaled to sum 1.
  public var excludeOutside: Bool
  public var antialias: Bool
  public var extrapolationValue: Double
  public var regionStarts: [Double]
  public var regionEnds: [Double]

  public init(
    _ mode: Mode, axes: [Int], sizes: [Dim], scales: [Double], coordinateMode: CoordinateMode = .halfPixel,
    nearestMode: NearestMode = .roundPreferFloor, cubicCoefficient: Double = -0.75, excludeOutside: Bool = false,
    antialias: Bool = false, extrapolationValue: Double = 0, regionStarts: [Double] = [], regionEnds: [Double] = []
  ) {
    (self.mode, self.axes, self.sizes, self.scales) = (mode, axes, sizes, scales)
    (self.coordinateMode, self.nearestMode, self.cubicCoefficient) = (coordinateMode, nearestMode, cubicCoefficient)
    (self.excludeOutside, self.antialias, self.extrapolationValue) = (excludeOutside, antialias, extrapolationValue)
    (self.regionStarts, self.regionEnds) = (regionStarts, regionEnds)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [
      ("mode", .word(mode)), ("axes", .integers(axes)), ("sizes", .dims(sizes)), ("scales", .floats(scales)),
      ("coordinate_mode", .word(coordinateMode)), ("nearest_mode", .word(nearestMode)),
      ("cubic_coefficient", .float(cubicCoefficient)), ("exclude_outside", .bool(excludeOutside)),
      ("antialias", .bool(antialias)), ("extrapolation_value", .float(extrapolationValue)),
      ("region_starts", .floats(regionStarts)), ("region_ends", .floats(regionEnds)),
    ]
  }
  public init(attributes: inout AttributeReader) throws {
    mode = try attributes.word("mode")
    axes = try attributes.integers("axes")
    sizes = try attributes.dims("sizes")
    scales = try attributes.floats("scales")
    coordinateMode = try attributes.word("coordinate_mode", default: .halfPixel)
    nearestMode = try attributes.word("nearest_mode", default: .roundPreferFloor)
    cubicCoefficient = try attributes.float("cubic_coefficient", default: -0.75)
    excludeOutside = try attributes.bool("exclude_outside", default: false)
    antialias = try attributes.bool("antialias", default: false)
    extrapolationValue = try attributes.float("extrapolation_value", default: 0)
    regionStarts = try attributes.floats("region_starts", default: [])
    regionEnds = try attributes.floats("region_ends", default: [])
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 1 && x[0].element != .bool && areAxes(axes, rank: x[0].rank) && axes == axes.sorted()
        && sizes.count == axes.count && scales.count == axes.count,
      "resize_c1: axes \(axes), sizes \(sizes), scales \(scales) of operands \(x)")
    try require(scales.allSatisfy { $0 >= 0 && $0.isFinite }, "resize_c2: scales \(scales)")
    try require(
      coordinateMode != .tfCropAndResize || (regionStarts.count == axes.count && regionEnds.count == axes.count),
      "resize_c3: region from \(regionStarts) to \(regionEnds) for axes \(axes)")
    var shape = x[0].shape
    for (axis, size) in zip(axes, sizes) {
      try require(shape[axis] != 0 || size == 0, "resize_c1: nothing to resample along axis \(axis) of \(x[0])")
      shape[axis] = size
    }
    return [TensorType(x[0].element, shape)]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let sizes = try sizes.integers()
    var (values, shape) = (x[0].doubles, x[0].shape)
    for (i, axis) in axes.enumerated() {
      let samples = samples(i, input: shape[axis], output: sizes[i])
      let (outer, inner) = (shape[..<axis].product, shape[(axis + 1)...].product)
      var next: [Double] = []
      next.reserveCapacity(outer * samples.count * inner)
      for o in 0..<outer {
        let start = o * shape[axis] * inner
        for sample in samples {
          guard let taps = sample else {
            next.append(contentsOf: repeatElement(extrapolationValue, count: inner))
            continue
          }
          for j in 0..<inner { next.append(taps.reduce(0) { $0 + $1.weight * values[start + $1.index * inner + j] }) }
        }
      }
      values = next
      shape[axis] = sizes[i]
    }
    let element = x[0].element
    return [
      HostTensor(element, shape, element.isFloat ? .floats(values) : .integers(values.map { element.saturated($0) }))
    ]
  }

  public func substituting(_ bindings: [String: Dim]) -> Resize {
    var copy = self
    copy.sizes = sizes.substituting(bindings)
    return copy
  }
}

// MARK: - Sampling

extension Resize {
  /// The input elements, with their weights, that each output index along axis number `i` is made of; nil for one
  /// outside of the input that gets the extrapolation value.
  public func samples(_ i: Int, input: Int, output: Int) -> [[(index: Int, weight: Double)]?] {
    let scale = scales[i] == 0 ? Double(output) / Double(input) : scales[i]
    if input == output && scale == 1 && coordinateMode != .tfCropAndResize {
      return (0..<output).map { [(index: $0, weight: 1)] }
    }
    return (0..<output).map { o in
      let x = coordinate(o, i, scale: scale, input: input, output: output)
      if coordinateMode == .tfCropAndResize && (x < 0 || x > Double(input - 1)) { return nil }
      return mode == .nearest ? [(index: nearest(x, input), weight: 1)] : weights(x, scale: scale, input: input)
    }
  }

  /// Where output index `o` lies in the input. `(o + ½) / scale` and the like are computed in f64.
  func coordinate(_ o: Int, _ i: Int, scale: Double, input: Int, output: Int) -> Double {
    let position = Double(o)
    switch coordinateMode {
    case .halfPixel: return (position + 0.5) / scale - 0.5
    case .halfPixelSymmetric:
      let center = Double(input) / 2
      let adjustment = Double(output) / (scale * Double(input))
      return center * (1 - adjustment) + (position + 0.5) / scale - 0.5
    case .pytorchHalfPixel: return output == 1 ? 0 : (position + 0.5) / scale - 0.5
    case .alignCorners: return output == 1 ? 0 : position * Double(input - 1) / Double(output - 1)
    case .asymmetric: return position / scale
    case .tfHalfPixelForNN: return (position + 0.5) / scale
    case .tfCropAndResize:
      let (start, end, last) = (regionStarts[i], regionEnds[i], Double(input - 1))
      return output > 1
        ? start * last + position * (end - start) * last / Double(output - 1) : 0.5 * (start + end) * last
    }
  }

  private func nearest(_ x: Double, _ input: Int) -> Int {
    let rounded: Double
    switch nearestMode {
    case .roundPreferFloor: rounded = (x - 0.5).rounded(.up)
    case .roundPreferCeil: rounded = (x + 0.5).rounded(.down)
    case .floor: rounded = x.rounded(.down)
    case .ceil: rounded = x.rounded(.up)
    }
    return Int(min(max(rounded, 0), Double(input - 1)))
  }

  private func weights(_ x: Double, scale: Double, input: Int) -> [(index: Int, weight: Double)] {
    let stretch = antialias ? min(scale, 1) : 1
    let support = (mode == .linear ? 1 : 2) / stretch
    var taps: [(index: Int, weight: Double)] = []
    let first = Int((x - support).rounded(.down)) + 1
    for index in first...max(first, Int((x + support).rounded(.up)) - 1) {
      let weight = kernel((Double(index) - x) * stretch)
      let inside = index >= 0 && index < input
      taps.append((min(max(index, 0), input - 1), inside || !excludeOutside ? weight : 0))
    }
    // Widened kernels and those with holes are brought back to sum 1.
    guard antialias || excludeOutside else { return taps }
    let sum = taps.reduce(0) { $0 + $1.weight }
    return taps.map { ($0.index, $0.weight / sum) }
  }

  /// The triangle of width 2, or Keys' cubic of width 4 (Keys, "Cubic convolution interpolation", 1981).
  private func kernel(_ distance: Double) -> Double {
    let (d, a) = (abs(distance), cubicCoefficient)
    if mode == .linear { return max(0, 1 - d) }
    if d <= 1 { return ((a + 2) * d - (a + 3)) * d * d + 1 }
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0
  }
}

extension ArraySlice<Int> {
  fileprivate var product: Int { reduce(1, *) }
}

import TensorTypes

/// `y[…, i, …] = x[…, start + i·step, …]` for `i < size` along each of `axes`.
///
/// Nothing is clamped and nothing counts from the end: `Slice.bounds` makes such starts and sizes.
///
/// - (slice_c1) One operand, of which `axes` are distinct dimensions; one start, size and step each.
/// - (slice_c2) No step is 0.
/// - (slice_c3) The first and the last index are within the dimension, unless the size is 0.
public struct Slice: Op {
  public static let mnemonic = "slice"
  public var axes: [Int]
  public var starts: [Dim]
  public var sizes: [Dim]
  public var steps: [Int]

  public init(axes: [Int], starts: [Dim], sizes: [Dim], steps: [Int]) {
    (self.axes, self.starts, self.sizes, self.steps) = (axes, starts, sizes, steps)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [("axes", .integers(axes)), ("starts", .dims(starts)), ("sizes", .dims(sizes)), ("steps", .integers(steps))]
  }
  public init(attributes: inout AttributeReader) throws {
    axes = try attributes.integers("axes")
    starts = try attributes.dims("starts")
    sizes = try attributes.dims("sizes")
    steps = try attributes.integers("steps")
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 1 && areAxes(axes, rank: x[0].rank)
        && [starts.count, sizes.count, steps.count].allSatisfy { $0 == axes.count },
      "slice_c1: axes \(axes), starts \(starts), sizes \(sizes), steps \(steps) of operands \(x)")
    try require(steps.allSatisfy { $0 != 0 && abs($0) <= 1 << 48 }, "slice_c2: steps \(steps)")
    var shape = x[0].shape
    for (i, axis) in axes.enumerated() {
      if let size = sizes[i].constant, let start = starts[i].constant, size != 0 {
        // As sizes, which saturate.
        let last = (starts[i] + (sizes[i] - 1) * Dim(steps[i])).constant ?? 0
        try require(
          size > 0 && min(start, last) >= 0 && !((shape[axis].constant.map { max(start, last) >= $0 }) ?? false),
          "slice_c3: \(size) elements from \(start) by \(steps[i]) of a dimension of \(shape[axis])")
      }
      shape[axis] = sizes[i]
    }
    return [TensorType(x[0].element, shape)]
  }

  public func contents(_ x: [ValueFacts]) -> [[Dim]?] { contentsByMoving(x) }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let (starts, sizes) = (try starts.integers(), try sizes.integers())
    var (start, shape, strides) = (0, x[0].shape, rowMajorStrides(x[0].shape))
    for (i, axis) in axes.enumerated() {
      start += starts[i] * strides[axis]
      shape[axis] = sizes[i]
      strides[axis] *= steps[i]
    }
    return [x[0].strided(shape, start: start, strides: strides)]
  }

  public func substituting(_ bindings: [String: Dim]) -> Slice {
    Slice(axes: axes, starts: starts.substituting(bindings), sizes: sizes.substituting(bindings), steps: steps)
  }

  /// Start and size of `x[start:end:step]` along a dimension of `size`, as ONNX reads it: negative bounds count from
  /// the end, and bounds are clamped, the start to an element that is there. A symbolic bound is taken to be at least
  /// 0 where its sign is not known.
  /// - Precondition: `step` is not 0.
  public static func bounds(start: Dim, end: Dim, step: Int, size: Dim) -> (start: Dim, size: Dim) {
    precondition(step != 0, "a step other than 0")
    func fromFront(_ bound: Dim) -> Dim { (bound.upperBound() ?? 0) < 0 ? bound + size : bound }
    // In an empty dimension `high` may be less than `low`, and wins.
    func clamp(_ bound: Dim, _ low: Dim, _ high: Dim) -> Dim {
      // Exporters write "to the end" as a huge number, and "to the front" as a hugely negative one.
      if let huge = bound.constant, huge >= 1 << 30 { return high }
      if let huge = bound.constant, huge <= -(1 << 30) { return Dim.minimum(low, high) }
      let resolved = fromFront(bound)
      return resolved.isAtLeast(high) ? high : Dim.minimum(Dim.maximum(low, resolved), high)
    }
    if step > 0 {
      let (first, last) = (clamp(start, 0, size), clamp(end, 0, size))
      return (first, Dim.maximum(0, (last - first).ceilDivided(by: Dim(step))))
    }
    let (first, last) = (clamp(start, 0, size - 1), clamp(end, -1, size - 1))
    return (first, Dim.maximum(0, (first - last).ceilDivided(by: Dim(step == .min ? .max : -step))))
  }
}

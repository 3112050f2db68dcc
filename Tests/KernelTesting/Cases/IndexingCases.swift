import Kernels
import TensorTypes

extension Scalar {
  /// As a position along a dimension: negative ones count from the end, the rest is clamped.
  fileprivate func position(in count: Int) -> Int {
    guard case .integer(let i) = self else { preconditionFailure("an integer") }
    return min(max(Int(i) + (i < 0 ? count : 0), 0), count - 1)
  }
}

/// Indices for dimensions of `counts`: some negative, some far outside, which must not be followed.
private func fill(_ sample: Sample, below count: Int, _ generator: inout SeededGenerator) {
  let count = Int64(count)
  sample.fill { .integer(Int64.random(in: -count - 3...count + 2, using: &generator)) }
}

/// Elements picked by indices, some of them out of range.
public struct GatherCase: Sendable {
  public var workload: GatherWorkload
  public var sizes: [String: Int]

  /// - Parameters:
  ///   - data, picks: strides of x and of the indices along the output's dimensions.
  public init(
    _ element: ElementType, output: Shape, data: [Dim], picked: [(size: Dim, stride: Dim)], _ type: ElementType,
    picks: [Dim], component: Dim = 0, sizes: [String: Int] = [:]
  ) {
    workload = GatherWorkload(
      x: View(element, output + picked.map(\.size), strides: data + picked.map(\.stride)),
      indices: View(type, output + [Dim(picked.count)], strides: picks + [component]), output: View(element, output))
    self.sizes = sizes
  }

  /// As the operator Gather.
  public static func rows(
    _ x: View, _ indexShape: Shape, _ type: ElementType, axis: Int, sizes: [String: Int] = [:]
  ) -> GatherCase {
    let inner = x.strides[(axis + 1)...]
    return GatherCase(
      x.element, output: x.shape[..<axis] + indexShape + x.shape[(axis + 1)...],
      data: x.strides[..<axis] + indexShape.map { _ in 0 } + inner, picked: [(x.shape[axis], x.strides[axis])], type,
      picks: x.strides[..<axis].map { _ in 0 } + View(type, indexShape).strides + inner.map { _ in 0 }, sizes: sizes)
  }

  /// As the operator GatherElements.
  public static func elements(_ x: View, _ shape: Shape, _ type: ElementType, axis: Int, sizes: [String: Int] = [:])
    -> GatherCase
  {
    var data = x.strides
    data[axis] = 0
    return GatherCase(
      x.element, output: shape, data: data, picked: [(x.shape[axis], x.strides[axis])], type,
      picks: View(type, shape).strides, sizes: sizes)
  }

  /// As the operator GatherND: indices of `outer` and a last dimension of `depth`.
  public static func positions(_ x: View, _ outer: Shape, depth: Int, _ type: ElementType, sizes: [String: Int] = [:])
    -> GatherCase
  {
    let inner = x.rank - depth
    return GatherCase(
      x.element, output: outer + x.shape[depth...], data: outer.map { _ in 0 } + x.strides[depth...],
      picked: (0..<depth).map { (x.shape[$0], x.strides[$0]) }, type,
      picks: View(type, outer + [Dim(depth)]).strides.dropLast() + [Dim](repeating: 0, count: inner), component: 1,
      sizes: sizes)
  }

  public static func random(_ g: inout SeededGenerator) -> GatherCase {
    let rank = g.size(1...3)
    var sizes = DrawnSizes(g.flip(0.3))
    let shape = (0..<rank).map { d in sizes.dim("n\(d)", g.edge(most: [67, 33, 9][rank - 1])) }
    let element: ElementType = g.pick(.float32, .float32, .int64, .uint8, .float16)
    let x: View =
      g.flip(0.7) ? View(element, shape) : .transposed(element, shape, Array(0..<rank).shuffled(using: &g))
    let type: ElementType = g.pick(.int64, .int32)
    let axis = g.size(0...rank - 1)
    switch g.size(0...2) {
    case 0:
      let indices = (0..<g.size(0...2)).map { d in sizes.dim("i\(d)", g.edge(most: 19)) }
      return rows(x, indices, type, axis: axis, sizes: sizes.values)
    case 1:
      // No larger than x but along the axis.
      let picked = (0..<rank).map { d in
        d == axis ? sizes.dim("i", g.edge(most: 33)) : g.flip(0.7) ? x.shape[d] : Dim(1)
      }
      return elements(x, picked, type, axis: axis, sizes: sizes.values)
    default:
      let outer = (0..<g.size(0...2)).map { d in sizes.dim("i\(d)", g.edge(most: 19)) }
      return positions(x, outer, depth: g.size(1...rank), type, sizes: sizes.values)
    }
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    let (w, outputRank) = (workload, workload.output.rank)
    let inputs = samples(w.operands, sizes: sizes, &generator)
    let counts = Array(inputs[0].shape[outputRank...])
    fill(inputs[1], below: counts.min() ?? 1, &generator)
    return KernelCase(.gather(w), sizes: sizes, inputs: inputs) { index in
      if counts.contains(0) { return Expected(value: w.x.element.isFloat ? .float(0) : .integer(0)) }
      let places = counts.enumerated().map { i, count in inputs[1][index + [i]].position(in: count) }
      return Expected(value: inputs[0][index + places])
    }
  }
}

/// Elements that indices name replaced by updates, or joined with them.
public struct ScatterCase: Sendable {
  public var workload: ScatterWorkload
  public var sizes: [String: Int]

  public init(
    _ x: View, updates: View, indices: [Dim], component: Dim = 0, depth: Int, _ places: [ScatterWorkload.Place],
    _ function: BinaryFunction?, sizes: [String: Int] = [:]
  ) {
    workload = ScatterWorkload(
      x: x, indices: View(.int64, updates.shape + [Dim(depth)], strides: indices + [component]), updates: updates,
      places: places, function: function, output: View(x.element, x.shape))
    self.sizes = sizes
  }

  public static let functions: [BinaryFunction?] = [nil, .add, .multiply, .minimum, .maximum]

  public static func random(_ g: inout SeededGenerator) -> ScatterCase {
    let rank = g.size(1...3)
    let function = g.pick(functions)
    // Products of many updates leave a narrow type's range.
    let element: ElementType =
      function == .multiply ? g.pick(.float32, .int32) : g.pick(.float32, .int32, .uint8, .int64)
    var sizes = DrawnSizes(g.flip(0.3))
    let shape = (0..<rank).map { d in sizes.dim("n\(d)", g.edge(most: [67, 19, 9][rank - 1])) }
    let x = View(element, shape)
    if g.flip() {
      // As ScatterElements: updates no larger than x but along the axis.
      let axis = g.size(0...rank - 1)
      let size = (0..<rank).map { d in d == axis ? Dim(g.edge(most: 19)) : g.flip(0.7) ? shape[d] : Dim(1) }
      let places = (0..<rank).map { $0 == axis ? ScatterWorkload.Place.picked(0) : .along($0) }
      let updates = View(element, size)
      return ScatterCase(x, updates: updates, indices: updates.strides, depth: 1, places, function, sizes: sizes.values)
    }
    // As ScatterND: rows of `depth` indices.
    let depth = g.size(1...rank)
    let count = sizes.dim("i", g.edge(most: 19))
    let updates = View(element, [count] + shape[depth...])
    let places =
      (0..<depth).map { ScatterWorkload.Place.picked($0) } + (depth..<rank).map { .along($0 - depth + 1) }
    return ScatterCase(
      x, updates: updates, indices: [Dim(depth)] + (depth..<rank).map { _ in 0 }, component: 1, depth: depth, places,
      function, sizes: sizes.values)
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    let w = workload
    let inputs = samples(w.operands, sizes: sizes, &generator)
    let shape = inputs[0].shape
    let least = zip(w.places, shape).compactMap { place, size in
      if case .picked = place { size } else { nil }
    }.min()!
    fill(inputs[1], below: least, &generator)
    var results: [[Int]: Scalar] = [:]
    forEachIndex(inputs[2].shape) { index in
      if least == 0 { return }
      let target = zip(w.places, shape).map { place, size in
        switch place {
        case .along(let d): index[d]
        case .picked(let i): inputs[1][index + [i]].position(in: size)
        }
      }
      let update = inputs[2][index]
      guard let function = w.function else {
        results[target] = update
        return
      }
      let joined = Expression.binary(function, w.x.element).evaluate {
        $0 == 0 ? results[target] ?? inputs[0][target] : update
      }
      results[target] = joined
    }
    // One rounding an update, in the same order.
    return KernelCase(.scatter(w), sizes: sizes, inputs: inputs) { [results] index in
      Expected(value: results[index] ?? inputs[0][index])
    }
  }
}

/// Sums of weighted elements at places that indices name, some of them out of range, for every channel.
public struct GatherSumCase: Sendable {
  public var workload: GatherSumWorkload
  public var sizes: [String: Int]

  /// - Parameters:
  ///   - channelsTogether: whether they are neighbours in memory.
  ///   - sharesTaps: whether all batches have the same indices and weights.
  public init(
    _ element: ElementType, batch: Dim, channels: Dim, size: Dim, taps: Int, points: Dim, channelsTogether: Bool,
    sharesTaps: Bool = false, _ type: ElementType = .int32, sizes: [String: Int] = [:]
  ) {
    let x: Shape = [batch, channels, size]
    let places: Shape = [batch, Dim(taps), points]
    let strides: [Dim] = [sharesTaps ? 0 : Dim(taps) * points, points, 1]
    workload = GatherSumWorkload(
      x: channelsTogether ? .transposed(element, [batch, size, channels], [0, 2, 1]) : View(element, x),
      indices: View(type, places, strides: strides), weights: View(element, places, strides: strides),
      output: View(element, [batch, channels, points]))
    self.sizes = sizes
  }

  public static func random(_ g: inout SeededGenerator) -> GatherSumCase {
    var sizes = DrawnSizes(g.flip(0.3))
    return GatherSumCase(
      g.pick(.float32, .float32, .float64, .float16), batch: sizes.dim("n", g.edge(most: 3)),
      channels: g.flip(0.3) ? 3 : sizes.dim("c", g.edge(most: 37)), size: sizes.dim("s", max(1, g.edge(most: 50))),
      taps: g.pick(1, 2, 4, 16), points: sizes.dim("p", g.edge(most: 67)), channelsTogether: g.flip(),
      sharesTaps: g.flip(0.3), g.pick(.int32, .int64), sizes: sizes.values)
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    let w = workload
    let inputs = samples(w.operands, sizes: sizes, &generator)
    let (size, taps) = (inputs[0].shape[2], inputs[1].shape[1])
    inputs[1].fill { .integer(Int64.random(in: -3...Int64(size) + 2, using: &generator)) }
    let unit = w.x.element == .float64 ? 0x1p-53 : 0x1p-24
    return KernelCase(.gatherSum(w), sizes: sizes, inputs: inputs) { index in
      let terms = (0..<taps).map { tap -> Double in
        let place = [index[0], tap, index[2]]
        guard case .integer(let picked) = inputs[1][place] else { preconditionFailure("an integer") }
        return inputs[2][place].double * inputs[0][[index[0], index[1], min(max(Int(picked), 0), size - 1)]].double
      }
      let (sum, magnitude) = (terms.reduce(0, +), terms.reduce(0) { $0 + abs($1) })
      // Subnormal numbers of f16 are 2⁻²⁴ apart.
      let least = w.x.element == .float16 ? 0x1p-25 : 0
      return Expected(
        value: .float(sum), tolerance: Double(taps) * unit * magnitude + w.x.element.epsilon * abs(sum) + least)
    }
  }
}

import KernelTesting
import Kernels
import TensorTypes
import Testing

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

@Suite struct GatherTests {
  /// - Parameters:
  ///   - data, picks: strides of x and of the indices along the output's dimensions.
  private func checkGather(
    _ element: ElementType, output: Shape, data: [Dim], picked: [(size: Dim, stride: Dim)], _ type: ElementType,
    picks: [Dim], component: Dim = 0, sizes: [String: Int] = [:]
  ) throws {
    let w = GatherWorkload(
      x: View(element, output + picked.map(\.size), strides: data + picked.map(\.stride)),
      indices: View(type, output + [Dim(picked.count)], strides: picks + [component]), output: View(element, output))
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let inputs = samples(w.operands, sizes: sizes, &generator)
    let counts = inputs[0].shape[output.count...]
    fill(inputs[1], below: counts.min() ?? 1, &generator)
    try check(.gather(w), sizes: sizes, inputs: inputs, seed: seed) { index in
      if counts.contains(0) { return Expected(value: element.isFloat ? .float(0) : .integer(0)) }
      let places = counts.enumerated().map { i, count in inputs[1][index + [i]].position(in: count) }
      return Expected(value: inputs[0][index + places])
    }
  }

  /// As the operator Gather.
  private func checkRows(_ x: View, _ indexShape: Shape, _ type: ElementType, axis: Int, sizes: [String: Int] = [:])
    throws
  {
    let inner = x.strides[(axis + 1)...]
    try checkGather(
      x.element, output: x.shape[..<axis] + indexShape + x.shape[(axis + 1)...],
      data: x.strides[..<axis] + indexShape.map { _ in 0 } + inner, picked: [(x.shape[axis], x.strides[axis])], type,
      picks: x.strides[..<axis].map { _ in 0 } + View(type, indexShape).strides + inner.map { _ in 0 }, sizes: sizes)
  }

  @Test(arguments: [ElementType.int64, .int32]) func rows(type: ElementType) throws {
    try checkRows(View(.float32, [30, 384]), [2, 7], type, axis: 0)
    try checkRows(
      View(.float32, [.symbol("v"), .symbol("d")]), [.symbol("s")], type, axis: 0, sizes: ["v": 11, "d": 21, "s": 5])
    try checkRows(View(.float32, [4, 9, 3]), [6], type, axis: 1)
    try checkRows(View(.int64, [50]), [3, 21], type, axis: 0)
    try checkRows(View(.float32, [5, 40]), [19], type, axis: 1)
    try checkRows(View(.float32, [5, .symbol("n")]), [.symbol("m")], type, axis: 1, sizes: ["n": 17, "m": 2000])
    try checkRows(View(.float32, [5, 12]), [], type, axis: 0)
    try checkRows(View(.float32, [6]), [], type, axis: 0)
    try checkRows(.transposed(.uint8, [8, 9], [1, 0]), [4], type, axis: 0)
    // Nothing to pick from: nothing is read.
    try checkRows(View(.float32, [.symbol("v"), 5]), [3], type, axis: 0, sizes: ["v": 0])
    try checkRows(View(.float32, [.symbol("v")]), [9], type, axis: 0, sizes: ["v": 0])
  }

  @Test(arguments: [ElementType.int64, .int32]) func elements(type: ElementType) throws {
    for n in [1, 8, 33] {
      // As GatherElements along the last, the first and a middle dimension.
      try checkGather(
        .float32, output: [3, Dim(n)], data: [50, 0], picked: [(50, 1)], type, picks: [Dim(n), 1])
      try checkGather(.float32, output: [5, Dim(n)], data: [0, 1], picked: [(6, 50)], type, picks: [Dim(n), 1])
      try checkGather(
        .uint8, output: [2, 3, .symbol("n")], data: [40 * .symbol("n"), 0, 1], picked: [(.symbol("p"), .symbol("n"))],
        type, picks: [3 * .symbol("n"), .symbol("n"), 1], sizes: ["n": n, "p": 4])
    }
  }

  @Test(arguments: [ElementType.int64, .int32]) func pairsOfIndices(type: ElementType) throws {
    // As GatherND: two indices pick an element, or a row; a batch dimension runs along.
    try checkGather(.float32, output: [19], data: [0], picked: [(5, 9), (7, 1)], type, picks: [2], component: 1)
    try checkGather(
      .int64, output: [4, 21], data: [0, 1], picked: [(3, 200), (6, 25)], type, picks: [2, 0], component: 1)
    try checkGather(
      .float32, output: [2, .symbol("n"), 3], data: [90, 0, 1], picked: [(5, 3), (2, 40)], type,
      picks: [2 * .symbol("n"), 2, 0], component: 1, sizes: ["n": 11])
  }
}

@Suite struct ScatterTests {
  private func checkScatter(
    _ x: View, updates: View, indices: [Dim], component: Dim = 0, depth: Int, _ places: [ScatterWorkload.Place],
    _ function: BinaryFunction?, sizes: [String: Int] = [:]
  ) throws {
    let w = ScatterWorkload(
      x: x, indices: View(.int64, updates.shape + [Dim(depth)], strides: indices + [component]), updates: updates,
      places: places, function: function, output: View(x.element, x.shape))
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let inputs = samples(w.operands, sizes: sizes, &generator)
    let shape = inputs[0].shape
    let least = zip(places, shape).compactMap { place, size in
      if case .picked = place { size } else { nil }
    }.min()!
    fill(inputs[1], below: least, &generator)
    var results: [[Int]: Scalar] = [:]
    forEachIndex(inputs[2].shape) { index in
      if least == 0 { return }
      let target = zip(places, shape).map { place, size in
        switch place {
        case .along(let d): index[d]
        case .picked(let i): inputs[1][index + [i]].position(in: size)
        }
      }
      let update = inputs[2][index]
      guard let function else {
        results[target] = update
        return
      }
      let joined = Expression.binary(function, x.element).evaluate {
        $0 == 0 ? results[target] ?? inputs[0][target] : update
      }
      results[target] = joined
    }
    // One rounding an update, in the same order.
    try check(.scatter(w), sizes: sizes, inputs: inputs, seed: seed) { index in
      Expected(value: results[index] ?? inputs[0][index])
    }
  }

  @Test(arguments: [nil, BinaryFunction.add, .multiply, .minimum, .maximum]) func elements(function: BinaryFunction?)
    throws
  {
    for n in function == nil ? [1, 8, 33] : [9] {
      let size = Dim(n)
      // Along the last, the first and a middle dimension.
      try checkScatter(
        View(.float32, [3, 12]), updates: View(.float32, [3, size]), indices: [size, 1], depth: 1,
        [.along(0), .picked(0)], function)
      try checkScatter(
        View(.float32, [6, 40]), updates: View(.float32, [5, size]), indices: [size, 1], depth: 1,
        [.picked(0), .along(1)], function)
      try checkScatter(
        View(.int32, [2, 5, 40]), updates: View(.int32, [2, 3, .symbol("n")]),
        indices: [3 * .symbol("n"), .symbol("n"), 1],
        depth: 1, [.along(0), .picked(0), .along(2)], function, sizes: ["n": n])
    }
    try checkScatter(
      View(.int64, [.symbol("v")]), updates: View(.int64, [7]), indices: [1], depth: 1, [.picked(0)], function,
      sizes: ["v": 0])
  }

  @Test(arguments: [nil, BinaryFunction.add, .maximum]) func slices(function: BinaryFunction?) throws {
    // As ScatterND: rows, single elements, a pair of indices with a plane.
    try checkScatter(
      View(.float32, [9, 37]), updates: View(.float32, [5, 37]), indices: [1, 0], depth: 1, [.picked(0), .along(1)],
      function)
    try checkScatter(
      View(.float32, [4, 5]), updates: View(.float32, [30]), indices: [2], component: 1, depth: 2,
      [.picked(0), .picked(1)], function)
    try checkScatter(
      View(.uint8, [3, 4, .symbol("h"), 10]), updates: View(.uint8, [6, .symbol("h"), 10]), indices: [2, 0, 0],
      component: 1, depth: 2, [.picked(0), .picked(1), .along(1), .along(2)], function, sizes: ["h": 3])
  }
}

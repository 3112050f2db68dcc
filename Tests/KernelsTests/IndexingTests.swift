import KernelTesting
import Kernels
import TensorTypes
import Testing

@Suite struct GatherTests {
  private func check(_ gather: GatherCase) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    try KernelsTests.check(gather.kernelCase(&generator), seed: seed)
  }

  private func checkGather(
    _ element: ElementType, output: Shape, data: [Dim], picked: [(size: Dim, stride: Dim)], _ type: ElementType,
    picks: [Dim], component: Dim = 0, sizes: [String: Int] = [:]
  ) throws {
    try check(
      GatherCase(
        element, output: output, data: data, picked: picked, type, picks: picks, component: component, sizes: sizes))
  }

  private func checkRows(_ x: View, _ indexShape: Shape, _ type: ElementType, axis: Int, sizes: [String: Int] = [:])
    throws
  {
    try check(.rows(x, indexShape, type, axis: axis, sizes: sizes))
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

@Suite struct GatherSumTests {
  @Test(arguments: [true, false]) func agreesWithItsDefinition(channelsTogether: Bool) throws {
    let (c, p): (Dim, Dim) = (.symbol("c"), .symbol("p"))
    for (channels, points, sizes) in [
      (1, 1, [:]), (3, 33, [:]), (16, 16, [:]), (17, 47, [:]), (c, p, ["c": 35, "p": 1030]),
    ] as [(Dim, Dim, [String: Int])] {
      for taps in [1, 4] {
        let seed = freshSeed()
        var generator = SeededGenerator(seed: seed)
        let sum = GatherSumCase(
          .float32, batch: 2, channels: channels, size: 60, taps: taps, points: points,
          channelsTogether: channelsTogether, sizes: sizes)
        try KernelsTests.check(sum.kernelCase(&generator), seed: seed)
      }
    }
  }
}

@Suite struct ScatterTests {
  private func checkScatter(
    _ x: View, updates: View, indices: [Dim], component: Dim = 0, depth: Int, _ places: [ScatterWorkload.Place],
    _ function: BinaryFunction?, sizes: [String: Int] = [:]
  ) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let scatter = ScatterCase(
      x, updates: updates, indices: indices, component: component, depth: depth, places, function, sizes: sizes)
    try check(scatter.kernelCase(&generator), seed: seed)
  }

  @Test(arguments: ScatterCase.functions) func elements(function: BinaryFunction?)
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

import KernelTesting
import Kernels
import TensorTypes
import Testing

private func checkCopy(_ x: View, _ y: View, sizes: [String: Int] = [:]) throws {
  let seed = freshSeed()
  var generator = SeededGenerator(seed: seed)
  let inputs = samples([x], sizes: sizes, &generator)
  try check(.movement(MovementWorkload(x: x, output: y)), sizes: sizes, inputs: inputs, seed: seed) { index in
    Expected(value: inputs[0][index])
  }
}

@Suite struct MovementTests {
  @Test(arguments: [ElementType.float32, .int64, .float16, .uint8, .bool]) func transposes(type: ElementType) throws {
    for (m, n) in [(1, 1), (3, 50), (8, 8), (16, 33), (70, 5), (17, 17)] {
      try checkCopy(.transposed(type, [2, Dim(n), Dim(m)], [0, 2, 1]), View(type, [2, Dim(m), Dim(n)]))
    }
    let (h, w): (Dim, Dim) = (.symbol("h"), .symbol("w"))
    for (rows, columns) in [(5, 9), (16, 24), (0, 4), (33, 1)] {
      try checkCopy(
        .transposed(type, [1, 3, h, w], [0, 2, 3, 1]), View(type, [1, h, w, 3]), sizes: ["h": rows, "w": columns])
      try checkCopy(
        .transposed(type, [1, h, w, 20], [0, 3, 1, 2]), View(type, [1, 20, h, w]), sizes: ["h": rows, "w": columns])
    }
  }

  @Test func generalPermutations() throws {
    for order in [[3, 1, 0, 2], [2, 3, 0, 1], [1, 0, 3, 2], [3, 2, 1, 0]] {
      let shape: Shape = [3, 10, 9, 17]
      try checkCopy(.transposed(.float32, shape, order), View(.float32, order.map { shape[$0] }))
    }
  }

  @Test func slicesAndBroadcasts() throws {
    try checkCopy(View(.float32, [4, 13], strides: [40, 2]), View(.float32, [4, 13]))
    try checkCopy(View(.float32, [13]).broadcast(to: [4, 13]), View(.float32, [4, 13], strides: [50, 1]))
    try checkCopy(View(.float32, [4, 1]).broadcast(to: [4, 200]), View(.float32, [4, 200]))
    try checkCopy(View(.float32, [100_000]), View(.float32, [100_000]))
  }

  @Test(arguments: [MovementWorkload.Padding.constant(.float(0.5)), .edge, .reflect, .wrap])
  func padding(mode: MovementWorkload.Padding) throws {
    let cases: [(before: [Int], x: [Int], after: [Int])] = [
      ([0, 1, 2, 0], [2, 4, 5, 19], [0, 2, 1, 0]), ([0, 0, 2], [2, 3, 40], [0, 0, 3]), ([2, 0], [9, 33], [1, 0]),
      ([1], [7], [1]),
    ]
    for (before, xShape, after) in cases {
      for isSymbolic in [false, true] {
        var sizes: [String: Int] = [:]
        let last = xShape.count - 1
        if isSymbolic { sizes["n"] = xShape[last] }
        let x = View(.float32, xShape.dropLast().map { Dim($0) } + [isSymbolic ? .symbol("n") : Dim(xShape[last])])
        let y = View(.float32, zip(x.shape, zip(before, after)).map { $0 + Dim($1.0) + Dim($1.1) })
        let seed = freshSeed()
        var generator = SeededGenerator(seed: seed)
        let inputs = samples([x], sizes: sizes, &generator)
        let workload = MovementWorkload(x: x, before: before.map { Dim($0) }, padding: mode, output: y)
        try check(.movement(workload), sizes: sizes, inputs: inputs, seed: seed) { index in
          let positions = index.indices.map { source(index[$0] - before[$0], xShape[$0], mode) }
          if positions.contains(nil) { return Expected(value: .float(0.5)) }
          return Expected(value: inputs[0][positions.map { $0! }])
        }
      }
    }
  }

  private func source(_ i: Int, _ n: Int, _ mode: MovementWorkload.Padding) -> Int? {
    switch mode {
    case .none, .constant: return (0..<n).contains(i) ? i : nil
    case .edge: return min(max(i, 0), n - 1)
    case .wrap: return ((i % n) + n) % n
    case .reflect:
      if n == 1 { return 0 }
      let phase = ((i % (2 * n - 2)) + 2 * n - 2) % (2 * n - 2)
      return phase < n ? phase : 2 * n - 2 - phase
    }
  }
}

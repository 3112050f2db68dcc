import KernelTesting
import Kernels
import LLVMBackend
import TensorTypes
import Testing
import TileIR

private func checkCopy(_ x: View, _ y: View, sizes: [String: Int] = [:], targets: [Target]? = nil) throws {
  let seed = freshSeed()
  var generator = SeededGenerator(seed: seed)
  try check(CopyCase(x, y, sizes: sizes).kernelCase(&generator), seed: seed, targets: targets)
}

@Suite struct MovementTests {
  @Test(arguments: [ElementType.float32, .int64, .float16, .uint8, .bool]) func transposes(type: ElementType) throws {
    for (m, n) in [(1, 1), (3, 50), (8, 8), (16, 33), (70, 5), (17, 17), (40, 900), (900, 40)] {
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

  /// As large results are: here any size is too large for caches of nothing.
  @Test(arguments: [ElementType.float32, .float16, .int64, .uint8]) func transposesPastCaches(type: ElementType) throws
  {
    let targets = (Target.runnable.prefix(1) + [.avx2]).map { target in
      var target = target
      target.machine.cacheBytes[2] = 0
      return target
    }
    for (m, n) in [(64, 256), (65, 256), (100, 320), (81, 64), (300, 448), (130, 330)] {
      try checkCopy(
        .transposed(type, [2, Dim(n), Dim(m)], [0, 2, 1]), View(type, [2, Dim(m), Dim(n)]), targets: targets)
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

  @Test(arguments: PadCase.modes) func padding(mode: MovementWorkload.Padding) throws {
    let cases: [(before: [Int], x: [Int], after: [Int])] = [
      ([0, 1, 2, 0], [2, 4, 5, 19], [0, 2, 1, 0]), ([0, 0, 2], [2, 3, 40], [0, 0, 3]), ([2, 0], [9, 33], [1, 0]),
      ([1], [7], [1]),
    ]
    for (before, x, after) in cases {
      for isSymbolic in [false, true] {
        let seed = freshSeed()
        var generator = SeededGenerator(seed: seed)
        let pad = PadCase(mode, before: before, x: x, after: after, isSymbolic: isSymbolic)
        try check(pad.kernelCase(&generator), seed: seed)
      }
    }
  }
}

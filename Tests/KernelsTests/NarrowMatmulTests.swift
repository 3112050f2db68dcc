import KernelTesting
import Kernels
import LLVMBackend
import TensorTypes
import Testing

/// Products with constants of 4, 8 and 16 bits.
@Suite struct NarrowMatmulTests {
  private static let storages: [NarrowMatmulCase.Storage] = [
    .float(.float16), .float(.bfloat16), .codes(bits: 8, group: 1 << 20, hasZeros: false),
    .codes(bits: 8, group: 16, hasZeros: true), .codes(bits: 4, group: 32, hasZeros: false),
    .codes(bits: 4, group: 8, hasZeros: true),
  ]

  private func check(_ narrow: NarrowMatmulCase, knobs: [Knobs] = []) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    try KernelsTests.check(narrow.kernelCase(&generator), seed: seed, knobs: knobs)
  }

  /// Rows, columns and steps at the edges of tiles, words and groups.
  @Test(arguments: storages) func tileEdges(storage: NarrowMatmulCase.Storage) throws {
    for m in [1, 4, 5, 6, 7, 13] {
      var narrow = NarrowMatmulCase(m: m, n: 33, k: 40, storage)
      narrow.isSymbolic = m % 2 == 1
      try check(narrow)
    }
    for n in [1, 15, 16, 17, 63, 65] {
      var narrow = NarrowMatmulCase(m: n % 2 == 0 ? 2 : 8, n: n, k: 32, batch: 2, storage)
      narrow.transposed = n % 4 == 1
      try check(narrow)
    }
    for k in [1, 7, 8, 9, 31, 33, 65] {
      try check(NarrowMatmulCase(m: 1, n: 20, k: k, storage))
      try check(NarrowMatmulCase(m: 9, n: 20, k: k, storage))
    }
  }

  /// Products of 16-bit floats from end to end.
  @Test(arguments: [ElementType.float16, .bfloat16]) func narrowThroughout(element: ElementType) throws {
    for (m, n, k) in [(1, 33, 40), (4, 16, 31), (7, 65, 9), (13, 40, 70)] {
      var narrow = NarrowMatmulCase(m: m, n: n, k: k, .float(element))
      narrow.isNarrowThroughout = true
      narrow.isSymbolic = m % 2 == 1
      try check(narrow)
      narrow.isWideResult = true
      try check(narrow)
      narrow.leftTransposed = true
      try check(narrow)
    }
  }

  /// k in pieces that begin within a group, a packed or not: the ways that small defaults do not take.
  @Test(arguments: storages) func blocking(storage: NarrowMatmulCase.Storage) throws {
    for packs in [0, 1] {
      let knobs: Knobs = [
        "mr": 4, "nr": 8, "mc": 2, "nc": 3, "kc": 24, "packA": packs, "packB": 1, "unroll": 2, "prefetch": packs,
        "skinnyPanels": 3,
        "skinnyUnroll": 2,
      ]
      for (m, n, k) in [(19, 50, 100), (8, 24, 48), (9, 25, 49), (1, 60, 100)] {
        var narrow = NarrowMatmulCase(m: m, n: n, k: k, storage)
        narrow.isSymbolic = m == 19
        try check(narrow, knobs: [knobs])
      }
    }
  }
}

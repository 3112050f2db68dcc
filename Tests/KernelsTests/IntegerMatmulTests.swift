import KernelTesting
import Kernels
import TensorTypes
import Testing

@Suite struct IntegerMatmulTests {
  private func check(_ product: IntegerMatmulCase, knobs: [Knobs] = []) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    try KernelsTests.check(product.kernelCase(&generator), seed: seed, knobs: knobs)
  }

  @Test(arguments: IntegerMatmulCase.types, IntegerMatmulCase.types)
  func tileEdges(left: ElementType, right: ElementType) throws {
    for m in [1, 5, 6, 7, 13] { try check(.init(left, right, m: m, n: 33, k: 19, isSymbolic: m % 2 == 1)) }
    for n in [1, 15, 16, 17, 40] {
      try check(.init(left, right, m: 11, n: n, k: 8, batch: 2, bIsConstant: n % 2 == 0, transposed: n > 15))
    }
    for k in [1, 2, 15, 16, 17, 64] {
      try check(.init(left, right, m: 8, n: 16, k: k, batch: 3, transposed: k % 2 == 0, requantises: true))
    }
  }

  /// Every product and every sum at its largest: 128 · 255, 255 · 255, and i16's, which wrap around.
  @Test(arguments: IntegerMatmulCase.types, IntegerMatmulCase.types)
  func extremes(left: ElementType, right: ElementType) throws {
    for (m, n, k) in [(7, 17, 301), (2, 65, 300)] {
      try check(.init(left, right, m: m, n: n, k: k, isExtreme: true))
      try check(.init(left, right, m: m, n: n, k: k, bIsConstant: false, isExtreme: true))
    }
  }

  /// Four numbers a word: every sum of two products as large as it gets, k that ends within a word, few rows and many.
  @Test(arguments: [true, false]) func sevenBits(isExtreme: Bool) throws {
    for (m, n, k) in [(7, 17, 301), (13, 40, 33), (2, 65, 302), (1, 150, 35), (4, 16, 3), (20, 33, 64)] {
      try check(
        .init(
          .uint8, .int8, m: m, n: n, k: k, batch: m % 2 + 1, transposed: n % 2 == 0, isSymbolic: m > 10,
          isExtreme: isExtreme, isSmall: true, requantises: k % 2 == 0))
    }
  }

  /// Bytes in rows that end a lane past a vector: what LLVM stored as a word (`Module.storeSingleLanes`).
  @Test func lastLane() throws {
    for n in [17, 33, 49] {
      try check(.init(.uint8, .int8, m: 11, n: n, k: 32, batch: 3, requantises: true))
      try check(.init(.int16, .int8, m: 11, n: n, k: 32, batch: 3, requantises: true))
    }
  }

  /// Rows of a side by side: words are joined, k ends within one, rows within a vector.
  @Test(arguments: IntegerMatmulCase.types, [true, false]) func rowsSideBySide(left: ElementType, isConstant: Bool)
    throws
  {
    for (m, n, k) in [(1, 16, 1), (6, 17, 18), (16, 20, 35), (17, 5, 16), (48, 33, 7)] {
      try check(
        .init(
          left, .int8, m: m, n: n, k: k, batch: 2, bIsConstant: isConstant, leftTransposed: true, isSymbolic: m > 16))
    }
  }

  /// Operands of sizes known at run time only, k in both layouts.
  @Test(arguments: [true, false]) func dynamicOperands(transposed: Bool) throws {
    for (m, n, k) in [(1, 16, 1), (6, 17, 16), (9, 48, 33)] {
      try check(
        .init(.uint8, .int8, m: m, n: n, k: k, batch: 2, bIsConstant: false, transposed: transposed, isSymbolic: true))
    }
  }

  /// Blocking and widths that the defaults do not take.
  @Test(arguments: [1, 2], [0, 1]) func knobs(bytes: Int, packs: Int) throws {
    let knobs: Knobs = [
      "mr": 4, "nr": 8, "mc": 2, "nc": 3, "packA": packs, "unroll": 2, "bytes": bytes, "skinnyPanels": 3,
      "skinnyUnroll": 4,
    ]
    for (m, n, k) in [(19, 50, 100), (8, 24, 47), (1, 31, 25), (3, 24, 64)] {
      try check(.init(.uint8, .int8, m: m, n: n, k: k, isSymbolic: m == 19), knobs: [knobs])
    }
  }
}

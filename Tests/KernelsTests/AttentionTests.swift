import KernelTesting
import TensorTypes
import Testing

extension AttentionCase {
  fileprivate func check() throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    try KernelsTests.check(kernelCase(&generator), seed: seed)
  }
}

@Suite struct AttentionTests {
  @Test(arguments: [(1, 1), (1, 40), (5, 17), (6, 16), (7, 33), (13, 300), (100, 130)])
  func sizes(queries: Int, keys: Int) throws {
    try AttentionCase(queries: queries, keys: keys).check()
    try AttentionCase(batch: 2, queries: queries, keys: keys, isSymbolic: true, headsInside: true).check()
  }

  @Test(arguments: [(32, 32), (40, 24), (64, 64), (5, 3), (80, 100)]) func depths(depth: Int, valueDepth: Int) throws {
    try AttentionCase(queries: 9, keys: 37, depth: depth, valueDepth: valueDepth).check()
  }

  @Test(arguments: [ElementType.bool, .float32]) func masks(type: ElementType) throws {
    for masksRows in [true, false] {
      try AttentionCase(queries: 13, keys: 45, mask: type, masksRows: masksRows).check()
      try AttentionCase(batch: 2, queries: 13, keys: 300, mask: type, masksRows: masksRows, isSymbolic: true).check()
    }
    try AttentionCase(queries: 3, keys: 2, mask: type).check()
  }

  /// A mask, or queries, larger than the level-2 cache, which are brought nearer as it goes.
  @Test func largeOperands() throws {
    try AttentionCase(heads: 1, keyHeads: 1, queries: 301, keys: 901, depth: 5, valueDepth: 3, mask: .float32).check()
    try AttentionCase(queries: 3001, keys: 21, depth: 45, valueDepth: 4, headsInside: true).check()
  }

  @Test func causal() throws {
    for (queries, keys) in [(1, 9), (20, 20), (13, 300), (150, 150), (9, 4)] {
      try AttentionCase(queries: queries, keys: keys, isCausal: true).check()
      try AttentionCase(queries: queries, keys: keys, isCausal: true, isSymbolic: true).check()
    }
  }

  /// Queries that are few beside many keys, in pieces as large as leave tasks enough: with a mask, with rows of several heads.
  @Test func fewBesideMany() throws {
    try AttentionCase(batch: 4, heads: 2, queries: 29, keys: 700, depth: 16, valueDepth: 24).check()
    try AttentionCase(
      batch: 2, heads: 4, keyHeads: 2, queries: 13, keys: 523, depth: 9, valueDepth: 8, mask: .bool, headsInside: true
    ).check()
    try AttentionCase(heads: 1, keyHeads: 1, queries: 37, keys: 600, depth: 16, valueDepth: 16, mask: .float32).check()
  }

  /// Few queries: pieces of 128 keys by default, groups of heads that fill tiles of rows and that do not.
  @Test(arguments: [1, 2, 4, 7, 12]) func decode(queries: Int) throws {
    for keys in [1, 7, 8, 127, 128, 129, 300] {
      try AttentionCase(heads: 6, keyHeads: 2, queries: queries, keys: keys, isStep: true).check()
    }
    try AttentionCase(batch: 2, heads: 4, keyHeads: 1, queries: queries, keys: 150, depth: 13, valueDepth: 75).check()
    try AttentionCase(
      heads: 5, keyHeads: 1, queries: min(3, queries), keys: 200, mask: .bool, isCausal: true, softcap: 3, isStep: true,
      headsInside: true
    ).check()
    for masksRows in [true, false] {
      try AttentionCase(batch: 2, queries: queries, keys: 140, mask: .float32, masksRows: masksRows, isStep: true)
        .check()
    }
    try AttentionCase(queries: queries, keys: 2, isCausal: true).check()
  }

  @Test func softcap() throws {
    try AttentionCase(queries: 7, keys: 19, softcap: 2).check()
    try AttentionCase(queries: 13, keys: 40, mask: .float32, isCausal: true, softcap: 5, isSymbolic: true).check()
  }

  @Test func groupedHeads() throws {
    try AttentionCase(batch: 2, heads: 6, keyHeads: 2, queries: 7, keys: 21, mask: .float32, isCausal: true).check()
  }
}

import KernelTesting
import Kernels
import LLVMBackend
import TensorTypes
import Testing

@Suite struct MatmulTests {
  /// - Parameter kernel: which to check; nil: all that take it.
  private func check(
    m: Int, n: Int, k: Int, batch: Int, bIsConstant: Bool, transposed: Bool, isSymbolic: Bool, knobs: [Knobs] = [],
    kernel: String? = nil
  ) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let product = MatmulCase(
      m: m, n: n, k: k, batch: batch, bIsConstant: bIsConstant, transposed: transposed, isSymbolic: isSymbolic)
    var kernelCase = product.kernelCase(&generator)
    kernelCase.includes = { template in kernel.map { $0 == template.name } ?? true }
    try KernelsTests.check(kernelCase, seed: seed, knobs: knobs)
  }

  @Test(arguments: [true, false], [true, false])
  func tileEdges(bIsConstant: Bool, transposed: Bool) throws {
    for m in [1, 5, 6, 7, 13] {
      try check(m: m, n: 33, k: 19, batch: 1, bIsConstant: bIsConstant, transposed: transposed, isSymbolic: m % 2 == 1)
    }
    for n in [1, 15, 16, 17, 40] {
      try check(m: 11, n: n, k: 8, batch: 2, bIsConstant: bIsConstant, transposed: transposed, isSymbolic: false)
    }
    for k in [1, 7, 9, 64] {
      try check(m: 8, n: 16, k: k, batch: 3, bIsConstant: bIsConstant, transposed: transposed, isSymbolic: true)
    }
  }

  /// Rows so few that reading b is all there is: whole groups of panels, parts of one, a part of a panel.
  @Test(arguments: [1, 2, 3, 4]) func skinny(m: Int) throws {
    for n in [1, 16, 63, 64, 65, 150] {
      try check(m: m, n: n, k: 21, batch: 2, bIsConstant: false, transposed: false, isSymbolic: false)
      try check(m: m, n: n, k: 37, batch: 1, bIsConstant: true, transposed: n % 2 == 0, isSymbolic: false)
      try check(m: m, n: n, k: 18, batch: 2, bIsConstant: true, transposed: n % 2 == 1, isSymbolic: true)
    }
    let knobs: Knobs = [
      "mr": 6, "nr": 16, "mc": 2, "nc": 3, "kc": 24, "packA": 0, "unroll": 2, "prefetch": 8, "skinnyPanels": 6,
      "skinnyUnroll": 4,
    ]
    try check(
      m: m, n: 210, k: 50, batch: 1, bIsConstant: true, transposed: false, isSymbolic: true, knobs: [knobs],
      kernel: "matmul.packed")
  }

  /// So few columns that vectors run along k: a column to a vector of them, rows past the end, a last part of k, and a b of run time
  /// whose steps of k lie side by side.
  @Test(arguments: [1, 2, 3, 4, 5, 8]) func thin(n: Int) throws {
    for (m, k, batch) in [(1, 16, 1), (7, 33, 2), (16, 50, 1), (33, 64, 3)] {
      for bIsConstant in [true, false] {
        try check(
          m: m, n: n, k: k, batch: batch, bIsConstant: bIsConstant, transposed: m != 7 || !bIsConstant,
          isSymbolic: m == 33)
      }
      let knobs: Knobs = ["rows": 3, "unroll": 4, "prefetch": 1]
      try check(
        m: m, n: min(n, 3), k: k, batch: batch, bIsConstant: true, transposed: false, isSymbolic: m == 16,
        knobs: [knobs],
        kernel: "matmul.thin")
    }
  }

  /// A few rows times a b of run time whose steps of k lie side by side: parts of blocks on both sides, a last part of k.
  @Test(arguments: [1, 2, 5, 6, 8, 13]) func inner(m: Int) throws {
    for (n, k, batch) in [(17, 16, 1), (24, 33, 2), (37, 64, 3), (50, 131, 1)] {
      let knobs: Knobs = ["rows": 3, "columns": 4, "unroll": 2]
      try check(
        m: m, n: n, k: k, batch: batch, bIsConstant: false, transposed: true, isSymbolic: false, knobs: [knobs],
        kernel: "matmul.inner")
    }
  }

  /// Constant rows of a, in panels, times a b of run time that may have any number of columns.
  @Test(arguments: [1, 5, 6, 7, 13]) func constantLeft(m: Int) throws {
    for (n, k, batch) in [(1, 8, 1), (16, 9, 2), (33, 19, 3), (50, 64, 1)] {
      let seed = freshSeed()
      var generator = SeededGenerator(seed: seed)
      var product = MatmulCase(
        m: m, n: n, k: k, batch: batch, bIsConstant: false, transposed: n == 16, isSymbolic: k % 2 == 1)
      product.aIsConstant = true
      let knobs: Knobs = [
        "mr": 4, "nr": 8, "mc": 2, "nc": 3, "kc": 16, "packA": 0, "unroll": 2, "prefetch": 0, "packB": 1,
        "columnsInner": 0, "skinnyPanels": 2, "skinnyUnroll": 2,
      ]
      var inPlace = knobs
      inPlace["packB"] = 0
      try KernelsTests.check(product.kernelCase(&generator), seed: seed, knobs: [knobs, inPlace])
    }
  }

  /// Panels of a run-time b are read in place by the blocks of a constant a, unless its rows share few cache sets.
  @Test(arguments: [(784, 0), (785, 0), (16384, 1)]) func constantLeftReads(columns: Int, packB: Int) throws {
    var generator = SeededGenerator(seed: 1)
    var product = MatmulCase(
      m: 40, n: columns, k: 192, batch: 1, bIsConstant: false, transposed: false, isSymbolic: false)
    product.aIsConstant = true
    let kernel = try #require(allKernels.first { $0.name == "matmul.packed" })
    let knobs = kernel.defaultKnobs(
      for: product.kernelCase(&generator).workload, on: Target.avx512.machine)
    #expect(knobs["packB"] == packB)
  }

  /// k in pieces, a packed: the ways that small defaults do not take.
  @Test func blocking() throws {
    for packs in [0, 1] {
      let knobs: Knobs = [
        "mr": 4, "nr": 8, "mc": 2, "nc": 3, "kc": 24, "packA": packs, "unroll": 2, "prefetch": packs, "skinnyPanels": 2,
        "skinnyUnroll": 2,
      ]
      for (m, n, k) in [(19, 50, 100), (8, 24, 48), (9, 25, 49), (1, 1, 25)] {
        try check(
          m: m, n: n, k: k, batch: 1, bIsConstant: true, transposed: false, isSymbolic: m == 19, knobs: [knobs],
          kernel: "matmul.packed")
      }
      // b of run time: in place or packed by each task.
      var runTime = knobs
      for packsB in [0, 1] {
        (runTime["packB"], runTime["columnsInner"]) = (packsB, packs)
        for (m, n, k) in [(19, 50, 100), (8, 24, 48), (1, 25, 25)] {
          try check(
            m: m, n: n, k: k, batch: 2, bIsConstant: false, transposed: n == 50, isSymbolic: m == 8, knobs: [runTime],
            kernel: "matmul.packed")
        }
      }
    }
  }
}

import KernelTesting
import TensorTypes
import Testing

@Suite struct PlainMatmulTests {
  @Test(arguments: PlainMatmulCase.types) func tileEdges(type: ElementType) throws {
    for (m, n, k) in [(1, 1, 1), (4, 8, 0), (5, 17, 9), (8, 16, 33)] {
      let seed = freshSeed()
      var generator = SeededGenerator(seed: seed)
      let product = PlainMatmulCase(type, m: m, n: n, k: k, transposed: k % 2 == 1, isSymbolic: k == 9)
      try check(product.kernelCase(&generator), seed: seed)
    }
  }
}

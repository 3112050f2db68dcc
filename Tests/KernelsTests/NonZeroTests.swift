import KernelTesting
import Kernels
import TensorTypes
import Testing

@Suite struct NonZeroTests {
  private func checkPlaces(_ x: View, sizes: [String: Int] = [:]) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    for kernelCase in NonZeroCase(x, sizes: sizes).kernelCases(&generator) { try check(kernelCase, seed: seed) }
  }

  @Test(arguments: [ElementType.float32, .float16, .int64, .int8, .uint8, .bool]) func places(type: ElementType) throws
  {
    for shape in [[1], [7], [3, 5], [2, 1, 9], [4, 3, 2, 2]] { try checkPlaces(View(type, shape.map { Dim($0) })) }
    for n in [0, 1, 64, 1000] { try checkPlaces(View(type, [2, .symbol("n")]), sizes: ["n": n]) }
    try checkPlaces(View(type, [5, 6], strides: [1, 5]))
  }
}

import KernelTesting
import Kernels
import TensorTypes
import Testing

@Suite struct NonZeroTests {
  /// Every third element or so is 0, one is NaN where there are NaNs.
  private func checkPlaces(_ x: View, sizes: [String: Int] = [:]) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let input = samples([x], sizes: sizes, &generator)[0]
    input.fill {
      let zero: Scalar = x.element.isFloat ? .float(0) : .integer(0)
      return Int.random(in: 0..<3, using: &generator) == 0 ? zero : x.element.random(&generator)
    }
    if x.element.isFloat, input.memory.count > 0 { input.memory[0] = .float(.nan) }
    var places: [[Int]] = []
    // Not equal to 0: NaN is not.
    forEachIndex(input.shape) { if !(input[$0].double == 0) { places.append($0) } }
    let count = NonZeroWorkload(x: x, step: .count, output: View(.int64, []))
    try check(.nonZero(count), sizes: sizes, inputs: [input], seed: seed) { _ in
      Expected(value: .integer(Int64(places.count)))
    }
    var all = sizes
    all["found"] = places.count
    let indices = NonZeroWorkload(x: x, step: .indices, output: View(.int64, [Dim(x.rank), .symbol("found")]))
    try check(.nonZero(indices), sizes: all, inputs: [input], seed: seed) { index in
      Expected(value: .integer(Int64(places[index[1]][index[0]])))
    }
  }

  @Test(arguments: [ElementType.float32, .float16, .int64, .int8, .uint8, .bool]) func places(type: ElementType) throws
  {
    for shape in [[1], [7], [3, 5], [2, 1, 9], [4, 3, 2, 2]] { try checkPlaces(View(type, shape.map { Dim($0) })) }
    for n in [0, 1, 64, 1000] { try checkPlaces(View(type, [2, .symbol("n")]), sizes: ["n": n]) }
    try checkPlaces(View(type, [5, 6], strides: [1, 5]))
  }
}

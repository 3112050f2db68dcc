import Kernels
import TensorTypes

/// Where elements are not 0: every third or so is, one is NaN where there are NaNs.
public struct NonZeroCase: Sendable {
  public var x: View
  public var sizes: [String: Int]

  public init(_ x: View, sizes: [String: Int] = [:]) { (self.x, self.sizes) = (x, sizes) }

  public static func random(_ g: inout SeededGenerator) -> NonZeroCase {
    let rank = g.size(1...4)
    var sizes = DrawnSizes(g.flip(0.3))
    let shape = (0..<rank).map { d in
      sizes.dim("n\(d)", g.flip(0.03) ? 0 : g.edge(most: [521, 33, 9, 5][rank - 1]))
    }
    let type: ElementType = g.pick(.float32, .float16, .int64, .int8, .uint8, .bool)
    let x: View = g.flip(0.7) ? View(type, shape) : .transposed(type, shape, Array(0..<rank).shuffled(using: &g))
    return NonZeroCase(x, sizes: sizes.values)
  }

  /// Their number, and their indices, a column each.
  public func kernelCases(_ generator: inout SeededGenerator) -> [KernelCase] {
    let input = samples([x], sizes: sizes, &generator)[0]
    input.fill {
      let zero: Scalar = x.element.isFloat ? .float(0) : .integer(0)
      return generator.flip(1 / 3.0) ? zero : x.element.random(&generator)
    }
    if x.element.isFloat, input.memory.count > 0 { input.memory[0] = .float(.nan) }
    var places: [[Int]] = []
    // Not equal to 0: NaN is not.
    forEachIndex(input.shape) { if !(input[$0].double == 0) { places.append($0) } }
    let found = places
    let count = NonZeroWorkload(x: x, step: .count, output: View(.int64, []))
    let counted = KernelCase(.nonZero(count), sizes: sizes, inputs: [input]) { _ in
      Expected(value: .integer(Int64(found.count)))
    }
    let indices = NonZeroWorkload(x: x, step: .indices, output: View(.int64, [Dim(x.rank), .symbol("found")]))
    let sizes = sizes.merging(["found": found.count]) { $1 }
    let listed = KernelCase(.nonZero(indices), sizes: sizes, inputs: [input]) { index in
      Expected(value: .integer(Int64(found[index[1]][index[0]])))
    }
    return [counted, listed]
  }
}

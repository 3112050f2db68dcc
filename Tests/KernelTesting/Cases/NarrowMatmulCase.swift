import Kernels
import TensorTypes

/// A product of an f32 matrix with a constant one that is stored in fewer bits, with bias, residual and a bound.
public struct NarrowMatmulCase: Sendable {
  /// What b is stored as.
  public enum Storage: Sendable {
    case float(ElementType)
    case codes(bits: Int, group: Int, hasZeros: Bool)
  }

  public var m: Int
  public var n: Int
  public var k: Int
  public var batch: Int
  public var storage: Storage
  /// b lies in memory as [n, k].
  public var transposed = false
  /// Where a is of 16-bit floats, it lies in memory as [k, m].
  public var leftTransposed = false
  /// Rows are known at run time only.
  public var isSymbolic = false
  /// a and the result are of b's 16-bit floats, too.
  public var isNarrowThroughout = false
  /// Then the result is f32 all the same.
  public var isWideResult = false
  /// a may be rounded to bf16, which b is.
  public var mayRound = false

  public init(m: Int, n: Int, k: Int, batch: Int = 1, _ storage: Storage) {
    (self.m, self.n, self.k, self.batch, self.storage) = (m, n, k, batch, storage)
  }

  public static func random(_ g: inout SeededGenerator) -> NarrowMatmulCase {
    let isSkinny = g.flip()
    let k = g.flip(0.1) ? g.edge([256], most: 600) : g.edge([8, 32], most: 140)
    let bits = g.pick(4, 8)
    let storage: Storage =
      g.flip(0.25)
      ? .float(g.pick(.float16, .bfloat16))
      : .codes(bits: bits, group: g.flip(0.3) ? k : g.pick(bits == 4 ? 8 : 3, 16, 32, 64, 128), hasZeros: g.flip())
    var drawn = NarrowMatmulCase(
      m: isSkinny ? g.size(1...4) : g.edge([4, 6, 12], most: 40), n: g.edge([8, 16, 64], most: isSkinny ? 200 : 70),
      k: k, batch: g.pick(1, 1, 1, 2), storage)
    drawn.transposed = g.flip()
    drawn.leftTransposed = g.flip(0.3)
    drawn.isSymbolic = g.flip(0.3)
    drawn.isNarrowThroughout = g.flip(0.3)
    if drawn.isNarrowThroughout, g.flip() {
      drawn.storage = .float(.bfloat16)
      drawn.isWideResult = true
    }
    if !drawn.isNarrowThroughout, g.flip(0.3) {
      drawn.storage = .float(.bfloat16)
      drawn.mayRound = true
    }
    return drawn
  }

  /// A matrix of `rows` rows, the same for all of a batch.
  private func matrix(_ element: ElementType, _ rows: Int) -> View {
    let (rows, columns) = (Dim(rows), Dim(n))
    return View(element, [Dim(batch), rows, columns], strides: transposed ? [0, 1, rows] : [0, columns, 1])
  }

  /// The product of 16-bit floats, summed in f32 and rounded once.
  private func throughout(
    _ element: ElementType, _ rows: Dim, _ sizes: [String: Int], _ generator: inout SeededGenerator
  ) -> KernelCase {
    let a: View =
      leftTransposed
      ? .transposed(element, [Dim(batch), Dim(k), rows], [0, 2, 1]) : View(element, [Dim(batch), rows, Dim(k)])
    let w = MatmulWorkload(
      a: a, b: matrix(element, k), bIsConstant: true,
      epilogue: Epilogue(output: View(isWideResult ? .float32 : element, [Dim(batch), rows, Dim(n)])))
    let inputs = samples(w.operands, sizes: sizes, &generator)
    let (depth, isWideResult) = (k, isWideResult)
    return KernelCase(.matmul(w), sizes: sizes, inputs: inputs) { i in
      let terms = (0..<depth).map { inputs[0][[i[0], i[1], $0]].double * inputs[1][[i[0], $0, i[2]]].double }
      let (sum, magnitude) = (terms.reduce(0, +), terms.reduce(0) { $0 + abs($1) })
      return Expected(
        value: .float(sum),
        tolerance: productTolerance(depth, magnitude)
          + (isWideResult ? 0 : element.epsilon * (abs(sum) + magnitude * 0x1p-20)))
    }
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    var sizes = DrawnSizes(isSymbolic)
    let rows = sizes.dim("m", m)
    if isNarrowThroughout, case .float(let element) = storage {
      return throughout(element, rows, sizes.values, &generator)
    }
    let (epilogue, finish) = sampleEpilogue(View(.float32, [Dim(batch), rows, Dim(n)]))
    let a = View(.float32, [Dim(batch), rows, Dim(k)])
    let w: MatmulWorkload
    switch storage {
    case .float(let element):
      w = MatmulWorkload(a: a, b: matrix(element, k), bIsConstant: true, mayRound: mayRound, epilogue: epilogue)
    case .codes(let bits, let group, let hasZeros):
      let groups = (k + group - 1) / group
      // Now and then one scale for all columns.
      let scales =
        generator.flip(0.1)
        ? View(.float32, [Dim(batch), Dim(groups), Dim(n)], strides: [0, 1, 0]) : matrix(.float32, groups)
      let zeros = hasZeros ? View(.int8, scales.shape, strides: scales.strides) : nil
      w = MatmulWorkload(
        a: a, b: matrix(.int8, k), bIsConstant: true,
        scaling: WeightScaling(bits: bits, group: group, scales: scales, zeros: zeros), epilogue: epilogue)
    }
    let inputs = samples(w.operands, sizes: sizes.values, &generator)
    let half: Int64 = w.scaling?.bits == 4 ? 8 : 128
    for (view, sample) in zip(w.operands, inputs) where view.element == .int8 {
      sample.fill { .integer(Int64.random(in: -half..<half, using: &generator)) }
    }
    let rounding = mayRound ? allowRounding(inputs, &generator) : 0
    let depth = k
    return KernelCase(.matmul(w), sizes: sizes.values, inputs: inputs) { i in
      var (sum, magnitude) = (0.0, 0.0)
      for step in 0..<depth {
        let (left, right) = (inputs[0][[i[0], i[1], step]].double, inputs[1][[i[0], step, i[2]]].double)
        guard let scaling = w.scaling else {
          sum += left * right
          magnitude += abs(left * right)
          continue
        }
        let place = [i[0], step / scaling.group, i[2]]
        let (scale, zero) = (inputs[2][place].double, scaling.zeros == nil ? 0 : inputs[3][place].double)
        sum += left * (right - zero) * scale
        // Codes and their zeros may be summed apart, those of 4 bits as numbers from 0 on.
        let middle = scaling.bits == 4 ? 8.0 : 0
        magnitude += abs(left * scale) * (abs(right + middle) + abs(zero + middle))
      }
      let value = finish(sum, inputs.suffix(3).map { $0[i].double })
      // A step more for each of: the code's scale, the zeros' sum, the group's sum.
      return Expected(value: .float(value), tolerance: productTolerance(depth + 8, magnitude) + rounding * magnitude)
    }
  }
}

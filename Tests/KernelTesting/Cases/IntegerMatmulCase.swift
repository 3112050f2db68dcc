import Kernels
import TensorTypes

/// A product of narrow integers summed in i32, which wraps around, with a bias or requantised.
public struct IntegerMatmulCase: Sendable {
  public var (left, right): (ElementType, ElementType)
  public var (m, n, k, batch): (Int, Int, Int, Int)
  public var bIsConstant: Bool
  /// b lies in memory as [n, k].
  public var transposed: Bool
  /// a lies in memory as [k, m].
  public var leftTransposed: Bool
  /// Rows, and steps of k where b is not a constant, are known at run time only.
  public var isSymbolic: Bool
  /// Only the numbers at the ends of the operands' ranges.
  public var isExtreme: Bool
  /// b's numbers are at most 64 in size.
  public var isSmall: Bool
  /// `u8(round((acc + bias) · scale) + zero)` instead of `acc + bias`.
  public var requantises: Bool

  public init(
    _ left: ElementType, _ right: ElementType, m: Int, n: Int, k: Int, batch: Int = 1, bIsConstant: Bool = true,
    transposed: Bool = false, leftTransposed: Bool = false, isSymbolic: Bool = false, isExtreme: Bool = false,
    isSmall: Bool = false,
    requantises: Bool = false
  ) {
    (self.left, self.right, self.m, self.n, self.k, self.batch) = (left, right, m, n, k, batch)
    (self.bIsConstant, self.isSymbolic) = (bIsConstant, isSymbolic)
    (self.transposed, self.leftTransposed) = (transposed, leftTransposed)
    (self.isExtreme, self.isSmall, self.requantises) = (isExtreme, isSmall, requantises)
  }

  public static let types: [ElementType] = [.int8, .uint8, .int16]

  public static func random(_ g: inout SeededGenerator) -> IntegerMatmulCase {
    let skinny = g.flip(0.4)
    // Half of them of the types that quantisers make.
    let common = g.flip()
    return IntegerMatmulCase(
      common ? .uint8 : g.pick(types), common ? .int8 : g.pick(types),
      m: skinny ? g.size(1...4) : g.edge([4, 6, 12], most: 40),
      n: g.edge([8, 16, 64], most: skinny ? 200 : 70),
      k: g.flip(0.1) ? g.edge([256], most: 600) : g.edge([8, 16], most: 70), batch: g.pick(1, 1, 2, 3),
      bIsConstant: g.flip(0.7), transposed: g.flip(), leftTransposed: g.flip(0.3),
      isSymbolic: g.flip(0.3), isExtreme: g.flip(0.3),
      isSmall: g.flip(0.5), requantises: g.flip(0.3))
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    var sizes = DrawnSizes(isSymbolic)
    let rows = sizes.dim("m", m)
    let depth = bIsConstant ? Dim(k) : sizes.dim("k", k)
    let a: View =
      leftTransposed
      ? .transposed(left, [Dim(batch), depth, rows], [0, 2, 1]) : View(left, [Dim(batch), rows, depth])
    let b: View =
      transposed
      ? .transposed(right, [Dim(batch), Dim(n), depth], [0, 2, 1]) : View(right, [Dim(batch), depth, Dim(n)])
    let w = MatmulWorkload(
      a: a, b: b, bIsConstant: bIsConstant,
      bLimit: isSmall && bIsConstant ? 64 : nil,
      epilogue: requantises ? Self.requantising([Dim(batch), rows, Dim(n)]) : Self.biased([Dim(batch), rows, Dim(n)]))
    let inputs = samples(w.operands, sizes: sizes.values, &generator)
    for (i, input) in inputs.prefix(2).enumerated() {
      let range = isSmall && i == 1 ? input.view.element.range.clamped(to: -64...64) : input.view.element.range
      input.fill {
        .integer(isExtreme ? generator.pick(range.lowerBound, range.upperBound) : .random(in: range, using: &generator))
      }
    }
    let (k, requantises) = (k, requantises)
    return KernelCase(.matmul(w), sizes: sizes.values, inputs: inputs) { i in
      var sum: Int64 = 0
      for step in 0..<k { sum += inputs[0][[i[0], i[1], step]].integer * inputs[1][[i[0], step, i[2]]].integer }
      let biased = Int64(Int32(truncatingIfNeeded: sum + inputs[2][i].integer))
      if !requantises { return Expected(value: .integer(biased)) }
      let quotient = (Float(biased) * Float(inputs[3][i].double)).rounded(.toNearestOrEven)
      return Expected(value: .integer(Int64(min(max(quotient + 128, 0), 255))))
    }
  }

  private static func biased(_ shape: Shape) -> Epilogue {
    Epilogue(
      expression: .binary(.add, .int32), operands: [View(.int32, shape, strides: [0, 0, 1])],
      output: View(.int32, shape))
  }

  private static func requantising(_ shape: Shape) -> Epilogue {
    let expression = Expression(inputs: [.int32, .int32, .float32]) { e in
      let sum = e.cast(e.binary(.add, e.input(0), e.input(1)), .float32)
      let quotient = e.unary(.round, e.binary(.multiply, sum, e.input(2)))
      return e.cast(e.binary(.add, quotient, e.constant(128, .float32)), .uint8)
    }
    let columns = [Dim(0), 0, 1]
    return Epilogue(
      expression: expression,
      operands: [View(.int32, shape, strides: columns), View(.float32, shape, strides: columns)],
      output: View(.uint8, shape))
  }
}

extension Scalar {
  fileprivate var integer: Int64 {
    guard case .integer(let value) = self else { preconditionFailure("an integer") }
    return value
  }
}

extension ElementType {
  /// The numbers of a narrow integer type.
  var range: ClosedRange<Int64> {
    switch byteCount * (isSignedInteger ? -1 : 1) {
    case -1: -128...127
    case 1: 0...255
    case -2: -32768...32767
    default: preconditionFailure("a narrow integer")
    }
  }
}

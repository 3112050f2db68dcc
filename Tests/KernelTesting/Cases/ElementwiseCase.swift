import Kernels
import TensorTypes

/// An expression of operands, broadcast, transposed or with gaps.
public struct ElementwiseCase: Sendable {
  public var expression: Expression
  public var operands: [View]
  public var output: View
  public var sizes: [String: Int]
  public var tolerance: Double

  public init(
    _ expression: Expression, _ operands: [View], _ output: View, sizes: [String: Int] = [:], tolerance: Double = 0
  ) {
    (self.expression, self.operands, self.output) = (expression, operands, output)
    (self.sizes, self.tolerance) = (sizes, tolerance)
  }

  /// `max(x · y + x, -½)`, of numbers below 6: f32 rounds it by less than 1e-6, fused or not.
  public static let mulAdd = Expression(inputs: [.float32, .float32]) { e in
    let (x, y) = (e.input(0), e.input(1))
    return e.binary(.maximum, e.binary(.add, e.binary(.multiply, x, y), x), e.constant(-0.5, .float32))
  }

  /// `(c ? x : y) < x + y and c`: the comparison sees whether a narrow sum was rounded before it.
  public static func comparison(_ type: ElementType) -> Expression {
    Expression(inputs: [type, type, .bool]) { e in
      let (x, y) = (e.input(0), e.input(1))
      return e.binary(.and, e.binary(.less, e.select(e.input(2), x, y), e.binary(.add, x, y)), e.input(2))
    }
  }

  /// `x · (1 + tanh(0.8 x))`: a few ulp of numbers below 4.
  public static let gelu = Expression(inputs: [.float32]) { e in
    let x = e.input(0)
    let t = e.unary(.tanh, e.binary(.multiply, x, e.constant(0.8, .float32)))
    return e.binary(.multiply, x, e.binary(.add, t, e.constant(1, .float32)))
  }

  public static func random(_ g: inout SeededGenerator) -> ElementwiseCase {
    let rank = g.size(0...4)
    var sizes = DrawnSizes(g.flip(0.3))
    let most = [1, 521, 67, 19, 9][rank]
    let shape = (0..<rank).map { d in sizes.dim("n\(d)", g.flip(0.03) ? 0 : g.edge([8, 16, 32], most: most)) }
    let types: [ElementType] = [.int64, .int32, .int8, .uint8, .float16, .bfloat16, .float64]
    let (expression, tolerance): (Expression, Double) = g.pick(
      (mulAdd, 1e-6), (mulAdd, 1e-6), (gelu, 4e-6), (comparison(g.pick(types)), 0))
    let operands = expression.inputTypes.map { type -> View in
      switch g.size(0...3) {
      case 0:
        // The same shape, its dimensions in another order in memory.
        let order = Array(0..<rank).shuffled(using: &g)
        let inMemory = View(type, order.map { shape[$0] })
        return View(type, shape, strides: (0..<rank).map { inMemory.strides[order.firstIndex(of: $0)!] })
      case 1: return View(type, shape.map { g.flip() ? $0 : 1 }).broadcast(to: shape)
      case 2: return View(type, shape, strides: View(type, shape.map { $0 * 2 }).strides)
      default: return View(type, shape)
      }
    }
    return ElementwiseCase(
      expression, operands, View(expression.resultType, shape), sizes: sizes.values, tolerance: tolerance)
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    let inputs = samples(operands, sizes: sizes, &generator)
    let workload = ElementwiseWorkload(expression: expression, operands: operands, output: output)
    let (expression, tolerance) = (expression, tolerance)
    return KernelCase(.elementwise(workload), sizes: sizes, inputs: inputs) { index in
      Expected(value: expression.evaluate { inputs[$0][index] }, tolerance: tolerance)
    }
  }
}

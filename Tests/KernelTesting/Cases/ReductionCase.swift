import Kernels
import TensorTypes

/// `2 · reduce((x − other)²)`, the other operand being the same all along the last dimension; products are of ones.
public struct ReductionCase: Sendable {
  public var function: ReductionFunction
  public var x: View
  public var axes: [Int]
  public var sizes: [String: Int]

  public init(_ function: ReductionFunction, _ x: View, _ axes: [Int], sizes: [String: Int] = [:]) {
    (self.function, self.x, self.axes, self.sizes) = (function, x, axes, sizes)
  }

  public static func random(_ g: inout SeededGenerator) -> ReductionCase {
    let rank = g.size(1...4)
    var sizes = DrawnSizes(g.flip(0.3))
    let most = [521, 67, 19, 9][rank - 1]
    let shape = (0..<rank).map { d in sizes.dim("n\(d)", g.flip(0.03) ? 0 : g.edge(most: most)) }
    let axes = (0..<rank).filter { _ in g.flip() }
    let type: ElementType = g.pick(.float32, .float32, .int32, .int64)
    return ReductionCase(
      g.pick(ReductionFunction.allCases), View(type, shape), axes.isEmpty ? [g.size(0...rank - 1)] : axes,
      sizes: sizes.values)
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    let (type, function, axes) = (x.element, function, axes)
    let other = View(type, x.shape.dropLast() + [1]).broadcast(to: x.shape)
    let prologue = Expression(inputs: [type, type]) { e in
      let difference = e.binary(.subtract, e.input(0), e.input(1))
      return function == .product
        ? e.binary(.add, e.binary(.multiply, difference, e.constant(0, type)), e.constant(1, type))
        : e.binary(.multiply, difference, difference)
    }
    let kept = x.shape.enumerated().map { axes.contains($0) ? Dim(1) : $1 }
    let epilogue = Epilogue(
      expression: Expression(inputs: [type]) { e in e.binary(.multiply, e.input(0), e.constant(2, type)) },
      operands: [],
      output: View(type, kept))
    let inputs = samples([x, other], sizes: sizes, &generator)
    var results: [[Int]: Double] = [:]
    var counts: [[Int]: Int] = [:]
    forEachIndex(inputs[0].shape) { index in
      let target = index.enumerated().map { axes.contains($0) ? 0 : $1 }
      let value = prologue.evaluate { inputs[$0][index] }.double
      counts[target, default: 0] += 1
      guard let known = results[target] else {
        results[target] = value
        return
      }
      switch function {
      case .sum: results[target] = known + value
      case .product: results[target] = known * value
      case .minimum: results[target] = min(known, value)
      case .maximum: results[target] = max(known, value)
      }
    }
    let workload = ReductionWorkload(
      function: function, prologue: prologue, inputs: [x, other], axes: axes, epilogue: epilogue)
    return KernelCase(.reduction(workload), sizes: sizes, inputs: inputs) { [results, counts] index in
      let identity = Scalar.identity(of: function, type)
      if !type.isFloat {
        let value = results[index].map { Int64($0) } ?? identity.intValue
        return Expected(value: .integer(type.wrapped(value &* 2)))
      }
      let value = results[index] ?? identity.double
      return Expected(
        value: .float(2 * value), tolerance: 2 * Double(counts[index] ?? 0) * 0x1p-24 * abs(value) + 1e-6)
    }
  }
}

extension Scalar {
  fileprivate var intValue: Int64 {
    guard case .integer(let i) = self else { preconditionFailure("an integer") }
    return i
  }
}

import GraphIR
import TensorTypes

/// Softmax as exporters spell it out.
let softmaxRules: [Rule] = [
  Rule("exp(x - max(x)) / Σ exp(x - max(x)) = softmax(x)", on: Elementwise.self) { g, op, x in
    guard case .binary(.divide, .value(let power), .value(let sum))? = Form(op, x),
      let shifted = g.form(power)?.operand(of: .exp), let (total, summed) = g.producer(sum, Reduce.self),
      total.function == .sum
    else { return nil }
    guard let axis = g.reducedAxis(sum, .sum, of: power) else {
      let reason =
        summed[0] != power
        ? "the sum is not of the exponentials" : "over dimensions \(total.axes); softmax's is over one"
      return g.missed(.softmax, at: power, reason)
    }
    return try g.build(Softmax(axis: axis), g.unshifted(shifted, axis))
  },
  Rule("exp(x - max(x)) · (1 / Σ exp(x - max(x))) = softmax(x)", on: Elementwise.self) { g, op, x in
    guard let form = Form(op, x) else { return nil }
    for (a, b) in form.operands(of: .multiply) {
      guard let power = a.value, let inverse = b.value, let sum = g.form(inverse)?.operand(of: .reciprocal),
        let axis = g.reducedAxis(sum, .sum, of: power), let shifted = g.form(power)?.operand(of: .exp)
      else { continue }
      return try g.build(Softmax(axis: axis), g.unshifted(shifted, axis))
    }
    return nil
  },
  Rule("log(softmax(x)) = log_softmax(x)", on: Elementwise.self) { g, op, x in
    guard let inner = Form(op, x)?.operand(of: .log), g.isUsedOnce(inner),
      let (softmax, source) = g.producer(inner, Softmax.self), !softmax.logarithm
    else { return nil }
    return try g.build(Softmax(axis: softmax.axis, logarithm: true), source[0])
  },
]

extension GraphRewriter {
  /// The one dimension over which `value` is `function` of `x`, where it stays with size 1.
  fileprivate func reducedAxis(_ value: ValueID, _ function: ReductionFunction, of x: ValueID) -> Int? {
    guard let (op, operands) = producer(value, Reduce.self), op.function == function, op.keepDims,
      op.axes.count == 1, operands[0] == x
    else { return nil }
    return op.axes[0]
  }

  /// `x`, if `value` is `x - max(x)` over `axis`; else `value`, whose softmax is the same function of it.
  fileprivate func unshifted(_ value: ValueID, _ axis: Int) -> ValueID {
    guard case .binary(.subtract, .value(let x), .value(let largest))? = form(value),
      reducedAxis(largest, .maximum, of: x) == axis
    else { return value }
    return x
  }
}

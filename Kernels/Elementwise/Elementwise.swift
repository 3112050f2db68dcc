import TensorTypes
import TileIR

/// `y[i] = f(x₀[i], x₁[i], …)`
///
/// Dimensions are joined as far as all operands' strides allow; the innermost one is walked by vectors. An operand
/// whose unit stride lies along another dimension is read by square tiles and transposed in registers.
struct Elementwise: KernelTemplate {
  let name = "elementwise.strips"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .elementwise = workload else { return nil }
    return KnobSpace([("vectors", [1, 2, 4, 8])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .elementwise(let w) = workload else { preconditionFailure("an elementwise workload") }
    return ["vectors": StripMap.defaultVectors(w.expression, w.operands + [w.output])]
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .elementwise(let w) = workload else { preconditionFailure("an elementwise workload") }
    return StripMap.program("elementwise", w.expression, w.operands, w.output, vectors: knobs["vectors"], on: machine)
  }
}

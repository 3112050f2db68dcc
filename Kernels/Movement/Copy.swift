import TensorTypes
import TileIR

/// `y[i] = x[i]`: copies, transposes, broadcasts, slices; pieces of a concatenation, whose `y` is a slice.
struct Copy: KernelTemplate {
  let name = "movement.copy"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .movement(let w) = workload, w.padding == .none else { return nil }
    return KnobSpace([("vectors", [1, 2, 4, 8])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .movement(let w) = workload else { preconditionFailure("a movement") }
    return ["vectors": StripMap.defaultVectors(identity(w.output.element), [w.output])]
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .movement(let w) = workload else { preconditionFailure("a movement") }
    return StripMap.program("copy", identity(w.output.element), [w.x], w.output, vectors: knobs["vectors"], on: machine)
  }

  private func identity(_ element: ElementType) -> Expression { Expression(inputs: [element]) { $0.input(0) } }
}

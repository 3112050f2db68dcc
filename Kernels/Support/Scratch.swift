import TensorTypes
import TileIR

extension KernelTemplate {
  /// The scratch buffers as the program itself declares them.
  func declaredScratch(_ workload: Workload, _ knobs: Knobs, _ machine: Machine) -> [TensorType] {
    let program = build(workload, knobs: knobs, on: machine)
    return program.parameters.indices.compactMap { i in
      guard program.parameters[i].role == .scratch, case .buffer(let type) = program.types[i] else { return nil }
      return TensorType(type.element, type.shape)
    }
  }
}

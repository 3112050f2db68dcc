import TensorTypes
import TileIR

/// Tensors made from sizes alone: positions along a dimension, or the sizes themselves.
public struct GenerateWorkload: Hashable, Sendable, Codable {
  public enum Kind: Hashable, Sendable, Codable {
    /// Each element is its position along the dimension.
    case positions(axis: Int)
    /// The elements, in order.
    case sizes([Dim])
  }
  public var kind: Kind
  public var output: View

  public init(kind: Kind, output: View) {
    self.kind = kind
    self.output = output
  }
}

/// y[i] = i[axis], or y[i] = sizes[i]
struct Generate: KernelTemplate {
  let name = "generate.scalar"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .generate = workload else { return nil }
    return KnobSpace([])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs { [:] }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .generate(let w) = workload else { preconditionFailure("a tensor made from sizes") }
    let b = TileBuilder("generate")
    let y = b.parameter("y", .output, w.output.buffer)
    b.loop(.parallel(grain: 1), to: b.index(1)) { _ in
      switch w.kind {
      case .sizes(let dims):
        for (i, dim) in dims.enumerated() {
          y.store(b.size(dim).cast(w.output.element), w.output.rank == 0 ? [] : [.at(b.index(i))])
        }
      case .positions(let axis): positions(b, y, w, axis: axis, outer: [])
      }
    }
    return b.finish()
  }

  private func positions(_ b: TileBuilder, _ y: TileBuffer, _ w: GenerateWorkload, axis: Int, outer: [Tile]) {
    if outer.count == w.output.rank { return y.store(outer[axis].cast(w.output.element), outer.map { .at($0) }) }
    b.loop(to: b.size(w.output.shape[outer.count])) { i in positions(b, y, w, axis: axis, outer: outer + [i]) }
  }
}

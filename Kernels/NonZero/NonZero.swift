import TensorTypes
import TileIR

/// The places of the elements that are not 0, in two steps, since only the first tells how large the second's result
/// is.
public struct NonZeroWorkload: Hashable, Sendable, Codable {
  public enum Step: String, Hashable, Sendable, Codable {
    /// `y[] = |{i : x[i] ≠ 0}|`
    case count
    /// `y[d, k]`: index along dimension d of the k-th element that is not 0, in row-major order.
    case indices
  }
  public var x: View
  public var step: Step
  /// i64: a scalar, or dimensions of x by count.
  public var output: View

  public init(x: View, step: Step, output: View) {
    self.x = x
    self.step = step
    self.output = output
  }
}

/// One worker walks over all elements in row-major order.
struct NonZeroScan: KernelTemplate {
  let name = "non_zero.scan"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .nonZero = workload else { return nil }
    return KnobSpace([])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs { [:] }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .nonZero(let w) = workload else { preconditionFailure("the places of elements that are not 0") }
    let b = TileBuilder("non_zero")
    let x = b.parameter("x", .input, w.x.buffer)
    let y = b.parameter("y", .output, w.output.buffer)
    let zero = b.index(0)
    b.loop(.parallel(grain: 1), to: b.index(1)) { _ in
      let total = b.nested(w.x.shape.map { b.size($0) }, carrying: [zero]) { place, found in
        let isFound = isNotZero(b, x.load(place.map { .at($0) }, shape: []))
        if w.step == .indices {
          b.when(isFound) {
            for (d, index) in place.enumerated() { y.store(index, [.at(b.index(d)), .at(found[0])]) }
          }
        }
        return [found[0] + isFound.cast(.int64)]
      }
      if w.step == .count { y.store(total[0], []) }
    }
    return b.finish()
  }

  /// NaN is not 0.
  private func isNotZero(_ b: TileBuilder, _ x: Tile) -> Tile {
    x.element == .bool ? x : x.equal(b.constant(0, x.element)).unary(.not)
  }
}

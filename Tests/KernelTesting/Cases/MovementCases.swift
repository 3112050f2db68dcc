import Kernels
import TensorTypes

/// A copy from one view to another.
public struct CopyCase: Sendable {
  public var (x, y): (View, View)
  public var sizes: [String: Int]

  public init(_ x: View, _ y: View, sizes: [String: Int] = [:]) { (self.x, self.y, self.sizes) = (x, y, sizes) }

  /// Transposed, sliced with steps, broadcast; into memory with gaps at times.
  public static func random(_ g: inout SeededGenerator) -> CopyCase {
    let type: ElementType = g.pick(.float32, .float32, .int64, .float16, .uint8, .bool)
    let rank = g.size(1...4)
    var sizes = DrawnSizes(g.flip(0.3))
    let shape = (0..<rank).map { d in
      sizes.dim("n\(d)", g.flip(0.03) ? 0 : g.edge([8, 16, 32], most: [521, 67, 19, 9][rank - 1]))
    }
    let order = Array(0..<rank).shuffled(using: &g)
    let steps = (0..<rank).map { _ in Dim(g.pick(1, 1, 1, 2, 3)) }
    // What the slices with steps lie in; a stride of 0 repeats.
    let whole = View(type, zip(shape, steps).map { $0 * $1 })
    let x = View(type, order.map { shape[$0] }, strides: order.map { g.flip(0.1) ? 0 : whole.strides[$0] * steps[$0] })
    let gaps = View(type, x.shape.dropLast() + [x.shape[rank - 1] + Dim(g.pick(0, 0, 5))])
    return CopyCase(x, View(type, x.shape, strides: gaps.strides), sizes: sizes.values)
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    let inputs = samples([x], sizes: sizes, &generator)
    return KernelCase(.movement(MovementWorkload(x: x, output: y)), sizes: sizes, inputs: inputs) {
      Expected(value: inputs[0][$0])
    }
  }
}

/// A tensor with borders added.
public struct PadCase: Sendable {
  public var mode: MovementWorkload.Padding
  public var (before, x, after): ([Int], [Int], [Int])
  /// The last size is known at run time only.
  public var isSymbolic: Bool

  public init(_ mode: MovementWorkload.Padding, before: [Int], x: [Int], after: [Int], isSymbolic: Bool) {
    (self.mode, self.before, self.x, self.after, self.isSymbolic) = (mode, before, x, after, isSymbolic)
  }

  public static let modes: [MovementWorkload.Padding] = [.constant(.float(0.5)), .edge, .reflect, .wrap]

  public static func random(_ g: inout SeededGenerator) -> PadCase {
    let rank = g.size(1...4)
    let x = (0..<rank).map { _ in g.edge([8], most: [131, 33, 13, 7][rank - 1]) }
    return PadCase(
      g.pick(modes), before: x.map { g.flip(0.4) ? 0 : g.size(0...min($0 - 1, 9)) }, x: x,
      after: x.map { g.flip(0.4) ? 0 : g.size(0...min($0 - 1, 9)) }, isSymbolic: g.flip(0.3))
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    var sizes: [String: Int] = [:]
    if isSymbolic { sizes["n"] = x.last }
    let view = View(.float32, x.dropLast().map { Dim($0) } + [isSymbolic ? .symbol("n") : Dim(x.last!)])
    let y = View(.float32, zip(view.shape, zip(before, after)).map { $0 + Dim($1.0) + Dim($1.1) })
    let inputs = samples([view], sizes: sizes, &generator)
    let workload = MovementWorkload(x: view, before: before.map { Dim($0) }, padding: mode, output: y)
    let (before, x, mode) = (before, x, mode)
    return KernelCase(.movement(workload), sizes: sizes, inputs: inputs) { index in
      let positions = index.indices.map { source(index[$0] - before[$0], x[$0], mode) }
      if positions.contains(nil) { return Expected(value: .float(0.5)) }
      return Expected(value: inputs[0][positions.map { $0! }])
    }
  }
}

private func source(_ i: Int, _ n: Int, _ mode: MovementWorkload.Padding) -> Int? {
  switch mode {
  case .none, .constant: return (0..<n).contains(i) ? i : nil
  case .edge: return min(max(i, 0), n - 1)
  case .wrap: return ((i % n) + n) % n
  case .reflect:
    if n == 1 { return 0 }
    let phase = ((i % (2 * n - 2)) + 2 * n - 2) % (2 * n - 2)
    return phase < n ? phase : 2 * n - 2 - phase
  }
}

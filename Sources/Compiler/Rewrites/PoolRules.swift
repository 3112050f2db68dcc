import GraphIR
import TensorTypes

/// Pools whose windows neither overlap nor leave gaps, as reductions: these read memory in whole vectors, where a pool fetches the
/// elements of neighbouring windows one by one.
let poolRules: [Rule] = [
  Rule("pool over whole dimensions = reduce", on: Pool.self) { g, op, x in
    let spatial = Array(op.layout.spatialAxes(rank: g.shape(x[0]).count))
    let steps = op.windowSteps(g.shape(x[0]))
    guard steps.allSatisfy({ $0 == .single || $0 == .whole }) else { return nil }
    return try g.joined(op, x[0], axes: zip(spatial, steps).compactMap { $1 == .whole ? $0 : nil })
  },
  Rule("pool by windows side by side, wide ones = reduce(reshape(x))", on: Pool.self) { g, op, x in
    let shape = g.shape(x[0])
    let steps = op.windowSteps(shape)
    guard op.layout == .channelsFirst, !steps.contains(.overlapping), let innermost = steps.last,
      let width = op.window.last
    else { return nil }
    // Rows of short windows are better joined row by row before their neighbours are: pools do.
    let isCutElsewhere = steps.dropLast().contains(.sideBySide)
    guard innermost == .whole || innermost == .sideBySide && width >= (isCutElsewhere ? 16 : 8) else { return nil }
    var (cut, axes): (Shape, [Int]) = (Array(shape[..<2]), [])
    for (i, step) in steps.enumerated() {
      let size = shape[2 + i]
      if step == .sideBySide { cut.append(size.floorDivided(by: Dim(op.window[i]))) }
      if step != .single { axes.append(cut.count) }
      cut.append(step == .sideBySide ? Dim(op.window[i]) : size)
    }
    let result = try g.joined(op, g.build(Reshape(cut), x[0]), axes: axes)
    return try g.build(Reshape(op.infer([g.type(x[0])])[0].shape), result)
  },
]

/// How a pool's windows lie along a dimension.
private enum WindowStep { case single, whole, sideBySide, overlapping }

extension Pool {
  /// By spatial dimension; `overlapping` stands for all that isn't one of the others.
  fileprivate func windowSteps(_ shape: Shape) -> [WindowStep] {
    layout.spatialAxes(rank: shape.count).enumerated().map { i, axis in
      let width = window[i]
      guard padsBefore[i] == 0, padsAfter[i] == 0, dilations[i] == 1 || width == 1 else { return .overlapping }
      if width == 1, strides[i] == 1 { return .single }
      if shape[axis] == Dim(width) { return .whole }
      guard let size = shape[axis].constant, strides[i] == width, size % width == 0 else { return .overlapping }
      return .sideBySide
    }
  }
}

extension GraphRewriter {
  /// What the pool makes of all elements along `axes` of `x`, which stay with size 1.
  fileprivate mutating func joined(_ op: Pool, _ x: ValueID, axes: [Int]) throws -> ValueID {
    if op.kind == .maximum { return try build(Reduce(.maximum, axes: axes, keepDims: true), x) }
    // A pool's sum is rounded to a narrow type once it is a mean.
    let element = type(x).element
    let wide: ElementType = element == .float64 ? .float64 : .float32
    let source = wide == element ? x : try build(Expression(inputs: [element]) { e in e.cast(e.input(0), wide) }, x)
    let mean = Expression(inputs: [wide]) { e in
      let count = e.constant(op.window.reduce(1) { $0 * Double($1) }, wide)
      return e.cast(e.binary(.divide, e.input(0), count), element)
    }
    return try build(mean, build(Reduce(.sum, axes: axes, keepDims: true), source))
  }
}

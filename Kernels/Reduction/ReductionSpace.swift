import TensorTypes
import TileIR

/// A reduction's loops: class 0 are the kept dimensions, class 1 the reduced ones.
struct ReductionSpace {
  let w: ReductionWorkload
  let loops: LoopSpace

  init(_ w: ReductionWorkload) {
    self.w = w
    let shape = w.inputs[0].shape
    let classes = shape.indices.map { w.axes.contains($0) ? 1 : 0 }
    // The result stands still along reduced dimensions.
    let results = (w.epilogue.operands + [w.epilogue.output]).map { $0.repeated(along: w.axes, to: shape) }
    loops = LoopSpace(w.inputs + results, classes: classes, leaders: [w.inputs.count + results.count - 1, 0])
  }

  var kept: Range<Int> { loops.range(0) }
  var reduced: Range<Int> { loops.range(1) }
  var keptShape: [Dim] { kept.map { loops.shape[$0] } }
  var reducedShape: [Dim] { reduced.map { loops.shape[$0] } }

  /// Whether vectors run along the kept dimensions: neighbours in memory belong to different results.
  var isAcross: Bool {
    let strides = loops.views[0].strides
    return strides[reduced.upperBound - 1] != 1 && strides[kept.upperBound - 1] == 1
  }

  /// The type that is computed in.
  var element: ElementType { w.prologue.resultType.accumulator }

  /// Elements of x that one result is made of, as far as known.
  var length: Int { reducedShape.estimatedCount }
  /// Results, as far as known.
  var resultCount: Int { keptShape.estimatedCount }
}

/// What the programs of reductions have in common.
struct ReductionBuffers {
  let space: ReductionSpace
  let b: TileBuilder
  let inputs: [TileBuffer]
  let epilogue: EpilogueBuffers

  init(_ space: ReductionSpace, _ b: TileBuilder) {
    self.space = space
    self.b = b
    let views = space.loops.views
    let count = space.w.inputs.count
    inputs = views[..<count].enumerated().map { b.parameter("x\($0)", .input, $1.buffer) }
    // The result's buffers have the kept dimensions only.
    let results = views[count...].map { view in
      BufferType(view.element, Array(view.shape[space.kept]), strides: Array(view.strides[space.kept]))
    }
    let operands = results.dropLast().enumerated().map { b.parameter("e\($0)", .input, $1) }
    epilogue = EpilogueBuffers(
      epilogue: space.w.epilogue, operands: operands, output: b.parameter("y", .output, results.last!))
  }

  /// The prologue's value for a tile, which has as many dimensions before that of the strip as `leading` has.
  func value(_ indices: [TileBuffer.Index], leading: [Int] = [], count: Int, limit: Tile?) -> Tile {
    let limits = leading.map { _ in nil } + [limit]
    let arguments = inputs.map { input in
      if input.type.strides.last == 0, case .span(let start, _, _) = indices.last! {
        // One element for all, unless there is none: an empty operand is not read.
        guard limit == nil else { return input.load(indices, shape: leading + [1], limits: limits) }
        let one = input.load(indices.dropLast() + [.at(start)], shape: leading)
        return leading.isEmpty ? one : one.reshape(leading + [1])
      }
      return input.load(indices, shape: leading + [count], limits: limits)
    }
    return b.apply(space.w.prologue, arguments, shape: leading + [count]).cast(space.element)
  }
}

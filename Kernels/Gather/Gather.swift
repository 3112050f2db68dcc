import TensorTypes
import TileIR

/// `y[outer…, i…, inner…] = x[outer…, indices[i…], inner…]`
///
/// Where there are inner dimensions, an index picks a row that is copied by vectors; else vectors of indices pick
/// elements. Every index is clamped into range, so that no index reads outside of x.
struct Gather: KernelTemplate {
  let name = "gather.rows"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .gather(let w) = workload, w.indices.element == .int64 || w.indices.element == .int32 else { return nil }
    return KnobSpace([("vectors", [1, 2, 4, 8])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs { ["vectors": 4] }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .gather(let w) = workload else { preconditionFailure("a gather") }
    return GatherProgram(w, knobs["vectors"], machine).build()
  }
}

private struct GatherProgram {
  let vectors: Int
  let lanes: Int
  let b = TileBuilder("gather")
  /// Class 0: outer, 1: indices', 2: inner dimensions. Views x without the axis, indices, y.
  let loops: LoopSpace
  /// The loop's dimensions, then the axis.
  let x: TileBuffer
  let indices: TileBuffer
  let y: TileBuffer
  let size: Tile

  init(_ w: GatherWorkload, _ vectors: Int, _ machine: Machine) {
    (self.vectors, lanes) = (vectors, machine.lanes)
    let (shape, axis, count) = (w.output.shape, w.axis, w.indices.rank)
    let zeros = { (n: Int) in [Dim](repeating: 0, count: n) }
    let inner = shape.count - axis - count
    let source = View(
      w.x.element, shape, strides: Array(w.x.strides[..<axis]) + zeros(count) + Array(w.x.strides[(axis + 1)...]))
    let picks = View(w.indices.element, shape, strides: zeros(axis) + w.indices.strides + zeros(inner))
    let classes = shape.indices.map { $0 < axis ? 0 : $0 < axis + count ? 1 : 2 }
    loops = LoopSpace([source, picks, w.output], classes: classes, leaders: [2, 2, 2])
    x = b.parameter(
      "x", .input,
      BufferType(
        w.x.element, loops.shape + [w.x.shape[axis]], strides: loops.views[0].strides + [w.x.strides[axis]]))
    indices = b.parameter("indices", .input, loops.views[1].buffer)
    y = b.parameter("y", .output, loops.views[2].buffer)
    size = b.size(w.x.shape[axis])
  }

  func build() -> TileProgram {
    let isSingle = loops.range(2).allSatisfy { loops.shape[$0] == 1 }
    let vectorDimension = isSingle ? loops.range(1).upperBound - 1 : loops.shape.count - 1
    let outerEnd = isSingle ? vectorDimension : loops.range(2).lowerBound
    let nestedDimensions = isSingle ? [] : Array(outerEnd..<vectorDimension)
    let work = (outerEnd...vectorDimension).reduce(isSingle ? 4 : 1) {
      min(1 << 30, $0 * max(1, loops.shape[$1].estimate))
    }
    let block = isSingle ? 1024 : nil
    let innerSize = b.size(loops.shape[vectorDimension])
    let blocks = block.map { [innerSize.ceilDivided(by: $0)] } ?? []
    let grain = max(1, 24_576 / min(work, isSingle ? 4096 : work))
    b.parallel((0..<outerEnd).map { b.size(loops.shape[$0]) } + blocks, grain: grain) { place in
      let outer = Array(place[..<outerEnd])
      if let block {
        let begin = place[outerEnd] * block
        elements(outer, Span(begin, (begin + block).minimum(innerSize), length: nil))
      } else {
        rows(outer, nestedDimensions)
      }
    }
    return b.finish()
  }

  /// Counts negative ones from the end and clamps all into 0..<size.
  private func valid(_ picks: Tile) -> Tile {
    let index = picks.cast(.int64)
    let shape = index.shape
    let size = size.broadcast(to: shape)
    let zero = b.constant(.integer(0), .int64, shape)
    let positive = index.less(zero).select(index + size, index)
    return positive.minimum(size - b.constant(.integer(1), .int64, shape)).maximum(zero)
  }

  private func rows(_ outer: [Tile], _ nestedDimensions: [Int]) {
    let rest = (outer.count..<loops.shape.count).map { _ in TileBuffer.Index.at(b.index(0)) }
    let pick = valid(indices.load(outer.map { .at($0) } + rest, shape: []))
    b.nested(nestedDimensions.map { b.size(loops.shape[$0]) }) { middle in
      b.strips(b.span(loops.shape.last!), lanes: lanes, vectors: vectors) { strip in
        let place = (outer + middle).map { TileBuffer.Index.at($0) } + [strip.index(0)]
        let row = x.load(place + [.at(pick)], shape: [strip.count], limits: [strip.limit])
        y.store(row, place, limits: [strip.limit])
      }
    }
  }

  private func elements(_ outer: [Tile], _ span: Span) {
    // Behind the indices' last dimension stand only dimensions of size 1.
    let rest = ((outer.count + 1)..<loops.shape.count).map { _ in TileBuffer.Index.at(b.index(0)) }
    b.strips(span, lanes: lanes, vectors: 1) { strip in
      let place = outer.map { TileBuffer.Index.at($0) } + [strip.index(0)] + rest
      let picks = valid(indices.load(place, shape: [strip.count], limits: [strip.limit]))
      let origin = outer.map { TileBuffer.Index.at($0) } + [.at(strip.start)] + rest
      let values = x.load(origin + [.gather(picks, 0)], shape: [strip.count], limits: [strip.limit])
      y.store(values, place, limits: [strip.limit])
    }
  }
}

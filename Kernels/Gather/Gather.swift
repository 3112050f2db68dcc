import TensorTypes
import TileIR

/// `y[i…] = x[i…, indices[i…, 0], indices[i…, 1], …]`
///
/// Where the indices stand still along the innermost dimension, they pick a row that is copied by vectors; else vectors
/// of indices pick elements. Negative indices count from the end, and every index is clamped into range, so that none
/// reads outside of x; where x has nothing to pick from, y is 0.
struct Gather: KernelTemplate {
  let name = "gather.rows"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .gather(let w) = workload, w.indices.element == .int64 || w.indices.element == .int32,
      w.output.rank + w.depth <= 8
    else { return nil }
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
  /// Views x without the picked dimensions, indices without their last one, y.
  let loops: LoopSpace
  /// The loop's dimensions, then the picked ones.
  let x: TileBuffer
  /// The loop's dimensions, then the one that says which picked dimension an index is for.
  let indices: TileBuffer
  let y: TileBuffer
  let picked: [Dim]

  init(_ w: GatherWorkload, _ vectors: Int, _ machine: Machine) {
    (self.vectors, lanes) = (vectors, machine.lanes)
    let rank = w.output.rank
    loops = LoopSpace(
      [w.x, w.indices].map { View($0.element, w.output.shape, strides: Array($0.strides[..<rank])) } + [w.output],
      leaders: [2])
    picked = Array(w.x.shape[rank...])
    x = b.parameter(
      "x", .input,
      BufferType(w.x.element, loops.shape + picked, strides: loops.views[0].strides + w.x.strides[rank...]))
    indices = b.parameter(
      "indices", .input,
      BufferType(
        w.indices.element, loops.shape + [Dim(w.depth)], strides: loops.views[1].strides + [w.indices.strides[rank]]))
    y = b.parameter("y", .output, loops.views[2].buffer)
  }

  private var inner: Int { loops.shape.count - 1 }

  func build() -> TileProgram {
    let isByRows = loops.views[1].strides[inner] == 0
    let cost = isByRows ? 1 : 4 * max(1, picked.count)
    let outer = Array(loops.shape.dropLast())
    b.divided(Division(outer: outer, inner: loops.shape[inner], cost: cost), outer: outer, inner: loops.shape[inner]) {
      outer, span in
      b.whenNotEmpty(picked) {
        if isByRows { row(outer, span) } else { elements(outer, span) }
      } otherwise: {
        b.strips(span, lanes: lanes, vectors: 1) { strip in
          y.store(
            b.constant(0, y.type.element, [strip.count]), outer.map { .at($0) } + [strip.index(0)],
            limits: [strip.limit])
        }
      }
    }
    return b.finish()
  }

  private func row(_ outer: [Tile], _ span: Span) {
    let place = outer.map { TileBuffer.Index.at($0) }
    let picks = picked.indices.map { i in
      TileBuffer.Index.at(
        b.valid(indices.load(place + [.at(b.index(0)), .at(b.index(i))], shape: []), of: b.size(picked[i])))
    }
    b.strips(span, lanes: lanes, vectors: vectors) { strip in
      let row = x.load(place + [strip.index(0)] + picks, shape: [strip.count], limits: [strip.limit])
      y.store(row, place + [strip.index(0)], limits: [strip.limit])
    }
  }

  private func elements(_ outer: [Tile], _ span: Span) {
    let place = outer.map { TileBuffer.Index.at($0) }
    b.strips(span, lanes: lanes, vectors: 1) { strip in
      let picks = picked.indices.map { i in
        let index = indices.load(
          place + [strip.index(0), .at(b.index(i))], shape: [strip.count], limits: [strip.limit])
        return TileBuffer.Index.gather(b.valid(index, of: b.size(picked[i])), 0)
      }
      // Positions along the strip join those that are picked.
      let along = x.type.strides[inner] == 0 ? TileBuffer.Index.at(strip.start) : b.gathering(strip, dimension: 0)
      let values = x.load(place + [along] + picks, shape: [strip.count], limits: [strip.limit])
      y.store(values, place + [strip.index(0)], limits: [strip.limit])
    }
  }
}

extension TileBuilder {
  /// Indices that may be anything as i64 within 0..<size: negative ones count from the end, the rest is clamped.
  /// - Requires: the size is not 0 at run time.
  func valid(_ indices: Tile, of size: Tile) -> Tile {
    let index = indices.cast(.int64)
    let zero = constant(0, .int64, index.shape)
    let size = size.broadcast(to: index.shape)
    let positive = index.less(zero).select(index + size, index)
    return positive.minimum(size - constant(1, .int64, index.shape)).maximum(zero)
  }

  /// The strip's positions as gathered ones, which may share a tile's dimension with others.
  func gathering(_ strip: Strip, dimension: Int) -> TileBuffer.Index {
    .gather(iota([strip.count], dimension: 0) + strip.start, dimension)
  }

  /// `body`, or `otherwise` where one of the sizes is 0; decided now where they are known.
  func whenNotEmpty(_ sizes: [Dim], _ body: () -> Void, otherwise: () -> Void = {}) {
    if sizes.contains(0) { return otherwise() }
    let unknown = sizes.filter { $0.constant == nil }
    if unknown.isEmpty { return body() }
    let zero = index(0)
    let conditions = unknown.map { zero.less(size($0)) }
    when(conditions.dropFirst().reduce(conditions[0]) { $0.and($1) }, body, otherwise: otherwise)
  }
}

import TensorTypes
import TileIR

/// `y[i] = x[i − before]`, or what the padding says where that is outside of x.
///
/// Rows of the innermost dimension: vectors where x is, single elements in the margins, vectors of the constant in
/// rows that lie outside.
struct Pad: KernelTemplate {
  let name = "movement.pad"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .movement(let w) = workload, w.padding != .none else { return nil }
    return KnobSpace([("vectors", [1, 2, 4, 8])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs { ["vectors": 4] }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .movement(let w) = workload else { preconditionFailure("a movement") }
    return PadProgram(w, vectors: knobs["vectors"], machine).build()
  }
}

private struct PadProgram {
  let padding: MovementWorkload.Padding
  let x: View
  let y: View
  let before: [Dim]
  let vectors: Int
  let lanes: Int
  let b: TileBuilder
  let source: TileBuffer
  let target: TileBuffer
  let rank: Int

  init(_ w: MovementWorkload, vectors: Int, _ machine: Machine) {
    let (x, y, before) = PadProgram.joined(w)
    (self.x, self.y, self.before) = (x, y, before)
    padding = w.padding
    self.vectors = vectors
    lanes = machine.lanes
    rank = y.rank
    b = TileBuilder("pad")
    source = b.parameter("x", .input, x.buffer)
    target = b.parameter("y", .output, y.buffer)
  }

  /// Neighbours that are not padded are joined; there is at least one dimension.
  private static func joined(_ w: MovementWorkload) -> (View, View, [Dim]) {
    var (x, y, before) = (w.x, w.output, w.before)
    if x.rank == 0 { return (x.broadcast(to: [1]), y.broadcast(to: [1]), [0]) }
    func isPadded(_ d: Int) -> Bool { before[d] != 0 || x.shape[d] != y.shape[d] }
    for d in (0..<(x.rank - 1)).reversed() where !isPadded(d) && !isPadded(d + 1) {
      if let joinedX = x.collapsing(d..<(d + 2)), let joinedY = y.collapsing(d..<(d + 2)) {
        (x, y) = (joinedX, joinedY)
        before.remove(at: d + 1)
      }
    }
    return (x, y, before)
  }

  private func isPadded(_ d: Int) -> Bool { before[d] != 0 || x.shape[d] != y.shape[d] }

  func build() -> TileProgram {
    let outer = Array(y.shape.dropLast())
    let starts = before.map { b.size($0) }
    let sizes = x.shape.map { b.size($0) }
    let rowEnd = b.size(y.shape[rank - 1])
    b.parallel(outer.map { b.size($0) }, work: .operations(y.shape[rank - 1].estimate)) { indices in
      row(Array(indices[..<(rank - 1)]), starts, sizes, rowEnd)
    }
    return b.finish()
  }

  private func row(_ indices: [Tile], _ starts: [Tile], _ sizes: [Tile], _ end: Tile) {
    var isInside: Tile?
    var from: [Tile] = []
    for (d, index) in indices.enumerated() {
      guard isPadded(d) else {
        from.append(index)
        continue
      }
      let position = index - starts[d]
      if case .constant = padding {
        let inside = b.index(0).lessEqual(position).and(position.less(sizes[d]))
        isInside = isInside.map { $0.and(inside) } ?? inside
        from.append(position)
      } else {
        from.append(mapped(position, sizes[d]))
      }
    }
    let last = rank - 1
    let whole = Span(b.index(0), end, length: y.shape[last].constant)
    if let isInside {
      b.when(isInside) {
        insideRow(indices, from, starts[last], sizes[last], whole)
      } otherwise: {
        fill(indices, whole)
      }
    } else {
      insideRow(indices, from, starts[last], sizes[last], whole)
    }
  }

  private func insideRow(_ indices: [Tile], _ from: [Tile], _ start: Tile, _ size: Tile, _ whole: Span) {
    let last = rank - 1
    copy(indices, from, start, Span(start, start + size, length: x.shape[last].constant))
    guard isPadded(last) else { return }
    let left = Span(b.index(0), start, length: before[last].constant)
    let right = Span(start + size, whole.end, length: (y.shape[last] - x.shape[last] - before[last]).constant)
    for margin in [left, right] {
      if case .constant = padding {
        fill(indices, margin)
      } else {
        b.loop(from: margin.begin, to: margin.end) { position in
          let value = source.load((from + [mapped(position - start, size)]).map { .at($0) }, shape: [])
          target.store(value, (indices + [position]).map { .at($0) })
        }
      }
    }
  }

  private func copy(_ indices: [Tile], _ from: [Tile], _ start: Tile, _ span: Span) {
    b.strips(span, lanes: lanes, vectors: vectors) { strip in
      let value = source.load(
        from.map { .at($0) } + [.span(strip.start - start, 0)], shape: [strip.count], limits: [strip.limit])
      target.store(value, indices.map { .at($0) } + [strip.index(0)], limits: [strip.limit])
    }
  }

  private func fill(_ indices: [Tile], _ span: Span) {
    guard case .constant(let scalar) = padding else { preconditionFailure("padding by a constant") }
    b.strips(span, lanes: lanes, vectors: vectors) { strip in
      let value = b.constant(scalar, y.element, [strip.count])
      target.store(value, indices.map { .at($0) } + [strip.index(0)], limits: [strip.limit])
    }
  }

  /// The position within 0..<size that stands for one outside.
  private func mapped(_ position: Tile, _ size: Tile) -> Tile {
    let last = size - 1
    switch padding {
    case .none, .constant: return position
    case .edge: return position.minimum(last).maximum(b.index(0))
    case .wrap: return position % size
    case .reflect:
      // A triangle wave with period 2 · (size − 1).
      let period = (last * 2).maximum(b.index(1))
      let phase = position % period
      return phase.minimum(period - phase).minimum(last)
    }
  }
}

import TensorTypes
import TileIR

/// The first few elements of each of many rows: a vector holds one element of each of so many rows, and the best so far
/// of these rows stand in registers, in order. Each further element moves those that it comes before by one place, without a
/// branch.
struct FirstOfRows: KernelTemplate {
  let name = "sort.rows"

  /// As many as registers hold.
  private static let mostKept = 8
  /// Elements times those kept, for each lane, from which on it takes longer than to find the first by counting.
  private static let mostSteps = 512

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .sort(let w) = workload, let k = w.kept.constant, (1...Self.mostKept).contains(k) else {
      return nil
    }
    let space = w.space
    // Fewer rows leave lanes empty.
    let rows = space.views[0].shape.dropLast().last!.estimate
    return rows >= machine.lanes && space.length.estimate * k <= Self.mostSteps * machine.lanes ? KnobSpace([]) : nil
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs { [:] }

  /// Where it is legal it takes less time than `MergeSort`, which reckons nothing.
  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double { -1 }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .sort(let w) = workload else { preconditionFailure("a sort") }
    return FirstOfRowsProgram(w, lanes: machine.lanes).build()
  }
}

private struct FirstOfRowsProgram {
  let w: SortWorkload
  let lanes: Int
  let b = TileBuilder("first_of_rows")
  let operands: SortOperands
  let k: Int
  let n: Tile

  init(_ w: SortWorkload, lanes: Int) {
    (self.w, self.lanes) = (w, lanes)
    operands = SortOperands(w, in: b)
    k = w.kept.constant!
    n = b.size(operands.space.length)
  }

  private var space: SlicedSpace { operands.space }

  /// Whether elements of a row are neighbours in memory.
  private var isAlong: Bool { w.x.strides[w.axis] == 1 }

  func build() -> TileProgram {
    space.forEachStrip(b, cost: k, lanes: lanes, vectors: 1) { strip, place in
      let shape = [strip.count]
      let type = w.x.element.rank
      let nothing = Kept(
        rank: b.constant(.integer(type.smallestInteger), type, shape), value: b.constant(0, w.x.element, shape),
        position: b.constant(0, .int32, shape))
      let none = [Kept](repeating: nothing, count: k)
      let kept = isAlong ? along(strip, place, none) : across(strip, place, none)
      store(kept.map(\.value), to: operands.y, strip, place)
      store(kept.map { $0.position.cast(.int64) }, to: operands.indices, strip, place)
    }
    return b.finish()
  }

  /// Of each row of a strip an element that is among the first so far.
  private struct Kept {
    var rank, value, position: Tile

    var tiles: [Tile] { [rank, value, position] }

    static func each(_ tiles: [Tile]) -> [Kept] {
      stride(from: 0, to: tiles.count, by: 3).map {
        Kept(rank: tiles[$0], value: tiles[$0 + 1], position: tiles[$0 + 2])
      }
    }
  }

  /// A loop that carries the first so far.
  private func loop(
    from lower: Tile? = nil, to upper: Tile, step: Int = 1, into kept: [Kept], _ body: (Tile, [Kept]) -> [Kept]
  ) -> [Kept] {
    Kept.each(
      b.loop(from: lower, to: upper, step: step, carrying: kept.flatMap(\.tiles)) { i, tiles in
        body(i, Kept.each(tiles)).flatMap(\.tiles)
      })
  }

  /// Takes `count` elements, the last first.
  /// - Parameter value: those at a position.
  private func taking(_ count: Tile, into kept: [Kept], from start: Tile, _ value: (Tile) -> Tile) -> [Kept] {
    loop(to: count, into: kept) { step, kept in
      let i = count - 1 - step
      return inserting(value(i), at: start + i, into: kept)
    }
  }

  /// An element takes its place before those that are equal: they come later in the row, or stand for none.
  private func inserting(_ value: Tile, at position: Tile, into kept: [Kept]) -> [Kept] {
    let rank = operands.rank(value)
    let new = Kept(rank: rank, value: value, position: position.cast(.int32).broadcast(to: value.shape))
    let comesBefore = kept.map { $0.rank.lessEqual(rank) }
    return kept.indices.map { j in
      /// What stands in place j: what stood there, the new element, or what stood before it.
      func chosen(_ part: KeyPath<Kept, Tile>) -> Tile {
        let moved =
          j == 0 ? new[keyPath: part] : comesBefore[j - 1].select(kept[j - 1][keyPath: part], new[keyPath: part])
        return comesBefore[j].select(moved, kept[j][keyPath: part])
      }
      return Kept(rank: chosen(\.rank), value: chosen(\.value), position: chosen(\.position))
    }
  }

  private func across(_ strip: Strip, _ place: (Tile) -> [TileBuffer.Index], _ kept: [Kept]) -> [Kept] {
    taking(n, into: kept, from: b.index(0)) { operands.x.load(place($0), shape: [strip.count], limits: [strip.limit]) }
  }

  /// By squares that are transposed in registers.
  private func along(_ strip: Strip, _ place: (Tile) -> [TileBuffer.Index], _ none: [Kept]) -> [Kept] {
    let width = min(lanes, space.length.constant ?? lanes)
    let square = b.allocate(BufferType(w.x.element, [Dim(width), Dim(strip.count)], space: .local))
    let zero = b.index(0)
    func take(_ start: Tile, _ limit: Tile?, _ kept: [Kept]) -> [Kept] {
      let rows = place(zero).dropLast() + [.span(start, 1)]
      let elements = operands.x.load(Array(rows), shape: [strip.count, width], limits: [strip.limit, limit])
      square.store(elements.transpose([1, 0]), [.span(zero, 0), .span(zero, 1)])
      return taking(limit ?? b.index(width), into: kept, from: start) {
        square.load([.at($0), .span(zero, 0)], shape: [strip.count])
      }
    }
    if space.length.constant == width { return take(zero, nil, none) }
    let squares = n / width
    // What is left over is last, and comes first.
    let rest = loop(from: squares * width, to: n, step: width, into: none) { take($0, n - $0, $1) }
    return loop(to: squares, into: rest) { take((squares - 1 - $0) * width, nil, $1) }
  }

  /// Stores what belongs to each place as the output lies in memory.
  private func store(_ kept: [Tile], to target: TileBuffer, _ strip: Strip, _ place: (Tile) -> [TileBuffer.Index]) {
    let zero = b.index(0)
    guard isAlong, k > 1 else {
      for (j, tile) in kept.enumerated() { target.store(tile, place(b.index(j)), limits: [strip.limit]) }
      return
    }
    let columns = b.allocate(BufferType(target.type.element, [Dim(k), Dim(strip.count)], space: .local))
    for (j, tile) in kept.enumerated() { columns.store(tile, [.at(b.index(j)), .span(zero, 0)]) }
    let rows = columns.load([.span(zero, 0), .span(zero, 1)], shape: [k, strip.count]).transpose([1, 0])
    target.store(rows, place(zero).dropLast() + [.span(zero, 1)], limits: [strip.limit, nil])
  }
}

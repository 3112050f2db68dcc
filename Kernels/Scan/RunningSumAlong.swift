import TensorTypes
import TileIR

/// As `RunningSum`, where elements along the dimension are neighbours in memory: a vector holds a strip of them. Sums of 1, 2, 4 …
/// neighbours double by joining what stands so many lanes before (Hillis and Steele, 1986). What went before the strip joins last,
/// so that a strip waits for one step of the one before it.
struct RunningSumAlong: KernelTemplate {
  let name = "scan.along"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .scan(let w) = workload, w.x.element != .bool, w.isAlong else { return nil }
    return KnobSpace([])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs { [:] }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .scan(let w) = workload else { preconditionFailure("a running sum") }
    return AlongProgram(w, machine).build()
  }
}

extension ScanWorkload {
  /// Whether vectors run along the dimension.
  var isAlong: Bool { x.strides[axis] == 1 && output.strides[axis] == 1 }
}

private struct AlongProgram {
  let scan: ScanProgram
  /// Elements of a strip.
  let width: Int

  init(_ w: ScanWorkload, _ machine: Machine) {
    scan = ScanProgram(w)
    width = machine.vectorBytes / max(4, scan.element.byteCount)
  }

  private var w: ScanWorkload { scan.w }
  private var b: TileBuilder { scan.b }

  func build() -> TileProgram {
    let extents = scan.space.views[0].shape.dropLast().map { b.size($0) }
    let n = b.size(scan.space.length)
    b.parallel(Array(extents), work: .operations(scan.space.length.estimate)) { place in
      let row = place.map { TileBuffer.Index.at($0) }
      let sums = b.allocate(BufferType(scan.element, [Dim(width)], space: .local))
      let whole = n / width * width
      let rest = n - whole
      let total = b.loop(to: whole, step: width, carrying: [identity]) {
        [strip(row, start: w.isReverse ? n - width - $0 : $0, limit: nil, after: $1[0], sums)]
      }
      b.when(b.index(0).less(rest)) {
        _ = strip(row, start: w.isReverse ? b.index(0) : whole, limit: rest, after: total[0], sums)
      }
    }
    return b.finish()
  }

  /// Stores the results of a strip, the first `limit` elements or all.
  /// - Parameters:
  ///   - total: of what goes before, in every lane.
  ///   - sums: room for a strip's.
  /// - Returns: the total including the strip.
  private func strip(
    _ row: [TileBuffer.Index], start: Tile, limit: Tile?, after total: Tile, _ sums: TileBuffer
  ) -> Tile {
    let place = row + [.span(start, 0)]
    let values = scan.x.load(place, shape: [width], limits: [limit], fill: .identity(of: w.function, w.x.element))
    var sum = values.cast(scan.element)
    var distance = 1
    while distance < width {
      sum = scan.join(sum, before(sum, by: distance))
      distance *= 2
    }
    let results = scan.join(total, w.isExclusive ? before(sum, by: 1) : sum)
    scan.y.store(results.cast(scan.y.type.element), place, limits: [limit])
    // The last one by way of memory, a lane's being out of reach.
    sums.store(sum, [.span(b.index(0), 0)])
    let last = sums.load([.at(b.index(w.isReverse ? 0 : width - 1))], shape: [])
    return scan.join(total, last.broadcast(to: [width]))
  }

  private var identity: Tile { scan.identity([width]) }

  /// In each lane what stands so many lanes before it, nothing where there is none.
  private func before(_ values: Tile, by distance: Int) -> Tile {
    let iota = b.iota([width], dimension: 0)
    let isThere =
      w.isReverse
      ? iota.less(b.index(width - distance).broadcast(to: [width]))
      : b.index(distance).broadcast(to: [width]).lessEqual(iota)
    return isThere.select(values.rotate(by: w.isReverse ? distance : -distance), identity)
  }
}

import TensorTypes
import TileIR

/// `y[i…] = Σ weight[d₀][i₀, t₀] · weight[d₁][i₁, t₁] · … · x[index[d₀][i₀, t₀], …]`, one tap (nearest), two (linear)
/// or four (cubic: Keys, "Cubic convolution interpolation", 1981) along each resized dimension.
///
/// A first phase writes the taps' indices and weights of each resized dimension into tables. Then vectors run along
/// the dimension with unit stride: where that is not resized (channels), taps are vectors of neighbours; where it is
/// resized by repeating each element, no table is needed.
struct Resize: KernelTemplate {
  let name = "resize.taps"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .resize(let w) = workload, w.x.element != .bool, ["nearest", "linear", "cubic"].contains(w.mode),
      ResizeTables.coordinateModes.contains(w.coordinateMode)
    else { return nil }
    return KnobSpace([("vectors", [1, 2, 4, 8])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .resize(let w) = workload else { preconditionFailure("a resize") }
    return ["vectors": w.mode == "nearest" ? 4 : 2]
  }

  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] {
    declaredScratch(workload, knobs, machine)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .resize(let w) = workload else { preconditionFailure("a resize") }
    return ResizeProgram(w, knobs["vectors"], machine).build()
  }
}

private struct ResizeProgram {
  let w: ResizeWorkload
  let vectors: Int
  let lanes: Int
  let b = TileBuilder("resize")
  let x: TileBuffer
  let y: TileBuffer
  /// By dimension.
  let tables: [Int: ResizeTables]
  /// What is computed in; the element itself for `nearest`.
  let element: ElementType
  /// The dimension that vectors run along.
  let inner: Int
  /// How often each element stands side by side along `inner`, if that is all that happens there.
  let repeats: Int?

  init(_ w: ResizeWorkload, _ vectors: Int, _ machine: Machine) {
    (self.w, self.vectors, lanes) = (w, vectors, machine.lanes)
    x = b.parameter("x", .input, w.x.buffer)
    y = b.parameter("y", .output, w.output.buffer)
    let type = w.x.element
    element = w.mode == "nearest" ? type : type.isFloat ? type.accumulator : .float64
    let inner = w.output.strides.lastIndex { $0 == 1 } ?? (w.x.rank - 1)
    let repeats = inner < 0 ? nil : w.repeats(along: inner)
    var tables: [Int: ResizeTables] = [:]
    for d in w.x.shape.indices where w.scales[d] != 1 || w.x.shape[d] != w.output.shape[d] {
      if d != inner || repeats == nil { tables[d] = ResizeTables(w, dimension: d, element, b) }
    }
    (self.tables, self.inner, self.repeats) = (tables, inner, repeats)
  }

  func build() -> TileProgram {
    if w.x.rank == 0 { return scalar() }
    for d in tables.keys.sorted() {
      b.parallel([b.size(w.output.shape[d]).ceilDivided(by: 256)], grain: 4) { block in
        let begin = block[0] * 256
        b.loop(from: begin, to: (begin + 256).minimum(b.size(w.output.shape[d]))) { tables[d]!.write($0) }
      }
    }
    // Walked in the output's memory order where that is known: strides of constants, else as they stand.
    let outer = w.output.shape.indices.filter { $0 != inner }
    let taps = tables.values.reduce(1) { $0 * $1.count }
    let work = LoopWork.operations(w.output.shape[inner].estimate * taps)
    b.parallel(outer.map { b.size(w.output.shape[$0]) }, work: work) { indices in
      var place = [Tile](repeating: indices[0], count: w.x.rank)
      for (dimension, index) in zip(outer, indices) { place[dimension] = index }
      row(place)
    }
    return b.finish()
  }

  private func scalar() -> TileProgram {
    b.parallel([], grain: 1) { _ in y.store(x.load([], shape: []), []) }
    return b.finish()
  }

  private func row(_ place: [Tile]) {
    let resized = tables.keys.sorted()
    // Taps of the dimensions outside are the same all along the row.
    let outer = resized.filter { $0 != inner }
    let known = Dictionary(
      uniqueKeysWithValues: outer.map { d in (d, tables[d]!.taps(.at(place[d]), count: nil, limit: nil)) })
    if let repeats { return repeatedRow(place, known, repeats) }
    b.strips(b.span(w.output.shape[inner]), lanes: lanes, vectors: tables[inner] == nil ? vectors : 1) { strip in
      var taps = known
      if let table = tables[inner] { taps[inner] = table.taps(strip.index(0), count: strip.count, limit: strip.limit) }
      let value = sum(resized[...], taps, place, strip, [:])
      var target = place.map { TileBuffer.Index.at($0) }
      target[inner] = strip.index(0)
      y.store(value.cast(y.type.element), target, limits: [strip.limit])
    }
  }

  /// Each element of a row `repeats` times.
  private func repeatedRow(_ place: [Tile], _ taps: [Int: [ResizeTables.Tap]], _ repeats: Int) {
    b.strips(b.span(w.x.shape[inner]), lanes: lanes, vectors: vectors) { strip in
      let value = sum(tables.keys.sorted()[...], taps, place, strip, [:])
      let spread = value.reshape([strip.count, 1]).broadcast(to: [strip.count, repeats]).reshape([strip.count * repeats]
      )
      var target = place.map { TileBuffer.Index.at($0) }
      target[inner] = .span(strip.start * repeats, 0)
      y.store(spread.cast(y.type.element), target, limits: [strip.limit.map { $0 * repeats }])
    }
  }

  /// Σ over the taps of `dimensions`, the others' being chosen.
  private func sum(
    _ dimensions: ArraySlice<Int>, _ taps: [Int: [ResizeTables.Tap]], _ place: [Tile], _ strip: Strip,
    _ chosen: [Int: Tile]
  ) -> Tile {
    guard let d = dimensions.first else {
      var source = place.map { TileBuffer.Index.at($0) }
      source[inner] = strip.index(0)
      for (dimension, index) in chosen { source[dimension] = dimension == inner ? .gather(index, 0) : .at(index) }
      return x.load(source, shape: [strip.count], limits: [strip.limit]).cast(element)
    }
    var total: Tile?
    for tap in taps[d]! {
      var next = chosen
      next[d] = tap.index
      let value = sum(dimensions.dropFirst(), taps, place, strip, next)
      guard let weight = tap.weight else { return value }
      let spread = weight.broadcast(to: [strip.count])
      total = total.map { spread.fma(value, $0) } ?? spread * value
    }
    return total!
  }
}

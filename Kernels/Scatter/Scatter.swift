import TensorTypes
import TileIR

/// A copy of x in which elements that a tensor of indices names are replaced by, or joined with, updates:
/// `y[place(i…)] = f(y[place(i…)], updates[i…])`, for each i… in row-major order.
public struct ScatterWorkload: Hashable, Sendable, Codable {
  /// Which position an update has along a dimension of x.
  public enum Place: Hashable, Sendable, Codable {
    /// Its own along a dimension of the updates, no two the same.
    case along(Int)
    /// What the index of this number says; negative ones count from the end, others are clamped into range.
    case picked(Int)
  }
  public var x: View
  /// Dimensions of the updates, then one of as many indices as are needed.
  public var indices: View
  public var updates: View
  /// One a dimension of x.
  public var places: [Place]
  /// nil: an update takes the element's place.
  public var function: BinaryFunction?
  public var output: View

  public init(
    x: View, indices: View, updates: View, places: [Place], function: BinaryFunction?, output: View
  ) {
    (self.x, self.indices, self.updates, self.places) = (x, indices, updates, places)
    (self.function, self.output) = (function, output)
  }

  public var operands: [View] { [x, indices, updates] }
}

/// y = x, then `y[place(i…)] = f(y[place(i…)], updates[i…])`
///
/// Dimensions of the updates that are x's own cannot meet in one element: they are shared out, and the last one is walked by vectors
/// where its updates are close neighbours or its indices the same. Elsewhere, as along rows with an order of their own, updates are taken
/// one by one as they lie in memory: a vector of them would be gathered from as many cache lines.
/// The other dimensions run one after the other, so that the last of several updates wins whatever the number of workers.
struct Scatter: KernelTemplate {
  let name = "scatter.ordered"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .scatter(let w) = workload, w.indices.element == .int64 || w.indices.element == .int32, w.x.rank > 0,
      w.indices.rank <= 8, w.function.map({ $0.accepts(w.x.element) }) ?? true
    else { return nil }
    return KnobSpace([("vectors", [1, 2, 4])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs { ["vectors": 4] }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .scatter(let w) = workload else { preconditionFailure("a scatter") }
    return ScatterProgram(w, knobs["vectors"], machine).build()
  }
}

private struct ScatterProgram {
  let w: ScatterWorkload
  let vectors: Int
  let lanes: Int
  let b = TileBuilder("scatter")
  let x, indices, updates, y: TileBuffer
  /// Dimensions of the updates that are shared out, and those that run in order.
  let free, ordered: [Int]

  init(_ w: ScatterWorkload, _ vectors: Int, _ machine: Machine) {
    (self.w, self.vectors, lanes) = (w, vectors, machine.lanes)
    x = b.parameter("x", .input, w.x.buffer)
    indices = b.parameter("indices", .input, w.indices.buffer)
    updates = b.parameter("updates", .input, w.updates.buffer)
    y = b.parameter("y", .output, w.output.buffer)
    let own: Set<Int> = Set(
      w.places.compactMap { place in
        switch place {
        case .along(let dimension): dimension
        case .picked: nil
        }
      })
    free = w.updates.shape.indices.filter { own.contains($0) }
    ordered = w.updates.shape.indices.filter { !own.contains($0) }
  }

  func build() -> TileProgram {
    copy()
    // Sizes of the dimensions that are picked from: where one is empty there is nothing to update.
    let sizes = zip(w.places, w.x.shape).compactMap { place, size in
      switch place {
      case .along: Dim?.none
      case .picked: size
      }
    }
    guard let last = free.last, isByVectors(last) else {
      b.parallel(free.map { b.size(w.updates.shape[$0]) }, work: .operations(cost)) { place in
        b.whenNotEmpty(sizes) {
          // There is one index where nothing is free.
          inOrder(Dictionary(uniqueKeysWithValues: zip(free, place))) { position in
            update(position, nil, Strip(start: b.index(0), count: 1, limit: nil))
          }
        }
      }
      return b.finish()
    }
    let outer = free.dropLast().map { w.updates.shape[$0] }
    let inner = w.updates.shape[last]
    b.divided(Division(outer: outer, inner: inner, cost: cost), outer: outer, inner: inner) { place, span in
      let known = Dictionary(uniqueKeysWithValues: zip(free, place))
      b.whenNotEmpty(sizes) {
        inOrder(known) { position in
          b.strips(span, lanes: lanes, vectors: isByRows ? vectors : 1) { update(position, last, $0) }
        }
      }
    }
    return b.finish()
  }

  /// Of what runs in order, in simple operations.
  private var cost: Int { ordered.reduce(4) { min(1 << 20, $0 * max(1, w.updates.shape[$1].estimate)) } }

  /// Whether an index is the same along the vectors' dimension: it is read once for a whole strip.
  private var isByRows: Bool { free.last.map { w.indices.strides[$0] == 0 } ?? false }

  /// Whether a vector of updates along a free dimension is of a few cache lines.
  private func isByVectors(_ dimension: Int) -> Bool {
    isByRows || w.updates.shape[dimension] == 1 || (w.updates.strides[dimension].constant ?? .max) <= 4
  }

  private func copy() {
    let outer = Array(w.x.shape.dropLast())
    let inner = w.x.shape[outer.count]
    b.divided(Division(outer: outer, inner: inner, cost: 1), outer: outer, inner: inner) { place, span in
      b.strips(span, lanes: lanes, vectors: vectors) { strip in
        let place = place.map { TileBuffer.Index.at($0) } + [strip.index(0)]
        y.store(x.load(place, shape: [strip.count], limits: [strip.limit]), place, limits: [strip.limit])
      }
    }
  }

  /// Runs `body` with a position for each dimension of the updates but the vectors' one.
  private func inOrder(_ known: [Int: Tile], _ body: ([Int: Tile]) -> Void) {
    b.nested(ordered.map { b.size(w.updates.shape[$0]) }) { place in
      body(known.merging(zip(ordered, place)) { first, _ in first })
    }
  }

  /// Updates a strip along dimension `vector` of the updates; nil: one element.
  private func update(_ position: [Int: Tile], _ vector: Int?, _ strip: Strip) {
    let shape = vector == nil ? [] : [strip.count]
    let limits = vector == nil ? [] : [strip.limit]
    let place = w.updates.shape.indices.map { d in d == vector ? strip.index(0) : TileBuffer.Index.at(position[d]!) }
    let isByRows = isByRows || vector == nil
    let indexPlace =
      isByRows && vector != nil
      ? w.updates.shape.indices.map { d in TileBuffer.Index.at(d == vector ? strip.start : position[d]!) } : place
    let target = zip(w.places, w.x.shape).map { chosen, size -> TileBuffer.Index in
      switch chosen {
      case .along(let d):
        if d != vector { return .at(position[d]!) }
        return isByRows ? strip.index(0) : b.gathering(strip, dimension: 0)
      case .picked(let number):
        let given = indices.load(
          indexPlace + [.at(b.index(number))], shape: isByRows ? [] : shape, limits: isByRows ? [] : limits)
        let pick = b.valid(given, of: b.size(size))
        return isByRows ? .at(pick) : .gather(pick, 0)
      }
    }
    var value = updates.load(place, shape: shape, limits: limits)
    if let function = w.function { value = y.load(target, shape: shape, limits: limits).binary(function, value) }
    y.store(value, target, limits: limits)
  }
}

import TensorTypes
import TileIR

/// `y[i] = Σ_{j ≤ i} x[j]` along a dimension, or another function than the sum; `j < i` if exclusive; from the end if
/// reverse.
public struct ScanWorkload: Hashable, Sendable, Codable {
  public var function: ReductionFunction
  public var x: View
  public var axis: Int
  public var isExclusive: Bool
  public var isReverse: Bool
  /// Of x's shape.
  public var output: View

  public init(
    function: ReductionFunction, x: View, axis: Int, isExclusive: Bool, isReverse: Bool, output: View
  ) {
    self.function = function
    (self.x, self.axis, self.isExclusive, self.isReverse) = (x, axis, isExclusive, isReverse)
    self.output = output
  }

  public var operands: [View] { [x] }
}

/// s += x[i], y[i] = s: a vector holds the sums of neighbours along another dimension, so that its chains overlap and
/// each sum is taken in order.
struct RunningSum: KernelTemplate {
  let name = "scan.sum"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .scan(let w) = workload, w.x.element != .bool, !w.isAlong else { return nil }
    return KnobSpace([("vectors", [1, 2, 4, 8, 16])])
  }

  /// As many vectors as hold a row, so that memory is walked as it lies; of longer rows so many that columns share cache lines.
  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .scan(let w) = workload else { preconditionFailure("a running sum") }
    let view = SlicedSpace([w.x, w.output], axis: w.axis).views[1]
    let row = view.shape[view.rank - 2].constant ?? .max
    return ["vectors": [2, 4, 8, 16].first { row <= $0 * machine.lanes } ?? 2]
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .scan(let w) = workload else { preconditionFailure("a running sum") }
    let scan = ScanProgram(w)
    let b = scan.b
    let count = b.size(scan.space.length)
    scan.space.forEachStrip(b, cost: 1, lanes: machine.lanes, vectors: knobs["vectors"]) { strip, place in
      _ = b.loop(to: count, carrying: [scan.identity([strip.count])]) { step, carried in
        [scan.advance(carried[0], place(scan.position(step, of: count)), limit: strip.limit)]
      }
    }
    return b.finish()
  }
}

/// What the programs of running sums begin with, and the step that those have in common which take elements in order.
struct ScanProgram {
  let w: ScanWorkload
  let b = TileBuilder("scan")
  /// Of x and y.
  let space: SlicedSpace
  let x, y: TileBuffer
  /// That sums have.
  let element: ElementType

  init(_ w: ScanWorkload) {
    self.w = w
    space = SlicedSpace([w.x, w.output], axis: w.axis)
    element = w.x.element.accumulator
    x = b.parameter("x", .input, space.views[0].buffer)
    y = b.parameter("y", .output, space.views[1].buffer)
  }

  /// Sums of nothing.
  func identity(_ shape: [Int]) -> Tile { b.constant(.identity(of: w.function, element), element, shape) }

  func join(_ a: Tile, _ b: Tile) -> Tile { a.binary(w.function.combiner, b) }

  /// Where along the axis a step is.
  func position(_ step: Tile, of count: Tile) -> Tile { w.isReverse ? count - 1 - step : step }

  /// Takes the elements at `index` and stores their results.
  /// - Parameter before: sums of what goes before.
  /// - Returns: the sums with them.
  func advance(_ before: Tile, _ index: [TileBuffer.Index], limit: Tile?) -> Tile {
    let value = x.load(index, shape: before.shape, limits: [limit]).cast(element)
    let sum = join(before, value)
    y.store((w.isExclusive ? before : sum).cast(y.type.element), index, limits: [limit])
    return sum
  }
}

/// The loops of kernels that go along one dimension in order and do the same for all positions of the others: the
/// dimension last, before it the one that vectors run along.
struct SlicedSpace {
  /// Dimensions outer…, the vectors', the axis.
  let views: [View]
  /// Size of the axis.
  let length: Dim

  /// - Parameter views: of one shape but for the axis; the last one decides where vectors run.
  init(_ views: [View], axis: Int) {
    length = views[0].shape[axis]
    let others = views[0].shape.indices.filter { $0 != axis }
    let outside = views.map { view in
      View(view.element, others.map { view.shape[$0] }, strides: others.map { view.strides[$0] })
    }
    let loops = LoopSpace(outside, leaders: [views.count - 1])
    self.views = zip(loops.views, views).map { loop, view in
      View(view.element, loop.shape + [view.shape[axis]], strides: loop.strides + [view.strides[axis]])
    }
  }

  /// Runs `body` for strips along the vectors' dimension; it is given a function from a position along the axis to the
  /// indices of a tile there.
  /// - Parameter cost: of one element, in simple operations.
  func forEachStrip(
    _ b: TileBuilder, cost: Int, lanes: Int, vectors: Int, _ body: (Strip, (Tile) -> [TileBuffer.Index]) -> Void
  ) {
    let outer = views[0].shape.dropLast(2).map { b.size($0) }
    let inner = views[0].shape[outer.count]
    let work = max(1, min(1 << 30, length.estimate * cost))
    // Pieces worth a worker, in whole strips.
    let width = lanes * vectors
    let block = min(64, LoopWork.operations(work * width).grain) * width
    let size = b.size(inner)
    let strips = LoopWork.operations(work * max(1, min(block, inner.estimate)))
    b.parallel(outer + [size.ceilDivided(by: block)], work: strips) { indices in
      let begin = indices[outer.count] * block
      let place = Array(indices.dropLast())
      let isWhole = inner.constant.map { $0 <= block } ?? false
      let span = isWhole ? b.span(inner) : Span(begin, (begin + block).minimum(size), length: nil)
      b.strips(span, lanes: lanes, vectors: vectors) { strip in
        body(strip) { position in place.map { .at($0) } + [strip.index(0), .at(position)] }
      }
    }
  }
}

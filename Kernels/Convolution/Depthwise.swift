import TensorTypes
import TileIR

/// y[p, c] = epilogue(Σ over taps t of x[p·stride + t·dilation − pad, ⌊c / m⌋] · w[t, c]), m outputs of each channel
///
/// Each output by itself: vectors of channels, several positions of a row at a time. A task copies the part of x under a rectangle of
/// positions to local memory, one block of channels wide, with its border of zeros and each channel m
/// times: then nothing is masked, a tap's vectors are one after the other, and positions side by side share those of a row of taps.
struct Depthwise: KernelTemplate {
  let name = "convolution.depthwise"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .convolution(let w) = workload, w.x.element == .float32, w.w.element == .float32 else { return nil }
    let shape = w.w.shape
    guard (1...3).contains(w.strides.count), shape[0] == Dim(w.groups), w.groups > 1,
      shape[shape.count - 2] == 1, w.x.strides.last == 1, shape.allSatisfy({ $0.constant != nil })
    else { return nil }
    // A vector of outputs is one of whole channels, and outputs are numbered through.
    let each = shape.last!.constant!
    guard each > 0, machine.lanes % each == 0, each == 1 || w.w.strides[0] == w.w.strides.last! * Dim(each)
    else { return nil }
    return KnobSpace([
      ("positions", [1, 2, 3, 4, 6, 7, 8, 10, 12, 14]), ("vectors", [1, 2, 4]),
      ("tileH", [1, 2, 3, 4, 6, 7, 8, 12, 14, 16, 24, 28, 32, 56]), ("tileW", [7, 8, 14, 16, 28, 32, 56, 64, 112]),
    ]) { knobs in
      knobs["positions"] * knobs["vectors"] + knobs["vectors"] + 1 <= machine.vectorRegisters
    }
  }

  /// Blocks of channels are two vectors wide: neighbouring lines of the cache. Eight sums and more hide that each waits for its products;
  /// of the numbers of positions that leave room for them, the one that a row has fewest places over with.
  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .convolution(let given) = workload else { preconditionFailure("a convolution") }
    let w = given.withThreeDimensions
    let vectors = 2
    let most = machine.vectorRegisters > 16 ? 8 : 4
    let (height, width) = (w.epilogue.output.shape[2].constant ?? 64, max(1, w.epilogue.output.shape[3].constant ?? 64))
    func cycles(_ positions: Int) -> Int { (width + positions - 1) / positions * max(positions * vectors, 8) }
    let positions = (1...most).reversed().min { cycles($0) < cycles($1) }!
    let shape = rectangle(w, height, width, positions: positions, vectors: vectors, machine)
    return ["positions": positions, "vectors": vectors, "tileH": shape.tileH, "tileW": shape.tileW]
  }

  /// The rectangle whose patch is copied soonest for a position.
  private func rectangle(
    _ w: ConvolutionWorkload, _ height: Int, _ width: Int, positions: Int, vectors: Int, _ machine: Machine
  ) -> DepthwisePatch {
    let others =
      (w.epilogue.output.shape[0] * w.epilogue.output.shape[1]).estimate
      * ((machine.vectors(for: w.outputs) + vectors - 1) / vectors)
    func shapes(_ bytes: Int) -> [DepthwisePatch] {
      stride(from: positions, to: min(width, 128) + positions, by: positions).compactMap { tileW in
        let most = Machine.largestPart(of: height, others: others * ((width + tileW - 1) / tileW))
        let fits = (1...max(1, most)).last {
          DepthwisePatch(w, tileH: $0, tileW: tileW).bytes(vectors, machine) <= bytes
        }
        return fits.map { DepthwisePatch(w, tileH: Machine.evenPart(of: height, atMost: $0), tileW: tileW) }
      }
    }
    let all = shapes(DepthwisePatch.near(machine)) + shapes(machine.cacheBytes[1] / 4)
    return all.min { $0.copying(vectors, machine) < $1.copying(vectors, machine) }
      ?? DepthwisePatch(w, tileH: 1, tileW: positions)
  }

  /// The taps by channels, as one panel a vector block wide: `[1, ⌈C / width⌉, taps, width]`.
  func packing(for workload: Workload, knobs: Knobs, on machine: Machine) -> [WeightPacking?] {
    guard case .convolution(let w) = workload else { preconditionFailure("a convolution") }
    return [nil, w.wIsConstant ? Self.weights(w, knobs, machine) : nil] + w.epilogue.operands.map { _ in nil }
  }

  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] {
    guard case .convolution(let w) = workload else { preconditionFailure("a convolution") }
    return w.wIsConstant ? [] : [Self.weights(w, knobs, machine).packed]
  }

  /// Products at two a cycle, most of the time; a load and a store for each vector of the patch.
  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .convolution(let given) = workload else { preconditionFailure("a convolution") }
    let w = given.withThreeDimensions
    let vectors = machine.vectors(for: w.outputs) * w.positions
    let shape = DepthwisePatch(w, tileH: knobs["tileH"], tileW: knobs["tileW"])
    return Double(vectors)
      * (Double(w.taps.reduce(1, *)) / 2 / 0.8 + 2 * shape.copying(knobs["vectors"], machine))
  }

  fileprivate static func weights(_ w: ConvolutionWorkload, _ knobs: Knobs, _ machine: Machine) -> WeightPacking {
    let taps = 1..<(w.w.rank - 2)
    let each = w.w.shape.last!
    let source = View(
      .float32, [1] + w.w.shape[taps] + [w.w.shape[0] * each],
      strides: [0] + w.w.strides[taps] + [each == 1 ? w.w.strides[0] : w.w.strides.last!])
    return WeightPacking(source: source, width: knobs["vectors"] * machine.lanes, element: .float32)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .convolution(let given) = workload else { preconditionFailure("a convolution") }
    return DepthwiseProgram(given, knobs, machine).build()
  }
}

/// The part of x under a rectangle of `tileH · tileW` output positions, of one channel.
private struct DepthwisePatch {
  let (tileH, tileW): (Int, Int)
  let planes: Int
  let (height, width): (Int, Int)

  /// - Parameter w: with three space dimensions.
  init(_ w: ConvolutionWorkload, tileH: Int, tileW: Int) {
    (self.tileH, self.tileW, planes) = (tileH, tileW, w.taps[0])
    (height, width) = (w.reach(of: tileH, along: 1), w.reach(of: tileW, along: 2))
  }

  var elements: Int { planes * height * width }
  func bytes(_ vectors: Int, _ machine: Machine) -> Int { elements * vectors * machine.vectorBytes }
  /// Vectors copied for one of the results: those that rectangles share at their borders by each. To the level-2 cache, where a patch has to
  /// be if taps are many, it takes twice as long.
  func copying(_ vectors: Int, _ machine: Machine) -> Double {
    let isNear = bytes(vectors, machine) <= Self.near(machine)
    return Double(elements) / Double(tileH * tileW) * (isNear ? 1 : 2)
  }
  /// What of the level-1 cache a patch takes.
  static func near(_ machine: Machine) -> Int { machine.cacheBytes[0] * 5 / 8 }
}

private struct DepthwiseProgram {
  let w: ConvolutionWorkload
  let positions: Int
  let width: Int
  let shape: DepthwisePatch
  let b: TileBuilder
  let x: TileBuffer
  let packing: WeightPacking
  let source: TileBuffer
  let weights: TileBuffer
  let operands: [TileBuffer]
  let y: TileBuffer

  init(_ given: ConvolutionWorkload, _ knobs: Knobs, _ machine: Machine) {
    w = given.withThreeDimensions
    positions = knobs["positions"]
    width = knobs["vectors"] * machine.lanes
    let size = w.epilogue.output.shape
    func tile(_ knob: String, _ size: Dim) -> Int { min(knobs[knob], size.constant.map { max(1, $0) } ?? .max) }
    // Whole blocks of positions.
    let columns = (tile("tileW", size[3]) + positions - 1) / positions * positions
    shape = DepthwisePatch(w, tileH: tile("tileH", size[2]), tileW: columns)
    b = TileBuilder("depthwise")
    x = b.parameter("x", .input, w.x.buffer)
    packing = Depthwise.weights(given, knobs, machine)
    let panels = BufferType(.float32, packing.packed.shape)
    source = b.parameter("w", .input, w.wIsConstant ? panels : packing.source.buffer)
    (operands, y) = b.parameters(w.epilogue)
    weights = w.wIsConstant ? source : b.parameter("panels", .scratch, panels)
  }

  private var zero: Tile { b.index(0) }

  /// Where a task stands: image, its rectangle's first output position, and its channels.
  private struct Task {
    var n, d, h, v, block: Tile
    /// How many channels of the block there are, if not all.
    var channelLimit: Tile?
  }

  func build() -> TileProgram {
    if !w.wIsConstant { b.packPanels(source, to: weights, packing) }
    let size = w.epilogue.output.shape
    let blocks = (w.outputs + width - 1) / width
    let extents = [
      b.size(size[0]), b.size(size[1]), b.size(size[2]).ceilDivided(by: shape.tileH),
      b.size(size[3]).ceilDivided(by: shape.tileW), b.index(blocks),
    ]
    let work = shape.tileH * shape.tileW * w.taps.reduce(width, *)
    b.parallel(extents, work: .products(work)) { i in
      let limit = w.outputs % width == 0 ? nil : b.index(w.outputs) - i[4] * width
      run(Task(n: i[0], d: i[1], h: i[2] * shape.tileH, v: i[3] * shape.tileW, block: i[4], channelLimit: limit))
    }
    return b.finish()
  }

  private func run(_ task: Task) {
    let size = w.epilogue.output.shape
    let rows = (b.size(size[2]) - task.h).minimum(b.index(shape.tileH))
    let columns = (b.size(size[3]) - task.v).minimum(b.index(shape.tileW))
    let whole = columns / positions * positions
    let isWhole = size[3].constant.map { $0 % positions == 0 && shape.tileW % positions == 0 } ?? false
    let patch = b.allocate(
      BufferType(.float32, [Dim(shape.planes), Dim(shape.height), Dim(shape.width), Dim(width)], space: .local))
    copy(to: patch, task, rows: rows)
    func block(_ row: Tile, _ column: Tile, limit: Tile?) {
      store(sum(patch, task, row, column), task, row, column, limit: limit)
    }
    b.loop(to: rows) { row in
      b.loop(to: whole, step: positions) { block(row, $0, limit: nil) }
      if !isWhole { b.when(whole.less(columns)) { block(row, whole, limit: columns - whole) } }
    }
  }

  /// The place in x of a position's first tap.
  private func corner(_ task: Task, _ row: Tile, _ column: Tile) -> [Tile] {
    zip([task.d, task.h + row, task.v + column], zip(w.strides, w.padsBefore)).map { $0 * $1.0 - $1.1 }
  }

  /// Copies what `rows` rows of outputs need, zeros where that reaches over the image's border.
  private func copy(to patch: TileBuffer, _ task: Task, rows: Tile) {
    let corner = corner(task, zero, zero)
    let sizes = (1...3).map { b.size(w.x.shape[$0]) }
    let columns = b.index(shape.width)
    let (lower, upper) = columns.inside(sizes[2], from: corner[2], zero: zero)
    let nothing = b.constant(0, .float32, [width])
    let height = (rows - 1) * w.strides[1] + ((w.taps[1] - 1) * w.dilations[1] + 1)
    b.nested([b.index(shape.planes), height]) { i in
      let (d, h) = (corner[0] + i[0] * w.dilations[0], corner[1] + i[1])
      let isInside = zero.lessEqual(d).and(d.less(sizes[0])).and(zero.lessEqual(h)).and(h.less(sizes[1]))
      let (first, end) = (isInside.select(lower, columns), isInside.select(upper, columns))
      func put(_ tile: Tile, _ column: Tile) {
        patch.store(tile, [.at(i[0]), .at(i[1]), .at(column), .span(zero, 0)])
      }
      b.loop(to: first) { put(nothing, $0) }
      b.loop(from: first, to: end) { column in
        put(channels(task, [.at(task.n), .at(d), .at(h), .at(corner[2] + column)]), column)
      }
      b.loop(from: end, to: columns) { put(nothing, $0) }
    }
  }

  /// For each output of a block its channel of x at a position.
  private func channels(_ task: Task, _ position: [TileBuffer.Index]) -> Tile {
    let each = w.outputsPerGroup
    let count = width / each
    // Where outputs are left over, whole channels are.
    let channels = x.load(
      position + [.span(task.block * count, 0)], shape: [count], limits: [task.channelLimit.map { $0 / each }])
    return each == 1 ? channels : channels.reshape([count, 1]).broadcast(to: [count, each]).reshape([width])
  }

  /// Sums of `positions · width` results, row by row of the taps. What is written out at once shares the loads of x.
  private func sum(_ patch: TileBuffer, _ task: Task, _ row: Tile, _ column: Tile) -> Tile {
    let lines = w.taps[0] * w.taps[1]
    let nothing = b.constant(0, .float32, [positions, width])
    func add(_ line: Tile, _ tap: Tile, _ sums: Tile) -> Tile {
      let weight = weights.load(
        [.at(zero), .at(task.block), .at(line * w.taps[2] + tap), .span(zero, 0)], shape: [width])
      let values = patch.load(
        [
          .at(line / w.taps[1]), .at(row * w.strides[1] + line % w.taps[1] * w.dilations[1]),
          .span(column * w.strides[2] + tap * w.dilations[2], 0, step: w.strides[2]), .span(zero, 1),
        ], shape: [positions, width])
      return values.fma(weight.reshape([1, width]), sums)
    }
    func addLine(_ line: Tile, _ sums: Tile) -> Tile {
      if w.taps[2] > 32 {
        return b.loop(.unrolled(by: 4), to: b.index(w.taps[2]), carrying: [sums]) { [add(line, $0, $1[0])] }[0]
      }
      return (0..<w.taps[2]).reduce(sums) { add(line, b.index($1), $0) }
    }
    if lines * w.taps[2] * positions <= 128 { return (0..<lines).reduce(nothing) { addLine(b.index($1), $0) } }
    return b.loop(to: b.index(lines), carrying: [nothing]) { line, sums in [addLine(line, sums[0])] }[0]
  }

  private func store(_ sum: Tile, _ task: Task, _ row: Tile, _ column: Tile, limit: Tile?) {
    let position = BlockPosition(
      rows: [.at(task.n), .at(task.d), .at(task.h + row), .span(task.v + column, 0)], column: task.block * width)
    w.epilogue.store(
      sum, to: y, operands, at: position, rowLimit: limit, columnLimit: task.channelLimit, in: b)
  }
}

import TensorTypes
import TileIR

/// y[p, o] = epilogue(Σ over taps t and channels c of x[p·stride + t·dilation − pad, c] · w[t, c, o])
///
/// Matrix multiplication whose a is never formed (Chetlur et al., cuDNN, 2014). A task takes a rectangle of output
/// positions and a range of output channels; rows of a are addresses in its patch (`PatchRectangles`).
///
/// Narrow integers are summed in i32: the patch then holds words of two or four channels each, and a register tile adds as
/// many products a step (see `WordMatmul`). So it is with f32 that may be rounded to bf16, where the machine multiplies words of those.
struct ImplicitGEMM: KernelTemplate {
  let name = "convolution.implicit_gemm"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .convolution(let w) = workload, w.widens || (w.x.element == .float32 && w.w.element == .float32) else {
      return nil
    }
    guard (1...3).contains(w.strides.count), w.x.shape.last!.constant != nil, w.w.shape.last!.constant != nil else {
      return nil
    }
    return KnobSpace([
      ("tileH", [1, 2, 3, 4, 6, 7, 8, 12, 14, 16, 24, 28, 32]),
      ("tileW", [1, 6, 7, 8, 12, 14, 16, 24, 28, 32, 48, 56, 64, 96, 128]),
      ("nc", [1, 2, 3, 4, 6, 8, 12, 16, 32, 64]), ("unroll", [1, 2, 4, 8]),
      ("prefetch", PanelPrefetch.choices),
    ]).choosing(of: RegisterTile.choices(on: machine))
  }

  /// `nc` counts register tiles.
  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .convolution(let given) = workload else { preconditionFailure("a convolution") }
    let w = given.withThreeDimensions
    let outputs = w.outputsPerGroup
    let tile =
      outputs <= machine.lanes
      ? RegisterTile(rows: min(12, machine.vectorRegisters - 4), columns: machine.lanes)
      : .fitting(
        rows: w.positions, columns: outputs, streams: false, addresses: true, of: w.parts(on: machine), on: machine)
    var (tileH, tileW) = PatchRectangles.size(for: w, rows: tile.rows, on: machine)
    let size = (h: w.rowsOfSpacing.constant, w: w.epilogue.output.shape[3].constant)
    let panels = (outputs + tile.columns - 1) / tile.columns
    var nc = panels
    if let h = size.h, let width = size.w {
      func tasks() -> Int {
        let rectangles =
          w.rowSpacing * ((h + tileH - 1) / tileH) * ((width + tileW - 1) / tileW) * (w.x.shape[0].constant ?? 1)
        return rectangles * w.groups * ((panels + nc - 1) / nc)
      }
      // Each task copies the patch, whose layout may have to be turned around.
      let copying =
        PatchCopy.cycles(w, on: machine) * Double(PatchRectangles.patchSteps(of: w, tileH, tileW, on: machine))
      let panel = products(Double(tileH * tileW), columns: tile.columns, w, machine)
      while nc > 1, tasks() < 8, tasks() < machine.workers ?? 2 || copying < 0.05 * panel * Double((nc + 1) / 2) {
        nc = (nc + 1) / 2
      }
      // Of few channels threads share the positions.
      while tileH > 1, machine.workers != 1, tasks() < machine.workers ?? 2 { tileH = (tileH + 1) / 2 }
      // Few tasks are of one size, and as many for each thread.
      if let workers = machine.workers, workers > 1, tasks() < 4 * workers {
        func even(_ tile: Int, of size: Int) -> Int {
          var parts = (size + tile - 1) / tile
          let others = tasks() / parts
          while parts < size, parts * others % workers != 0 { parts += 1 }
          return (size + parts - 1) / parts
        }
        if h > 1 { tileH = even(tileH, of: h) } else { tileW = even(tileW, of: width) }
      }
    }
    return [
      "mr": tile.rows, "nr": tile.columns, "tileH": tileH, "tileW": tileW, "nc": nc,
      // A tile of AVX-512's registers is enough code.
      "unroll": w.parts(on: machine) != nil || machine.vectorRegisters > 16 ? 1 : 4,
      "prefetch": PanelPrefetch.blocks(passing: tileH * tileW / tile.rows),
    ]
  }

  func packing(for workload: Workload, knobs: Knobs, on machine: Machine) -> [WeightPacking?] {
    guard case .convolution(let w) = workload else { preconditionFailure("a convolution") }
    return [nil, w.wIsConstant ? panels(w, knobs, machine) : nil] + w.epilogue.operands.map { _ in nil }
  }

  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] {
    guard case .convolution(let w) = workload else { preconditionFailure("a convolution") }
    return w.wIsConstant ? [] : [panels(w, knobs, machine).packed]
  }

  fileprivate func panels(_ w: ConvolutionWorkload, _ knobs: Knobs, _ machine: Machine) -> WeightPacking {
    let parts = w.parts(on: machine)
    return WeightPacking(
      source: w.w, width: knobs["nr"], element: parts?.elements.b ?? .float32, group: parts?.count ?? 1)
  }

  /// Multiplications of vectors, most of the time, while the weights come from memory once; copying the patch comes to some
  /// loads and stores for each element of x. Results that don't lie with channels last are stored one by one.
  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .convolution(let w) = workload else { preconditionFailure("a convolution") }
    let (channels, outputs) = (w.w.shape[w.w.rank - 2].constant!, w.w.shape[w.w.rank - 1].constant!)
    let columns = (outputs + knobs["nr"] - 1) / knobs["nr"] * knobs["nr"]
    let positions = Double(w.positions * w.groups)
    let storing =
      w.epilogue.output.strides.last == 1 ? 0 : ConvolutionWorkload.cyclesToScatter * positions * Double(outputs)
    let copying = 3 * positions * Double(w.strides.reduce(1, *) * channels) / Double(machine.lanes)
    let fetching = w.groups * columns * depth(w, machine) * 4
    let multiplying = products(positions, columns: columns, w, machine) * w.withThreeDimensions.shareRead
    return ConvolutionWorkload.cycles(multiplying, fetching: fetching) + copying + storing
  }

  /// Cycles of the products of so many positions and output channels.
  private func products(_ positions: Double, columns: Int, _ w: ConvolutionWorkload, _ machine: Machine) -> Double {
    let vectors = positions / Double(machine.lanes) * Double(columns * depth(w, machine))
    return vectors * machine.cyclesPerStep(of: w.parts(on: machine)) / 0.85
  }

  /// Products, or words of them, that an output channel of a position sums up.
  private func depth(_ w: ConvolutionWorkload, _ machine: Machine) -> Int {
    w.w.shape[1..<(w.w.rank - 2)].product.estimate * w.steps(on: machine)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .convolution(let w) = workload else { preconditionFailure("a convolution") }
    return ConvolutionProgram(w.withThreeDimensions, knobs, machine).build()
  }
}

extension ConvolutionWorkload {
  /// The same with dimensions of 1 added in front of the space dimensions until there are three.
  var withThreeDimensions: ConvolutionWorkload {
    var copy = self
    while copy.strides.count < 3 {
      copy.strides.insert(1, at: 0)
      copy.dilations.insert(1, at: 0)
      copy.padsBefore.insert(0, at: 0)
      copy.x = copy.x.insertingDimension(at: 1)
      copy.w = copy.w.insertingDimension(at: 1)
      copy.epilogue.output = copy.epilogue.output.insertingDimension(at: 1)
      copy.epilogue.operands = copy.epilogue.operands.map { $0.insertingDimension(at: 1) }
    }
    return copy
  }
}

extension ConvolutionWorkload {
  /// The same of factors that are what they are.
  var unrounded: ConvolutionWorkload {
    var copy = self
    copy.mayRound = nil
    return copy
  }

  var isChannelsInnermost: Bool { x.strides.last == 1 || w.shape[w.rank - 2] == 1 }

  // Of one with three space dimensions.
  var taps: [Int] { (1...3).map { w.shape[$0].constant! } }
  var channelsPerGroup: Int { w.shape[4].constant! }
  var outputsPerGroup: Int { w.shape[5].constant! }
  var outputs: Int { groups * outputsPerGroup }
}

extension ConvolutionWorkload {
  /// Cycles of products while their weights come from memory, fetched ahead: the longer of the two, and a part of the other, at what a core
  /// has of the memory's bandwidth: six bytes a cycle were measured.
  static func cycles(_ products: Double, fetching bytes: Int) -> Double {
    let fetching = Double(bytes) / 6
    return max(products, fetching) + min(products, fetching) / 3
  }

  /// Of storing a result by itself.
  static let cyclesToScatter = 4.0

  /// Whether products of narrow integers are summed in i32.
  var widens: Bool {
    epilogue.expression.inputTypes[0] == .int32 && x.element.isNarrowInteger && w.element.isNarrowInteger
  }

  /// What words of channels hold; nil for floats that lie singly.
  func parts(on machine: Machine) -> WordParts? {
    let isRounded = mayRound == true && wIsConstant && w.shape[w.rank - 2].constant! > 1
    if isRounded, x.element == .float32, w.element == .float32, machine.wordDots.contains(.bf16x2) { return .bf16x2 }
    return widens ? machine.parts(x.element, w.element, bIsConstant: wIsConstant, bLimit: wLimit) : nil
  }

  /// Steps of k that a tap of one position has: its channels, or words of them.
  func steps(on machine: Machine) -> Int { steps(of: parts(on: machine)) }

  func steps(of parts: WordParts?) -> Int {
    let (channels, count) = (w.shape[w.rank - 2].constant!, parts?.count ?? 1)
    return (channels + count - 1) / count
  }

  /// Output positions: how many, or a guess.
  var positions: Int { epilogue.output.shape.dropLast().reduce(1) { $0 * $1.estimate } }
}

extension View {
  /// The same elements with a dimension of size 1 more.
  func insertingDimension(at index: Int) -> View {
    var copy = self
    copy.shape.insert(1, at: index)
    copy.strides.insert(0, at: index)
    return copy
  }
}

/// Writes the program of a convolution over three space dimensions d, h, w.
private struct ConvolutionProgram {
  let w: ConvolutionWorkload
  let machine: Machine
  let (mr, nr): (Int, Int)
  let (tileH, tileW): (Int, Int)
  let columnsPerTask: Int
  let unroll: Int
  /// Blocks of positions that fetch a share of the next panel each.
  let prefetchBlocks: Int
  let b: TileBuilder
  let patches: PatchRectangles
  let packing: WeightPacking
  /// The weights as they come: packed, or as they are where they are known only at run time.
  let weights: TileBuffer
  let panels: TileBuffer
  let operands: [TileBuffer]
  let y: TileBuffer
  /// Output channels of a group.
  let outputs: Int
  let taps: [Int]
  /// What a word of the patch holds, if it holds words, and how many steps of k a tap has.
  let parts: WordParts?
  let steps: Int

  init(_ w: ConvolutionWorkload, _ knobs: Knobs, _ machine: Machine) {
    self.w = w
    self.machine = machine
    (mr, nr) = (knobs["mr"], knobs["nr"])
    (tileH, tileW) = (knobs["tileH"], knobs["tileW"])
    columnsPerTask = knobs["nc"] * nr
    unroll = knobs["unroll"]
    prefetchBlocks = knobs["prefetch"]
    (outputs, taps) = (w.outputsPerGroup, w.taps)
    (parts, steps) = (w.parts(on: machine), w.steps(on: machine))
    b = TileBuilder("convolution")
    let x = b.parameter("x", .input, w.x.buffer)
    // Channels, and the taps of a row where they are not spread out, lie side by side both in a patch and in a panel. Of a patch that is
    // more than the cache holds shorter runs leave room for what they read of it.
    let isNear = 4 * PatchRectangles.patchSteps(of: w, tileH, tileW, on: machine) <= machine.cacheBytes[1] / 2
    let run = w.dilations[2] == 1 && isNear && !w.isMostlyBorder ? w.taps[2] * steps : steps
    patches = PatchRectangles(w, machine, tileH: tileH, tileW: tileW, rows: mr, run: run, x: x, in: b)
    packing = ImplicitGEMM().panels(w, knobs, machine)
    let packed = BufferType(packing.element, packing.packed.shape)
    weights = b.parameter("w", .input, w.wIsConstant ? packed : packing.source.buffer)
    (operands, y) = b.parameters(w.epilogue)
    panels = w.wIsConstant ? weights : b.parameter("panels", .scratch, packed)
  }

  /// What is summed in.
  private var element: ElementType { parts?.accumulator ?? .float32 }

  func build() -> TileProgram {
    if !w.wIsConstant { b.packPanels(weights, to: panels, packing) }
    patches.forAll { number in
      b.loop(.parallel(grain: 1), to: b.index(outputs), step: columnsPerTask) { column in task(number, column) }
    }
    return b.finish()
  }

  private var run: Int { patches.run }
  private var runs: Int { taps.reduce(1, *) * steps / run }
  /// Runs taken at a time, so that their part of a panel stays in the level-2 cache beside the patch.
  private var runsPerPiece: Int { min(runs, max(1, machine.cacheBytes[1] / 4 / (run * nr * 4))) }

  /// One rectangle of positions, one range of output channels.
  private func task(_ number: PatchRectangles.Number, _ column: Tile) {
    let task = Task(
      rectangle: patches.rectangle(number), column: column,
      columnEnd: (column + columnsPerTask).minimum(b.index(outputs)))
    if runsPerPiece == runs {
      forBlocks(task) { i, j in
        finish(
          accumulate(task, b.constant(0, element, [mr, nr]), i, j, from: b.index(0), to: b.index(runs)), task, i, j)
      }
    } else {
      inPieces(task)
    }
  }

  private struct Task {
    var rectangle: PatchRectangles.Rectangle
    var column, columnEnd: Tile
  }

  private func forBlocks(_ task: Task, _ body: (Tile, Tile) -> Void) {
    b.loop(from: task.column, to: task.columnEnd, step: nr) { j in
      b.loop(to: task.rectangle.positions, step: mr) { i in body(i, j) }
    }
  }

  /// Partial sums wait in local memory until the last piece of k is added.
  private func inPieces(_ task: Task) {
    let blocks = (tileH * tileW + mr - 1) / mr
    let partial = b.allocate(
      BufferType(element, [Dim(columnsPerTask / nr), Dim(blocks), Dim(mr), Dim(nr)], space: .local))
    func slot(_ i: Tile, _ j: Tile) -> [TileBuffer.Index] {
      [.at((j - task.column) / nr), .at(i / mr), .span(b.index(0), 0), .span(b.index(0), 1)]
    }
    forBlocks(task) { i, j in partial.store(b.constant(0, element, [mr, nr]), slot(i, j)) }
    b.loop(to: b.index(runs), step: runsPerPiece) { start in
      let end = (start + runsPerPiece).minimum(b.index(runs))
      forBlocks(task) { i, j in
        let sum = accumulate(task, partial.load(slot(i, j), shape: [mr, nr]), i, j, from: start, to: end)
        b.when(end.less(b.index(runs))) {
          partial.store(sum, slot(i, j))
        } otherwise: {
          finish(sum, task, i, j)
        }
      }
    }
  }

  /// Adds the products of some runs of k to one register tile.
  private func accumulate(_ task: Task, _ initial: Tile, _ i: Tile, _ j: Tile, from: Tile, to: Tile) -> Tile {
    let windows = patches.start(task.rectangle, i)
    let panel = j / nr
    let zero = b.index(0)
    let prefetch = PanelPrefetch.following(
      panel, of: panels, matrix: task.rectangle.place.group, first: task.column / nr,
      end: task.columnEnd.ceilDivided(by: nr), start: from * run, count: (to - from) * run, depth: b.index(runs * run),
      blocks: prefetchBlocks, block: i / mr)
    let perRow = taps[2] * steps / run
    // One loop over runs; loops over each dimension would cost more than the divisions by constants.
    return b.loop(from: from, to: to, carrying: [initial]) { number, carried in
      let (rows, columns, count) = patches.places(
        task.rectangle, windows, line: number / perRow, tap: number % perRow)
      let start = number * run
      return [
        b.accumulate(carried[0], to: count ?? b.index(run), unroll: unroll, of: parts) { k in
          prefetch.advance((number - from) * run + k, in: b)
          return task.rectangle.patch.load(
            [.gather(rows.reshape([mr]), 0), .gather(columns.reshape([mr]), 0), .at(k)], shape: [mr, 1])
        } _: { k in
          let row = panels.load(
            [.at(task.rectangle.place.group), .at(panel), .at(start + k), .span(zero, 1)],
            shape: [1, nr * packing.group])
          return parts == nil ? row : row.bitcast(.int32)
        }
      ]
    }[0]
  }

  private func finish(_ sum: Tile, _ task: Task, _ i: Tile, _ j: Tile) {
    let columnsLeft = outputs % nr == 0 ? nil : b.index(outputs) - j
    patches.store(sum, task.rectangle, i, column: j, columnsLeft: columnsLeft) {
      w.epilogue.store(sum, to: y, operands, at: $0, rowLimit: $1, columnLimit: $2, in: b)
    }
  }
}

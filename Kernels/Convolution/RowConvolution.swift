import TensorTypes
import TileIR

/// y[o, p] = epilogue(Σ over channels c and taps t of w[o, c, t] · x[c, p·stride + t·dilation − pad]), x and y with
/// positions of a row side by side.
///
/// For the convolutions that channels last serves badly: few output channels in a group, so that vectors of channels
/// stay half empty, or one (depthwise) on tensors that lie with channels first and would have to be copied twice, or few
/// inputs to sum over, so that a result is sooner computed than copied. Vectors run along the row, weights are broadcast.
/// A task copies the part of x that it needs to local memory, with its border of zeros and each residue of the columns
/// modulo the stride by itself: then every tap's vector is one load, wherever it begins, and nothing is masked. The taps
/// of a plane are written out, so that rows of a tile share loads.
struct RowConvolution: KernelTemplate {
  let name = "convolution.rows"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .convolution(let given) = workload, given.x.element == .float32, given.w.element == .float32,
      (1...3).contains(given.strides.count), given.w.shape.allSatisfy({ $0.constant != nil })
    else { return nil }
    let w = given.withThreeDimensions
    guard w.x.strides[3] == 1, w.epilogue.output.strides[3] == 1, w.taps[1] * w.taps[2] <= 121
    else { return nil }
    let perGroup = w.outputsPerGroup
    return KnobSpace([
      ("outputs", [1, 2, 3, 4, 6].filter { perGroup % $0 == 0 }), ("rows", [1, 2, 3, 4, 5, 6, 7, 8]),
      ("vectors", [1, 2, 3, 4]),
      ("tileH", [1, 2, 4, 6, 7, 8, 12, 14, 16, 24, 28, 32, 56]), ("tileW", [16, 32, 64, 128, 256, 512]),
    ]) { knobs in
      let sums = knobs["outputs"] * knobs["rows"] * knobs["vectors"]
      return sums + knobs["vectors"] + 1 <= machine.vectorRegisters
    }
  }

  /// Sums fill the registers: rows of one output, which share x's vectors, or outputs side by side, which do so too. The
  /// rectangle is as large as lets its patch stay in half of the level-1 cache, or of level 2 where channels are many.
  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .convolution(let given) = workload else { preconditionFailure("a convolution") }
    let w = given.withThreeDimensions
    let outputs = [4, 3, 2, 1].first { w.outputsPerGroup % $0 == 0 }!
    let (height, width) = (w.epilogue.output.shape[2].constant, w.epilogue.output.shape[3].constant ?? 256)
    let sums = machine.vectorRegisters - 4
    let fitting = max(1, machine.vectors(for: width))
    // Of one output four rows' sums and x's vectors under them are what 16 registers hold, or two rows of four with 32.
    let mostVectors = outputs == 1 ? min(sums > 16 ? 4 : 1, fitting) : max(1, min(3, sums / outputs, fitting))
    // A vector that is left over is added to few sums at a time, which costs most where x is near.
    let even =
      w.channelsPerGroup > 16 && fitting > 2 * mostVectors
      ? nil : (1...mostVectors).last { $0 * outputs >= 8 && fitting % $0 == 0 }
    // Four where fewer places are then left empty.
    func emptyPlaces(_ vectors: Int) -> Int { (vectors - fitting % vectors) % vectors }
    let four =
      outputs > 1 && fitting > 4 && 4 * outputs + 5 <= machine.vectorRegisters
      && emptyPlaces(4) < emptyPlaces(mostVectors)
    let vectors = even ?? (four ? 4 : mostVectors)
    let mostRows = outputs == 1 ? (vectors > 2 ? 2 : vectors == 2 ? 4 : 8) : max(1, min(2, sums / (outputs * vectors)))
    // A sum waits four cycles for its next product, of which two begin in each; rows that are left over go one by one.
    func cycles(_ rows: Int, of height: Int) -> Int {
      height / rows * max(rows * outputs * vectors, 8) + height % rows * max(outputs * vectors, 8)
    }
    let rows = height.map { h in (1...mostRows).reversed().min { cycles($0, of: h) < cycles($1, of: h) }! } ?? mostRows
    let shape = rectangle(w, rows: rows, least: vectors * machine.lanes, height ?? 64, width, machine)
    return ["outputs": outputs, "rows": rows, "vectors": vectors, "tileH": shape.tileH, "tileW": shape.tileW]
  }

  /// Of the rectangles whose patch fits, the one that copies fewest elements for a position.
  private func rectangle(
    _ w: ConvolutionWorkload, rows: Int, least: Int, _ height: Int, _ width: Int, _ machine: Machine
  ) -> PatchShape {
    let others = w.groups * (w.epilogue.output.shape[0] * w.epilogue.output.shape[1]).estimate
    func fitting(_ tileW: Int, _ budget: Int) -> PatchShape? {
      var shape = PatchShape(w, tileH: rows, tileW: tileW)
      let columns = others * ((width + tileW - 1) / tileW)
      let most = min(64, Machine.largestPart(of: height, others: columns))
      while shape.tileH + rows <= most, shape.withTileH(shape.tileH + rows).elements <= budget {
        shape.tileH += rows
      }
      shape.tileH = (Machine.evenPart(of: height, atMost: shape.tileH) + rows - 1) / rows * rows
      return shape.elements <= budget ? shape : nil
    }
    let widths = Array(
      sequence(first: min(width, 512)) { $0 > least ? (($0 + 1) / 2 + least - 1) / least * least : nil }.prefix(8))
    func best(_ budget: Int) -> PatchShape? {
      // Whole rows need no part of a tile in between; each row of a patch is begun anew.
      func cost(_ shape: PatchShape) -> Double {
        (shape.tileW == widths[0] ? shape.copied : shape.copied * 1.25) * (1 + 24 / Double(shape.tileW))
      }
      return widths.compactMap { fitting($0, budget) }.min { cost($0) < cost($1) }
    }
    let inLevel1 = best(machine.cacheBytes[0] / 2 / 4)
    if let inLevel1, inLevel1.copied < 1.25 { return inLevel1 }
    return best(machine.cacheBytes[1] / 2 / 4) ?? PatchShape(w, tileH: rows, tileW: min(width, least))
  }

  /// Multiplications at two a cycle, most of the time; a load and a store for each vector of the patch.
  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .convolution(let given) = workload else { preconditionFailure("a convolution") }
    let w = given.withThreeDimensions
    let width = w.epilogue.output.shape[3].estimate
    let vectors = machine.vectors(for: width) * (w.positions / max(1, width))
    let depth = w.w.shape[1..<5].product.estimate
    let perGroup = w.outputsPerGroup
    let shape = PatchShape(w, tileH: knobs["tileH"], tileW: min(knobs["tileW"], width))
    let needed = shape.planes * w.positions * w.strides[1] * w.strides[2]
    let copied = shape.copied * Double(needed) / Double(machine.lanes)
    let sums = knobs["outputs"] * knobs["rows"] * knobs["vectors"]
    let share = sums >= 8 ? 0.8 : sums >= 4 ? 0.7 : 0.4
    return Double(w.groups) * (Double(vectors * perGroup * depth) / 2 / share + 1.5 * copied)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .convolution(let w) = workload else { preconditionFailure("a convolution") }
    return RowConvolutionProgram(w.withThreeDimensions, knobs, machine).build()
  }
}

/// The part of a group's channels under a rectangle of `tileH · tileW` output positions.
struct PatchShape {
  let (strides, dilations, taps): ([Int], [Int], [Int])
  let channels: Int
  var (tileH, tileW): (Int, Int)

  /// - Parameter w: with three space dimensions.
  init(_ w: ConvolutionWorkload, tileH: Int, tileW: Int) {
    (strides, dilations) = (w.strides, w.dilations)
    (taps, channels) = (w.taps, w.channelsPerGroup)
    (self.tileH, self.tileW) = (tileH, tileW)
  }

  func withTileH(_ height: Int) -> PatchShape {
    var copy = self
    copy.tileH = height
    return copy
  }

  /// Rows of one plane.
  var height: Int { (tileH - 1) * strides[1] + (taps[1] - 1) * dilations[1] + 1 }
  /// Columns of one residue modulo the stride.
  var places: Int { tileW + (taps[2] - 1) * dilations[2] / strides[2] }
  var planes: Int { channels * taps[0] }
  /// How often an element is copied, where rectangles share the rows and columns at their borders.
  var copied: Double { Double(height * places) / Double(tileH * strides[1] * tileW) }
  var elements: Int { planes * height * strides[2] * places }
}

private struct RowConvolutionProgram {
  let w: ConvolutionWorkload
  let shape: PatchShape
  let (outputs, rows, vectors): (Int, Int, Int)
  let lanes: Int
  let b = TileBuilder("convolution")
  let x, weights: TileBuffer
  let result: EpilogueBuffers
  /// Output channels of a group.
  let perGroup: Int
  /// Places of a row of the patch: it begins with a line of the cache, and whole vectors may be stored anywhere.
  let rowLength: Int

  init(_ w: ConvolutionWorkload, _ knobs: Knobs, _ machine: Machine) {
    self.w = w
    lanes = machine.lanes
    (outputs, rows, vectors) = (knobs["outputs"], knobs["rows"], knobs["vectors"])
    let size = w.epilogue.output.shape
    shape = PatchShape(
      w, tileH: min(knobs["tileH"], size[2].constant.map { max(1, $0) } ?? .max),
      tileW: TileBuilder.padded(min(knobs["tileW"], size[3].constant.map { max(1, $0) } ?? .max), lanes: lanes))
    perGroup = w.outputsPerGroup
    rowLength = machine.wholeVectors(shape.places + lanes)
    x = b.parameter("x", .input, w.x.buffer)
    weights = b.parameter("w", .input, w.w.buffer)
    let (operands, y) = b.parameters(w.epilogue)
    result = EpilogueBuffers(epilogue: w.epilogue, operands: operands, output: y)
  }

  /// Where a task stands: image, group, and its rectangle's first output position and size.
  private struct Task {
    var n, group, d, h, v, height: Tile
    var columns: Span
    var patch: TileBuffer
  }

  func build() -> TileProgram {
    let size = w.epilogue.output.shape
    let work = shape.tileH * shape.tileW * perGroup * shape.taps.reduce(shape.channels, *)
    let extents = [
      b.size(size[0]), b.index(w.groups), b.size(size[1]), b.size(size[2]).ceilDivided(by: shape.tileH),
      b.size(size[3]).ceilDivided(by: shape.tileW),
    ]
    b.parallel(extents, work: .products(work)) { i in task(i[0], i[1], i[2], i[3], i[4]) }
    return b.finish()
  }

  private func task(_ n: Tile, _ group: Tile, _ d: Tile, _ row: Tile, _ column: Tile) {
    let size = w.epilogue.output.shape
    let (h, v) = (row * shape.tileH, column * shape.tileW)
    let length = size[3].constant.flatMap { $0 <= shape.tileW ? $0 : $0 % shape.tileW == 0 ? shape.tileW : nil }
    let width = length.map { b.index($0) } ?? (b.size(size[3]) - v).minimum(b.index(shape.tileW))
    let fits = size[2].constant.map { $0 % shape.tileH == 0 } ?? false
    let height = fits ? b.index(shape.tileH) : (b.size(size[2]) - h).minimum(b.index(shape.tileH))
    let patch = b.allocate(
      BufferType(
        .float32,
        [Dim(shape.planes), Dim(shape.height), Dim(w.strides[2]), Dim(rowLength)], space: .local))
    let task = Task(
      n: n, group: group, d: d, h: h, v: v, height: height,
      columns: Span(
        b.index(0), width, length: length,
        multiple: size[3].constant.map { greatestPowerOfTwo(dividing: $0, atMost: lanes) } ?? 1), patch: patch)
    RowPatch(w: w, shape: shape, lanes: lanes, b: b, x: x).copy(
      to: patch, n: n, group: group, at: [d, h, v], height: height)
    b.loop(to: b.index(perGroup), step: outputs) { output in
      // Rows in tiles, then those that are left one by one.
      let together = fits && shape.tileH % rows == 0 ? height : height / rows * rows
      b.loop(to: together, step: rows) { strips(task, output, $0, rows) }
      if rows > 1, !(fits && shape.tileH % rows == 0) {
        b.loop(from: together, to: height) { strips(task, output, $0, 1) }
      }
    }
  }

  private func strips(_ task: Task, _ output: Tile, _ row: Tile, _ rows: Int) {
    b.strips(task.columns, lanes: lanes, vectors: vectors, padded: true) { strip in
      let sum = sum(task, output, row, rows, strip)
      let (channel, h, v) = (task.group * perGroup + output, task.h + row, task.v + strip.start)
      if outputs == 1 {
        result.store(
          sum.reshape([rows, strip.count]), [.at(task.n), .at(task.d), .span(h, 0), .span(v, 1), .at(channel)],
          limits: [nil, strip.limit], in: b)
      } else {
        result.store(
          sum, [.at(task.n), .at(task.d), .span(h, 1), .span(v, 2), .span(channel, 0)],
          limits: [nil, nil, strip.limit],
          in: b)
      }
    }
  }

  /// Sums of `outputs · rows · strip` results.
  private func sum(_ task: Task, _ output: Tile, _ row: Tile, _ rows: Int, _ strip: Strip) -> Tile {
    let zero = b.constant(0, .float32, [outputs, rows, strip.count])
    // A single row shares nothing between the rows of taps: written out they would only be more instructions than a CPU
    // keeps decoded.
    let tapRows = rows == 1 && shape.taps[1] > 3 ? 1 : shape.taps[1]
    let parts = shape.taps[1] / tapRows
    func next(_ index: Tile, _ sums: Tile) -> Tile {
      let (plane, part) = parts == 1 ? (index, b.index(0)) : (index / parts, index % parts)
      return adding(task, output, row, rows, strip, plane: plane, taps: (part, tapRows), sums)
    }
    if shape.planes * parts == 1 { return next(b.index(0), zero) }
    return b.loop(to: b.index(shape.planes * parts), carrying: [zero]) { index, sums in [next(index, sums[0])] }[0]
  }

  /// Adds some rows of a plane's taps, from `taps.first` on. Column by column: the rows of x under a tile's rows and a
  /// column's taps are few enough to stay in registers.
  private func adding(
    _ task: Task, _ output: Tile, _ row: Tile, _ rows: Int, _ strip: Strip, plane: Tile,
    taps: (first: Tile, count: Int), _ sums: Tile
  ) -> Tile {
    let (channel, depth) = (plane / shape.taps[0], plane % shape.taps[0])
    let start = row * w.strides[1] + taps.first * w.dilations[1]
    var sums = sums
    for tw in 0..<shape.taps[2] {
      let offset = tw * w.dilations[2]
      for th in 0..<taps.count {
        let factors = weights.load(
          [.at(task.group), .at(depth), .at(taps.first + th), .at(b.index(tw)), .at(channel), .span(output, 0)],
          shape: [outputs, 1, 1])
        let values = task.patch.load(
          [
            .at(plane), .span(start + th * w.dilations[1], 1, step: w.strides[1]),
            .at(b.index(offset % w.strides[2])), .span(strip.start + offset / w.strides[2], 2),
          ], shape: [1, rows, strip.count])
        sums = values.broadcast(to: sums.shape).fma(factors, sums)
      }
    }
    return sums
  }
}

import TensorTypes
import TileIR

/// Writes the program of a Winograd convolution over three space dimensions d, h, w; see `Winograd`.
struct WinogradProgram {
  private let w: ConvolutionWorkload
  private let machine: Machine
  private let shape: WinogradShape
  private let (mr, nr): (Int, Int)
  /// Tiles and output channels of a task, panels of a pass.
  private let (tilesPerTask, columnsPerTask, columnsPerPass): (Int, Int, Int)
  private let unroll: Int
  /// Blocks of tiles that fetch a share of the weights to come each.
  private let prefetchBlocks: Int
  private let b: TileBuilder
  private let arithmetic: VectorArithmetic
  private let x: TileBuffer
  private let panels: TileBuffer
  private let operands: [TileBuffer]
  private let y: TileBuffer
  /// Tiles of an image along h and w, and of all images.
  private let (tilesHigh, tilesWide, tiles): (Tile, Tile, Tile)

  private var parts: WordParts? { shape.parts }
  /// What products are summed in: as wide as a float or a word.
  private var element: ElementType { parts?.accumulator ?? .float32 }
  private var channels: Int { w.channelsPerGroup }
  /// Channels, or words of them.
  private var steps: Int { shape.steps }
  private var columns: Int { w.outputsPerGroup }
  private var points: Int { shape.points }

  init(_ w: ConvolutionWorkload, _ knobs: Knobs, _ machine: Machine) {
    self.w = w
    self.machine = machine
    shape = WinogradShape(w, m: knobs["m"])
    (mr, nr) = (knobs["mr"], knobs["nr"])
    tilesPerTask = knobs["tiles"] * mr
    columnsPerTask = knobs["nc"] * nr
    columnsPerPass = min(knobs["panels"], knobs["nc"]) * nr
    unroll = knobs["unroll"]
    prefetchBlocks = knobs["prefetch"]
    b = TileBuilder("winograd")
    arithmetic = VectorArithmetic(b: b, machine: machine)
    x = b.parameter("x", .input, w.x.buffer)
    let packed = Winograd.weights(w, knobs).packed
    panels = b.parameter("w", .input, BufferType(packed.element, packed.shape))
    (operands, y) = b.parameters(w.epilogue)
    let builder = b
    let sizes = w.epilogue.output.shape.map { builder.size($0) }
    tilesHigh = sizes[2].ceilDivided(by: shape.spacing.h).ceilDivided(by: shape.outputs.h) * shape.spacing.h
    tilesWide = sizes[3].ceilDivided(by: shape.spacing.w).ceilDivided(by: shape.outputs.w) * shape.spacing.w
    tiles = sizes[0] * sizes[1] * (tilesHigh * tilesWide)
  }

  func build() -> TileProgram {
    b.loop(.parallel(grain: 1), to: b.index(w.groups)) { group in
      b.loop(.parallel(grain: 1), to: b.index(columns), step: columnsPerTask) { column in
        b.loop(.parallel(grain: 1), to: tiles, step: tilesPerTask) { first in task(group, column, first) }
      }
    }
    return b.finish()
  }

  // MARK: A task

  /// A matrix of tiles by `width` for each of `count` points; a line more between them, so that not all start in the
  /// same set of the cache.
  private func matrices(_ count: Int, width: Int) -> TileBuffer {
    let stride = tilesPerTask * width + 16
    return b.allocate(
      BufferType(
        element, [Dim(count), Dim(tilesPerTask), Dim(width)], strides: [Dim(stride), Dim(width), 1], space: .local))
  }

  private func task(_ group: Tile, _ column: Tile, _ first: Tile) {
    let transformed = matrices(shape.allPieces * points, width: steps)
    let products = matrices(points, width: columnsPerPass)
    let patch = b.allocate(
      BufferType(
        element, [Dim(w.taps[0] * shape.extent.h), Dim(shape.extent.w * steps), Dim(steps)],
        strides: [Dim(shape.extent.w * steps), 1, 1], space: .local))
    let count = (tiles - first).minimum(b.index(tilesPerTask))
    // Whole register tiles: past the last tile that one is taken again.
    let rows = count.ceilDivided(by: mr) * mr
    b.loop(to: rows) { t in
      transformInput(place((first + t).minimum(tiles - 1)), group, row: t, patch, to: transformed)
    }
    let end = (column + columnsPerTask).minimum(b.index(columns))
    b.loop(from: column, to: end, step: columnsPerPass) { pass in
      let passEnd = (pass + columnsPerPass).minimum(end)
      multiply(transformed, group, from: pass, to: passEnd, rows: rows, to: products)
      b.loop(to: count) { t in
        transformOutput(products, row: t, place(first + t), group, from: pass, to: passEnd)
      }
    }
  }

  /// Where a tile lies: image, and first output position along d, h, w.
  private struct Place { var n, d, h, w: Tile }

  private func place(_ number: Tile) -> Place {
    let (line, column) = (number / tilesWide, number % tilesWide)
    let (plane, row) = (line / tilesHigh, line % tilesHigh)
    let depth = b.size(w.epilogue.output.shape[1])
    return Place(
      n: plane / depth, d: plane % depth, h: first(row, shape.outputs.h, shape.spacing.h),
      w: first(column, shape.outputs.w, shape.spacing.w))
  }

  /// A tile's first position along one dimension: residues take turns.
  private func first(_ number: Tile, _ outputs: Int, _ spacing: Int) -> Tile {
    spacing == 1 ? number * outputs : number / spacing * (outputs * spacing) + number % spacing
  }

  // MARK: V = Bᵀ x B

  private func transformInput(_ place: Place, _ group: Tile, row: Tile, _ patch: TileBuffer, to: TileBuffer) {
    let zero = b.index(0)
    let sizes = (1...3).map { b.size(w.x.shape[$0]) }
    func start(_ place: Tile, _ d: Int) -> Tile { (w.strides[d] == 1 ? place : place * w.strides[d]) - w.padsBefore[d] }
    let start = [place.d * w.strides[0] - w.padsBefore[0], start(place.h, 1), start(place.w, 2)]
    let extents = [(w.taps[0] - 1) * w.dilations[0] + 1, shape.extent.h, shape.extent.w]
    let (high, wide) = shape.spacing
    let firstChannel = group * channels
    let isInside = (0..<3).map { zero.lessEqual(start[$0]).and((start[$0] + extents[$0]).lessEqual(sizes[$0])) }
      .reduce(b.index(w.isChannelsInnermost ? 0 : 1).equal(zero)) { $0.and($1) }
    b.when(isInside) {
      transformInput(row: row, to: to) { piece, i, j, step, length, limit in
        let numbers = x.load(
          [
            .at(place.n), .at(start[0] + piece.d * w.dilations[0]), .at(piece.movedHigh(start[1] + i * high)),
            .at(piece.movedWide(start[2] + j * wide)),
            .span(firstChannel + step * shape.numbersPerStep, 0),
          ], shape: [length * shape.numbersPerStep], limits: [limit])
        return parts.map { numbers.cast($0.elements.a) } ?? numbers
      }
    } otherwise: {
      PatchCopy(
        w: w.withWholePieces(shape.pieces), machine: machine, parts: parts, patchHeight: shape.extent.h,
        patchWidth: shape.extent.w, b: b, x: x
      )
      .copy(
        to: patch, n: place.n, group: group, at: [place.d, place.h, place.w],
        height: b.index((shape.outputs.h - 1) * high + 1), width: b.index((shape.outputs.w - 1) * wide + 1))
      transformInput(row: row, to: to) { piece, i, j, step, length, _ in
        let loaded = patch.load(
          [
            .at(piece.movedHigh(piece.d * shape.extent.h + i * high)),
            .span(piece.movedWide(step + j * (wide * steps), by: steps), 0), .at(zero),
          ], shape: [length])
        return parts.map { loaded.bitcast($0.elements.a) } ?? loaded
      }
    }
  }

  /// A piece of the window: its tap along d, and how many inputs it lies further along h and w, if windows have several there.
  private struct Piece {
    let d: Tile
    let h, w: Tile?

    func movedHigh(_ index: Tile) -> Tile { h.map { index + $0 } ?? index }
    func movedWide(_ index: Tile, by step: Int = 1) -> Tile { w.map { index + $0 * step } ?? index }
  }

  private func piece(_ number: Tile) -> Piece {
    let ((high, wide), spacing) = (shape.pieces, shape.spacing)
    let line = wide == 1 ? number : number / wide
    return Piece(
      d: high == 1 ? line : line / high, h: high == 1 ? nil : line % high * (3 * spacing.h),
      w: wide == 1 ? nil : number % wide * (3 * spacing.w))
  }

  /// - Parameter load: the numbers of so many steps from one on, of the tile's input (i, j) for a piece of the window; a limit
  ///   where the last word is not full.
  private func transformInput(
    row: Tile, to: TileBuffer, _ load: (Piece, _ i: Int, _ j: Int, _ step: Tile, _ length: Int, Tile?) -> Tile
  ) {
    let (lanes, (high, wide)) = (machine.lanes, shape.inputs)
    func vector(_ number: Tile, _ piece: Piece, _ step: Tile, _ length: Int, limit: Int? = nil) {
      // Column by column, then row by row.
      let byColumn = (0..<wide).map { j in
        let column = (0..<high).map { load(piece, $0, j, step, length, limit.map { b.index($0) }) }
        return shape.transforms.h?.transformInput(column, on: arithmetic) ?? column
      }
      for i in 0..<high {
        let line = byColumn.map { $0[i] }
        let values = shape.transforms.w?.transformInput(line, on: arithmetic) ?? line
        for (j, value) in values.enumerated() {
          to.store(
            parts == nil ? value : value.bitcast(element),
            [.at(number * points + (i * wide + j)), .at(row), .span(step, 0)])
        }
      }
    }
    let perStep = shape.numbersPerStep
    let whole = channels / perStep / lanes * lanes
    let left = channels - whole * perStep
    b.loop(to: b.index(shape.allPieces)) { number in
      let piece = piece(number)
      b.loop(to: b.index(whole), step: lanes) { vector(number, piece, $0, lanes) }
      if left > 0 { vector(number, piece, b.index(whole), steps - whole, limit: left % perStep == 0 ? nil : left) }
    }
  }

  // MARK: M = V · U

  private func multiply(
    _ transformed: TileBuffer, _ group: Tile, from: Tile, to: Tile, rows: Tile, to products: TileBuffer
  ) {
    let zero = b.index(0)
    b.loop(to: b.index(points)) { point in
      b.loop(from: from, to: to, step: nr) { column in
        b.loop(to: rows, step: mr) { row in
          let sum = b.loop(to: b.index(shape.allPieces), carrying: [b.constant(0, element, [mr, nr])]) {
            piece, carried in
            let matrix = piece * points + point
            let first = filter(of: point, piece: piece, matrix: matrix) * steps
            let prefetch = following(first, group, column, from: from, to: to, row: row)
            return [
              b.accumulate(carried[0], to: b.index(steps), unroll: unroll, of: parts) { k in
                prefetch.advance(k, in: b)
                return transformed.load([.at(matrix), .span(row, 0), .at(k)], shape: [mr, 1])
              } _: { k in
                let weights = panels.load(
                  [.at(group), .at(column / nr), .at(first + k), .span(zero, 1)],
                  shape: [1, nr * shape.numbersPerStep])
                return parts == nil ? weights : weights.bitcast(element)
              }
            ]
          }[0]
          products.store(sum, [.at(point), .span(row, 0), .span(column - from, 1)])
        }
      }
    }
  }

  /// Which of the weights are a point's for a piece of the window: rows of them of all pieces side by side. The point's matrix
  /// unless there are several pieces, or some points share theirs.
  private func filter(of point: Tile, piece: Tile, matrix: Tile) -> Tile {
    let (filters, (high, wide)) = (shape.filters, shape.pieces)
    if filters == shape.inputs, high == 1, wide == 1 { return matrix }
    let along = (point / shape.inputs.w, point % shape.inputs.w)
    let row = along.0.minimum(b.index(filters.h - 1))
    let column = along.1.minimum(b.index(filters.w - 1))
    if high == 1, wide == 1 { return piece * (filters.h * filters.w) + row * filters.w + column }
    return (piece / wide * filters.h + row) * (wide * filters.w) + piece % wide * filters.w + column
  }

  /// What comes after the weights of one point and panel: the next panel's of the pass, or the next point's.
  private func following(_ first: Tile, _ group: Tile, _ column: Tile, from: Tile, to: Tile, row: Tile)
    -> PanelPrefetch
  {
    let count = b.index(steps)
    let isLast = to.lessEqual(column + nr)
    let last = (shape.allPieces * shape.filters.h * shape.filters.w - 1) * steps
    return PanelPrefetch(
      panels: panels, matrix: group, panel: isLast.select(from, column + nr) / nr,
      start: isLast.select((first + steps).minimum(b.index(last)), first), count: count, blocks: prefetchBlocks,
      block: row / mr)
  }

  // MARK: y = epilogue(Aᵀ M A)

  private func transformOutput(
    _ products: TileBuffer, row: Tile, _ place: Place, _ group: Tile, from: Tile, to: Tile
  ) {
    let lanes = machine.lanes
    func vector(_ c: Tile, limit: Tile?) {
      let (high, wide) = shape.inputs
      let byColumn = (0..<wide).map { j in
        let column = (0..<high).map { i in
          products.load([.at(b.index(i * wide + j)), .at(row), .span(c - from, 0)], shape: [lanes])
        }
        return shape.transforms.h?.transformOutput(column, on: arithmetic) ?? column
      }
      let results = (0..<shape.outputs.h).map { i in
        let line = byColumn.map { $0[i] }
        return (shape.transforms.w?.transformOutput(line, on: arithmetic) ?? line).map(unscaled)
      }
      store(results, place, column: group * columns + c, limit: limit)
    }
    guard columns % lanes != 0 else { return b.loop(from: from, to: to, step: lanes) { vector($0, limit: nil) } }
    let whole = from + (to - from) / lanes * lanes
    b.loop(from: from, to: whole, step: lanes) { vector($0, limit: nil) }
    b.when(whole.less(to)) { vector(whole, limit: to - whole) }
  }

  /// Integers' results are as many times two as there are dimensions that are transformed.
  private func unscaled(_ result: Tile) -> Tile {
    guard parts != nil else { return result }
    return result.binary(.shiftRight, b.constant(.integer(shape.inputs.h == 1 ? 1 : 2), element, result.shape))
  }

  /// Stores a tile's results `[h][w]`, those that lie within the image.
  private func store(_ results: [[Tile]], _ place: Place, column: Tile, limit: Tile?) {
    let (height, width) = (b.size(w.epilogue.output.shape[2]), b.size(w.epilogue.output.shape[3]))
    let (high, wide) = shape.spacing
    func store(_ i: Int, _ j: Int) {
      let position = BlockPosition(
        rows: [.at(place.n), .at(place.d), .at(place.h + i * high), .span(place.w + j * wide, 0)], column: column)
      w.epilogue.store(
        results[i][j].reshape([1, machine.lanes]), to: y, operands, at: position, rowLimit: nil, columnLimit: limit,
        in: b)
    }
    func forAll(_ body: (Int, Int) -> Void) {
      for i in results.indices { for j in results[i].indices { body(i, j) } }
    }
    let isWhole = (place.h + ((shape.outputs.h - 1) * high + 1)).lessEqual(height)
      .and((place.w + ((shape.outputs.w - 1) * wide + 1)).lessEqual(width))
    b.when(isWhole) {
      forAll(store)
    } otherwise: {
      forAll { i, j in
        b.when((place.h + i * high).less(height).and((place.w + j * wide).less(width))) { store(i, j) }
      }
    }
  }
}

extension ConvolutionWorkload {
  /// The same with so many pieces of three taps along h and w, for what is copied of x; its weights have no such taps.
  fileprivate func withWholePieces(_ pieces: (h: Int, w: Int)) -> ConvolutionWorkload {
    var copy = self
    for (dimension, count) in [(2, pieces.h), (3, pieces.w)] where copy.w.shape[dimension] != 1 {
      copy.w.shape[dimension] = Dim(3 * count)
    }
    return copy
  }
}

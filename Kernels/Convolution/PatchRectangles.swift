import TensorTypes
import TileIR

/// Convolution over rectangles of output positions: a task copies the part of x under one, with its border of zeros, to a
/// patch in local memory, channels innermost whatever x's layout. Where an output position reads is then an address in
/// the patch: position + tap. The rectangle's positions are numbered through, so that a register tile is full wherever a
/// row ends.
///
/// Where windows move by one and are dilated by δ, a rectangle's rows lie δ apart (`rowSpacing`), as those of its taps do: a patch has
/// no rows then that only others read.
///
/// Where many taps lie in the border (`isMostlyBorder`) a patch has none: it holds what is within the image, and one position of
/// zeros that taps outside read. A run of which all of a register tile's positions are outside is left out.
struct PatchRectangles {
  /// With three space dimensions.
  let w: ConvolutionWorkload
  let machine: Machine
  let (tileH, tileW): (Int, Int)
  /// Positions of a register tile.
  let rows: Int
  /// Elements of a patch's row that are read one after the other from a position and tap: channels, or several taps' channels.
  let run: Int
  let b: TileBuilder
  let x: TileBuffer

  init(
    _ w: ConvolutionWorkload, _ machine: Machine, tileH: Int, tileW: Int, rows: Int, run: Int, x: TileBuffer,
    in b: TileBuilder
  ) {
    (self.w, self.machine, self.tileH, self.tileW, self.rows, self.run, self.x, self.b) = (
      w, machine, tileH, tileW, rows, run, x, b
    )
  }

  /// Channels, or words of them, of the patch under a rectangle.
  static func patchSteps(of w: ConvolutionWorkload, _ tileH: Int, _ tileW: Int, on machine: Machine) -> Int {
    let (height, width) = patchSize(of: w, tileH, tileW)
    return height * width * w.steps(on: machine) * w.taps[0]
  }

  /// Positions of x under a rectangle, along h and w.
  private static func patchSize(of w: ConvolutionWorkload, _ tileH: Int, _ tileW: Int) -> (h: Int, w: Int) {
    let reach = (h: w.reach(of: tileH, along: 1, spacing: w.rowSpacing), w: w.reach(of: tileW, along: 2))
    guard w.isMostlyBorder else { return reach }
    func within(_ size: Dim, spacing: Int, _ reach: Int) -> Int {
      size.constant.map { min(($0 + spacing - 1) / spacing, reach) } ?? reach
    }
    return (within(w.x.shape[2], spacing: w.rowSpacing, reach.h), within(w.x.shape[3], spacing: 1, reach.w))
  }

  /// A rectangle with rows of up to 64 positions, or 96 where there is one, and a patch of at most a third of the level-2
  /// cache: large, as weights pass by once for each, but of a size that fills register tiles of `rows` positions. A whole
  /// image may take half of that cache, and more where reading it for each panel brings less than the weights once again.
  static func size(for w: ConvolutionWorkload, rows: Int, on machine: Machine) -> (tileH: Int, tileW: Int) {
    let size = (h: w.rowsOfSpacing.constant, w: w.epilogue.output.shape[3].constant)
    func patchBytes(_ h: Int, _ width: Int) -> Int { 4 * patchSteps(of: w, h, width, on: machine) }
    if let h = size.h, let width = size.w, h <= 16, width <= 64 {
      let bytes = patchBytes(h, width)
      let panels = w.outputsPerGroup / (4 * machine.lanes)
      let weights = w.taps.reduce(1, *) * w.steps(on: machine) * w.outputsPerGroup * 4
      if bytes <= machine.cacheBytes[1] / 2 || bytes <= 2 * machine.cacheBytes[1] && bytes * panels <= weights {
        return (max(1, h), max(1, width))
      }
    }
    func fits(_ h: Int, _ width: Int) -> Bool { patchBytes(h, width) <= machine.cacheBytes[1] / 3 }
    /// A part of `size`, none over `most`, that register tiles fill well where each holds `positions` times it.
    func cut(_ size: Int?, into most: Int, positions: Int) -> Int {
      guard let size, most < size else { return max(1, min(most, size ?? most / rows * rows)) }
      func cost(_ part: Int) -> Double {
        func tiles(_ part: Int) -> Int { (part * positions + rows - 1) / rows }
        return Double(size / part * tiles(part) + tiles(size % part)) * (1 + 0.05 * Double(most) / Double(part))
      }
      return ((most + 1) / 2...most).min { cost($0) < cost($1) }!
    }
    if size.h == 1 {
      return (1, cut(size.w, into: (1...96).last { fits(1, $0) } ?? 1, positions: 1))
    }
    let parts = size.w.map { max(1, ($0 + 63) / 64) } ?? 1
    var tileW = size.w.map { max(1, ($0 + parts - 1) / parts) } ?? 64
    while tileW > 8, !fits(4, tileW) { tileW = (tileW + 1) / 2 }
    return (cut(size.h, into: (1...16).last { fits($0, tileW) } ?? 1, positions: tileW), tileW)
  }

  /// What a step of k takes in the patch: a channel, or a word of channels.
  private var element: ElementType { w.parts(on: machine) == nil ? .float32 : .int32 }
  private var spacing: Int { w.rowSpacing }
  /// Of a patch.
  private var size: (h: Int, w: Int) { Self.patchSize(of: w, tileH, tileW) }

  /// A rectangle's image, group, and first output position.
  struct Place { var n, group, d, h, v: Tile }

  /// Which rectangle it is, as `forAll` counts them.
  struct Number {
    enum Along {
      /// The first row of a rectangle whose rows are neighbours.
      case row(Tile)
      /// The how many-th rectangle along h, where rows lie apart: those of one height one after the other.
      case rectangle(Tile)
    }
    var n, group, d: Tile
    var h: Along
    var v: Tile
  }

  struct Rectangle {
    var place: Place
    /// How many.
    var positions: Tile
    /// `[row, element of the row, step of a run]`, the last two stepping alike.
    var patch: TileBuffer
    /// Row and place in the row of each position, those past the end standing at the last.
    fileprivate var places: TileBuffer
    /// Which rows and columns the patch has of those that the windows reach over; nil: all.
    fileprivate var inside: PatchCopy.Inside?
  }

  /// A parallel loop over all rectangles.
  func forAll(_ body: (Number) -> Void) {
    let shape = w.epilogue.output.shape
    let rows = spacing == 1 ? b.size(shape[2]) : b.size(w.rowsOfSpacing).ceilDivided(by: tileH) * spacing
    b.loop(.parallel(grain: 1), to: b.size(shape[0])) { n in
      b.loop(.parallel(grain: 1), to: b.index(w.groups)) { group in
        b.loop(.parallel(grain: 1), to: b.size(shape[1])) { d in
          b.loop(.parallel(grain: 1), to: rows, step: spacing == 1 ? tileH : 1) { h in
            b.loop(.parallel(grain: 1), to: b.size(shape[3]), step: tileW) { v in
              body(Number(n: n, group: group, d: d, h: spacing == 1 ? .row(h) : .rectangle(h), v: v))
            }
          }
        }
      }
    }
  }

  private func place(of number: Number) -> Place {
    let h =
      switch number.h {
      case .row(let row): row
      case .rectangle(let i): i / spacing * (tileH * spacing) + i % spacing
      }
    return Place(n: number.n, group: number.group, d: number.d, h: h, v: number.v)
  }

  /// Copies the patch.
  func rectangle(_ number: Number) -> Rectangle {
    let place = place(of: number)
    let shape = w.epilogue.output.shape
    let rows = b.size(shape[2]) - place.h
    let height = (spacing == 1 ? rows : (rows + (spacing - 1)) / spacing).minimum(b.index(tileH))
    let width = (b.size(shape[3]) - place.v).minimum(b.index(tileW))
    let rowLength = Dim(size.w * w.steps(on: machine))
    let patch = b.allocate(
      BufferType(
        element, [Dim(w.taps[0] * size.h + (w.isMostlyBorder ? 1 : 0)), rowLength, Dim(run)],
        strides: [rowLength, 1, 1], space: .local))
    let copy = PatchCopy(
      w: w, machine: machine, parts: w.parts(on: machine), patchHeight: size.h, patchWidth: size.w, rowSpacing: spacing,
      b: b, x: x)
    let position = [place.d, place.h, place.v]
    var inside: PatchCopy.Inside?
    if w.isMostlyBorder {
      inside = copy.copyInside(
        to: patch, n: place.n, group: place.group, at: position, height: height, width: width)
    } else {
      copy.copy(to: patch, n: place.n, group: place.group, at: position, height: height, width: width)
    }
    return Rectangle(
      place: place, positions: height * width, patch: patch, places: numberPositions(height, width), inside: inside)
  }

  /// Looking positions up costs less than dividing.
  private func numberPositions(_ height: Tile, _ width: Tile) -> TileBuffer {
    let places = b.allocate(BufferType(.int64, [Dim(tileH * tileW + rows), 2], space: .local))
    func note(_ number: Tile, _ row: Tile, _ place: Tile) {
      places.store(row, [.at(number), .at(b.index(0))])
      places.store(place, [.at(number), .at(b.index(1))])
    }
    b.loop(to: height) { row in
      b.loop(to: width) { place in note(row * width + place, row, place) }
    }
    b.loop(to: b.index(rows)) { note(height * width + $0, height - 1, width - 1) }
    return places
  }

  /// Rows and places in the row of the positions from i on, `[rows, 1]`.
  private func look(_ rectangle: Rectangle, _ i: Tile) -> (row: Tile, place: Tile) {
    func look(_ which: Int) -> Tile { rectangle.places.load([.span(i, 0), .at(b.index(which))], shape: [rows, 1]) }
    return (look(0), look(1))
  }

  /// Where the windows of the positions from i on begin in the patch: rows, and elements of the row.
  func start(_ rectangle: Rectangle, _ i: Tile) -> (rows: Tile, columns: Tile) {
    let (row, place) = look(rectangle, i)
    let (rows, columns) = (row * w.strides[1], place * (w.strides[2] * steps))
    guard let inside = rectangle.inside else { return (rows, columns) }
    return (rows - inside.rows.lower, columns - inside.columns.lower * steps)
  }

  /// Where the positions whose windows begin at `start` read a run of taps: rows and elements of the row; and how much of it there is to
  /// be read, if not all.
  /// - Parameters:
  ///   - line: of taps, numbered through along d and h.
  ///   - tap: the run's number in the line, where it is shorter than that.
  func places(
    _ rectangle: Rectangle, _ start: (rows: Tile, columns: Tile), line: Tile, tap: Tile
  ) -> (rows: Tile, columns: Tile, count: Tile?) {
    let row = start.rows + (line / w.taps[1] * size.h + line % w.taps[1] * (w.dilations[1] / spacing))
    let column = start.columns + tap * (w.dilations[2] * steps)
    guard let inside = rectangle.inside else { return (row, column, nil) }
    let zero = b.index(0)
    func isWithin(_ place: Tile, _ range: (lower: Tile, upper: Tile), _ unit: Int) -> Tile {
      zero.lessEqual(place).and(place.less((range.upper - range.lower) * unit))
    }
    let isInside = isWithin(row, inside.rows, 1).and(isWithin(column, inside.columns, steps))
    return (
      isInside.select(row, b.index(size.h)), isInside.select(column, zero),
      isInside.select(b.index(run), zero).reduce(.maximum, dimension: 0).reshape([])
    )
  }

  private var steps: Int { w.steps(on: machine) }

  /// Calls `store` with where a register tile's results belong and how many rows and columns of them there are.
  /// - Parameters:
  ///   - column: the first output channel of the group.
  ///   - columnsLeft: output channels from there on, where not all columns need be full.
  func store(
    _ sum: Tile, _ rectangle: Rectangle, _ i: Tile, column: Tile, columnsLeft: Tile?,
    _ store: (BlockPosition, _ rowLimit: Tile?, _ columnLimit: Tile?) -> Void
  ) {
    let (row, place) = look(rectangle, i)
    let at = rectangle.place
    let position = BlockPosition(
      rows: [
        .at(at.n), .at(at.d), .gather(((spacing == 1 ? row : row * spacing) + at.h).reshape([rows]), 0),
        .gather((place + at.v).reshape([rows]), 0),
      ],
      column: at.group * w.outputsPerGroup + column)
    let rowsLeft = rectangle.positions - i
    var whole = b.index(rows).lessEqual(rowsLeft)
    if let columnsLeft { whole = whole.and(b.index(sum.shape[1]).lessEqual(columnsLeft)) }
    b.when(whole) {
      store(position, nil, nil)
    } otherwise: {
      store(position, rowsLeft, columnsLeft)
    }
  }
}

extension ConvolutionWorkload {
  /// How far apart the rows of a rectangle and of its patch lie. Of three dimensions of space.
  var rowSpacing: Int { strides[1] == 1 && taps[1] > 1 ? dilations[1] : 1 }
  /// Whether so many taps lie outside the image that leaving them out is worth asking for each of a register tile. Of three dimensions of space.
  var isMostlyBorder: Bool { border == nil && taps[0] == 1 && channelsPerGroup >= 32 && shareInside < 0.9 }

  /// The share of the taps that are read.
  var shareRead: Double { isMostlyBorder ? shareInside : 1 }

  /// Of all taps the share that some of a register tile's positions see within the image.
  private var shareInside: Double { shareInside(along: 1) * shareInside(along: 2, together: 8) }

  /// Of the taps along dimension `d` of three the share that some of so many neighbouring positions see within the image.
  private func shareInside(along d: Int, together: Int = 1) -> Double {
    let (outputs, size) = (epilogue.output.shape[1 + d].estimate, x.shape[1 + d].estimate)
    var inside = 0
    for tap in 0..<taps[d] {
      let offset = tap * dilations[d] - padsBefore[d]
      let first = (max(0, -offset) + strides[d] - 1) / strides[d] / together * together
      let end = (max(0, size - offset) + strides[d] - 1) / strides[d]
      inside += max(0, min(outputs, (end + together - 1) / together * together) - first)
    }
    return Double(inside) / Double(max(1, outputs * taps[d]))
  }

  /// Output rows so far apart, from the first on.
  var rowsOfSpacing: Dim {
    rowSpacing == 1 ? epilogue.output.shape[2] : epilogue.output.shape[2].ceilDivided(by: Dim(rowSpacing))
  }
}

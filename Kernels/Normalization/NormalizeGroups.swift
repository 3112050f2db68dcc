import TensorTypes
import TileIR

/// Layer normalisation of groups of channels where channels are innermost: dimensions outer…, group, position…, channel
/// of the group, a group's channels being neighbours in memory and groups following each other. Vectors run along all
/// channels, whatever a group's size.
///
/// 1. Per piece of positions, which fits in cache, and per channel: mean and sum of squared differences to it.
/// 2. Per group, joined from its channels' and pieces' (see `NormalizePieces`).
/// 3. `y = (x − μ) · factor`, position by position, then the epilogue.
struct NormalizeGroups: KernelTemplate {
  let name = "normalization.groups"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .normalization(let w) = workload, GroupSpace(w) != nil else { return nil }
    return KnobSpace([("vectors", [1, 2, 4]), ("piece", [4096, 8192, 16384, 32768])])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs { ["vectors": 4, "piece": 16384] }

  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] {
    declaredScratch(workload, knobs, machine)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .normalization(let w) = workload, let space = GroupSpace(w) else { preconditionFailure("channels last") }
    return GroupsProgram(space, knobs["vectors"], knobs["piece"], machine).build()
  }
}

/// The loops: class 0 are images, class 1 positions, class 2 all channels of all groups.
private struct GroupSpace {
  let w: NormalizationWorkload
  let epsilon: Double
  let loops: LoopSpace
  let groups: Int
  /// Channels of a group.
  let width: Int

  /// - Returns: nil unless the workload is of this kind.
  init?(_ w: NormalizationWorkload) {
    guard case .layer(let epsilon) = w.kind, w.x.element.isFloat, w.rowRank >= 2, w.x.rank > w.rowRank,
      let width = w.x.shape.last?.constant, let groups = w.x.shape[w.x.rank - w.rowRank - 1].constant
    else { return nil }
    let group = w.x.rank - w.rowRank - 1
    let order = Array(0..<group) + Array((group + 1)..<(w.x.rank - 1)) + [group, w.x.rank - 1]
    let views = ([w.x] + w.epilogue.operands + [w.epilogue.output]).map {
      $0.permuted(order).collapsing((w.x.rank - 2)..<w.x.rank)
    }
    guard views.allSatisfy({ $0 != nil }), views[0]!.strides.last == 1 else { return nil }
    let classes = [Int](repeating: 0, count: group) + [Int](repeating: 1, count: w.rowRank - 1) + [2]
    (self.w, self.epsilon, self.groups, self.width) = (w, epsilon, groups, width)
    loops = LoopSpace(views.map { $0! }, classes: classes, leaders: [0, 0, 0])
  }
}

private struct GroupsProgram {
  let space: GroupSpace
  let vectors: Int
  let lanes: Int
  let b: TileBuilder
  let x: TileBuffer
  let epilogue: EpilogueBuffers
  let element: ElementType
  /// Indices of the outermost position dimension in a piece.
  let step: Int
  let pieceCount: Dim
  /// Per image, piece and channel: 0 mean, 1 sum of squared differences to it.
  let pieces: TileBuffer
  /// Per image and channel, the same for all of a group: 0 mean, 1 one over the standard deviation.
  let channels: TileBuffer

  init(_ space: GroupSpace, _ vectors: Int, _ pieceSize: Int, _ machine: Machine) {
    (self.space, self.vectors, lanes) = (space, vectors, machine.lanes)
    element = space.w.x.element.accumulator
    let b = TileBuilder("normalize")
    self.b = b
    let views = space.loops.views
    x = b.parameter("x", .input, views[0].buffer)
    let operands = views[1..<(views.count - 1)].enumerated().map { b.parameter("e\($0)", .input, $1.buffer) }
    epilogue = EpilogueBuffers(
      epilogue: space.w.epilogue, operands: operands, output: b.parameter("y", .output, views.last!.buffer))
    let positions = space.loops.range(1).map { space.loops.shape[$0] }
    let count = Dim(space.groups * space.width)
    let below = positions.dropFirst().reduce(space.groups * space.width) { min(1 << 40, $0 * max(1, $1.estimate)) }
    step = max(1, pieceSize / max(1, below))
    pieceCount = positions[0].ceilDivided(by: Dim(step))
    let images = space.loops.range(0).map { space.loops.shape[$0] }.product
    pieces = b.parameter("pieces", .scratch, BufferType(element, [images, pieceCount, 2, count]))
    channels = b.parameter("channels", .scratch, BufferType(element, [images, 2, count]))
  }

  private var channelCount: Int { space.groups * space.width }
  private var images: [Tile] { space.loops.range(0).map { b.size(space.loops.shape[$0]) } }
  private var positions: [Tile] { space.loops.range(1).map { b.size(space.loops.shape[$0]) } }
  private var channelSpan: Span { Span(b.index(0), b.index(channelCount), length: channelCount) }

  func build() -> TileProgram {
    let work =
      step
      * space.loops.range(1).dropFirst().reduce(channelCount) {
        min(1 << 30, $0 * max(1, space.loops.shape[$1].estimate))
      }
    let extents = images + [positions[0].ceilDivided(by: step)]
    b.parallel(extents, work: .operations(2 * work)) { measure(Array($0.dropLast()), $0.last!) }
    let joining = max(1, min(1 << 20, pieceCount.estimate) * space.width * 2)
    b.parallel([channels.size(0, b), b.index(space.groups)], work: .operations(joining)) { join($0[0], $0[1]) }
    b.parallel(extents, work: .operations(2 * work)) { finish(Array($0.dropLast()), $0.last!) }
    return b.finish()
  }

  /// Indices of the outermost position dimension that are in a piece.
  private func range(_ piece: Tile) -> (begin: Tile, end: Tile) {
    let begin = piece * step
    return (begin, (begin + step).minimum(positions[0]))
  }

  private func image(_ indices: [Tile]) -> Tile { zip(indices, images).reduce(b.index(0)) { $0 * $1.1 + $1.0 } }

  private func load(_ image: [Tile], _ position: [Tile], _ strip: Strip) -> Tile {
    x.load((image + position).map { .at($0) } + [strip.index(0)], shape: [strip.count], limits: [strip.limit])
      .cast(element)
  }

  private func measure(_ indices: [Tile], _ piece: Tile) {
    let (begin, end) = range(piece)
    let rest = Array(positions.dropFirst())
    let count = rest.reduce(end - begin, *).cast(element)
    b.strips(channelSpan, lanes: lanes, vectors: vectors) { strip in
      func sum(_ value: @escaping (Tile) -> Tile) -> Tile {
        b.loop(from: begin, to: end, carrying: [b.constant(0, element, [strip.count])]) { first, carried in
          b.nested(rest, carrying: carried) { [$1[0] + value(load(indices, [first] + $0, strip))] }
        }[0]
      }
      let mean = sum { $0 } / count
      let squares = sum { ($0 - mean) * ($0 - mean) }
      for (i, value) in [mean, squares].enumerated() {
        pieces.store(
          value, [.at(image(indices)), .at(piece), .at(b.index(i)), strip.index(0)], limits: [strip.limit])
      }
    }
  }

  private func join(_ image: Tile, _ group: Tile) {
    let partial = PartialReduction(
      function: .sum, element: element, lanes: lanes, vectors: max(1, min(vectors, space.width / lanes)), b: b)
    let first = group * space.width
    let span = Span(first, first + space.width, length: space.width)
    let rest = positions.dropFirst().reduce(b.index(1), *)
    func part(_ piece: Tile, _ i: Int, _ strip: Strip) -> Tile {
      pieces.load(
        [.at(image), .at(piece), .at(b.index(i)), strip.index(0)], shape: [strip.count], limits: [strip.limit])
    }
    func sum(_ value: (Tile, Tile, Strip) -> Tile) -> Tile {
      partial.finish(
        b.nested([b.size(pieceCount)], carrying: partial.start()) { piece, carried in
          let (begin, end) = range(piece[0])
          let count = ((end - begin) * rest).cast(element)
          return partial.adding(span, to: carried) { value(piece[0], count, $0) }
        })
    }
    let total = (positions.reduce(b.index(space.width), *)).cast(element)
    let mean = sum { part($0, 0, $2) * $1 } / total
    let squares = sum { piece, count, strip in
      let difference = part(piece, 0, strip) - mean
      return part(piece, 1, strip) + count * difference * difference
    }
    let factor = (squares / total + b.constant(space.epsilon, element)).unary(.sqrt).unary(.reciprocal)
    b.strips(span, lanes: lanes, vectors: 1) { strip in
      for (i, value) in [mean, factor].enumerated() {
        channels.store(
          value.broadcast(to: [strip.count]), [.at(image), .at(b.index(i)), strip.index(0)], limits: [strip.limit])
      }
    }
  }

  private func finish(_ indices: [Tile], _ piece: Tile) {
    let (begin, end) = range(piece)
    let image = image(indices)
    b.loop(from: begin, to: end) { first in
      b.nested(Array(positions.dropFirst())) { rest in
        b.strips(channelSpan, lanes: lanes, vectors: vectors) { strip in
          func channel(_ i: Int) -> Tile {
            channels.load(
              [.at(image), .at(b.index(i)), strip.index(0)], shape: [strip.count], limits: [strip.limit])
          }
          let position = [first] + rest
          for buffer in [x, epilogue.output] { buffer.prefetch(indices + position, after: strip) }
          let value = (load(indices, position, strip) - channel(0)) * channel(1)
          epilogue.store(
            value, (indices + position).map { .at($0) } + [strip.index(0)], limits: [strip.limit], in: b)
        }
      }
    }
  }
}

import TensorTypes
import TileIR

/// A task's softmax over keys that come block by block: maximum, sum and output of each query are brought up to date with each
/// (Milakov & Gimelshein, 2018).
struct RunningSoftmax {
  private let task: FlashTask
  private let p: FlashProgram
  private let b: TileBuilder
  /// Per tile of queries: largest score so far, sum of exponentials so far.
  private let largest: TileBuffer
  private let sums: TileBuffer
  /// Weighted sums of values so far: tile, panel, query, part of the depth.
  private let outputs: TileBuffer

  init(_ task: FlashTask) {
    (self.task, p, b) = (task, task.p, task.b)
    let (tileCount, mr) = (Dim(p.knobs["queryBlocks"]), Dim(p.mr))
    let (element, builder) = (p.element, b)
    func local(_ shape: Shape) -> TileBuffer { builder.allocate(BufferType(element, shape, space: .local)) }
    largest = local([tileCount, mr])
    sums = local([tileCount, mr])
    outputs = local([tileCount, Dim(p.valuePanels), mr, Dim(p.nr)])
  }

  private var zero: Tile { p.zero }

  func run() {
    b.loop(to: task.tiles) { begin($0) }
    let seen = p.scores.seen(by: task.start + task.tiles * p.mr - 1)
    b.loop(to: seen, step: p.block) { key in
      let count = (seen - key).minimum(b.index(p.block))
      task.forFewTiles { first, end in
        task.score(first, end, firstPlace: first, from: key, count: count)
        b.loop(from: first, to: end) { exponentiate($0, slot: $0 - first, task.keys(of: $0, from: key)) }
        task.forValuePanels { panel, width, _ in
          b.loop(from: first, to: end) {
            weigh($0, slot: $0 - first, panel, width, key, task.keys(of: $0, from: key))
          }
        }
      }
    }
    b.loop(to: task.tiles) { finish($0) }
  }

  /// Packs a tile's queries; nothing has been seen yet.
  private func begin(_ tile: Tile) {
    b.loop(from: (tile + 1) * p.mr, to: (tile + 2) * p.mr) { task.fetch(row: task.start + $0) }
    task.packQueries(tile, place: tile)
    largest.store(b.constant(.float(-.infinity), p.element, [p.mr]), [.at(tile), .span(zero, 0)])
    sums.store(b.constant(0, p.element, [p.mr]), [.at(tile), .span(zero, 0)])
    let nothing = b.constant(0, p.element, [p.mr, p.nr])
    b.loop(to: b.index(p.valuePanels)) { outputs.store(nothing, [.at(tile), .at($0), .span(zero, 0), .span(zero, 1)]) }
  }

  /// Brings the largest scores up to date, makes exponentials of the block's scores, and adds up their sums.
  private func exponentiate(_ tile: Tile, slot: Tile, _ count: Tile) {
    let span = task.span(count)
    task.findLargest(slot: slot, span)
    let place: [TileBuffer.Index] = [.at(tile), .span(zero, 0)]
    let slotPlace: [TileBuffer.Index] = [.at(slot), .span(zero, 0)]
    let before = largest.load(place, shape: [p.mr])
    let now = before.larger(task.perQuery.load(slotPlace, shape: [p.mr]))
    largest.store(now, place)
    let shift = p.scores.shift(now)
    let correction = p.scores.exponential(before - shift)
    sums.store(sums.load(place, shape: [p.mr]) * correction, place)
    task.perQuery.store(shift, slotPlace)
    task.exponentiate(slot: slot, span) { row, sum in
      let place: [TileBuffer.Index] = [.at(tile), .at(row)]
      sums.store(sums.load(place, shape: []) + sum, place)
    }
    task.perQuery.store(correction, slotPlace)
  }

  /// outputs[i] = correction[i] · outputs[i] + Σⱼ scores[i, j] · v[j], for the first `width` columns of a panel.
  private func weigh(_ tile: Tile, slot: Tile, _ panel: Tile, _ width: Int, _ key: Tile, _ count: Tile) {
    let correction = task.perQuery.load([.at(slot), .span(zero, 0)], shape: [p.mr, 1])
    let place: [TileBuffer.Index] = [.at(tile), .at(panel), .span(zero, 0), .span(zero, 1)]
    let before = outputs.load(place, shape: [p.mr, width]) * correction.broadcast(to: [p.mr, width])
    outputs.store(task.weighted(slot: slot, panel, from: key, count: count, addedTo: before), place)
  }

  private func finish(_ tile: Tile) {
    let factor = p.scores.inverse(sums.load([.at(tile), .span(zero, 0)], shape: [p.mr, 1]))
    task.forValuePanels { panel, width, isWhole in
      let results = outputs.load([.at(tile), .at(panel), .span(zero, 0), .span(zero, 1)], shape: [p.mr, width])
      task.store(results * factor.broadcast(to: [p.mr, width]), tile, column: panel * p.nr, isWhole: isWhole)
    }
  }
}

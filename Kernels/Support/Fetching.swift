import TensorTypes
import TileIR

/// How far ahead of a loop's reads and writes it fetches their lines. The hardware does it too, but later: at the end of a page it
/// begins anew, and a line that is written is asked for when the write is about to leave the core.
enum Fetching {
  /// Bytes along a row.
  static let distance = 2048
}

extension TileBuffer {
  /// Brings `count` elements of the last dimension from `start` on nearer: an instruction a line of 64 bytes. They may lie past the end.
  func prefetch(_ outer: [Tile], from start: Tile, count: Int) {
    let line = max(1, 64 / type.element.byteCount)
    for place in stride(from: 0, to: count, by: line) { prefetch(outer + [start + place]) }
  }

  /// The same for what comes after a strip, `Fetching.distance` on.
  func prefetch(_ outer: [Tile], after strip: Strip) {
    prefetch(outer, from: strip.start + Fetching.distance / type.element.byteCount, count: strip.count)
  }
}

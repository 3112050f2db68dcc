import TensorTypes
import TileIR

extension Machine {
  /// As many short rows as have registers for their sums, and a third of the level-1 cache for all: results and what is fetched ahead
  /// lie there as well, and rows of a page each in few of its sets. Of rows as they follow each other along a dimension.
  func rowsSideBySide(bytes row: Int, of all: Dim) -> Int {
    guard row < 4096 else { return 1 }
    let most = min(vectorRegisters / 4, cacheBytes[0] / 3 / max(1, row))
    // What is left over of many is little.
    return [8, 4, 2].first { rows in
      rows <= most && all.constant.map { $0 % rows == 0 || $0 >= 4 * rows } ?? true
    } ?? 1
  }
}

extension TileBuilder {
  /// Concurrent loops over rows, of which `sideBySide` that follow each other along the innermost dimension are taken at a time.
  /// - Parameters:
  ///   - operations: simple ones on an element that a row takes.
  ///   - body: is given the first row's place, and how many; nil for one alone.
  func parallelRows(_ shape: [Dim], sideBySide: Int, operations: Int, _ body: ([Tile], Int?) -> Void) {
    var extents = shape.map { size($0) }
    let (count, all) = (extents.last!, shape.last!)
    if sideBySide > 1 { extents[extents.count - 1] = count.ceilDivided(by: sideBySide) }
    parallel(extents, work: .operations(operations * sideBySide)) { indices in
      guard sideBySide > 1 else { return body(indices, nil) }
      let (outer, first) = (Array(indices.dropLast()), indices.last! * sideBySide)
      if let all = all.constant, all % sideBySide == 0 { return body(outer + [first], sideBySide) }
      // The last ones alone.
      let isWhole = (first + (sideBySide - 1)).less(count)
      when(isWhole) { body(outer + [first], sideBySide) }
      loop(from: isWhole.select(count, first), to: count) { body(outer + [$0], nil) }
    }
  }
}

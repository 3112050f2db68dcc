import TensorTypes

/// Finds the elements that an access touches, row by row, and refuses those outside of the buffer's shape.
final class InterpreterAccess {
  private enum Axis {
    case at(Int)
    case span(start: Int, dimension: Int, step: Int)
    case gather(indices: Int, dimension: Int)
  }

  let bufferNumber: Int
  let tile: [Int]
  private let axes: [Axis]
  private let limits: [Int?]
  private let operation: String
  private let tileStrides: [Int]
  /// Of the access at hand: how many positions of each tile dimension are touched, how far apart in the buffer they
  /// lie, or where if gathered.
  private var extents: [Int]
  private var steps: [Int]
  private var gathered: [[Int]?]
  private var position: [Int]

  /// - Parameter slot: gives the place of a value.
  init(_ access: Access, bufferNumber: Int, tile: [Int], operation: String, slot: (TileValue) -> Slot) {
    self.bufferNumber = bufferNumber
    self.tile = tile
    self.operation = operation
    axes = access.indices.map {
      switch $0 {
      case .at(let value): .at(slot(value).offset)
      case .span(let start, let dimension, let step): .span(start: slot(start).offset, dimension: dimension, step: step)
      case .gather(let indices, let dimension): .gather(indices: slot(indices).offset, dimension: dimension)
      }
    }
    limits = access.limits.map { $0.map { slot($0).offset } }
    tileStrides = tile.indices.map { tile[($0 + 1)...].reduce(1, *) }
    extents = tile
    steps = tile
    position = tile
    gathered = tile.map { _ in nil }
  }

  /// Elements of the tile at `tile`, `tile + 1`, …, and of the buffer at `element`, `element + stride`, …
  struct Row {
    var tile: Int
    var element: Int
    var count: Int
    var stride: Int
  }

  private func integer(_ frame: UnsafeMutableRawPointer, _ offset: Int) -> Int {
    Int(frame.load(fromByteOffset: offset, as: Int64.self))
  }

  /// - Returns: the element at position 0; nil if no element is touched.
  private func resolve(_ memory: InterpreterMemory, _ frame: UnsafeMutableRawPointer) throws -> Int? {
    for d in tile.indices {
      extents[d] = limits[d].map { min(max(integer(frame, $0), 0), tile[d]) } ?? tile[d]
      if extents[d] == 0 { return nil }
      steps[d] = 0
      gathered[d] = nil
    }
    var base = 0
    for (k, axis) in axes.enumerated() {
      let (size, stride) = (memory.shape[k], memory.strides[k])
      switch axis {
      case .at(let offset):
        let i = integer(frame, offset)
        guard i >= 0, i < size else { throw outOfBounds(memory, frame, axis: k, tilePosition: 0) }
        base += i * stride
      case .span(let start, let d, let step):
        let first = integer(frame, start)
        let last = first &+ step &* (extents[d] - 1)
        guard first >= 0, first < size else { throw outOfBounds(memory, frame, axis: k, tilePosition: 0) }
        guard last >= 0, last < size else {
          let inside = step > 0 ? (size - 1 - first) / step : first / -step
          throw outOfBounds(memory, frame, axis: k, tilePosition: (inside + 1) * tileStrides[d])
        }
        steps[d] = step * stride
        base += first * stride
      case .gather(let offset, let d):
        var offsets: [Int] = []
        for p in 0..<extents[d] {
          let i = integer(frame, offset + 8 * p)
          guard i >= 0, i < size else { throw outOfBounds(memory, frame, axis: k, tilePosition: p * tileStrides[d]) }
          offsets.append(i * stride)
        }
        gathered[d] = gathered[d].map { zip($0, offsets).map(+) } ?? offsets
      }
    }
    return base
  }

  /// Whether the last access left elements of the tile alone.
  var isPartial: Bool { extents != tile }

  /// Calls `body` for every row touched; not at all if none is.
  /// - Returns: whether any was.
  func forEachRow(
    _ memory: InterpreterMemory, _ frame: UnsafeMutableRawPointer, whenResolved: (Bool) -> Void,
    _ body: (Row) throws -> Void
  ) throws {
    let base = try resolve(memory, frame)
    whenResolved(base != nil && !isPartial)
    guard let base else { return }
    let rank = tile.count
    guard rank > 0 else { return try body(Row(tile: 0, element: base, count: 1, stride: 0)) }
    for d in 0..<rank { position[d] = 0 }
    let isRowGathered = gathered[rank - 1] != nil
    while true {
      var (tileOffset, element) = (0, base)
      for d in 0..<rank - 1 {
        tileOffset += position[d] * tileStrides[d]
        element += gathered[d].map { $0[position[d]] } ?? (position[d] * steps[d])
      }
      if isRowGathered, let offsets = gathered[rank - 1] {
        for (p, offset) in offsets.enumerated() {
          try body(Row(tile: tileOffset + p, element: element + offset, count: 1, stride: 0))
        }
      } else {
        try body(Row(tile: tileOffset, element: element, count: extents[rank - 1], stride: steps[rank - 1]))
      }
      var d = rank - 2
      while d >= 0 {
        position[d] += 1
        if position[d] < extents[d] { break }
        position[d] = 0
        d -= 1
      }
      if d < 0 { return }
    }
  }

  // MARK: Faults

  private func outOfBounds(
    _ memory: InterpreterMemory, _ frame: UnsafeMutableRawPointer, axis: Int, tilePosition: Int
  ) -> TileFault {
    fault(.outOfBounds, memory, frame, tilePosition, "dimension \(axis) has \(memory.shape[axis]) elements")
  }

  /// A fault at the element that position `tilePosition` (row-major) of the tile touches.
  func fault(
    _ kind: TileFault.Kind, _ memory: InterpreterMemory, _ frame: UnsafeMutableRawPointer, _ tilePosition: Int,
    _ detail: String
  ) -> TileFault {
    func along(_ dimension: Int) -> Int { tilePosition / tileStrides[dimension] % tile[dimension] }
    let indices = axes.map {
      switch $0 {
      case .at(let offset): integer(frame, offset)
      case .span(let start, let d, let step): integer(frame, start) &+ step &* along(d)
      case .gather(let offset, let d): integer(frame, offset + 8 * along(d))
      }
    }
    return TileFault(kind: kind, operation: operation, buffer: memory.name, indices: indices, detail: detail)
  }
}

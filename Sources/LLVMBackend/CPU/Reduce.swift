internal import CLLVM
import TensorTypes
import TileIR

extension KernelLowering {
  /// Joins elements along a dimension by pairwise halving: element i with i + n/2, n the next power of two, until one
  /// is left. The order is part of the operation's meaning.
  func reduce(_ function: ReductionFunction, _ x: Registers, dimension: Int) -> Registers {
    var shape = x.shape
    shape[dimension] = 1
    let perRow = widths(x.rowLength).count
    if dimension == x.shape.count - 1 {
      let rows = (0..<x.rowCount).map { Array(x.chunks[$0 * perRow..<($0 + 1) * perRow]) }
      let results = reduceTogether(function, rows, x.element) ?? rows.map { reduceRow(function, $0, x.element) }
      return Registers(element: x.element, shape: shape, chunks: results)
    }
    let inner = x.shape[(dimension + 1)..<(x.shape.count - 1)].reduce(1, *)
    let length = x.shape[dimension]
    var chunks: [LLVMValueRef] = []
    for outer in 0..<x.shape[..<dimension].reduce(1, *) {
      for i in 0..<inner {
        for c in 0..<perRow {
          let parts = (0..<length).map { x.chunks[((outer * length + $0) * inner + i) * perRow + c] }
          chunks.append(halve(parts) { binary(function.combiner, $0, $1, x.element) })
        }
      }
    }
    return Registers(element: x.element, shape: shape, chunks: chunks)
  }

  /// Several rows' chunks to a scalar each, where they are whole vectors: halves of two rows fill a vector, then quarters of four, so that
  /// a joining does many rows at once. nil if rows are of another kind.
  private func reduceTogether(
    _ function: ReductionFunction, _ rows: [[LLVMValueRef]], _ element: ElementType
  ) -> [LLVMValueRef]? {
    let lanes = target.machine.lanes
    let perRow = rows[0].count
    guard rows.count > 1, perRow & (perRow - 1) == 0, rows[0].allSatisfy({ width($0) == lanes }) else { return nil }
    var vectors = rows.map { halve($0) { binary(function.combiner, $0, $1, element) } }
    // Which row the elements at each place of a vector are of; a row has `length` of them side by side.
    var owners = rows.indices.map { [Int](repeating: $0, count: lanes) }
    var length = lanes
    while length > 1 {
      length /= 2
      let order = Self.lowerHalves(of: length, lanes: lanes)
      let upper = order.map { $0 + length }
      var (joined, theirs): ([LLVMValueRef], [[Int]]) = ([], [])
      for i in stride(from: 0, to: vectors.count, by: 2) {
        let j = min(i + 1, vectors.count - 1)
        let (x, y) = (e.shuffle(vectors[i], vectors[j], order), e.shuffle(vectors[i], vectors[j], upper))
        joined.append(binary(function.combiner, x, y, element))
        let both = owners[i] + owners[j]
        theirs.append(order.map { both[$0] })
      }
      (vectors, owners) = (joined, theirs)
    }
    return rows.indices.map { e.extract(vectors[$0 / lanes], owners[$0 / lanes].firstIndex(of: $0)!) }
  }

  /// Of two vectors side by side the places that are lower halves, `length` elements each, in the order in which one instruction brings
  /// them together: those smaller than 16 bytes by turns from both vectors, within each 16 bytes.
  private static func lowerHalves(of length: Int, lanes: Int) -> [Int] {
    let places = (0..<2 * lanes).filter { $0 & length == 0 }
    guard length < 4 else { return places }
    // 16 bytes of each vector give two elements.
    return (0..<lanes).map { i in places[i / 4 * 2 + i % 2 + (i % 4 < 2 ? 0 : lanes / 2)] }
  }

  private func halve<T>(_ parts: [T], _ join: (T, T) -> T) -> T {
    var parts = parts
    var n = 1
    while n < parts.count { n *= 2 }
    while parts.count > 1 {
      n /= 2
      let upper = parts.count - n
      parts = (0..<n).map { $0 < upper ? join(parts[$0], parts[$0 + n]) : parts[$0] }
    }
    return parts[0]
  }

  /// A row's chunks to one scalar.
  private func reduceRow(_ function: ReductionFunction, _ chunks: [LLVMValueRef], _ element: ElementType)
    -> LLVMValueRef
  {
    let combiner = function.combiner
    let chunkWidths = chunks.map { self.width($0) }
    // Chunks of one width, a power of two of them, halve as whole vectors; others go element by element.
    guard Set(chunkWidths).count == 1, chunks.count & (chunks.count - 1) == 0 else {
      let elements = zip(chunks, chunkWidths).flatMap { chunk, width in
        width == 1 ? [chunk] : (0..<width).map { e.extract(chunk, $0) }
      }
      return halve(elements) { binary(combiner, $0, $1, element) }
    }
    var vector = halve(chunks) { binary(combiner, $0, $1, element) }
    var width = chunkWidths[0]
    while width > 1 {
      width /= 2
      let lower = e.shuffle(vector, nil, Array(0..<width))
      let upper = e.shuffle(vector, nil, Array(width..<2 * width))
      if width == 1 {
        vector = binary(combiner, e.extract(vector, 0), e.extract(vector, 1), element)
      } else {
        vector = binary(combiner, lower, upper, element)
      }
    }
    return vector
  }

  /// acc[m, n] + Σₖ a[m, k] · b[k, n], k after k.
  func dot(_ accumulator: Registers, _ a: Registers, _ b: Registers) -> Registers {
    let (m, k) = (accumulator.shape[0], a.shape[1])
    let perRow = widths(accumulator.rowLength).count
    let to = accumulator.element
    var sums = accumulator.chunks
    let wideB = b.chunks.map { convert($0, b.element, to) }
    for step in 0..<k {
      for row in 0..<m {
        let factor = convert(extract(a, row * k + step), a.element, to)
        var splats: [Int: LLVMValueRef] = [:]
        for c in 0..<perRow {
          let chunk = wideB[step * perRow + c]
          let n = width(chunk)
          let spread = splats[n] ?? e.splat(factor, n)
          splats[n] = spread
          sums[row * perRow + c] = fma(spread, chunk, sums[row * perRow + c], to)
        }
      }
    }
    return Registers(element: to, shape: accumulator.shape, chunks: sums)
  }
}

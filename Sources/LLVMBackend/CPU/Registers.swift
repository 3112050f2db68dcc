internal import CLLVM
import TensorTypes
import TileIR

/// A tile in registers: rows of the innermost dimension, each cut into chunks as wide as a vector of 32-bit elements.
///
/// The cut depends on the row's length alone, not on the element type, so that a comparison of f32 tiles (a tile of
/// `i1`) and the tiles that it selects from have chunks that match one to one. A chunk of width 1 is an LLVM scalar.
struct Registers {
  let element: ElementType
  let shape: [Int]
  /// Row by row.
  let chunks: [LLVMValueRef]

  /// Length of the innermost dimension; 1 for a scalar.
  var rowLength: Int { shape.last ?? 1 }
  var rowCount: Int { shape.dropLast().reduce(1, *) }

  /// Widths of a row's chunks: full vectors, then powers of two.
  static func widths(_ length: Int, lanes: Int) -> [Int] {
    var widths = [Int](repeating: lanes, count: length / lanes)
    var rest = length % lanes
    var width = lanes
    while rest > 0 {
      width /= 2
      if width <= rest {
        widths.append(width)
        rest -= width
      }
    }
    return widths
  }
}

extension KernelLowering {
  func widths(_ length: Int) -> [Int] { Registers.widths(length, lanes: target.machine.lanes) }

  /// A tile whose chunks come from `make(row, offset in the row, width)`.
  func tile(_ element: ElementType, _ shape: [Int], _ make: (Int, Int, Int) -> LLVMValueRef) -> Registers {
    let length = shape.last ?? 1
    var chunks: [LLVMValueRef] = []
    for row in 0..<shape.dropLast().reduce(1, *) {
      var offset = 0
      for width in widths(length) {
        chunks.append(make(row, offset, width))
        offset += width
      }
    }
    return Registers(element: element, shape: shape, chunks: chunks)
  }

  /// One element, by its position in row-major order.
  func extract(_ tile: Registers, _ position: Int) -> LLVMValueRef {
    let widths = widths(tile.rowLength)
    let (row, column) = (position / tile.rowLength, position % tile.rowLength)
    var offset = 0
    for (i, width) in widths.enumerated() {
      if column < offset + width {
        let chunk = tile.chunks[row * widths.count + i]
        return width == 1 ? chunk : e.extract(chunk, column - offset)
      }
      offset += width
    }
    preconditionFailure("a position within the tile")
  }

  /// A tile put together from single elements; `at` gives that at a position in row-major order.
  func assemble(_ element: ElementType, _ shape: [Int], _ at: (Int) -> LLVMValueRef) -> Registers {
    let length = shape.last ?? 1
    return tile(element, shape) { row, offset, width in
      if width == 1 { return at(row * length + offset) }
      var vector: LLVMValueRef = LLVMGetPoison(e.vector(e.type(element), width))
      for lane in 0..<width { vector = e.insert(vector, at(row * length + offset + lane), lane) }
      return vector
    }
  }

  // MARK: Shape

  func broadcast(_ x: Registers, to shape: [Int]) -> Registers {
    let padded = [Int](repeating: 1, count: shape.count - x.shape.count) + x.shape
    let sourceWidths = widths(x.rowLength).count
    let spreads = x.rowLength == 1 && (shape.last ?? 1) > 1
    let chunkCount = widths(shape.last ?? 1).count
    var rows: [Int: [LLVMValueRef]] = [:]
    var chunks: [LLVMValueRef] = []
    for row in 0..<shape.dropLast().reduce(1, *) {
      var source = 0
      var remaining = row
      var scale = 1
      for d in shape.indices.dropLast().reversed() {
        let position = remaining % shape[d]
        remaining /= shape[d]
        if padded[d] != 1 { source += position * scale }
        scale *= padded[d]
      }
      if rows[source] == nil {
        rows[source] =
          spreads
          ? widths(shape.last!).map { e.splat(x.chunks[source], $0) }
          : Array(x.chunks[source * sourceWidths..<(source + 1) * sourceWidths])
      }
      chunks += rows[source]!
    }
    precondition(chunks.count == shape.dropLast().reduce(1, *) * chunkCount, "a chunk for each place")
    return Registers(element: x.element, shape: shape, chunks: chunks)
  }

  /// The same bits as elements of another type, whose chunks hold as many of x's elements as fill them.
  func bitcast(_ x: Registers, _ element: ElementType, _ shape: [Int]) -> Registers {
    let (from, to) = (x.element.byteCount, element.byteCount)
    return tile(element, shape) { row, offset, width in
      let bits = elements(of: x, row: row, from: offset * to / from, count: width * to / from)
      return LLVMBuildBitCast(e.builder, bits, e.vector(e.type(element), width), "")
    }
  }

  /// `count` elements of a row side by side, a power of two that divides `start`: whole chunks, or a part of one, since
  /// chunks are full vectors and then powers of two that get smaller.
  private func elements(of x: Registers, row: Int, from start: Int, count: Int) -> LLVMValueRef {
    let widths = widths(x.rowLength)
    var (first, offset) = (row * widths.count, 0)
    while offset + widths[first - row * widths.count] <= start {
      offset += widths[first - row * widths.count]
      first += 1
    }
    let width = widths[first - row * widths.count]
    if count == width { return x.chunks[first] }
    if count < width {
      let lanes = (0..<count).map { start - offset + $0 }
      return count == 1 ? e.extract(x.chunks[first], lanes[0]) : e.shuffle(x.chunks[first], nil, lanes)
    }
    return joined(Array(x.chunks[first..<first + count / width]), width)
  }

  func reshape(_ x: Registers, to shape: [Int]) -> Registers {
    // Rows that are whole vectors keep their chunks; so does a change of the outer dimensions only.
    let lanes = target.machine.lanes
    let (from, to) = (x.rowLength, shape.last ?? 1)
    if from == to || (from % lanes == 0 && to % lanes == 0) {
      return Registers(element: x.element, shape: shape, chunks: x.chunks)
    }
    return assemble(x.element, shape) { extract(x, $0) }
  }

  func transpose(_ x: Registers, _ permutation: [Int]) -> Registers {
    let shape = permutation.map { x.shape[$0] }
    if permutation == [1, 0] { return transposeBlocks(x) }
    var strides = [Int](repeating: 1, count: x.shape.count)
    for d in x.shape.indices.dropLast().reversed() { strides[d] = strides[d + 1] * x.shape[d + 1] }
    return assemble(x.element, shape) { position in
      var source = 0
      var remaining = position
      for d in shape.indices.reversed() {
        source += (remaining % shape[d]) * strides[permutation[d]]
        remaining /= shape[d]
      }
      return extract(x, source)
    }
  }

  func rotate(_ x: Registers, by: Int) -> Registers {
    let length = x.rowLength
    return assemble(x.element, x.shape) { extract(x, $0 / length * length + ($0 % length + by) % length) }
  }

  /// Transposes a matrix block by block: a block's columns are a chunk of its rows, its rows will be a chunk of the result's.
  private func transposeBlocks(_ x: Registers) -> Registers {
    let (heights, widths) = (widths(x.shape[0]), widths(x.shape[1]))
    var result: [[LLVMValueRef]] = Array(repeating: [], count: x.shape[1])
    var row = 0
    for height in heights {
      var column = 0
      for (number, width) in widths.enumerated() {
        let block = transposed((row..<row + height).map { x.chunks[$0 * widths.count + number] }, width)
        for (i, chunk) in block.enumerated() { result[column + i].append(chunk) }
        column += width
      }
      row += height
    }
    return Registers(element: x.element, shape: [x.shape[1], x.shape[0]], chunks: result.flatMap(\.self))
  }

  /// Transposes rows of `width` elements: both how many they are and their width are powers of two. Squares stand side by side in
  /// longer rows, and each is transposed by exchanges of halves (Eklundh, 1972).
  private func transposed(_ rows: [LLVMValueRef], _ width: Int) -> [LLVMValueRef] {
    let side = min(rows.count, width)
    // Of more rows than columns the squares are brought side by side before, else parted after.
    var square = (0..<side).map { i in joined(stride(from: i, to: rows.count, by: side).map { rows[$0] }, width) }
    let length = max(rows.count, width)
    var half = side / 2
    while half >= 1 {
      for i in 0..<side where i & half == 0 {
        let (a, b) = (square[i], square[i + half])
        // Within groups of 2·half lanes: a keeps its lower half and takes b's lower half as its upper one.
        square[i] = e.shuffle(a, b, (0..<length).map { $0 & half == 0 ? $0 : $0 - half + length })
        square[i + half] = e.shuffle(a, b, (0..<length).map { $0 & half == 0 ? $0 + half : $0 + length })
      }
      half /= 2
    }
    if width <= side { return square }
    return (0..<width).map { column in
      let (row, first) = (square[column % side], column - column % side)
      return side == 1 ? e.extract(row, first) : e.shuffle(row, nil, Array(first..<first + side))
    }
  }

  /// Chunks of `width` elements side by side; their number is a power of two.
  private func joined(_ chunks: [LLVMValueRef], _ width: Int) -> LLVMValueRef {
    var (pieces, length) = (chunks, width)
    while pieces.count > 1 {
      length *= 2
      pieces = stride(from: 0, to: pieces.count, by: 2).map { i in
        length > 2
          ? e.shuffle(pieces[i], pieces[i + 1], Array(0..<length))
          : e.insert(
            e.insert(LLVMGetPoison(e.vector(LLVMTypeOf(pieces[i]), 2)), pieces[i], 0), pieces[i + 1], 1)
      }
    }
    return pieces[0]
  }
}

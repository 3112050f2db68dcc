import TileIR

// What products of few columns share: vectors run along what is summed over, so that none of their lanes is idle.

extension TileBuilder {
  /// sums[r, c] + Σₖ left[r, k] · right[c, k], each a vector of partial sums: `[rows, columns, lanes]`.
  /// - Parameters:
  ///   - left: `[rows, 1, lanes]` from k on, or fewer where a limit is given.
  ///   - right: `[1, columns, lanes]`, likewise.
  func addingInnerProducts(
    to sums: Tile, depth: Int, unroll: Int, _ left: (_ k: Tile, _ limit: Tile?) -> Tile,
    _ right: (_ k: Tile, _ limit: Tile?) -> Tile
  ) -> Tile {
    let lanes = sums.shape[2]
    func add(_ k: Tile, limit: Tile?, to sums: Tile) -> Tile {
      let (x, y) = (left(k, limit), right(k, limit))
      return x.broadcast(to: sums.shape).fma(y.broadcast(to: sums.shape), sums)
    }
    let whole = depth / lanes * lanes
    let sums = loop(.unrolled(by: unroll), to: index(whole), step: lanes, carrying: [sums]) {
      [add($0, limit: nil, to: $1[0])]
    }[0]
    return whole == depth ? sums : add(index(whole), limit: index(depth - whole), to: sums)
  }
}

extension Machine {
  /// Whether so many rows' sums stay in registers, beside a vector of each column; a row always may.
  func holdsInnerProducts(rows: Int, columns: Int) -> Bool {
    rows == 1 || (rows + 1) * columns + 1 <= vectorRegisters + 2
  }
}

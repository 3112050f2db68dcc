import TensorTypes
import TileIR

/// What happens to tiles of scores between the two products: soft cap, mask, keys that are not seen, exponentials.
///
/// Scores are logarithms to base 2, whose exponentials cost less, except where a mask is added to them: the lowest finite number, which
/// masks have, would become −∞ when it was scaled.
struct Scores {
  let w: AttentionWorkload
  let b: TileBuilder
  let mask: TileBuffer?
  let element: ElementType
  let (queries, keys): (Tile, Tile)
  /// Whether keys are the rows of tiles and queries their columns; else it is the other way round.
  var keysFirst = false
  /// Whether products are still to be multiplied by `scale`: queries were not.
  var scalesProducts = false

  private var isBinary: Bool { mask.map { $0.type.element == .bool } ?? true }
  /// What a score of 1 is here: log₂ e.
  private var unit: Double { isBinary ? 0x1.71547652b82fep0 : 1 }

  /// What queries, or their products with keys, are multiplied by.
  var scale: Tile { b.constant(w.scale * unit, element) }

  /// What is to be taken from scores of which `largest` is the largest; where nothing is seen, −∞ − −∞ would not be a number.
  func shift(_ largest: Tile) -> Tile {
    let hidden = b.constant(.float(-.infinity), element, largest.shape)
    return largest.equal(hidden).select(b.constant(0, element, largest.shape), largest)
  }

  /// Of a difference of scores, not positive.
  func exponential(_ difference: Tile) -> Tile {
    isBinary ? difference.exp2OfNonPositive : difference.expOfNonPositive
  }

  /// 1 / sum of exponentials, or 0 where nothing is seen.
  func inverse(_ sums: Tile) -> Tile {
    let none = b.constant(0, element, sums.shape)
    return sums.equal(none).select(none, sums.unary(.reciprocal))
  }

  /// Where a tile of scores stands.
  struct Place {
    let batch: Tile
    let head: Tile
    /// Query of the tile's first row.
    let query: Tile
    /// Key of its first column.
    let key: Tile
  }

  /// How many keys, counted from the first, `query` sees at most.
  func seen(by query: Tile) -> Tile {
    guard let offset = w.causalOffset else { return keys }
    return (query + b.size(offset) + 1).minimum(keys).maximum(b.index(0))
  }

  /// Stores a tile of raw scores after cap and masks; those past the last key that a query sees become −∞.
  /// - Parameters:
  ///   - isWhole: whether all of the tile's keys are there, if that is known.
  ///   - turned: the mask's values for the tile, as `maskValues` gives them, if they are at hand.
  func store(
    _ products: Tile, at place: Place, isWhole: Bool?, mask turned: (() -> Tile)? = nil, to buffer: TileBuffer,
    _ indices: [TileBuffer.Index]
  ) {
    func finished(isWhole: Bool) -> Tile { self.finished(products, place, isWhole: isWhole, turned) }
    let count = products.shape[keysFirst ? 0 : 1]
    let divides = w.causalOffset == nil && w.k.shape[2].constant.map { $0 % count == 0 } ?? false
    if let isWhole = isWhole ?? (divides ? true : nil) {
      return buffer.store(finished(isWhole: isWhole), indices)
    }
    b.when((place.key + count).lessEqual(seen(by: place.query))) {
      buffer.store(finished(isWhole: true), indices)
    } otherwise: {
      buffer.store(finished(isWhole: false), indices)
    }
  }

  private func finished(_ products: Tile, _ place: Place, isWhole: Bool, _ turned: (() -> Tile)?) -> Tile {
    var result = scalesProducts ? products * scale : products
    let shape = products.shape
    if w.softcap != 0 {
      let most = w.softcap * unit
      let (cap, inverse) = (b.constant(most, element), b.constant(1 / most, element))
      result = (result * inverse).unary(.tanh) * cap
    }
    let hidden = b.constant(.float(-.infinity), element, shape)
    if let mask {
      let values = turned?() ?? load(mask, shape, place, isWhole: isWhole)
      if values.element == .bool {
        result = values.broadcast(to: shape).select(result, hidden)
      } else if isBinary {
        result = values.equal(hidden).select(hidden, result)
      } else {
        result = result + values.cast(element).broadcast(to: shape)
      }
    }
    return isWhole ? result : isSeen(shape, place).select(result, hidden)
  }

  /// Which scores of a tile are of keys that are there, and that the query may see.
  private func isSeen(_ shape: [Int], _ place: Place) -> Tile {
    // In 32 bits, so that a comparison fills one register and not two.
    func positions(_ dimension: Int) -> Tile {
      b.iota(dimension == 0 ? [shape[0], 1] : [shape[1]], dimension: 0).cast(.int32)
    }
    let key = positions(keysFirst ? 0 : 1).broadcast(to: shape)
    let left = (keys - place.key).cast(.int32)
    guard let offset = w.causalOffset else { return key.less(left.broadcast(to: shape)) }
    let first = (place.query + b.size(offset) + 1 - place.key).cast(.int32)
    let query = positions(keysFirst ? 1 : 0)
    let limit = (query + first.broadcast(to: query.shape)).minimum(left.broadcast(to: query.shape))
    return key.less(limit.broadcast(to: shape))
  }

  /// Brings the mask's rows for some queries and keys nearer.
  func fetchMask(queries: Int, keys: Int, at place: Place) {
    guard let mask else { return }
    for row in 0..<queries { mask.prefetch(outer(mask, place) + [place.query + row], from: place.key, count: keys) }
  }

  /// Batch and head as indices of the mask: where a stride is 0 any will do.
  private func outer(_ mask: TileBuffer, _ place: Place) -> [Tile] {
    zip([place.batch, place.head], mask.type.strides).map { $1 == 0 ? b.index(0) : $0 }
  }

  /// The mask's values for some queries and `count` keys, `[query, key]`, to be turned over: 0 or −∞ where it says what is seen.
  func maskValues(at place: Place, queries: Tile, _ count: Int) -> Tile {
    guard let mask else { preconditionFailure("a mask") }
    let values = mask.load(
      outer(mask, place).map { .at($0) } + [.gather(queries, 0), .span(place.key, 1)], shape: queries.shape + [count],
      limits: [nil, keys - place.key])
    guard isBinary else { return values.cast(element) }
    return values.select(b.constant(0, element, values.shape), b.constant(.float(-.infinity), element, values.shape))
  }

  /// The mask's values for a tile, as few as its strides of 0 leave. Rows past the last query stand at the last one.
  private func load(_ mask: TileBuffer, _ shape: [Int], _ place: Place, isWhole: Bool) -> Tile {
    let outer: [TileBuffer.Index] = outer(mask, place).map { .at($0) }
    let limit = isWhole ? nil : keys - place.key
    if mask.type.strides[2] == 0 {
      let place = outer + [.at(b.index(0)), .span(place.key, 0)]
      if keysFirst { return mask.load(place, shape: [shape[0], 1], limits: [limit, nil]) }
      return mask.load(place, shape: [shape[1]], limits: [limit])
    }
    let rows = (b.iota([shape[0]], dimension: 0) + place.query).minimum(queries - 1)
    return mask.load(outer + [.gather(rows, 0), .span(place.key, 1)], shape: shape, limits: [nil, limit])
  }
}

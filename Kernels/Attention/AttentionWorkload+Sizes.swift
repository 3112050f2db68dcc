import TensorTypes
import TileIR

/// What is known of the work and its operands, or guessed for estimates where sizes are not known.
extension AttentionWorkload {
  /// What words of two steps of both products hold; nil: numbers are multiplied singly, in f32.
  func parts(on machine: Machine) -> WordParts? {
    let isNarrow = q.element == .bfloat16 || q.element == .float32 && mayRound == true
    let isEven = q.shape[3].constant.map { $0 % 2 == 0 } ?? false
    return isNarrow && isEven && machine.wordDots.contains(.bf16x2) ? .bf16x2 : nil
  }

  /// Whether the mask says something else for each query.
  var masksQueries: Bool { mask.map { $0.strides[2] != 0 } ?? false }

  /// Whether the mask says something else for each query and is known to be larger than the level-2 cache.
  func maskIsFar(_ machine: Machine) -> Bool {
    guard masksQueries, let mask else { return false }
    let sizes = zip(mask.shape, mask.strides).map { $1 == 0 ? 1 : $0.constant ?? 1 }
    return sizes.reduce(mask.element.byteCount, *) > machine.cacheBytes[1]
  }

  /// Whether queries are known to be larger than the level-2 cache.
  func queriesAreFar(_ machine: Machine) -> Bool {
    q.shape.reduce(q.element.byteCount) { $0 * ($1.constant ?? 1) } > machine.cacheBytes[1]
  }

  var headCount: Int { q.shape[0..<2].product.estimate }
  /// Of queries or keys, and of values, together.
  var depths: Int { q.shape[3].estimate + v.shape[3].estimate }
  /// Elements of keys and values.
  var keptElements: Int { k.shape[0..<3].product.estimate * depths }

  /// How many keys a query sees at most.
  func seen(by query: Int) -> Int {
    let keys = k.shape[2].estimate
    guard let causalOffset else { return keys }
    return max(0, min(keys, query + 1 + (causalOffset.constant ?? keys - q.shape[2].estimate)))
  }
}

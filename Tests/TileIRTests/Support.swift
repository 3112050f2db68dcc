import TensorTypes
import TileIR

extension SeededGenerator {
  mutating func tensor(_ shape: [Int]) -> HostTensor {
    let count = shape.reduce(1, *)
    return HostTensor(.float32, shape, (0..<count).map { _ in Float.random(in: -1...1, using: &self) })
  }
}

/// A fresh seed, printed so that a failure can be repeated.
func freshSeed(_ test: String = #function) -> UInt64 {
  let seed = UInt64.random(in: 0...UInt64.max)
  print("\(test): seed \(seed)")
  return seed
}

extension Block {
  /// Without the barrier that comes as number `index` (counted from 0) in the order of the text.
  func removingBarrier(_ index: Int) -> Block {
    var seen = 0
    return removingBarrier(index, &seen)
  }

  var barrierCount: Int {
    operations.reduce(0) { sum, operation in
      if case .barrier = operation.kind { return sum + 1 }
      return sum + operation.blocks.reduce(0) { $0 + $1.barrierCount }
    }
  }

  private func removingBarrier(_ index: Int, _ seen: inout Int) -> Block {
    var kept: [Operation] = []
    for operation in operations {
      switch operation.kind {
      case .barrier:
        if seen != index { kept.append(operation) }
        seen += 1
      case .loop(var loop):
        loop.body = loop.body.removingBarrier(index, &seen)
        kept.append(Operation(.loop(loop), results: operation.results))
      case .conditional(let condition, let then, let otherwise):
        let (a, b) = (then.removingBarrier(index, &seen), otherwise.removingBarrier(index, &seen))
        kept.append(Operation(.conditional(condition, then: a, otherwise: b), results: []))
      default: kept.append(operation)
      }
    }
    return Block(kept)
  }
}

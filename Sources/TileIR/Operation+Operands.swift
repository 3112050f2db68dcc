extension Operation {
  /// The values that the operation itself reads, without those read only in its blocks; a loop's yields are.
  public var operands: [TileValue] {
    switch kind {
    case .size, .constant, .iota, .allocate, .barrier: []
    case .unary(_, let x), .cast(let x), .bitcast(let x), .broadcast(let x), .reshape(let x), .transpose(let x, _),
      .rotate(let x, _), .reduce(_, let x, _):
      [x]
    case .binary(_, let x, let y): [x, y]
    case .select(let x, let y, let z), .fma(let x, let y, let z), .dot(let x, let y, let z),
      .dotOfWords(_, let x, let y, let z):
      [x, y, z]
    case .load(let access, _): access.operands
    case .store(let x, let access): [x] + access.operands
    case .prefetch(let access): access.operands
    case .loop(let loop): [loop.lower, loop.upper] + loop.initial + loop.yields
    case .conditional(let condition, _, _): [condition]
    }
  }

  /// The blocks within.
  public var blocks: [Block] {
    switch kind {
    case .loop(let loop): [loop.body]
    case .conditional(_, let then, let otherwise): [then, otherwise]
    case .size, .constant, .iota, .unary, .binary, .select, .fma, .cast, .bitcast, .broadcast, .reshape, .transpose,
      .rotate, .reduce, .dot, .dotOfWords, .load, .store, .prefetch, .allocate, .barrier:
      []
    }
  }
}

extension Block {
  /// Calls `body` with every operation, those within others after these.
  public func visit(_ body: (Operation) -> Void) {
    for operation in operations {
      body(operation)
      for block in operation.blocks { block.visit(body) }
    }
  }
}

extension Access {
  public var operands: [TileValue] {
    [buffer]
      + indices.map {
        switch $0 {
        case .at(let value), .span(let value, _, _), .gather(let value, _): value
        }
      } + limits.compactMap { $0 }
  }
}

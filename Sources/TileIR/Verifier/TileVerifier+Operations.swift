import TensorTypes

extension TileVerifier {
  /// Checks an operation that makes one tile of `element` and `shape`.
  func checkTileOperation(_ kind: Operation.Kind, _ element: ElementType, _ shape: [Int]) throws {
    switch kind {
    case .size:
      try require(element == .int64 && shape.isEmpty, .scalarIndex, "the size is \(element.rawValue)\(shape)")
    case .constant(let scalar):
      try checkScalar(scalar, element)
    case .iota(let dimension):
      try require(element == .int64 && shape.indices.contains(dimension), .iota, "\(element.rawValue)\(shape)")
    case .unary(let function, let x):
      let type = try tile(x)
      try require(function.accepts(type.element), .functionDomain, "\(function.rawValue) on \(type.element.rawValue)")
      try require(
        type.shape == shape && function.resultType(type.element) == element, .elementwise, describe([x], element, shape)
      )
    case .binary(let function, let x, let y):
      let (a, b) = (try tile(x), try tile(y))
      try require(a == b && a.shape == shape, .elementwise, describe([x, y], element, shape))
      try require(function.accepts(a.element), .functionDomain, "\(function.rawValue) on \(a.element.rawValue)")
      try require(function.resultType(a.element) == element, .elementwise, describe([x, y], element, shape))
    case .fma(let x, let y, let z):
      let types = [try tile(x), try tile(y), try tile(z)]
      try require(types.allSatisfy { $0 == (element, shape) }, .elementwise, describe([x, y, z], element, shape))
      try require(element.isFloat, .functionDomain, "fma on \(element.rawValue)")
    case .select(let condition, let x, let y):
      let (c, a, b) = (try tile(condition), try tile(x), try tile(y))
      try require(
        c == (.bool, shape) && a == (element, shape) && b == (element, shape), .select,
        describe([condition, x, y], element, shape))
    case .load(let access, let fill):
      try checkScalar(fill, element)
      try checkAccess(access, element: element, shape: shape, isStore: false)
    case .cast, .bitcast, .broadcast, .reshape, .transpose, .rotate, .reduce, .dot, .dotOfWords:
      try checkRearrangement(kind, element, shape)
    case .store, .prefetch, .allocate, .loop, .conditional, .barrier:
      preconditionFailure("an operation that makes one tile")
    }
  }

  private func checkRearrangement(_ kind: Operation.Kind, _ element: ElementType, _ shape: [Int]) throws {
    switch kind {
    case .cast(let x):
      try require(tile(x).shape == shape, .cast, describe([x], element, shape))
    case .bitcast(let x):
      let type = try tile(x)
      let keepsBits =
        type.shape.dropLast() == shape.dropLast() && type.shape.count == shape.count
        && (type.shape.last ?? 1) * type.element.byteCount == (shape.last ?? 1) * element.byteCount
      try require(
        keepsBits && element != .bool && (type.element != .bool || type.shape == shape), .bitcast,
        describe([x], element, shape))
    case .broadcast(let x):
      let type = try tile(x)
      let fits =
        type.shape.count <= shape.count
        && zip(type.shape.reversed(), shape.reversed()).allSatisfy { $0 == $1 || $0 == 1 }
      try require(type.element == element && fits, .broadcast, describe([x], element, shape))
    case .reshape(let x):
      let type = try tile(x)
      try require(
        type.element == element && type.shape.reduce(1, *) == shape.reduce(1, *), .reshape,
        describe([x], element, shape))
    case .rotate(let x, let by):
      try require(!shape.isEmpty && (0..<shape.last!).contains(by), .rotate, "by \(by) in \(shape)")
      try require(try tile(x) == (element, shape), .rotate, describe([x], element, shape))
    case .transpose(let x, let permutation):
      let type = try tile(x)
      try require(
        type.element == element && permutation.sorted() == Array(type.shape.indices)
          && permutation.map { type.shape[$0] } == shape, .transpose, describe([x], element, shape))
    case .reduce(let function, let x, let dimension):
      let type = try tile(x)
      try require(type.shape.indices.contains(dimension), .reduce, "dimension \(dimension) of \(type.shape)")
      var expected = type.shape
      expected[dimension] = 1
      try require(type.element == element && expected == shape, .reduce, describe([x], element, shape))
      try require(
        function.combiner.accepts(element), .functionDomain, "\(function.rawValue) of \(element.rawValue)")
    case .dot(let accumulator, let a, let b):
      try checkDot(accumulator, a, b, element, shape)
    case .dotOfWords(let parts, let accumulator, let a, let b):
      let types = try checkDotShape(.dotOfWords, accumulator, a, b, element, shape)
      try require(
        types == (.int32, .int32) && element == parts.accumulator, .dotOfWords,
        describe([accumulator, a, b], element, shape))
    case .size, .constant, .iota, .unary, .binary, .select, .fma, .load, .store, .prefetch, .allocate, .loop,
      .conditional, .barrier:
      preconditionFailure("an operation that rearranges or contracts")
    }
  }

  private func checkDot(
    _ accumulator: TileValue, _ a: TileValue, _ b: TileValue, _ element: ElementType, _ shape: [Int]
  ) throws {
    let types = try checkDotShape(.dot, accumulator, a, b, element, shape)
    let narrow: [ElementType] =
      switch element {
      case .float32: [.float32, .float16, .bfloat16]
      case .float64: [.float64]
      case .int32: [.int8, .uint8]
      case .float16, .bfloat16, .int64, .int16, .int8, .uint64, .uint32, .uint16, .uint8, .bool: []
      }
    try require(
      narrow.contains(types.a) && narrow.contains(types.b), .dot, describe([accumulator, a, b], element, shape))
  }

  /// - Returns: the element types of a and b.
  private func checkDotShape(
    _ rule: TileRule, _ accumulator: TileValue, _ a: TileValue, _ b: TileValue, _ element: ElementType, _ shape: [Int]
  ) throws -> (a: ElementType, b: ElementType) {
    let (z, x, y) = (try tile(accumulator), try tile(a), try tile(b))
    let detail = describe([accumulator, a, b], element, shape)
    try require(z == (element, shape) && shape.count == 2 && x.shape.count == 2 && y.shape.count == 2, rule, detail)
    try require(x.shape[0] == shape[0] && x.shape[1] == y.shape[0] && y.shape[1] == shape[1], rule, detail)
    return (x.element, y.element)
  }

  private func checkScalar(_ scalar: Scalar, _ element: ElementType) throws {
    if case .float = scalar {
      try require(element.isFloat, .constant, "\(scalar) as \(element.rawValue)")
    }
  }

  private func describe(_ operands: [TileValue], _ element: ElementType, _ shape: [Int]) -> String {
    operands.map { "\(program[$0])" }.joined(separator: ", ") + " give \(TileType.tile(element, shape))"
  }

  // MARK: Accesses

  func checkAccess(_ access: Access, element: ElementType, shape: [Int], isStore: Bool) throws {
    try checkUse(access.buffer)
    guard case .buffer(let buffer) = program[access.buffer] else {
      throw violated(.operandKind, "%\(access.buffer.index) is a tile")
    }
    try require(buffer.element == element, .accessElement, "\(element.rawValue) and \(buffer.element.rawValue)")
    try require(
      access.indices.count == buffer.shape.count, .accessRank, "\(access.indices.count) for \(buffer.shape.count)")
    var used = [Bool](repeating: false, count: shape.count)
    var gathered: Set<Int> = []
    for index in access.indices {
      switch index {
      case .at(let scalar): try checkIndex(scalar)
      case .span(let start, let dimension, let step):
        try checkIndex(start)
        try require(step != 0, .spanStep, "0")
        try name(dimension, in: &used)
      case .gather(let indices, let dimension):
        if !gathered.contains(dimension) { try name(dimension, in: &used) }
        gathered.insert(dimension)
        try require(tile(indices) == (.int64, [shape[dimension]]), .gather, "\(program[indices])")
      }
    }
    try require(access.limits.count == shape.count, .limits, "\(access.limits.count) for \(shape.count)")
    for case let limit? in access.limits { try checkIndex(limit) }
    if isStore {
      let repeated = shape.indices.first { !used[$0] && shape[$0] > 1 }
      try require(repeated == nil, .storeCoversTile, "dimension \(repeated ?? 0) is not")
      let isInput =
        access.buffer.index < program.parameters.count && program.parameters[access.buffer.index].role == .input
      try require(!isInput, .inputIsReadOnly, "%\(access.buffer.index)")
    }
    if buffer.space == .local {
      try require(threadDepth[access.buffer.index] == place.threads, .localPlacement, "%\(access.buffer.index)")
    }
  }

  private func name(_ dimension: Int, in used: inout [Bool]) throws {
    try require(used.indices.contains(dimension) && !used[dimension], .accessDimensions, "dimension \(dimension)")
    used[dimension] = true
  }
}

import TensorTypes

extension TileProgram {
  /// Checks every `TileRule`.
  /// - Throws: `TileProgramError` for the first one broken.
  /// - Complexity: linear in the number of operations.
  public func verify() throws {
    var verifier = TileVerifier(program: self)
    try verifier.run()
  }

  public static let maximumRank = 8
  public static let maximumTileElements = 1 << 24
}

/// Walks a program in order, keeping what is visible and where in the nest of loops it is.
struct TileVerifier {
  let program: TileProgram
  var defined: [Bool]
  var visible: [Bool]
  /// For buffers: how many group and lane loops stood around their definition.
  var threadDepth: [Int]
  /// Values that vary with an induction variable of a phase loop.
  var varies: [Bool]
  var place = Place()
  var current: Operation?

  /// Where an operation stands.
  struct Place {
    var loops = 0
    var parallel = 0
    var gridAxes: [Int] = []
    var groups = 0
    var lanes = 0
    /// Directly in the body of the innermost grid loop.
    var isGridBody = false
    /// Nothing around but phase loops and a loop that repeats phases.
    var isPhaseNest = true

    var phases: Int { parallel + gridAxes.count }
    var threads: Int { groups + lanes }
  }

  init(program: TileProgram) {
    self.program = program
    let count = program.types.count
    defined = [Bool](repeating: false, count: count)
    visible = defined
    varies = defined
    threadDepth = [Int](repeating: 0, count: count)
  }

  mutating func run() throws {
    for i in program.types.indices { try checkType(TileValue(i)) }
    try require(program.parameters.count <= program.types.count, .parameters, "fewer values than parameters")
    for i in program.parameters.indices {
      guard case .buffer(let type) = program.types[i], type.space == .global else {
        throw violated(.parameters, "%\(i) is none")
      }
      try define(TileValue(i))
    }
    _ = try checkBlock(program.body)
  }

  func violated(_ rule: TileRule, _ detail: String) -> TileProgramError {
    TileProgramError(
      rule: rule, program: program.name, operation: current.map { TilePrinter.firstLine($0, program) } ?? "",
      detail: detail)
  }

  func require(_ condition: Bool, _ rule: TileRule, _ detail: @autoclosure () -> String) throws {
    if !condition { throw violated(rule, detail()) }
  }

  // MARK: Values

  private func checkType(_ value: TileValue) throws {
    switch program[value] {
    case .tile(_, let shape):
      var count = 1
      for size in shape where count <= TileProgram.maximumTileElements {
        count = size < 1 ? .max : count.multipliedReportingOverflow(by: size).partialValue
        if size > TileProgram.maximumTileElements { count = .max }
      }
      try require(
        shape.count <= TileProgram.maximumRank && count <= TileProgram.maximumTileElements, .tileShape,
        "%\(value.index) is \(program[value])")
    case .buffer(let type):
      try require(
        type.shape.count <= TileProgram.maximumRank && type.strides.count == type.shape.count, .bufferShape,
        "%\(value.index) is \(program[value])")
    }
  }

  mutating func define(_ value: TileValue) throws {
    try require(
      program.types.indices.contains(value.index) && !defined[value.index], .singleDefinition, "%\(value.index)")
    defined[value.index] = true
    visible[value.index] = true
    threadDepth[value.index] = place.threads
  }

  func checkUse(_ value: TileValue) throws {
    try require(
      program.types.indices.contains(value.index) && visible[value.index], .dominance, "%\(value.index) is not visible")
  }

  /// The type of an operand that must be a tile.
  func tile(_ value: TileValue) throws -> (element: ElementType, shape: [Int]) {
    try checkUse(value)
    guard case .tile(let element, let shape) = program[value] else {
      throw violated(.operandKind, "%\(value.index) is a buffer")
    }
    return (element, shape)
  }

  func checkIndex(_ value: TileValue) throws {
    let type = try tile(value)
    try require(
      type.element == .int64 && type.shape.isEmpty, .scalarIndex, "%\(value.index) is \(program[value])")
  }

  // MARK: Blocks

  /// Checks the operations of `block`; returns what it defined, still visible.
  mutating func checkBlock(_ block: Block) throws -> [TileValue] {
    var own: [TileValue] = []
    for operation in block.operations {
      current = operation
      try checkPlacement(operation)
      try check(operation)
      current = operation
      for result in operation.results { try define(result) }
      own += operation.results
      if operation.operands.contains(where: { varies[$0.index] }) {
        for result in operation.results { varies[result.index] = true }
      }
    }
    return own
  }

  mutating func hide(_ values: [TileValue]) { for value in values { visible[value.index] = false } }

  mutating func check(_ operation: Operation) throws {
    switch operation.kind {
    case .loop(let loop):
      try checkLoop(loop, results: operation.results)
    case .conditional(let condition, let then, let otherwise):
      try require(operation.results.isEmpty, .results, "\(operation.results.count) results")
      let type = try tile(condition)
      try require(
        type.element == .bool && type.shape.isEmpty, .condition, "%\(condition.index) is \(program[condition])")
      let outer = place
      place.isGridBody = false
      place.isPhaseNest = false
      for block in [then, otherwise] { hide(try checkBlock(block)) }
      place = outer
    case .barrier:
      try require(operation.results.isEmpty, .results, "\(operation.results.count) results")
    case .store(let value, let access):
      try require(operation.results.isEmpty, .results, "\(operation.results.count) results")
      let type = try tile(value)
      try checkAccess(access, element: type.element, shape: type.shape, isStore: true)
    case .prefetch(let access):
      try require(operation.results.isEmpty, .results, "\(operation.results.count) results")
      guard case .buffer(let type) = program[access.buffer] else {
        throw violated(.operandKind, "%\(access.buffer.index) is \(program[access.buffer])")
      }
      try checkAccess(access, element: type.element, shape: [], isStore: false)
    case .allocate:
      let result = try onlyResult(operation)
      guard case .buffer(let type) = program[result], type.space != .global else {
        throw violated(.allocate, "%\(result.index) is \(program[result])")
      }
      try checkAllocation(type)
    case .size, .constant, .iota, .unary, .binary, .select, .fma, .cast, .bitcast, .broadcast, .reshape, .transpose,
      .rotate, .reduce, .dot, .dotOfWords, .load:
      let result = try onlyResult(operation)
      guard case .tile(let element, let shape) = program[result] else {
        throw violated(.operandKind, "the result %\(result.index) is a buffer")
      }
      try checkTileOperation(operation.kind, element, shape)
    }
  }

  private func onlyResult(_ operation: Operation) throws -> TileValue {
    try require(operation.results.count == 1, .results, "\(operation.results.count) results")
    try require(
      program.types.indices.contains(operation.results[0].index), .singleDefinition, "%\(operation.results[0].index)")
    return operation.results[0]
  }
}

import TensorTypes

/// Turns a verified program into instructions: blocks become jumps, values offsets in a frame.
struct InterpreterCompiler {
  let program: TileProgram
  let symbols: [String: Int]
  var code = InterpreterCode()
  private var slots: [Slot?]
  private var bufferNumbers: [Int?]

  init(_ program: TileProgram, symbols: [String: Int]) {
    self.program = program
    self.symbols = symbols
    slots = [Slot?](repeating: nil, count: program.types.count)
    bufferNumbers = [Int?](repeating: nil, count: program.types.count)
  }

  mutating func compile() throws -> InterpreterCode {
    for (i, parameter) in program.parameters.enumerated() { try addBuffer(TileValue(i), named: parameter.name) }
    try add(program.body, phases: 0)
    code.instructions.append(.end)
    return code
  }

  // MARK: Places

  /// The place of a new tile value. Later values lie behind earlier ones, which `fork` counts on.
  mutating func place(_ value: TileValue) -> Slot {
    guard case .tile(let element, let shape) = program[value] else { preconditionFailure("a tile") }
    let slot = Slot(offset: code.frameBytes, element: element, shape: shape)
    code.frameBytes += (slot.byteCount + 7) / 8 * 8
    slots[value.index] = slot
    return slot
  }

  func slot(_ value: TileValue) -> Slot {
    guard let slot = slots[value.index] else { preconditionFailure("a tile defined above") }
    return slot
  }

  func bufferNumber(_ value: TileValue) -> Int {
    guard let number = bufferNumbers[value.index] else { preconditionFailure("a buffer defined above") }
    return number
  }

  func evaluate(_ dim: Dim) throws -> Int {
    guard let value = dim.evaluate(symbols) else {
      throw Failure.badData("the size \(dim) has no value with \(symbols)", place: program.name)
    }
    return value
  }

  private mutating func addBuffer(_ value: TileValue, named name: String) throws {
    guard case .buffer(let type) = program[value] else { preconditionFailure("a buffer") }
    let (shape, strides) = (try type.shape.map(evaluate), try type.strides.map(evaluate))
    guard let count = InterpreterMemory.extent(shape, strides) else {
      throw Failure.badData("\(name) has sizes \(shape) and strides \(strides)", place: program.name)
    }
    bufferNumbers[value.index] = code.buffers.count
    code.buffers.append(.init(name: name, element: type.element, shape: shape, strides: strides, count: count))
  }

  mutating func compute(_ body: @escaping (UnsafeMutableRawPointer) -> Void) {
    code.instructions.append(.compute(body))
  }

  // MARK: Control

  private mutating func add(_ block: Block, phases: Int) throws {
    for operation in block.operations {
      switch operation.kind {
      case .loop(let loop): try add(loop, operation, phases: phases)
      case .conditional(let condition, let then, let otherwise):
        let branch = reserve()
        try add(then, phases: phases)
        let skip = reserve()
        code.instructions[branch] = .branchUnless(condition: slot(condition).offset, target: code.instructions.count)
        try add(otherwise, phases: phases)
        code.instructions[skip] = .jump(code.instructions.count)
      case .barrier: code.instructions.append(.barrier)
      case .prefetch: break
      case .allocate: try addAllocation(operation.results[0])
      case .load(let access, let fill): addLoad(access, fill: fill, into: place(operation.results[0]), operation)
      case .store(let value, let access): addStore(slot(value), access, operation)
      case .size(let dim):
        let (value, result) = (Int64(try evaluate(dim)), place(operation.results[0]))
        compute { $0.storeBytes(of: value, toByteOffset: result.offset, as: Int64.self) }
      case .constant, .iota, .unary, .binary, .select, .fma, .cast, .bitcast, .broadcast, .reshape, .transpose, .rotate,
        .reduce, .dot, .dotOfWords:
        let result = place(operation.results[0])
        compute(computation(operation.kind, result))
      }
    }
  }

  /// A place for an instruction whose target is not known yet.
  private mutating func reserve() -> Int {
    code.instructions.append(.jump(0))
    return code.instructions.count - 1
  }

  private mutating func add(_ loop: Loop, _ operation: Operation, phases: Int) throws {
    switch loop.mapping {
    case .group, .lane: return try addFork(loop, operation)
    case .sequential, .unrolled, .pipelined: try addLoop(loop, operation, isPhase: false, phases: phases)
    case .parallel, .grid:
      var isGrid = false
      if case .grid = loop.mapping { isGrid = true }
      if phases == 0 { code.instructions.append(.beginPhase(isGrid: isGrid)) }
      try addLoop(loop, operation, isPhase: true, phases: phases + 1)
      if phases == 0 { code.instructions.append(.endPhase) }
    }
  }

  private mutating func addLoop(_ loop: Loop, _ operation: Operation, isPhase: Bool, phases: Int) throws {
    let (lower, upper, induction) = (slot(loop.lower), slot(loop.upper), place(loop.induction))
    let arguments = loop.arguments.map { place($0) }
    addCopies(from: [lower] + loop.initial.map(slot), to: [induction] + arguments)
    let test = reserve()
    if isPhase { code.instructions.append(.beginIteration) }
    try add(loop.body, phases: phases)
    addCopies(from: loop.yields.map(slot), to: arguments)
    code.instructions.append(.advance(induction: induction.offset, step: Int64(loop.step), target: test))
    code.instructions[test] = .test(induction: induction.offset, upper: upper.offset, exit: code.instructions.count)
    addCopies(from: arguments, to: operation.results.map { place($0) })
  }

  /// Copies tiles as if at once: by way of a place of their own if a source is a target too.
  private mutating func addCopies(from sources: [Slot], to targets: [Slot]) {
    guard !targets.isEmpty else { return }
    let meets = sources.contains { source in targets.contains { $0.offset == source.offset } }
    var moves: [(from: Int, to: Int, count: Int)] = []
    if meets {
      var between: [Int] = []
      for source in sources {
        between.append(code.frameBytes)
        moves.append((source.offset, code.frameBytes, source.byteCount))
        code.frameBytes += (source.byteCount + 7) / 8 * 8
      }
      for (i, target) in targets.enumerated() { moves.append((between[i], target.offset, target.byteCount)) }
    } else {
      for (source, target) in zip(sources, targets) { moves.append((source.offset, target.offset, source.byteCount)) }
    }
    compute { frame in
      for move in moves { (frame + move.to).copyMemory(from: frame + move.from, byteCount: move.count) }
    }
  }

  private mutating func addFork(_ loop: Loop, _ operation: Operation) throws {
    var fork = InterpreterFork(
      isGroup: loop.mapping == .group, induction: 0, lower: slot(loop.lower).offset, upper: slot(loop.upper).offset,
      step: Int64(loop.step), liveBytes: code.frameBytes, body: 0, after: 0,
      operation: TilePrinter.firstLine(operation, program))
    fork.induction = place(loop.induction).offset
    let start = reserve()
    fork.body = code.instructions.count
    try add(loop.body, phases: 1)
    code.instructions.append(.end)
    fork.after = code.instructions.count
    code.instructions[start] = .fork(fork)
  }

  private mutating func addAllocation(_ value: TileValue) throws {
    try addBuffer(value, named: "%\(value.index)")
    guard case .buffer(let type) = program[value] else { preconditionFailure("a buffer") }
    let number = code.buffers.count - 1
    let plan = code.buffers[number]
    let kind: InterpreterMemory.Kind = type.space == .shared ? .shared : .local
    code.instructions.append(
      .memory { thread in
        thread.buffers[number] = InterpreterMemory(
          kind, name: plan.name, element: plan.element, shape: plan.shape, strides: plan.strides, count: plan.count)
      })
  }
}

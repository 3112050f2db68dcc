import TensorTypes

extension TileVerifier {
  /// Whether an operation may stand where it does, phases and groups and lanes apart.
  func checkPlacement(_ operation: Operation) throws {
    if case .barrier = operation.kind {
      try require(!place.gridAxes.isEmpty, .barrier, "there is no grid around it")
    }
    guard place.loops == 0 else { return }
    switch operation.kind {
    case .loop: break
    case .size, .constant, .iota, .unary, .binary, .select, .fma, .cast, .bitcast, .broadcast, .reshape, .transpose,
      .rotate, .reduce, .dot, .dotOfWords, .load:
      for result in operation.results where program.types.indices.contains(result.index) {
        guard case .tile(_, let shape) = program[result], shape.isEmpty else {
          throw violated(.topLevel, "%\(result.index) is \(program[result])")
        }
      }
    case .allocate: throw violated(.localPlacement, "memory allocated outside of loops")
    case .store, .prefetch, .conditional, .barrier: throw violated(.topLevel, "it makes none")
    }
  }

  func checkAllocation(_ type: BufferType) throws {
    switch type.space {
    case .global: break
    case .shared: try require(place.isGridBody, .sharedPlacement, "it is not")
    case .local: break
    }
  }

  mutating func checkLoop(_ loop: Loop, results: [TileValue]) throws {
    for bound in [loop.lower, loop.upper] { try checkIndex(bound) }
    try require(loop.step >= 1, .loopStep, "\(loop.step)")
    try checkNumbers(loop.mapping)
    try require(results.count == loop.initial.count, .results, "\(results.count) results")
    let counts = [loop.arguments.count, loop.yields.count]
    try require(counts.allSatisfy { $0 == loop.initial.count }, .carriedTypes, "\(loop.initial.count), \(counts)")
    try require(loop.initial.isEmpty || !loop.mapping.isConcurrent, .carriedSequential, "\(loop.mapping) carries")
    for (i, initial) in loop.initial.enumerated() {
      _ = try tile(initial)
      let others = [loop.arguments[i], results[i]]
      for value in others {
        try require(program.types.indices.contains(value.index), .singleDefinition, "%\(value.index)")
        try require(program[value] == program[initial], .carriedTypes, "%\(value.index) and %\(initial.index)")
      }
    }

    let outer = place
    try enter(loop)
    let outerOperation = current
    try define(loop.induction)
    try checkIndex(loop.induction)
    varies[loop.induction.index] = place.phases > 0
    for argument in loop.arguments { try define(argument) }
    let own = try checkBlock(loop.body)
    current = outerOperation
    for (i, value) in loop.yields.enumerated() {
      _ = try tile(value)
      try require(program[value] == program[loop.initial[i]], .carriedTypes, "%\(value.index) is yielded")
    }
    hide(own + loop.arguments + [loop.induction])
    place = outer
  }

  private func checkNumbers(_ mapping: Mapping) throws {
    let valid =
      switch mapping {
      case .sequential, .group, .lane: true
      case .unrolled(let by): by >= 1
      case .pipelined(let stages): stages >= 1
      case .parallel(let grain): grain >= 1
      case .grid(let axis): (0...2).contains(axis)
      }
    try require(valid, .mappingNumbers, "\(mapping)")
  }

  /// Checks where `loop` stands and moves into it.
  private mutating func enter(_ loop: Loop) throws {
    let isNested = place.phases > 0
    switch loop.mapping {
    case .sequential where place.loops == 0 && loop.holdsPhases:
      try require(loop.initial.isEmpty, .repetition, "\(loop.initial.count) carried")
      try checkScalars(around: loop, .repetition)
    case .sequential, .unrolled, .pipelined:
      place.isPhaseNest = false
      place.isGridBody = false
    case .parallel:
      try require(place.isPhaseNest && place.gridAxes.isEmpty, .phase, "a parallel loop")
      if isNested { try checkPhaseBounds(loop) }
      place.parallel += 1
      try checkPerfectNest(loop)
    case .grid(let axis):
      try require(place.isPhaseNest && place.parallel == 0, .phase, "a grid loop")
      try require(!place.gridAxes.contains(axis), .phaseNest, "axis \(axis) twice")
      if isNested { try checkPhaseBounds(loop) }
      place.gridAxes.append(axis)
      place.isGridBody = true
      try checkPerfectNest(loop)
    case .group, .lane:
      let isGroup = loop.mapping == .group
      try require(
        !place.gridAxes.isEmpty && place.lanes == 0 && (!isGroup || place.groups == 0), .groupsAndLanes,
        "a \(isGroup ? "group" : "lane") loop")
      if isGroup { place.groups += 1 } else { place.lanes += 1 }
      place.isGridBody = false
      place.isPhaseNest = false
    }
    place.loops += 1
  }

  private func checkPhaseBounds(_ loop: Loop) throws {
    try require(!varies[loop.lower.index] && !varies[loop.upper.index], .phaseBounds, "%\(loop.induction.index)")
  }

  /// If the body of a phase loop holds another phase loop: one, and else only scalars without memory.
  private func checkPerfectNest(_ loop: Loop) throws {
    guard loop.holdsPhases else { return }
    try require(loop.body.operations.count(where: \.isPhaseLoop) == 1, .phaseNest, "two phase loops side by side")
    try checkScalars(around: loop, .phaseNest)
  }

  /// Around the phase loops in the body of `loop`: only scalars without memory.
  private func checkScalars(around loop: Loop, _ rule: TileRule) throws {
    for operation in loop.body.operations where !operation.isPhaseLoop {
      let allowed =
        switch operation.kind {
        case .size, .constant, .iota, .unary, .binary, .select, .fma, .cast, .bitcast, .broadcast, .reshape,
          .transpose, .rotate, .reduce, .dot, .dotOfWords:
          operation.results.allSatisfy {
            if program.types.indices.contains($0.index), case .tile(_, let shape) = program[$0] {
              shape.isEmpty
            } else {
              false
            }
          }
        case .load, .store, .prefetch, .allocate, .loop, .conditional, .barrier: false
        }
      try require(allowed, rule, TilePrinter.firstLine(operation, program))
    }
  }
}

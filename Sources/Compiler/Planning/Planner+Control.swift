import GraphIR
import Kernels
import LLVMBackend
import TensorTypes

// Branches and loops: the inner graphs' steps come in line, between marks.

extension Planner {
  // MARK: Branches

  /// Both branches write the results to the same place: memory chosen before if the sizes are known by then, else
  /// memory that the branch gets at its end.
  mutating func plan(_ op: If, _ node: NodeID) throws {
    let condition = try placement(operand(node, 0))
    let inputs = try graph[node].operands.dropFirst().map { try placement($0!) }
    let types = graph[node].results.map { graph.type($0) }
    sizes.declare(op.defined)
    var places: [Placement] = []
    for (value, type) in zip(graph[node].results, types) {
      places.append(sizes.areKnown(type.shape) ? destination(value) : newStorage(type, .register))
    }
    steps.append(.beginBranch(touched(condition)))
    for (i, number) in tree.inner(of: node, in: graphNumber).enumerated() {
      if i > 0 { steps.append(.otherwise) }
      try plan(inner: number) { inner in
        for (input, place) in zip(inner.graph.inputs, inputs) { inner.placements[input] = place }
        inner.wantedPlaces = places.map { inner.isInRegister($0) ? nil : $0 }
      } finish: { inner in
        inner.assign(zip(op.sizes, inner.graph.outputTypes.flatMap(\.shape)), of: op.defined)
        for (output, place) in zip(inner.graph.outputs, places) {
          if inner.isInRegister(place) { inner.allocate(place) }
          try inner.deliver(output.value, to: place)
        }
      }
    }
    steps.append(.endBranch)
    if !op.defined.isEmpty { begin(epochOf: op.defined) }
    for (value, place) in zip(graph[node].results, places) { placements[value] = place }
  }

  func isInRegister(_ place: Placement) -> Bool {
    if case .register = storages[place.storage].kind { return true }
    return false
  }

  /// Gives those of `symbols` that stand for a size on the left the size on the right.
  private mutating func assign(_ pairs: some Sequence<(Dim, Dim)>, of symbols: [String]) {
    var values: [RunStep<Plan.Launch>.Assignment] = []
    for (size, value) in pairs {
      guard let name = size.name, symbols.contains(name), !values.contains(where: { $0.symbol == name }) else {
        continue
      }
      values.append(.init(name, value))
    }
    if !values.isEmpty { steps.append(.assign(values)) }
  }

  /// Memory for all of a place in a register.
  private mutating func allocate(_ place: Placement) {
    let bytes = place.view.shape.product * Dim(place.view.element.byteCount)
    touch(place.storage)
    steps.append(.allocate(storage: place.storage, bytes: bytes, keeping: 0))
  }

  /// Copies a value to a place unless it was computed there.
  private mutating func deliver(_ value: ValueID, to place: Placement) throws {
    let source = try placement(value)
    touch(place.storage)
    if source.storage == place.storage, source.offset == place.offset, source.view.strides == place.view.strides {
      return
    }
    emit(
      .movement(MovementWorkload(x: source.view, output: place.view)), [source], place,
      origins: [graph.producer(value).flatMap { graph[$0].origin }])
  }

  // MARK: Loops

  /// What a loop keeps from one iteration to the next: two places that change roles, so that an iteration reads one
  /// and writes the other.
  private struct Carried {
    var now: Placement
    var next: Placement
    /// Whether every iteration's size is the first one's.
    var isFixed: Bool
  }

  mutating func plan(_ op: Loop, _ node: NodeID) throws {
    let number = tree.inner(of: node, in: graphNumber)[0]
    let body = op.body
    let head = try (0..<2).map { try placement(operand(node, $0)) }
    let initial = try (0..<op.carried).map { try placement(operand(node, 2 + $0)) }
    let read = try graph[node].operands.dropFirst(2 + op.carried).map { try placement($0!) }
    let types = graph[node].results.map { graph.type($0) }
    let iteration = sizes.fresh("iteration")
    let formals = body.inputs[2..<2 + op.carried].map { body.type($0) }
    // Sizes that an iteration has and the next may have not.
    let varying = formals.flatMap(\.shape).compactMap(\.name).filter { !sizes.areKnown([$0]) }
    sizes.declare(op.defined + varying + [iteration])

    assign(zip(formals.flatMap(\.shape), initial.flatMap(\.view.shape)), of: varying)
    let carried = zip(formals, initial).map { type, value in begin(carrying: type, value, varying, origins(node)) }
    let collected = collect(node, op, types, iteration)

    let start = steps.count
    let limit: PendingStep.Limit =
      graph[operand(node, 0)].facts.contents.map { .size($0[0]) } ?? .memory(touched(head[0]))
    let starts = isTrue(operand(node, 1)) ? nil : touched(head[1])
    steps.append(.beginLoop(iteration: iteration, limit: limit, starts: starts))
    try plan(inner: number) { inner in
      inner.beginIteration(iteration, varying, carried, read)
      inner.wantedPlaces =
        [nil] + carried.map { $0.isFixed ? $0.next : nil } + collected.map { $0.isGrowing ? nil : $0.place }
    } finish: { inner in
      try inner.endIteration(op, carried, collected, varying, iteration)
    }
    extendLives(from: start)
    // What the loop left behind.
    let counts = types.dropFirst(op.carried).compactMap { $0.shape.first }
    assign(counts.map { ($0, Dim.symbol(iteration)) }, of: op.defined)
    let last = zip(types.prefix(op.carried).flatMap(\.shape), formals.flatMap(\.shape))
    assign(Array(last), of: op.defined)
    if !op.defined.isEmpty { begin(epochOf: op.defined) }
    for (i, value) in graph[node].results.enumerated() {
      var place = i < op.carried ? carried[i].now : collected[i - op.carried].whole
      place.view = View(types[i])
      placements[value] = place
    }
  }

  private func isTrue(_ value: ValueID) -> Bool { graph[value].facts.contents == [1] }

  /// Both places of a carried value, the first of which holds the initial value.
  private mutating func begin(
    carrying type: TensorType, _ initial: Placement, _ varying: [String], _ origins: [String?]
  ) -> Carried {
    let isFixed = type.shape.allSatisfy { $0.symbols.isDisjoint(with: varying) }
    let carried = Carried(now: newStorage(type, .register), next: newStorage(type, .register), isFixed: isFixed)
    for place in [carried.now, carried.next] { allocate(place) }
    emit(
      .movement(MovementWorkload(x: initial.view, output: carried.now.view)), [initial], carried.now, origins: origins)
    return carried
  }

  /// Where an iteration's inputs are.
  private mutating func beginIteration(
    _ iteration: String, _ varying: [String], _ carried: [Carried], _ read: [Placement]
  ) {
    begin(epochOf: varying + [iteration])
    let inputs = graph.inputs
    // A body runs while the condition is true.
    for (input, size) in [(inputs[0], Dim.symbol(iteration)), (inputs[1], Dim(1))] {
      let place = newStorage(graph.type(input))
      placements[input] = place
      if !uses[input.index].isEmpty || graph.outputs.contains(where: { $0.value == input }) {
        emit(.generate(GenerateWorkload(kind: .sizes([size]), output: place.view)), [], place, origins: [graph.name])
      }
    }
    for (input, place) in zip(inputs.dropFirst(2), carried.map(\.now) + read) { placements[input] = place }
  }

  /// Puts what an iteration gives where the next one and the results want it.
  private mutating func endIteration(
    _ op: Loop, _ carried: [Carried], _ collected: [Collected], _ varying: [String], _ iteration: String
  ) throws {
    let outputs = graph.outputs.map(\.value)
    var goesOn: PendingStep.Location?
    if outputs[0] != graph.inputs[1], !isTrue(outputs[0]) {
      // Kept apart from what changes roles.
      let flag = newStorage(graph.type(outputs[0]))
      try deliver(outputs[0], to: flag)
      goesOn = touched(flag)
    }
    for (value, collected) in zip(outputs.dropFirst(1 + op.carried), collected) {
      try deliver(value, to: collected, iteration, op.defined)
    }
    for (value, carried) in zip(outputs.dropFirst(), carried) {
      var next = carried.next
      if !carried.isFixed {
        next.view = View(graph.type(value))
        allocate(next)
      }
      try deliver(value, to: next)
    }
    let sizes = outputs.dropFirst().prefix(op.carried).flatMap { graph.type($0).shape }
    assign(zip(graph.inputs.dropFirst(2).prefix(op.carried).flatMap { graph.type($0).shape }, sizes), of: varying)
    for carried in carried {
      for place in [carried.now, carried.next] { touch(place.storage) }
      steps.append(.exchange(carried.now.storage, carried.next.storage))
    }
    steps.append(.endLoop(goesOn: goesOn))
  }

  /// What a loop touched that was there before must outlive its last iteration.
  private mutating func extendLives(from start: Int) {
    let end = steps.count - 1
    for i in storages.indices {
      guard let life = storages[i].life, life.lowerBound < start, life.upperBound >= start else { continue }
      storages[i].life = life.lowerBound...max(end, life.upperBound)
    }
  }

  // MARK: Collected values

  /// Memory for the values of all iterations.
  private struct Collected {
    var whole: Placement
    /// Of the iteration that runs.
    var place: Placement
    /// Whether memory is had as iterations come, since the sizes or their number are not known before.
    var isGrowing: Bool
    /// The result's dimensions.
    var sizes: Shape
  }

  private mutating func collect(
    _ node: NodeID, _ op: Loop, _ types: [TensorType], _ iteration: String
  ) -> [Collected] {
    zip(graph[node].results, types).dropFirst(op.carried).map { value, type in
      let isGrowing = !sizes.areKnown(type.shape)
      let whole = isGrowing ? newStorage(type, .register) : destination(value)
      // Of no iterations nothing is known.
      assign(type.shape.map { ($0, Dim(0)) }, of: op.defined)
      touch(whole.storage)
      if isGrowing {
        steps.append(.allocate(storage: whole.storage, bytes: 0, keeping: 0))
      } else {
        touch(whole.storage)
      }
      var place = whole
      place.offset = place.offset + .symbol(iteration) * whole.view.strides[0]
      place.view = View(type.element, Array(type.shape.dropFirst()), strides: Array(whole.view.strides.dropFirst()))
      return Collected(whole: whole, place: place, isGrowing: isGrowing, sizes: type.shape)
    }
  }

  private mutating func deliver(
    _ value: ValueID, to collected: Collected, _ iteration: String, _ defined: [String]
  ) throws {
    var place = collected.place
    if collected.isGrowing {
      // All iterations must give tensors of one size; what the first one's is says the result.
      let (own, count) = (graph.type(value), Dim.symbol(iteration))
      for (size, expected) in zip(own.shape, collected.sizes.dropFirst()) where size != expected {
        let difference = (size - expected) * Dim.minimum(count, 1)
        steps.append(
          .require(
            SizeRelation(difference, .equal, 0),
            message: "\(graph.name): iterations of a loop give tensors of different sizes, which can't be stacked"))
      }
      assign(zip(collected.sizes.dropFirst(), own.shape), of: defined)
      let bytes = own.byteCount
      touch(place.storage)
      steps.append(.allocate(storage: place.storage, bytes: (count + 1) * bytes, keeping: count * bytes))
      place.view = View(own)
      place.offset = count * own.elementCount
    }
    try deliver(value, to: place)
  }
}

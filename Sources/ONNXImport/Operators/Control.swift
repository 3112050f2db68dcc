import GraphIR
import TensorTypes

// If, Loop and Scan: operators with graphs as attributes.

let controlRows: [OperatorRow] = [
  OperatorRow("If") { n in try n.conditional() },
  OperatorRow("Loop") { n in try n.loop() },
  OperatorRow("Scan", since: 9) { n in try n.scan() },
]

extension NodeImport {
  fileprivate func conditional() throws -> [ValueID?] {
    let (then, otherwise) = (try graph("then_branch"), try graph("else_branch"))
    let condition = try input(0)
    return try builder.model.nested {
      if let known = builder.knownTensor(condition), known.elementCount == 1 {
        // The branch is known: its nodes go where the node is.
        return try run(known.integers[0] != 0 ? then : otherwise, in: builder).map { Optional($0) }
      }
      let builders = [then, otherwise].map { GraphBuilder(name: $0.name.isEmpty ? "branch" : $0.name, builder.model) }
      for (branch, inner) in zip([then, otherwise], builders) {
        for (output, value) in zip(branch.outputs, try run(branch, in: inner)) {
          inner.graph.addOutput(output.name, value)
        }
      }
      // Both branches take what either reads, in the same order.
      let first = Set(builders[0].captured)
      let read = builders[0].captured + builders[1].captured.filter { !first.contains($0) }
      let types = builders.map(\.graph.outputTypes)
      guard types[0].map(\.rank) == types[1].map(\.rank) else {
        return try assumed(condition, then, otherwise).map { Optional($0) }
      }
      let graphs = builders.map { $0.withInputs(read, of: builder) }
      let inner = graphs[0].innerSymbols.union(graphs[1].innerSymbols)
      var sizes = ResultSizes(self)
      for (a, b) in zip(types[0].flatMap(\.shape), types[1].flatMap(\.shape)) {
        sizes.append(a == b && a.symbols.isDisjoint(with: inner) ? a : nil)
      }
      let op = If(then: graphs[0], otherwise: graphs[1], sizes: sizes.dims, defined: sizes.defined)
      return try addAll(op, [condition] + read)
    }
  }

  /// The branch that is assumed to be taken, since no tensor can be what either gives. The library checks that it is.
  private func assumed(_ condition: ValueID, _ then: ONNXGraph, _ otherwise: ONNXGraph) throws -> [ValueID] {
    let choice = try builder.model.choice(at: node)
    let message =
      "\(node.origin): the model was compiled for inputs that make this condition \(choice), since its branches give "
      + "tensors of different ranks"
    _ = try builder.graph.add(Assert(message, expected: choice), [condition], origin: node.origin)
    return try run(choice ? then : otherwise, in: builder)
  }

  /// Runs a graph without inputs of its own; returns its outputs.
  private func run(_ graph: ONNXGraph, in inner: GraphBuilder) throws -> [ValueID] {
    let scope = Scope(inner, within: scope)
    try scope.declare(graph)
    try scope.run(graph.nodes)
    return try graph.outputs.map { try scope.require($0.name) }
  }

  /// A graph whose inputs are given types and names, and what it reads from outside after them.
  private func body(
    _ graph: ONNXGraph, _ types: [TensorType], before: (NodeImport, [ValueID]) throws -> [ValueID] = { _, x in x }
  ) throws -> (builder: GraphBuilder, outputs: [ValueID]) {
    let inner = GraphBuilder(name: graph.name.isEmpty ? "body" : graph.name, builder.model)
    let scope = Scope(inner, within: scope)
    try scope.declare(graph)
    let inputs = types.enumerated().map { i, type in
      inner.graph.addInput(i < graph.inputs.count ? graph.inputs[i].name : "input_\(i)", type)
    }
    let formals = try before(NodeImport(node, version: version, scope: scope), inputs)
    for (formal, value) in zip(graph.inputs, formals) { try scope.define(formal.name, value) }
    try scope.run(graph.nodes)
    return (inner, try graph.outputs.map { try scope.require($0.name) })
  }

  fileprivate func loop() throws -> [ValueID?] {
    let graph = try graph("body")
    guard graph.inputs.count >= 2, graph.outputs.count >= graph.inputs.count - 1, inputCount == graph.inputs.count
    else {
      throw Failure.badData(
        "a body of \(graph.inputs.count) inputs and \(graph.outputs.count) outputs for \(inputCount) inputs")
    }
    let limit = try optionalInput(0).map { try reshape($0, []) } ?? constant(HostTensor(.int64, [], [Int64.max]))
    let start = try optionalInput(1).map { try reshape($0, []) } ?? constant(1, .bool)
    let carried = try (2..<inputCount).map { try input($0) }
    return try builder.model.nested {
      let (inner, outputs) = try stable(carried.map { type($0) }) { types in
        let made = try body(graph, [TensorType(.int64, []), TensorType(.bool, [])] + types)
        return (made, made.outputs[1..<1 + types.count].map { made.builder.graph.type($0) })
      }
      for (output, value) in zip(graph.outputs, outputs) { inner.graph.addOutput(output.name, value) }
      let count = loopCount(limit, start, inner, outputs[0])
      return try repeated(inner.graph, count, [limit, start], carried, inner.captured)
    }
  }

  /// Makes a body with types for the carried values that also fit what it gives for the next iteration: a size that
  /// the body changes is a symbol.
  private func stable(
    _ initial: [TensorType],
    _ make: ([TensorType]) throws -> ((builder: GraphBuilder, outputs: [ValueID]), [TensorType])
  ) throws -> (builder: GraphBuilder, outputs: [ValueID]) {
    var types = initial
    for _ in 0..<8 {
      let (made, next) = try make(types)
      var changed = false
      for (i, (before, after)) in zip(types, next).enumerated() {
        guard before.element == after.element, before.rank == after.rank else {
          throw Failure.badData("a carried value of type \(before) becomes \(after)")
        }
        for axis in before.shape.indices where before.shape[axis] != after.shape[axis] {
          // A size that is a symbol made here stands for whatever size comes.
          if before.shape[axis] != initial[i].shape[axis] { continue }
          types[i].shape[axis] = .symbol(builder.model.freshSymbol("\(node.origin)_size"))
          changed = true
        }
      }
      if !changed { return made }
    }
    throw Failure.badData("the sizes of the values that the body carries do not settle")
  }

  /// Adds the loop. A result's size is what is known before the loop, or a symbol.
  private func repeated(
    _ body: Graph, _ count: Dim?, _ head: [ValueID], _ carried: [ValueID], _ read: [ValueID]
  ) throws -> [ValueID?] {
    var inner = body.innerSymbols
    var sizes = ResultSizes(self)
    let outputs = body.outputTypes
    for (i, value) in carried.enumerated() {
      let formal = body.type(body.inputs[2 + i]).shape
      for (axis, size) in shape(value).enumerated() {
        // A formal size that is another than the first one's is a symbol for each iteration's.
        let isFixed = formal[axis] == size && outputs[1 + i].shape[axis] == size
        if formal[axis] != size { inner.formUnion(formal[axis].symbols) }
        sizes.append(isFixed ? size : nil)
      }
    }
    for type in outputs.dropFirst(1 + carried.count) {
      sizes.append(count)
      for size in type.shape { sizes.append(size.symbols.isDisjoint(with: inner) ? size : nil) }
    }
    let op = Loop(body: body, carried: carried.count, sizes: sizes.dims, defined: sizes.defined)
    return try addAll(op, head + carried + read)
  }

  /// How often the body runs, if that is known before.
  private func loopCount(_ limit: ValueID, _ start: ValueID, _ inner: GraphBuilder, _ next: ValueID) -> Dim? {
    let condition = inner.graph.inputs[1]
    let goesOn = next == condition || inner.knownTensor(next)?.integers == [1]
    if goesOn, builder.knownTensor(start)?.integers == [1], let count = graph[limit].facts.contents?.first,
      count != Dim(Int.max)
    {
      return Dim.maximum(0, count)
    }
    return nil
  }

  /// A loop over slices: iteration `i` takes slice `i` (or the i-th from the end) of each scanned input.
  fileprivate func scan() throws -> [ValueID?] {
    let graph = try graph("body")
    let scanned = try int("num_scan_inputs")
    guard (1...max(inputCount, 1)).contains(scanned) else {
      throw Failure.badData("\(scanned) scanned inputs of \(inputCount)")
    }
    let states = inputCount - scanned
    guard states >= 0, graph.inputs.count == inputCount, graph.outputs.count >= states else {
      throw Failure.badData("\(scanned) scanned of \(inputCount) inputs for a body of \(graph.inputs.count)")
    }
    let outputsCount = graph.outputs.count - states
    let sequences = try (states..<inputCount).map { try input($0) }
    let axes = try zip(sequences, directions("scan_input_axes", scanned)).map { try axis($1, rank: rank($0)) }
    let backward = try directions("scan_input_directions", scanned)
    let count = shape(sequences[0])[axes[0]]
    // Sequences to be read from the end are reversed first.
    let ordered = try sequences.indices.map { i in
      guard backward[i] != 0 else { return sequences[i] }
      return try slice(sequences[i], axis: axes[i], start: count - 1, size: count, step: -1)
    }
    let carried = try (0..<states).map { try input($0) }
    return try builder.model.nested {
      let head = [TensorType(.int64, []), TensorType(.bool, [])]
      let read = ordered.map { type($0) }
      let (inner, outputs) = try stable(carried.map { type($0) }) { types in
        let made = try body(graph, head + types + read) { n, x in
          let slices = try axes.indices.map { try n.add(Gather(axis: axes[$0]), x[2 + states + $0], x[0]) }
          return Array(x[2..<2 + states]) + slices
        }
        return (made, made.outputs[..<states].map { made.builder.graph.type($0) })
      }
      inner.graph.addOutput("go_on", inner.graph.inputs[1])
      for (output, value) in zip(graph.outputs, outputs) { inner.graph.addOutput(output.name, value) }
      let limit = try reshape(builder.value(of: [count]), [])
      let results = try repeated(
        inner.graph, count, [limit, constant(1, .bool)], carried, ordered + inner.captured
      ).map { $0! }
      return Array(results[..<states]) + (try collected(Array(results[states...]), outputsCount, count))
    }
  }

  private func directions(_ name: String, _ count: Int) throws -> [Int] {
    let list = try ints(name) ?? [Int](repeating: 0, count: count)
    guard list.count == count else { throw Failure.badData("attribute '\(name)' needs \(count) entries") }
    return list
  }

  /// Collected values with their new dimension where, and in the order in which, the node wants it.
  private func collected(_ values: [ValueID], _ count: Int, _ size: Dim) throws -> [ValueID?] {
    let (axes, backward) = (try directions("scan_output_axes", count), try directions("scan_output_directions", count))
    return try values.indices.map { i in
      var value = values[i]
      if backward[i] != 0 { value = try slice(value, axis: 0, start: size - 1, size: size, step: -1) }
      let target = try axis(axes[i], rank: rank(value))
      var order = Array(1..<rank(value))
      order.insert(0, at: target)
      return try transpose(value, order)
    }
  }
}

/// The dimensions of a control-flow node's results as they are collected.
private struct ResultSizes {
  private let node: NodeImport
  private(set) var dims: [Dim] = []
  /// Symbols made here.
  private(set) var defined: [String] = []

  init(_ node: NodeImport) { self.node = node }

  /// - Parameter size: nil for one that only running tells.
  mutating func append(_ size: Dim?) {
    if let size { return dims.append(size) }
    defined.append(node.builder.model.freshSymbol("\(node.node.origin)_size"))
    dims.append(.symbol(defined.last!))
  }
}

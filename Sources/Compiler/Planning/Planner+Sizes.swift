import GraphIR
import Kernels
import LLVMBackend
import TensorTypes

// Sizes that only running tells.

extension Planner {
  // MARK: Checks

  /// Sees to it that what inference assumed of a node's sizes, and of those of the node that its kernel ends in, is
  /// checked before the kernel runs: before the run if inputs' sizes alone say it and the node runs in any case.
  mutating func checkSizes(_ node: NodeID) throws {
    for id in [node, epilogues[node]].compactMap({ $0 }) {
      let op = graph[id].op
      // These take what either branch, or another iteration, gives.
      if op is If || op is Loop { continue }
      let types = graph[id].operands.compactMap { $0.map { graph.type($0) } }
      let equal = try SizeAssumptions.made { _ = try op.infer(types) }.map { SizeRelation($0, .equal, $1) }
      let sizes = graph[id].results.flatMap { graph.type($0).shape }
      let negative = sizes.filter { ($0.lowerBound() ?? -1) < 0 }.map { SizeRelation($0, .atLeast, 0) }
      for relation in equal + negative where checked.insert(relation).inserted { check(relation, id) }
    }
  }

  private mutating func check(_ relation: SizeRelation, _ node: NodeID) {
    let message =
      switch relation.kind {
      case .equal: "\(name(node)): the sizes \(relation.left) and \(relation.right) must be equal"
      case .atLeast: "\(name(node)): the size \(relation.left) must not be negative"
      }
    if graphNumber == 0, sizes.isInput(relation.symbols) {
      constraints.append(.init(relation, message: message))
    } else {
      steps.append(.require(relation, message: message))
    }
  }

  // MARK: Values

  func name(_ node: NodeID) -> String { graph[node].origin ?? graph[node].op.mnemonic }

  /// Symbols have got values: memory for what is that large can be had.
  mutating func begin(epochOf symbols: [String]) {
    steps.append(.beginEpoch(sizes.beginEpoch(symbols)))
    guard graphNumber == 0 else { return }
    for (i, output) in graph.outputs.enumerated() {
      let used = graph.type(output.value).shape.reduce(into: Set<String>()) { $0.formUnion($1.symbols) }
      if !used.isDisjoint(with: symbols), sizes.areKnown(used) { steps.append(.output(i)) }
    }
  }

  /// Gives symbols the values that lie in memory.
  mutating func bind(_ symbols: [String], to value: Placement, _ node: NodeID) {
    sizes.declare(symbols)
    let limit = "\(name(node)): a size that depends on the input is negative or larger than any tensor"
    steps.append(.bind(symbols: symbols, from: touched(value), value.view.element, message: limit))
    begin(epochOf: symbols)
  }

  mutating func plan(_ op: BindSymbols, _ node: NodeID) throws {
    let value = try placement(operand(node, 0))
    placements[graph[node].results[0]] = value
    bind(op.symbols, to: dense(value, origin: graph[node].origin), node)
  }

  /// Counted first; then there is memory for as many indices as there are.
  mutating func plan(_ op: NonZero, _ node: NodeID) throws {
    let x = try placement(operand(node, 0))
    let count = newStorage(TensorType(.int64, []))
    emit(.nonZero(NonZeroWorkload(x: x.view, step: .count, output: count.view)), [x], count, origins: origins(node))
    bind([op.count], to: count, node)
    let output = complete(node)
    emit(.nonZero(NonZeroWorkload(x: x.view, step: .indices, output: output.view)), [x], output, origins: origins(node))
  }
}

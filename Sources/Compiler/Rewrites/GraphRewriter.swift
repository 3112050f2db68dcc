import GraphIR
import TensorTypes

/// A named rewrite of one node: an equation whose left side is the node with what computes its operands, and whose
/// right side is what `apply` builds instead.
struct Rule: Sendable {
  let name: String
  /// The type of op that the rule may apply to; nil for any.
  let subject: ObjectIdentifier?
  let apply: @Sendable (inout GraphRewriter, any Op, [ValueID]) throws -> [ValueID]?

  /// A rule for ops of any type.
  init(
    _ name: String, anyOp apply: @escaping @Sendable (inout GraphRewriter, any Op, [ValueID]) throws -> [ValueID]?
  ) {
    (self.name, subject, self.apply) = (name, nil, apply)
  }

  /// A rule for ops of type `O`, which have one result.
  init<O: Op>(
    _ name: String, on: O.Type, _ apply: @escaping @Sendable (inout GraphRewriter, O, [ValueID]) throws -> ValueID?
  ) {
    self.name = name
    subject = ObjectIdentifier(O.self)
    self.apply = { rewriter, op, operands in
      guard let op = op as? O else { preconditionFailure("an op of the rule's type") }
      return try apply(&rewriter, op, operands).map { [$0] }
    }
  }
}

/// Builds a graph anew from an old one, node by node in order, giving every node to the rules first.
///
/// A rule sees the op and its operands *in the new graph*: their producers are already rewritten, so one sweep
/// carries a change as far downstream as it goes. What a rule builds is given to the rules again. Nodes that no
/// output needs are left behind.
struct GraphRewriter {
  let source: Graph
  private(set) var graph: Graph
  /// Rules for any op, and for each type of op, in the order in which they are tried.
  private var rules: [ObjectIdentifier?: [Rule]] = [:]
  /// The value in the new graph that stands for each old one.
  private var renamed: [ValueID?]
  /// How often each value of the new graph is used, as far as is known: by the readers of the old values it stands for.
  private var demand: [ValueID: Int] = [:]
  /// What the old graph's node that is being rewritten comes from.
  private var origin: String?
  private var depth = 0
  /// Nodes by what they compute, if equal ones are to be shared.
  private var shared: [Computation: [ValueID]]?
  private var pool: ConstantPool<ValueID>?
  /// What recognition did, if someone wants to know.
  private(set) var notes: RecognitionNotes?

  private struct Computation: Hashable {
    var op: AnyHashable
    var operands: [ValueID?]
  }

  /// The graph after one sweep of `rules`, without what no output needs.
  /// - Parameters:
  ///   - sharing: whether equal computations become one.
  ///   - notes: gets what was recognised and what nearly was.
  static func rewrite(
    _ source: Graph, _ rules: [Rule], sharing: Bool = false, notes: RecognitionNotes? = nil
  ) throws -> Graph {
    var rewriter = GraphRewriter(source, rules, sharing: sharing)
    rewriter.notes = notes
    try rewriter.sweep()
    rewriter.notes?.conclude(rewriter.graph)
    return rewriter.graph.withoutDeadNodes()
  }

  init(_ source: Graph, _ rules: [Rule], sharing: Bool = false) {
    self.source = source
    graph = Graph(name: source.name)
    renamed = [ValueID?](repeating: nil, count: source.values.count)
    shared = sharing ? [:] : nil
    pool = sharing ? ConstantPool() : nil
    for subject in Set(rules.map(\.subject)) {
      // A rule for any op keeps its place among the others.
      self.rules[subject] = rules.filter { $0.subject == nil || $0.subject == subject }
    }
    if self.rules[nil] == nil { self.rules[nil] = [] }
  }

  private mutating func sweep() throws {
    let live = source.liveNodes()
    let uses = source.useCounts(of: live)
    func rename(_ old: ValueID, _ new: ValueID) {
      renamed[old.index] = new
      demand[new, default: 0] += uses[old.index]
      if let name = source[old].name, graph[new].name == nil { graph.setName(name, of: new) }
    }
    for input in source.inputs { rename(input, graph.addInput(source[input].name ?? "", source.type(input))) }
    func value(_ old: ValueID) -> ValueID {
      if let new = renamed[old.index] { return new }
      guard let tensor = source.constant(old) else { preconditionFailure("operands that precede their use") }
      let new = pool?.value(of: tensor) ?? graph.addConstant(tensor, name: source[old].name)
      pool?.insert(tensor, new)
      rename(old, new)
      return new
    }
    for (node, isLive) in zip(source.nodes, live) where isLive {
      origin = node.origin
      let results = try build(node.op, node.operands.map { $0.map(value) })
      for (old, new) in zip(node.results, results) { rename(old, new) }
    }
    for output in source.outputs { graph.addOutput(output.name, value(output.value)) }
  }

  // MARK: Building

  /// The results of `op`, as the first rule that applies computes them, or else by a new node.
  mutating func build(_ op: any Op, _ operands: [ValueID?]) throws -> [ValueID] {
    let present = operands.compactMap { $0 }
    if present.count == operands.count {
      for rule in rules[ObjectIdentifier(Swift.type(of: op))] ?? rules[nil]! {
        depth += 1
        defer { depth -= 1 }
        precondition(depth < 500, "rules that come to an end; \(rule.name) on \(op.mnemonic) does not")
        if let results = try rule.apply(&self, op, present) {
          check(rule, op, present, results)
          if let notes, notes.rewrites.contains(rule.name) { notes.log.add(rule.name, at: origin ?? op.mnemonic) }
          return results
        }
      }
    }
    return try add(op, operands)
  }

  /// The one result of `op`.
  mutating func build(_ op: any Op, _ operands: ValueID...) throws -> ValueID {
    try build(op, operands.map { Optional($0) })[0]
  }

  /// The one result of `f` applied to values.
  mutating func build(_ f: Expression, _ operands: ValueID...) throws -> ValueID {
    try build(Elementwise(f), operands.map { Optional($0) })[0]
  }

  mutating func constant(_ tensor: HostTensor) -> ValueID { graph.addConstant(tensor) }

  private mutating func add(_ op: any Op, _ operands: [ValueID?]) throws -> [ValueID] {
    guard shared != nil, op.definedSymbols.isEmpty else { return try graph.add(op, operands, origin: origin) }
    let computation = Computation(op: AnyHashable(op), operands: operands)
    if let known = shared?[computation] { return known }
    let results = try graph.add(op, operands, origin: origin)
    shared?[computation] = results
    return results
  }

  /// A rule that changes a value's type is a bug of ours, best found where it happens.
  private func check(_ rule: Rule, _ op: any Op, _ operands: [ValueID], _ results: [ValueID]) {
    guard let types = try? op.infer(operands.map { graph.type($0) }) else { return }
    for (type, result) in zip(types, results) {
      let new = graph.type(result)
      let agrees =
        new.element == type.element && new.rank == type.rank
        && zip(new.shape, type.shape).allSatisfy { ($0 - $1).constant.map { $0 == 0 } ?? true }
      precondition(agrees, "rule '\(rule.name)' to keep the type \(type), which became \(new)")
    }
  }

  // MARK: Asking

  func type(_ value: ValueID) -> TensorType { graph.type(value) }
  func shape(_ value: ValueID) -> Shape { graph.type(value).shape }

  /// Whether nothing but the node being rewritten reads `value`, as far as is known.
  func isUsedOnce(_ value: ValueID) -> Bool { (demand[value] ?? 1) <= 1 }

  /// The op of type `O` that computes `value`, with its operands.
  func producer<O: Op>(_ value: ValueID, _: O.Type) -> (op: O, operands: [ValueID])? {
    guard let id = graph.producer(value), let op = graph[id].op as? O else { return nil }
    let operands = graph[id].operands.compactMap { $0 }
    return operands.count == graph[id].operands.count ? (op, operands) : nil
  }
}

extension Graph {
  /// How often each value is an operand of a live node or an output.
  fileprivate func useCounts(of live: [Bool]) -> [Int] {
    var uses = [Int](repeating: 0, count: values.count)
    for (node, isLive) in zip(nodes, live) where isLive {
      for case let operand? in node.operands { uses[operand.index] += 1 }
    }
    for output in outputs { uses[output.value.index] += 1 }
    return uses
  }

  /// Whether each node is needed: some output depends on it, it does something besides, or it defines a size, which
  /// types may mention anywhere.
  func liveNodes() -> [Bool] {
    var live = nodes.map { !$0.op.definedSymbols.isEmpty || $0.op.hasEffect }
    for output in outputs { if let node = producer(output.value) { live[node.index] = true } }
    for i in nodes.indices.reversed() where live[i] {
      for case let operand? in nodes[i].operands { if let node = producer(operand) { live[node.index] = true } }
    }
    return live
  }
}

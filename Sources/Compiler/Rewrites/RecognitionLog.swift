import GraphIR
import Synchronization
import TensorTypes

/// What recognition looks for. A rewrite that gives up after its pattern began says which one it was after.
public enum Pattern: String, Hashable, Sendable, Codable {
  case attention
  case softmax
  case normalization = "layer or RMS norm"
  case groupNorm = "group norm"
  case gelu = "GELU"
  case silu = "SiLU"
  case rotary = "rotary embedding"
}

/// What recognition did with a model, the graphs within it included: which rewrites applied, and where a pattern began
/// but was not completed.
public final class RecognitionLog: Sendable {
  /// A named rewrite, with the model's nodes that it was applied at.
  public struct Found: Hashable, Sendable, Encodable {
    public var rewrite: String
    public var nodes: [String]
  }

  /// A node that a pattern begins with and that is still there, with the first condition that was not met.
  public struct Missed: Hashable, Sendable, Encodable {
    public var node: String
    public var pattern: Pattern
    public var reason: String
  }

  private let state = Mutex<(found: [Found], missed: [Missed])>(([], []))

  public init() {}

  /// In the order in which the rewrites first applied.
  public var found: [Found] { state.withLock(\.found) }
  /// In the graph's order.
  public var missed: [Missed] { state.withLock(\.missed) }

  func add(_ rewrite: String, at node: String) {
    state.withLock { state in
      let i = state.found.firstIndex { $0.rewrite == rewrite } ?? state.found.count
      if i == state.found.count { state.found.append(Found(rewrite: rewrite, nodes: [])) }
      state.found[i].nodes.append(node)
    }
  }

  func add(_ missed: Missed) { state.withLock { $0.missed.append(missed) } }
}

/// The part of a log that belongs to one sweep: reasons are kept by the value that a pattern begins with, and count
/// only if it is still computed when the sweep is over.
final class RecognitionNotes {
  let log: RecognitionLog
  /// Names of the rewrites to be logged.
  let rewrites: Set<String>
  private var reasons: [ValueID: (pattern: Pattern, reason: String)] = [:]

  init(_ log: RecognitionLog, of rules: [Rule]) { (self.log, rewrites) = (log, Set(rules.map(\.name))) }

  /// The first reason given stays: what tries again later on does so with less.
  func miss(_ pattern: Pattern, at anchor: ValueID, _ reason: String) {
    if reasons[anchor] == nil { reasons[anchor] = (pattern, reason) }
  }

  /// Logs what is left of patterns in the graph that the sweep ended with.
  func conclude(_ graph: Graph) {
    let uses = graph.uses()
    for (node, isLive) in zip(graph.nodes, graph.liveNodes()) where isLive {
      for result in node.results {
        let readers = uses[result.index].map { graph[$0] }
        guard let (pattern, reason) = reasons[result] ?? unexplained(node, graph, readers) else { continue }
        log.add(.init(node: node.origin ?? node.op.mnemonic, pattern: pattern, reason: reason))
      }
      if let name = pixelShuffle(node, graph) {
        log.add("reshape(transpose(reshape(x))) = pixel shuffle, one copy", at: name)
      }
    }
  }

  /// Why a node that a pattern always begins with stands alone: no rule has come across it, because what reads it is
  /// nothing that the pattern goes on with.
  private func unexplained(
    _ node: Graph.Node, _ graph: Graph, _ readers: [Graph.Node]
  ) -> (pattern: Pattern, reason: String)? {
    let names = readers.map { "\($0.op.mnemonic) \($0.origin ?? "")" }.joined(separator: " and ")
    let by = readers.isEmpty ? "it is an output" : "read by \(names)"
    if node.op is Softmax, let scores = node.operands[0], comesFromProduct(scores, graph) {
      return (.attention, "\(by); attention goes on with a matrix product")
    }
    if case .unary(.erf, _)? = Form(node.op, node.operands.compactMap { $0 }) {
      return (.gelu, "\(by); GELU goes on with 1 + erf")
    }
    return nil
  }

  /// Whether a few elementwise ops compute `value` from a product of two values that the model computes: scores, as
  /// opposed to a classifier's.
  private func comesFromProduct(_ value: ValueID, _ graph: Graph, depth: Int = 5) -> Bool {
    guard depth > 0, let node = graph.producer(value).map({ graph[$0] }) else { return false }
    let operands = node.operands.compactMap { $0 }
    if node.op is MatMul { return operands.allSatisfy { graph.constant($0) == nil } }
    return node.op is Elementwise && operands.contains { comesFromProduct($0, graph, depth: depth - 1) }
  }

  /// The node's name if it is the last of a reshape, a transpose that takes channels' parts between the dimensions of
  /// space, and a reshape that joins them there. These are views: planning makes one copy of the three.
  private func pixelShuffle(_ node: Graph.Node, _ graph: Graph) -> String? {
    func operand(_ node: Graph.Node) -> Graph.Node? {
      node.operands.first.flatMap { $0 }.flatMap { graph.producer($0) }.map { graph[$0] }
    }
    guard node.op is Reshape, let middle = operand(node), let transpose = middle.op as? Transpose,
      let first = operand(middle), first.op is Reshape
    else { return nil }
    let rank = transpose.permutation.count
    guard rank >= 6, rank % 2 == 0, graph.type(node.results[0]).rank == (rank - 2) / 2 + 2 else { return nil }
    let space = Array(transpose.permutation[2...])
    // Two by two: a dimension of space, then the part of the channels that joins it.
    let outer = stride(from: 0, to: space.count, by: 2).map { space[$0] }
    let inner = stride(from: 1, to: space.count, by: 2).map { space[$0] }
    guard transpose.permutation[0] == 0, outer == outer.sorted(), inner == inner.sorted(), outer != inner,
      zip(outer, inner).allSatisfy({ abs($0 - $1) == outer.count || abs($0 - $1) == outer.count + 1 })
    else { return nil }
    return node.origin ?? node.op.mnemonic
  }
}

extension GraphRewriter {
  /// Nil, for a rule to return; if someone wants to know why, the reason is kept under the value that the pattern
  /// begins with.
  func missed<T>(_ pattern: Pattern, at anchor: ValueID, _ reason: @autoclosure () -> String) -> T? {
    notes?.miss(pattern, at: anchor, reason())
    return nil
  }

  /// What computes `value`, for a reason.
  func describe(_ value: ValueID) -> String {
    if let node = graph.producer(value) {
      return graph[node].op.mnemonic + (graph[node].origin.map { " \($0)" } ?? "")
    }
    return graph.constant(value) == nil ? "an input" : "a constant"
  }
}

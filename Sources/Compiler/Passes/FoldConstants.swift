import GraphIR
import TensorTypes

extension GraphPass {
  /// Evaluates what depends on constants only, and writes shape arithmetic whose result is known as the constant.
  static let foldConstants = GraphPass("foldConstants") {
    try GraphRewriter.rewrite($0, storedWeightRules + foldingRules)
  }
}

/// A folded constant may take this many bytes, or as many as its operands: the library should not hold a broadcast
/// that costs nothing to make at run time.
private let largestGrowth = 1 << 20

/// Multiplications that reference evaluation may do for one node, a few seconds: projections of a table of positions, which
/// DeBERTa has in each layer, are within.
private let largestWork = 1 << 32

let foldingRules: [Rule] = [
  Rule("value whose elements are known = constant", anyOp: { g, op, x in knownContents(&g, op, x) }),
  Rule("op(constants) = constant", anyOp: { g, op, x in evaluated(&g, op, x) }),
]

private func knownContents(_ g: inout GraphRewriter, _ op: any Op, _ x: [ValueID]) -> [ValueID]? {
  guard op.definedSymbols.isEmpty else { return nil }
  let facts = x.map { g.graph[$0].facts }
  guard let types = try? op.infer(facts.map(\.type)) else { return nil }
  let contents = op.contents(facts)
  guard contents.count == types.count, !types.isEmpty else { return nil }
  var tensors: [HostTensor] = []
  for (type, known) in zip(types, contents) {
    guard let known, let shape = type.staticShape, known.count <= Graph.contentsLimit, !type.element.isFloat else {
      return nil
    }
    let numbers = known.compactMap(\.constant)
    guard numbers.count == known.count, numbers.count == shape.reduce(1, *) else { return nil }
    tensors.append(HostTensor(type.element, shape, .integers(numbers.map { Int64($0) })))
  }
  return tensors.map { g.constant($0) }
}

private func evaluated(_ g: inout GraphRewriter, _ op: any Op, _ x: [ValueID]) -> [ValueID]? {
  let operands = x.compactMap { g.tensor($0) }
  // What is stored in fewer bits is settled by a pass of its own.
  guard operands.count == x.count, !(op is Dequantize), op.usedSymbols.isEmpty, op.definedSymbols.isEmpty,
    let types = try? op.infer(operands.map(\.type))
  else { return nil }
  let before = operands.reduce(0) { $0 + $1.byteCount }
  let after = types.reduce(0) { $0 + ($1.byteCount.constant ?? .max / 8) }
  guard after <= max(before, largestGrowth), work(op, operands, types) <= largestWork else { return nil }
  // What reference evaluation refuses (an index out of range) is left for the run that meets it.
  return (try? op.evaluate(operands))?.map { g.constant($0) }
}

/// An upper bound of the multiplications that evaluating `op` takes, or elements touched.
private func work(_ op: any Op, _ operands: [HostTensor], _ types: [TensorType]) -> Int {
  let results = types.reduce(0) { $0 + ($1.elementCount.constant ?? 0) }
  let read = operands.reduce(0) { $0 + $1.elementCount }
  switch op {
  case is MatMul: return results * (operands[0].shape.suffix(2).max() ?? 1)
  case is Convolve: return results * operands[1].shape.dropFirst().reduce(1, *)
  default: return results + read
  }
}

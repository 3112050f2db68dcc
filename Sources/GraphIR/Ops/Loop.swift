import TensorTypes

/// Runs `body` while a condition holds and at most a given number of times.
///
/// Operands: the limit (i64), the condition (bool), `carried` values, and values that the body only reads. The body
/// takes the iteration's number (i64 scalar), the condition (bool scalar), the carried and the read values; it gives
/// the next condition, the next carried values, and values that are collected. Results: the carried values at last,
/// then each collected value stacked along a new outermost dimension.
///
/// A size of a carried value that differs from one iteration to the next is a symbol of the body's input, which stands
/// for that iteration's size.
///
/// - (loop_c1) The limit is one i64, the condition one bool.
/// - (loop_c2) The body accepts the operands.
/// - (loop_c3) The body gives one bool, then the carried values with their element types and ranks.
/// - (loop_c4) `sizes` has one size for each dimension of the results.
public struct Loop: Op {
  public static let mnemonic = "loop"
  public var body: Graph
  public var carried: Int
  /// The results' dimensions, one result after the other.
  public var sizes: [Dim]
  /// Those symbols in `sizes` that stand from here on for what running the loop gives.
  public var defined: [String]

  public init(body: Graph, carried: Int, sizes: [Dim], defined: [String]) {
    (self.body, self.carried) = (body, carried)
    (self.sizes, self.defined) = (sizes, defined)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [
      ("body", .graph(body)), ("carried", .integer(carried)), ("sizes", .dims(sizes)), ("defined", .strings(defined)),
    ]
  }
  public init(attributes: inout AttributeReader) throws {
    body = try attributes.graph("body")
    carried = try attributes.integer("carried")
    sizes = try attributes.dims("sizes")
    defined = try attributes.strings("defined")
  }

  public var definedSymbols: [String] { defined }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count >= 2 && x[0].element == .int64 && x[0].elementCount == 1 && x[1].element == .bool
        && x[1].elementCount == 1, "loop_c1: operands \(x)")
    try require(
      carried >= 0 && carried <= x.count - 2
        && body.accepts([TensorType(.int64, []), TensorType(.bool, [])] + x.dropFirst(2)), "loop_c2: operands \(x)")
    let outputs = body.outputTypes
    let initial = x[2..<2 + carried]
    try require(
      outputs.count >= 1 + carried && outputs[0].element == .bool && outputs[0].elementCount == 1
        && zip(outputs.dropFirst(), initial).allSatisfy { $0.element == $1.element && $0.rank == $1.rank },
      "loop_c3: outputs \(outputs) of the body")
    let stacked = outputs.dropFirst(1 + carried).map { TensorType($0.element, [1] + $0.shape) }
    return try typesOfResults(Array(initial) + stacked, sizes, constraint: "loop_c4")
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let limit = x[0].integers[0]
    var condition = x[1].integers[0] != 0
    var state = Array(x[2..<2 + carried])
    let read = Array(x[(2 + carried)...])
    var collected = [[HostTensor]](repeating: [], count: body.outputs.count - 1 - carried)
    var iteration: Int64 = 0
    while condition && iteration < limit {
      let head = [HostTensor(.int64, [], [iteration]), HostTensor(.bool, [], [UInt8(1)])]
      let results = try body.evaluate(head + state + read)
      condition = results[0].integers[0] != 0
      state = Array(results[1..<1 + carried])
      for i in collected.indices { collected[i].append(results[1 + carried + i]) }
      iteration += 1
    }
    let stacks = try collected.enumerated().map { i, tensors in
      guard let first = tensors.first else {
        let type = body.outputTypes[1 + carried + i]
        // Nothing was collected: sizes that are not known are 0 like the first.
        return HostTensor(type.element, [0] + type.shape.map { $0.constant ?? 0 }, filling: { _ in })
      }
      return try Concat(axis: 0).evaluate(tensors.map { $0.reshaped([1] + first.shape) })[0]
    }
    return state + stacks
  }

  public func substituting(_ bindings: [String: Dim]) -> Loop {
    Loop(
      body: (try? body.substituting(bindings)) ?? body, carried: carried, sizes: sizes.substituting(bindings),
      defined: defined)
  }
}

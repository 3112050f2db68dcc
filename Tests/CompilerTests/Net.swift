import GraphIR
import TensorTypes
import Testing

@testable import Compiler

/// A graph under construction, with short names for what tests are made of.
struct Net {
  var graph = Graph(name: "test")
  var random = SeededGenerator()

  mutating func input(_ shape: Shape, _ element: ElementType = .float32) -> ValueID {
    graph.addInput("x\(graph.inputs.count)", TensorType(element, shape))
  }
  mutating func number(_ value: Float) -> ValueID { graph.addConstant(HostTensor(.float32, [], [value])) }

  /// Random numbers so small that a sum of products over all dimensions but the first stays about as large as its
  /// operands: tests then compare numbers of order 1.
  mutating func weights(_ shape: [Int]) -> ValueID {
    let spread = 1 / Double(max(1, shape.dropFirst().reduce(1, *))).squareRoot()
    return graph.addConstant(HostTensor.random(.float32, shape, -spread...spread, &random))
  }
  mutating func constant(_ shape: [Int], _ range: ClosedRange<Double> = -1...1) -> ValueID {
    graph.addConstant(HostTensor.random(.float32, shape, range, &random))
  }
  /// A constant that says `isSet` of the place of each element.
  mutating func flags(_ shape: [Int], _ isSet: (Int) -> Bool) -> ValueID {
    let numbers = (0..<shape.reduce(1, *)).map { Int64(isSet($0) ? 1 : 0) }
    return graph.addConstant(HostTensor(.bool, shape, .integers(numbers)))
  }
  mutating func add(_ op: any Op, _ x: ValueID...) throws -> ValueID { try graph.add(op, x.map { Optional($0) })[0] }
  mutating func binary(_ f: BinaryFunction, _ x: ValueID, _ y: ValueID) throws -> ValueID {
    try add(Elementwise(.binary(f, graph.type(x).element)), x, y)
  }
  mutating func binary(_ f: BinaryFunction, _ x: ValueID, _ y: Float) throws -> ValueID {
    try binary(f, x, number(y))
  }
  mutating func unary(_ f: UnaryFunction, _ x: ValueID) throws -> ValueID {
    try add(Elementwise(.unary(f, graph.type(x).element)), x)
  }
  mutating func select(_ c: ValueID, _ x: ValueID, _ y: ValueID) throws -> ValueID {
    let type = graph.type(x).element
    let f = Expression(inputs: [.bool, type, type]) { e in
      let (c, x, y) = (e.input(0), e.input(1), e.input(2))
      return e.select(c, x, y)
    }
    return try add(Elementwise(f), c, x, y)
  }
  mutating func mean(_ x: ValueID, _ axes: [Int], keepDims: Bool = true) throws -> ValueID {
    let count = axes.map { graph.type(x).shape[$0] }.product.constant ?? 1
    return try binary(.divide, add(Reduce(.sum, axes: axes, keepDims: keepDims), x), Float(count))
  }
  mutating func convolve(_ x: ValueID, _ out: Int, kernel: Int = 3, stride: Int = 1) throws -> ValueID {
    let channels = graph.type(x).shape[1].constant!
    let pads = [kernel / 2, kernel / 2]
    let op = Convolve(strides: [stride, stride], dilations: [1, 1], padsBefore: pads, padsAfter: pads)
    let product = try add(op, x, weights([out, channels, kernel, kernel]))
    return try binary(.add, product, constant([out, 1, 1]))
  }
  mutating func relu(_ x: ValueID) throws -> ValueID { try binary(.maximum, x, 0) }

  /// The graph with these outputs. Mutating only so that arguments, which may add nodes, are evaluated before `self`.
  mutating func returning(_ values: ValueID...) -> Graph { returning(all: values) }
  mutating func returning(all values: [ValueID]) -> Graph {
    var copy = graph
    for (i, value) in values.enumerated() { copy.addOutput("y\(i)", value) }
    return copy
  }
}

extension HostTensor {
  static func random(
    _ element: ElementType, _ shape: [Int], _ range: ClosedRange<Double>, _ generator: inout SeededGenerator
  ) -> HostTensor {
    HostTensor(element, shape) { _ in
      element.isFloat ? .float(.random(in: range, using: &generator)) : .integer(.random(in: 0...1, using: &generator))
    }
  }
}

extension Graph {
  func count<O: Op>(_: O.Type) -> Int { nodes.count { $0.op is O } }
  func first<O: Op>(_: O.Type) -> O? { nodes.lazy.compactMap { $0.op as? O }.first }
  /// The mnemonics of the nodes, in order.
  var mnemonics: [String] { nodes.map(\.op.mnemonic) }
  func rewritten(_ rules: [Rule]) throws -> Graph { try GraphRewriter.rewrite(self, rules) }
}

/// Checks that two graphs compute the same on random inputs, and that `after` verifies.
///
/// Each node rounds once, by half a unit in the last place of a number of the order of the largest output (inputs and
/// weights are made so), and what it rounds spreads to a few results at most: hence the bound, with a factor of 8 for
/// cancellation.
func expectAgreement(
  _ before: Graph, _ after: Graph, sizes: [String: Int] = [:], in range: ClosedRange<Double> = -1...1,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  try after.verify()
  var generator = SeededGenerator()
  let inputs = try before.inputs.map { input in
    let type = before.type(input)
    let shape = try #require(type.shape.map { $0.evaluate(sizes) } as? [Int])
    return HostTensor.random(type.element, shape, range, &generator)
  }
  let (expected, actual) = (try before.evaluate(inputs), try after.evaluate(inputs))
  try #require(expected.count == actual.count, sourceLocation: sourceLocation)
  for (x, y) in zip(expected, actual) {
    try #require(x.type == y.type, "seed \(generator.seed)", sourceLocation: sourceLocation)
    let peak = max(1, x.doubles.map(abs).filter(\.isFinite).max() ?? 0)
    let tolerance = x.element.isFloat ? 0x1p-23 * 8 * Double(before.nodes.count + after.nodes.count) * peak : 0
    let worst = zip(x.doubles, y.doubles).map { $0 == $1 || ($0.isNaN && $1.isNaN) ? 0 : abs($0 - $1) }.max() ?? 0
    #expect(
      worst <= tolerance, "off by \(worst), may be \(tolerance), seed \(generator.seed)", sourceLocation: sourceLocation
    )
  }
}

/// A name in a shape is a symbol: `[1, 3, "h", "w"]`.
extension Dim: ExpressibleByStringLiteral {
  public init(stringLiteral name: String) { self = .symbol(name) }
}
extension Dim: ExpressibleByExtendedGraphemeClusterLiteral {}
extension Dim: ExpressibleByUnicodeScalarLiteral {}

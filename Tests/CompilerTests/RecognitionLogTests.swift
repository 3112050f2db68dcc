import GraphIR
import TensorTypes
import Testing

@testable import Compiler

struct RecognitionLogTests {
  private func log(_ graph: Graph) throws -> RecognitionLog {
    let log = RecognitionLog()
    var after = graph
    for pass in [GraphPass.simplify, .commonSubexpressions, .recognise] { after = try pass.run(after, log: log) }
    return log
  }

  private func scores(_ n: inout Net) throws -> (scores: ValueID, values: ValueID) {
    let (q, k, v) = (n.input([2, 2, 5, 4]), n.input([2, 2, 7, 4]), n.input([2, 2, 7, 4]))
    return (try n.add(MatMul(transposeRight: true), q, k), v)
  }

  @Test func namesRewritesAndNodes() throws {
    var n = Net()
    let (scores, v) = try scores(&n)
    let log = try log(n.returning(n.add(MatMul(), n.add(Softmax(axis: 3), scores), v)))
    #expect(log.found.map(\.rewrite) == ["softmax(q·kᵀ · scale + mask) · v = attention(q, k, v, mask)"])
    #expect(log.found[0].nodes.count == 1 && log.missed.isEmpty)
  }

  @Test func attentionsReasons() throws {
    func reason(_ build: (inout Net, ValueID, ValueID) throws -> [ValueID]) throws -> String {
      var n = Net()
      let (scores, v) = try scores(&n)
      let missed = try log(n.returning(all: build(&n, scores, v))).missed
      #expect(missed.count == 1 && missed.first?.pattern == .attention)
      return missed.first?.reason ?? ""
    }
    let axis = try reason { n, s, v in [try n.add(MatMul(), n.add(Softmax(axis: 2), s), v)] }
    #expect(axis == "over dimension 2 of 4, attention's is over the last")
    let shared = try reason { n, s, v in
      let weights = try n.add(Softmax(axis: 3), s)
      return [weights, try n.add(MatMul(), weights, v)]
    }
    #expect(shared == "its result has other readers than the product with the values")
    let read = try reason { n, s, v in
      [try n.add(MatMul(), n.binary(.multiply, n.add(Softmax(axis: 3), s), 2), v)]
    }
    #expect(read.hasSuffix("attention goes on with a matrix product"))
    let late = try reason { n, s, v in
      let scaled = try n.binary(.multiply, n.binary(.add, s, n.input([5, 7])), 2)
      return [try n.add(MatMul(), n.add(Softmax(axis: 3), scaled), v)]
    }
    #expect(late.hasSuffix("a mask before the scale"))
    let finite = try reason { n, s, v in
      let masked = try n.select(n.input([5, 7], .bool), s, n.number(-10_000))
      return [try n.add(MatMul(), n.add(Softmax(axis: 3), masked), v)]
    }
    #expect(finite.hasSuffix("scores become -10000.0 where they are hidden, a mask's are below -100000000.0"))
    let other = try reason { n, s, v in
      [try n.add(MatMul(), n.add(Softmax(axis: 3), n.unary(.tanh, s)), v)]
    }
    #expect(other.hasSuffix("neither a scale nor a mask of a product"))
  }

  @Test func classifiersAreNoMisses() throws {
    var n = Net()
    let logits = try n.add(MatMul(), n.input([2, 8]), n.constant([8, 4]))
    #expect(try log(n.returning(n.add(Softmax(axis: 1), logits))).missed.isEmpty)
    let gate = try n.binary(.multiply, n.input([2, 8]), n.unary(.sigmoid, n.input([2, 8])))
    #expect(try log(n.returning(gate)).missed.isEmpty)
  }

  @Test func otherReasons() throws {
    var n = Net()
    let x = n.input([2, 4, 8])
    // Layer norm over a dimension in the middle.
    let difference = try n.binary(.subtract, x, n.mean(x, [1]))
    let variance = try n.mean(n.binary(.multiply, difference, difference), [1])
    let norm = try n.binary(.divide, difference, n.unary(.sqrt, n.binary(.add, variance, 1e-5)))
    #expect(
      try log(n.returning(norm)).missed.map(\.reason) == ["over dimensions [1] of 3; wanted are the innermost"])
    // GELU with another scale.
    let gate = try n.binary(.add, n.unary(.erf, n.binary(.multiply, x, 0.5)), 1)
    let gelu = try n.binary(.multiply, n.binary(.multiply, x, 0.5), gate)
    #expect(try log(n.returning(gelu)).missed.map(\.pattern) == [.gelu])
    // The logistic function of something else than x.
    let silu = try n.binary(.multiply, x, n.unary(.sigmoid, n.binary(.add, x, 1)))
    #expect(try log(n.returning(silu)).missed.map(\.pattern) == [.silu])
    // Softmax over two dimensions.
    let power = try n.unary(.exp, x)
    let wide = try n.binary(.divide, power, n.add(Reduce(.sum, axes: [1, 2], keepDims: true), power))
    #expect(try log(n.returning(wide)).missed.map(\.reason) == ["over dimensions [1, 2]; softmax's is over one"])
  }

  @Test func pixelShuffle() throws {
    var n = Net()
    let parts = try n.add(Reshape(["b", 3, 2, 2, 5, 7]), n.input(["b", 12, 5, 7]))
    let moved = try n.add(Transpose([0, 1, 4, 2, 5, 3]), parts)
    let found = try log(n.returning(n.add(Reshape(["b", 3, 10, 14]), moved))).found
    #expect(found.map(\.rewrite) == ["reshape(transpose(reshape(x))) = pixel shuffle, one copy"])
    let heads = try n.add(Transpose([0, 2, 1, 3]), n.add(Reshape(["b", 5, 3, 4]), n.input(["b", 5, 12])))
    #expect(try log(n.returning(heads)).found.isEmpty)
  }
}

struct CausalMaskTests {
  enum Spelling: CaseIterable {
    case compared, turned, lessThanNext, lower, upperHidden, positionsFromRange, constant, constantFlag, withPadding
  }

  private func positions(_ n: inout Net, _ s: Dim) throws -> (rows: ValueID, columns: ValueID) {
    let range = try n.add(Iota(.int64, [s], axis: 0))
    return (try n.add(Reshape([s, 1]), range), try n.add(Reshape([1, s]), range))
  }

  private func mask(_ n: inout Net, _ spelling: Spelling, _ s: Dim) throws -> ValueID {
    let (rows, columns) = try positions(&n, s)
    func integer(_ f: BinaryFunction, _ x: ValueID, _ y: ValueID) throws -> ValueID {
      try n.add(Elementwise(.binary(f, .int64)), x, y)
    }
    let low = try n.add(Broadcast([s, s]), n.number(-.greatestFiniteMagnitude))
    let none = try n.add(Broadcast([s, s]), n.number(0))
    switch spelling {
    case .compared: return try integer(.lessEqual, columns, rows)
    case .turned: return try n.add(Reshape([1, 1, s, s]), integer(.greaterEqual, rows, columns))
    case .lessThanNext:
      let next = try integer(.add, rows, n.graph.addConstant(HostTensor(.int64, [], .integers([1]))))
      return try integer(.less, columns, next)
    case .lower: return try n.select(integer(.lessEqual, columns, rows), none, low)
    case .upperHidden: return try n.select(integer(.greater, columns, rows), n.number(-.infinity), none)
    case .positionsFromRange:
      // As `triu(full(-inf), 1)`, multiplied by a flag.
      let distance = try integer(.subtract, columns, rows)
      let one = n.graph.addConstant(HostTensor(.int64, [1], .integers([1])))
      return try n.select(integer(.greaterEqual, distance, one), low, none)
    case .constant, .constantFlag:
      let size = try #require(s.constant)
      if spelling == .constant {
        return n.graph.addConstant(
          HostTensor(.float32, [1, size, size]) { .float($0 % size > $0 / size ? -.infinity : 0) })
      }
      return n.graph.addConstant(HostTensor(.bool, [size, size]) { .integer($0 % size > $0 / size ? 0 : 1) })
    case .withPadding:
      let both = Expression.binary(.and, .bool)
      return try n.add(Elementwise(both), integer(.lessEqual, columns, rows), n.input([1, s], .bool))
    }
  }

  @Test(arguments: Spelling.allCases) func recognised(_ spelling: Spelling) throws {
    var n = Net()
    let isConstant = spelling == .constant || spelling == .constantFlag
    let s: Dim = isConstant ? 6 : "s"
    let (q, k, v) = (n.input([2, 2, s, 4]), n.input([2, 2, s, 4]), n.input([2, 2, s, 4]))
    let graph = n.returning(try n.add(Attention(scale: 0.5), q, k, v, mask(&n, spelling, s)))
    var after = graph
    for pass in [GraphPass.foldConstants, .simplify, .commonSubexpressions, .recognise, .deadCode] {
      after = try pass.run(after)
    }
    try expectAgreement(graph, after, sizes: isConstant ? [:] : ["s": 6])
    let attention = try #require(after.nodes.first { $0.op is Attention })
    #expect((attention.op as? Attention)?.causal == true && (attention.op as? Attention)?.causalOffset == 0)
    #expect(attention.operands.count == (spelling == .withPadding ? 4 : 3))
  }

  @Test func nearMisses() throws {
    func isCausal(_ queries: Int, _ keys: Int, _ mask: HostTensor) throws -> Bool {
      var n = Net()
      let (q, k) = (n.input([1, 1, Dim(queries), 4]), n.input([1, 1, Dim(keys), 4]))
      let graph = n.returning(try n.add(Attention(scale: 1), q, k, k, n.graph.addConstant(mask)))
      let after = try GraphPass.recognise.run(graph)
      try expectAgreement(graph, after)
      return after.first(Attention.self)?.causal == true
    }
    func triangle(_ rows: Int, _ columns: Int, _ offset: Int, hidden: Double, seen: Double = 0) -> HostTensor {
      HostTensor(.float32, [rows, columns]) { i in .float(i % columns > i / columns + offset ? hidden : seen) }
    }
    #expect(try isCausal(4, 6, triangle(4, 6, 2, hidden: -.infinity)))
    #expect(try isCausal(4, 4, triangle(4, 4, -1, hidden: -.infinity)))
    // The first query sees nothing, and so a mean of all with a finite mask.
    #expect(try !isCausal(4, 4, triangle(4, 4, -1, hidden: -2e30)))
    // One row for all queries, keys seen that count more, hidden ones that count still, and one seen after all.
    #expect(try !isCausal(4, 4, triangle(1, 4, 1, hidden: -.infinity)))
    #expect(try !isCausal(4, 4, triangle(4, 4, 0, hidden: -.infinity, seen: 1)))
    #expect(try !isCausal(4, 4, triangle(4, 4, 0, hidden: -2)))
    var numbers = triangle(4, 4, 0, hidden: -.infinity).doubles
    numbers[3] = 0
    #expect(try !isCausal(4, 4, HostTensor(.float32, [4, 4], .floats(numbers))))
  }
}

struct InterleavingTests {
  @Test(arguments: [2, 3]) func assignments(_ step: Int) throws {
    var n = Net()
    var whole = n.input([Dim(4 * step), 3])
    for start in (0..<step).reversed() {
      let rows = n.graph.addConstant(HostTensor(.int64, [4, 1]) { .integer(Int64($0 * step + start)) })
      whole = try n.add(ScatterND(), whole, rows, n.input([4, 3]))
    }
    let graph = n.returning(whole)
    let after = try GraphPass.recognise.run(graph)
    try expectAgreement(graph, after)
    #expect(after.count(ScatterND.self) == 0 && after.count(Concat.self) == 1)
    // A row that nothing is assigned to keeps what was there.
    let rows = n.graph.addConstant(HostTensor(.int64, [4, 1]) { .integer(Int64($0 * step)) })
    let part = n.returning(try n.add(ScatterND(), n.input([Dim(4 * step), 3]), rows, n.input([4, 3])))
    #expect(try GraphPass.recognise.run(part).count(ScatterND.self) == 1)
  }

  @Test func quickGELU() throws {
    var n = Net()
    let x = n.input([2, 8])
    let y = try n.binary(.multiply, x, n.unary(.sigmoid, n.binary(.multiply, x, 1.702)))
    let after = try GraphPass.recognise.run(GraphPass.simplify.run(n.returning(y)))
    try expectAgreement(n.returning(y), after)
    #expect(after.nodes.count == 1)
  }
}

import GraphIR
import TensorTypes
import Testing

@testable import Compiler

/// Products of quantised numbers, as quantising exporters spell them.
struct IntegerProductTests {
  /// Recognises, checks the meaning, and returns the graph.
  private func recognised(_ graph: Graph, sizes: [String: Int] = [:]) throws -> Graph {
    var after = graph
    let passes: [GraphPass] = [
      .foldConstants, .simplify, .recogniseIntegerProducts, .settleStoredWeights, .commonSubexpressions, .recognise,
      .deadCode,
    ]
    for pass in passes { after = try pass.run(after) }
    try expectAgreement(graph, after, sizes: sizes)
    return after
  }

  @Test(arguments: [true, false], [0, 131] as [Double]) func matmul(transposed: Bool, zero: Double) throws {
    var n = Net()
    let a = try n.dequantised(n.quantised(n.input(["m", 40]), zero: 128), .number(128), .number(0.01))
    let w = n.bytes(transposed ? [24, 40] : [40, 24], zero == 0 ? .int8 : .uint8)
    let scale: Net.Parameter = .tensor(n.constant(transposed ? [24, 1] : [1, 24], 0.001...0.01))
    let b = try n.dequantised(w, .number(zero), scale)
    let after = try recognised(n.returning(n.add(MatMul(transposeRight: transposed), a, b)), sizes: ["m": 5])
    let product = try #require(after.first(MatMul.self))
    #expect(product.widens)
    // The activations' zero point is subtracted from the sum: u8 goes into the product as it is.
    let operands = try #require(after.nodes.first { $0.op is MatMul }?.operands)
    #expect(after.type(operands[0]!).element == .uint8)
    #expect(after.type(operands[1]!).element == (zero == 0 ? .int8 : .int16) && after.constant(operands[1]!) != nil)
  }

  /// Numbers that were quantised as unsigned around 128 are i8 when they are centred.
  @Test func narrowWeights() throws {
    var n = Net()
    let a = try n.dequantised(n.quantised(n.input([3, 40]), zero: 0), .number(0), .number(0.01))
    let b = try n.dequantised(n.bytes([40, 24], .uint8), .number(128), .number(0.01))
    let after = try recognised(n.returning(n.add(MatMul(), a, b)))
    let operands = try #require(after.nodes.first { $0.op is MatMul }?.operands)
    #expect(after.type(operands[1]!).element == .int8)
  }

  @Test func twoActivationsMovedOnTheWay() throws {
    var n = Net()
    let (x, y) = (n.input([6, 4, 10]), n.input([6, 10, 4]))
    let a = try n.dequantised(n.quantised(x, zero: 100), .number(100), .number(0.01))
    let b = try n.dequantised(n.quantised(y, zero: 120), .number(120), .number(0.02))
    let turned = try n.add(Transpose([0, 2, 1]), n.add(Reshape([6, 5, 8]), b))
    let product = try n.add(MatMul(), n.add(Reshape([6, 5, 8]), a), turned)
    #expect(try recognised(n.returning(product)).first(MatMul.self)?.widens == true)
  }

  @Test(arguments: [(1, 0), (3, 1), (3, 0)]) func convolution(kernel: Int, pad: Int) throws {
    var n = Net()
    let x = try n.dequantised(n.quantised(n.input([1, 6, 9, 9]), zero: 128), .number(128), .number(0.01))
    let w = try n.dequantised(
      n.bytes([8, 6, kernel, kernel], .int8), .number(0), .tensor(n.constant([8, 1, 1, 1], 0.001...0.01)))
    let op = Convolve(strides: [1, 1], dilations: [1, 1], padsBefore: [pad, pad], padsAfter: [pad, pad])
    let y = try n.binary(.add, n.add(op, x, w), n.constant([8, 1, 1]))
    let after = try recognised(n.returning(n.relu(y)))
    #expect(after.first(Convolve.self)?.widens == true)
    // Around numbers as they are lies the zero point.
    let operands = try #require(after.nodes.first { $0.op is Convolve }?.operands)
    #expect(after.type(operands[0]!).element == .uint8)
    #expect(after.first(Convolve.self)?.border == (pad == 0 ? 0 : 128))
  }

  /// Short dot products want the left operand unsigned.
  @Test(arguments: [0, -7] as [Double]) func signedActivations(zero: Double) throws {
    var n = Net()
    let x = try n.dequantised(n.input([1, 6, 9, 9], .int8), .number(zero), .number(0.01))
    let w = try n.dequantised(n.bytes([8, 6, 3, 3], .int8), .number(0), .number(0.01))
    let op = Convolve(strides: [1, 1], dilations: [1, 1], padsBefore: [1, 1], padsAfter: [1, 1])
    let convolved = try recognised(n.returning(n.add(op, x, w)))
    #expect(convolved.first(Convolve.self)?.border == 128 + Int(zero))
    let a = try n.dequantised(n.input([5, 40], .int8), .number(zero), .number(0.01))
    let b = try n.dequantised(n.bytes([40, 24], .int8), .number(0), .number(0.01))
    let product = try recognised(n.returning(n.add(MatMul(), a, b)))
    let operands = try #require(product.nodes.first { $0.op is MatMul }?.operands)
    #expect(product.type(operands[0]!).element == .uint8)
  }

  @Test func nearMisses() throws {
    func widens(_ build: (inout Net) throws -> ValueID) throws -> Bool {
      var n = Net()
      let y = try build(&n)
      let after = try recognised(n.returning(y))
      #expect(after.count(MatMul.self) + after.count(Convolve.self) == 1)
      return after.first(MatMul.self)?.widens ?? after.first(Convolve.self)?.widens ?? false
    }
    func quantised(_ n: inout Net, _ shape: Shape) throws -> ValueID {
      try n.dequantised(n.quantised(n.input(shape), zero: 128), .number(128), .number(0.01))
    }
    // A scale a row of b, which does not come out of the sum.
    #expect(
      try !widens { n in
        let b = try n.dequantised(n.bytes([40, 24], .int8), .number(0), .tensor(n.constant([40, 1], 0.001...0.01)))
        return try n.add(MatMul(), quantised(&n, [3, 40]), b)
      })
    // Weights alone: they stay as they are stored.
    #expect(
      try !widens { n in
        try n.add(MatMul(), n.input([3, 40]), n.dequantised(n.bytes([40, 24], .int8), .number(0), .number(0.01)))
      })
    // So deep that i32 could overflow.
    #expect(
      try !widens { n in
        let b = try n.dequantised(n.bytes([33_026, 1], .int8), .number(0), .number(0.01))
        return try n.add(MatMul(), quantised(&n, [1, 33_026]), b)
      })
    // A channel a group.
    #expect(
      try !widens { n in
        let w = try n.dequantised(n.bytes([6, 1, 3, 3], .int8), .number(0), .number(0.01))
        let op = Convolve(strides: [1, 1], dilations: [1, 1], padsBefore: [0, 0], padsAfter: [0, 0], groups: 6)
        return try n.add(op, quantised(&n, [1, 6, 5, 5]), w)
      })
  }
}

extension Net {
  enum Parameter {
    case number(Double)
    case tensor(ValueID)
  }

  /// Every number of the type.
  fileprivate mutating func bytes(_ shape: [Int], _ element: ElementType) -> ValueID {
    let range: ClosedRange<Int64> = element == .int8 ? -128...127 : 0...255
    return graph.addConstant(HostTensor(element, shape) { _ in .integer(.random(in: range, using: &random)) })
  }

  /// `u8(round(x · 127) + zero)`, zero of the type u8.
  fileprivate mutating func quantised(_ x: ValueID, zero: Double) throws -> ValueID {
    let f = Expression(inputs: [.float32]) { e in
      let quotient = e.unary(.round, e.binary(.multiply, e.input(0), e.constant(127, .float32)))
      return e.cast(e.binary(.add, quotient, e.constant(zero, .float32)), .uint8)
    }
    return try add(Elementwise(f), x)
  }

  /// `(x − zero) · scale` in the importer's words: an op of its own for weights, arithmetic for activations.
  fileprivate mutating func dequantised(_ x: ValueID, _ zero: Parameter, _ scale: Parameter) throws -> ValueID {
    if graph.constant(x) != nil { return try dequantisedWeights(x, zero, scale) }
    let f = Expression(inputs: [graph.type(x).element, .float32, .int32]) { e in
      let difference = e.binary(.subtract, e.cast(e.input(0), .int32), e.input(2))
      return e.binary(.multiply, e.cast(difference, .float32), e.input(1))
    }
    func value(_ parameter: Parameter, _ element: ElementType) -> ValueID {
      switch parameter {
      case .tensor(let value): value
      case .number(let number):
        graph.addConstant(
          HostTensor(element, []) { _ in element.isFloat ? .float(number) : .integer(Int64(number)) })
      }
    }
    return try add(Elementwise(f), x, value(scale, .float32), value(zero, .int32))
  }

  private mutating func dequantisedWeights(_ x: ValueID, _ zero: Parameter, _ scale: Parameter) throws -> ValueID {
    let type = graph.type(x)
    func value(_ parameter: Parameter, _ element: ElementType, _ shape: [Int]) -> ValueID {
      switch parameter {
      case .tensor(let value): value
      case .number(let number):
        graph.addConstant(
          HostTensor(element, shape) { _ in element.isFloat ? .float(number) : .integer(Int64(number)) })
      }
    }
    let factor = value(scale, .float32, type.shape.map { _ in 1 })
    let shape = graph.type(factor).shape.map { $0.constant! }
    return try add(Dequantize(axis: shape.firstIndex { $0 != 1 } ?? 0), x, factor, value(zero, type.element, shape))
  }
}

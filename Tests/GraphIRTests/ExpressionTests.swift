import TensorTypes
import Testing

@Suite struct ExpressionTests {
  private func evaluate(_ function: BinaryFunction, _ type: ElementType, _ x: Scalar, _ y: Scalar) -> Scalar {
    Expression.binary(function, type).evaluate { $0 == 0 ? x : y }
  }

  private func cast(_ x: Scalar, _ from: ElementType, _ to: ElementType) -> Scalar {
    Expression(inputs: [from]) { e in e.cast(e.input(0), to) }.evaluate { _ in x }
  }

  @Test func integersWrapAround() {
    #expect(evaluate(.add, .int8, .integer(127), .integer(1)) == .integer(-128))
    #expect(evaluate(.multiply, .uint8, .integer(16), .integer(17)) == .integer(16))
    #expect(evaluate(.subtract, .uint64, .integer(0), .integer(1)) == .integer(-1))
    #expect(evaluate(.divide, .int32, .integer(Int64(Int32.min)), .integer(-1)) == .integer(Int64(Int32.min)))
    #expect(evaluate(.divide, .int64, .integer(.min), .integer(-1)) == .integer(.min))
    #expect(evaluate(.divide, .int32, .integer(7), .integer(0)) == .integer(0))
    #expect(evaluate(.divide, .int32, .integer(-7), .integer(2)) == .integer(-3))
    #expect(evaluate(.modulo, .int32, .integer(-7), .integer(3)) == .integer(2))
    #expect(evaluate(.remainder, .int32, .integer(-7), .integer(3)) == .integer(-1))
    #expect(evaluate(.less, .uint64, .integer(1), .integer(-1)) == .integer(1))
    #expect(evaluate(.shiftLeft, .uint8, .integer(255), .integer(1)) == .integer(254))
    #expect(evaluate(.shiftRight, .int8, .integer(-128), .integer(7)) == .integer(-1))
    #expect(evaluate(.shiftLeft, .int32, .integer(1), .integer(32)) == .integer(0))
    #expect(evaluate(.power, .int32, .integer(3), .integer(4)) == .integer(81))
  }

  @Test func floatsRoundInTheirType() {
    #expect(evaluate(.add, .float32, .float(1), .float(0x1p-24)) == .float(1))
    #expect(evaluate(.add, .float64, .float(1), .float(0x1p-24)) == .float(1 + 0x1p-24))
    #expect(evaluate(.multiply, .float16, .float(300), .float(300)) == .float(.infinity))
    // 1 + 2⁻⁸ lies halfway between two numbers of bf16: to even.
    #expect(evaluate(.add, .bfloat16, .float(1), .float(0x1p-8)) == .float(1))
    #expect(evaluate(.add, .bfloat16, .float(1 + 0x1p-7), .float(0x1p-8)) == .float(1 + 0x1p-6))
    #expect(evaluate(.modulo, .float32, .float(-7), .float(3)) == .float(2))
    if case .float(let x) = evaluate(.maximum, .float32, .float(.nan), .float(1)) { #expect(x.isNaN) }
  }

  @Test func castsSaturate() {
    #expect(cast(.float(300), .float32, .uint8) == .integer(255))
    #expect(cast(.float(-1.5), .float32, .uint8) == .integer(0))
    #expect(cast(.float(-1.5), .float32, .int8) == .integer(-1))
    #expect(cast(.float(.nan), .float32, .int32) == .integer(0))
    #expect(cast(.float(1e30), .float32, .int64) == .integer(.max))
    #expect(cast(.float(1e30), .float32, .uint64) == .integer(-1))
    #expect(cast(.integer(-1), .uint64, .float64) == .float(0x1p64))
    #expect(cast(.integer(-1), .uint64, .int64) == .integer(.max))
    #expect(cast(.integer(300), .int32, .int8) == .integer(127))
    #expect(cast(.integer(2), .int32, .bool) == .integer(1))
    #expect(cast(.float(0.1), .float32, .float16) == .float(Double(Float16(0.1))))
  }

  @Test func halfPrecisionBitsGoBothWays() {
    for bits in UInt16.min...UInt16.max {
      for element in [ElementType.float16, .bfloat16] {
        let tensor = HostTensor(element, [1], [bits])
        let back = HostTensor(element, [1], tensor.column())
        let isNaN = tensor.doubles[0].isNaN
        #expect(isNaN ? back.doubles[0].isNaN : back.array(of: UInt16.self) == [bits])
      }
    }
  }

  @Test func textRoundTrips() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededGenerator(seed: seed)
    for _ in 0..<300 {
      let types: [ElementType] = [.float32, .int64, .bool]
      let inputs = (0..<Int.random(in: 0...3, using: &random)).map { _ in types.randomElement(using: &random)! }
      var e = Expression(inputs: inputs)
      var all = [e.constant(Double.random(in: -2...2, using: &random), .float32), e.constant(-3, .int64)]
      for i in inputs.indices.shuffled(using: &random) { all.append(e.input(i)) }
      for _ in 0..<8 {
        let (x, y) = (all.randomElement(using: &random)!, all.randomElement(using: &random)!)
        let unary = UnaryFunction.allCases.randomElement(using: &random)!
        let binary = BinaryFunction.allCases.randomElement(using: &random)!
        if unary.accepts(e.types[x]) { all.append(e.unary(unary, x)) }
        if e.types[x] == e.types[y], binary.accepts(e.types[x]) { all.append(e.binary(binary, x, y)) }
        all.append(e.cast(x, types.randomElement(using: &random)!))
      }
      e.result = all.last!
      #expect(try Expression(parsing: e.description) == e, "seed \(seed): \(e)")
    }
    for wrong in [
      "", "()", "() { }", "(x0: f32) { t1 = nonsense x0; t1 }", "(x0: f32) { t1 = add x0 x1; t1 }", "(x0: f33) { x0 }",
    ] {
      #expect(throws: Failure.self) { try Expression(parsing: wrong) }
    }
  }
}

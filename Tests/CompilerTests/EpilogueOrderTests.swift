import GraphIR
import TensorTypes
import Testing

@testable import Compiler

/// What a kernel's epilogue reads comes before the kernel.
struct EpilogueOrderTests {
  /// `x·w − row`, where the row is made after the product from a number known only at run time.
  @Test func operandOfTheEpilogue() throws {
    var n = Net()
    let (x, zero, flag) = (n.input([5, 8]), n.input([]), n.input([]))
    let product = try n.add(MatMul(), x, n.weights([8, 6]))
    // A view between two elementwise nodes comes along; what the product's row does not need stays behind.
    let scaled = try n.binary(.multiply, n.constant([6, 1]), zero)
    let other = try n.binary(.add, n.constant([3]), flag)
    let row = try n.unary(.negate, n.add(Reshape([6]), scaled))
    let graph = try n.returning(n.binary(.subtract, product, row), other)
    let after = try settleEpilogues(graph)
    #expect(after.mnemonics == ["elementwise", "reshape", "elementwise", "matmul", "elementwise", "elementwise"])
    try expectAgreement(graph, after)
  }

  /// Nothing moves that depends on the product, is a kernel, or whose sizes are known only later; nor for a product that is read twice.
  @Test func whatStays() throws {
    var n = Net()
    let x = n.input([4, 4])
    let (first, w) = (try n.add(MatMul(), x, n.weights([4, 4])), n.weights([4, 4]))
    let second = try n.add(MatMul(), x, w)
    let sum = try n.binary(.add, first, second)
    let third = try n.add(MatMul(), sum, w)
    let late = try n.binary(.multiply, n.constant([4]), n.input([]))
    let twice = try n.binary(.multiply, third, late)
    let graph = try n.returning(twice, n.binary(.multiply, third, n.unary(.exp, third)))
    #expect(try settleEpilogues(graph).mnemonics == graph.mnemonics)
  }
}

import GraphIR
import TensorTypes
import Testing

@testable import Compiler

struct ExpressionRuleTests {
  private static func on(_ type: ElementType = .float32, _ build: (inout Expression, Int) -> Int) -> Expression {
    Expression(inputs: [type]) { e in build(&e, e.input(0)) }
  }
  private static func binary(
    _ f: BinaryFunction, _ c: Double, _ type: ElementType = .float32, left: Bool = false
  ) -> Expression {
    on(type) { e, x in
      let number = e.constant(c, type)
      return left ? e.binary(f, number, x) : e.binary(f, x, number)
    }
  }
  private static let identity = on { _, x in x }

  /// Left and right side of each equation.
  private static let equations: [(Expression, Expression)] = [
    (binary(.add, 0), identity), (binary(.add, 0, left: true), identity), (binary(.subtract, 0), identity),
    (binary(.multiply, 1), identity), (binary(.divide, 1), identity), (binary(.power, 1), identity),
    (binary(.power, 2), on { e, x in e.binary(.multiply, x, x) }),
    (binary(.power, -1), .unary(.reciprocal, .float32)),
    (binary(.divide, 4), binary(.multiply, 0.25)),
    (binary(.divide, 1, left: true), .unary(.reciprocal, .float32)),
    (binary(.multiply, -1), .unary(.negate, .float32)),
    (binary(.multiply, 3, left: true), binary(.multiply, 3)),
    (
      on { e, x in
        let y = e.unary(.negate, x)
        return e.unary(.negate, y)
      }, identity
    ),
    (on { e, x in e.binary(.maximum, x, x) }, identity),
    (
      on { e, x in
        let y = e.cast(x, .float64)
        return e.cast(y, .float32)
      }, identity
    ),
    (
      on { e, x in
        let (c, d) = (e.constant(3, .float32), e.constant(5, .float32))
        let y = e.binary(.multiply, c, x)
        return e.binary(.multiply, y, d)
      }, binary(.multiply, 15)
    ),
    (
      on { e, x in
        let one = e.constant(1, .float32)
        let minus = e.unary(.negate, x)
        let power = e.unary(.exp, minus)
        let sum = e.binary(.add, one, power)
        return e.binary(.divide, one, sum)
      }, .unary(.sigmoid, .float32)
    ),
    (
      on { e, x in
        let zero = e.constant(0, .float32)
        let tail = e.unary(.log1p, e.unary(.exp, e.unary(.negate, e.unary(.abs, x))))
        return e.unary(.tanh, e.binary(.add, e.binary(.maximum, x, zero), tail))
      },
      on { e, x in
        let (most, two) = (e.constant(20, .float32), e.constant(2, .float32))
        let u = e.unary(.exp, e.binary(.minimum, x, most))
        let n = e.binary(.multiply, u, e.binary(.add, u, two))
        return e.binary(.divide, n, e.binary(.add, n, two))
      }
    ),
    (
      on { e, x in
        let (two, three) = (e.constant(2, .float32), e.constant(3, .float32))
        let six = e.binary(.multiply, two, three)
        return e.binary(.add, x, six)
      }, binary(.add, 6)
    ),
  ]

  @Test(arguments: equations.indices) func holds(_ i: Int) {
    let (left, right) = Self.equations[i]
    #expect(left.simplified() == right.simplified())
    #expect(left.simplified().operationCount <= left.operationCount)
    for x in [-3.5, -1, -0.25, 0.5, 1, 2, 7, .infinity, -.infinity, .nan] {
      let (a, b) = (left.evaluate { _ in .float(x) }.double, left.simplified().evaluate { _ in .float(x) }.double)
      // One rounding may differ: that of a reciprocal or of two constants' product.
      #expect(a == b || (a.isNaN && b.isNaN) || abs(a - b) <= 0x1p-22 * abs(a), "\(left) at \(x)")
    }
  }

  /// What looks like an equation and is none.
  private static let nearMisses: [Expression] = [
    binary(.add, 1), binary(.subtract, 0, left: true), binary(.multiply, 0), binary(.divide, 3),
    binary(.power, 2.5), binary(.power, 2, left: true), binary(.multiply, 2), binary(.minimum, 0),
    on { e, x in
      let y = e.cast(x, .float16)
      return e.cast(y, .float32)
    },
    on { e, x in e.binary(.subtract, x, x) },
    on { e, x in
      let y = e.unary(.negate, x)
      return e.unary(.abs, y)
    },
  ]

  @Test(arguments: nearMisses.indices) func leavesAlone(_ i: Int) {
    #expect(Self.nearMisses[i].simplified() == Self.nearMisses[i].pruned())
  }
}

import TensorTypes
import Testing

/// Sizes that leave `Int`, or would be too large an expression, saturate: they never trap and never wrap.
struct DimSaturationTests {
  @Test func numbers() {
    #expect(Dim(.max) + 1 == .saturated)
    #expect(Dim(.max) * 2 == .saturated)
    #expect(Dim(1 << 40) * Dim(1 << 40) == .saturated)
    #expect(Dim(-1) * Dim(.max) * 4 == Dim(.min))
    #expect([Dim](repeating: Dim(1 << 20), count: 4).product == .saturated)
    #expect(Dim(.min).floorDivided(by: -1) == .saturated)
  }

  @Test func evaluation() {
    let n = Dim.symbol("n")
    let cube = n * n * n
    #expect(cube.evaluate(["n": 1 << 21]) == .max)
    #expect((cube * -1).evaluate(["n": 1 << 21]) == .min)
    #expect((n + Dim(.max - 1)).evaluate(["n": 5]) == .max)
    #expect(cube.evaluate([:]) == nil)
  }

  /// Each step doubles the expression: after a few dozen it would not fit in memory.
  @Test func expressions() {
    var dim = Dim.symbol("a")
    for i in 0..<60 {
      let other = Dim.symbol("s\(i)")
      dim = Dim.maximum(dim * other + 1, dim + other).floorDivided(by: other + 2) + dim
    }
    #expect(dim.description.utf8.count < 100_000)
    var product = Dim(1)
    for i in 0..<40 { product = product * (Dim.symbol("x\(i)") + 1) }
    #expect(product.description.utf8.count < 100_000)
    #expect(product.evaluate(Dictionary(uniqueKeysWithValues: product.symbols.map { ($0, 1) })) == .max)
  }

  @Test func saturatedIsAtLeastEverything() {
    #expect(Dim.saturated.isAtLeast(Dim(1 << 62)))
    #expect(Dim.maximum(.saturated, Dim(5)) == .saturated)
    #expect(Dim.minimum(.saturated, Dim(5)) == 5)
  }
}

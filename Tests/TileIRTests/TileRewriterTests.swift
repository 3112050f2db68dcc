import TensorTypes
import Testing

@testable import TileIR

struct TileRewriterTests {
  /// Loops that carry, conditionals, local memory, every way to index, shape operations.
  private func program(_ activation: (Tile) -> Tile = { $0.unary(.exp) }) -> TileProgram {
    let builder = TileBuilder("everything")
    let x = builder.parameter("x", .input, BufferType(.float32, [64, 16]))
    let y = builder.parameter("y", .output, BufferType(.float32, [64, 16]))
    builder.loop(.parallel(grain: 1), to: builder.index(64)) { row in
      let kept = builder.allocate(BufferType(.float32, [8], space: .local))
      let sums = builder.loop(to: builder.index(16), step: 8, carrying: [builder.constant(0, .float32, [1, 8])]) {
        column, sums in
        let tile = x.load([.at(row), .span(column, 1)], shape: [1, 8], limits: [nil, builder.index(16)])
        return [sums[0] + activation(tile)]
      }
      let sum = sums[0].reduce(.sum, dimension: 1).broadcast(to: [1, 8]).reshape([8])
      kept.store(sum, [.span(builder.index(0), 0)])
      builder.when(row.less(builder.index(32))) {
        y.store(
          activation(kept.load([.span(builder.index(0), 0)], shape: [8])), [.at(row), .span(builder.index(0), 0)])
      } otherwise: {
        y.store(sum.less(sum).select(sum, sum.fma(sum, sum)), [.at(row), .span(builder.index(8), 0)])
      }
    }
    return builder.finish()
  }

  @Test func leavingEverythingGivesTheSameProgram() {
    #expect(TileRewriter.rewrite(program()) { _, _ in nil } == program())
  }

  @Test func replacesWithinLoopsAndConditionals() {
    let rewritten = TileRewriter.rewrite(program()) { kind, operands in
      guard case .unary(.exp, _) = kind else { return nil }
      return operands[0].unary(.abs).unary(.sqrt)
    }
    #expect(rewritten == program { $0.unary(.abs).unary(.sqrt) })
  }
}

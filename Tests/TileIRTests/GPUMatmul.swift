import TensorTypes
import TileIR

/// `c[m, n] = Σₖ a[m, k] · b[k, n]` as a GPU computes it: blocks of the grid own tiles of `c`, which groups and lanes
/// split; tiles of `a` and `b` pass through shared memory, `stages` of them at once.
///
/// With one stage a tile is loaded, waited for, used, and waited for again. With two, the next tile is loaded into
/// one half of the shared memory while the present one in the other half is used: one barrier a step.
struct GPUMatmul {
  var stages: Int
  /// Of a block of the grid.
  let blockM = 16
  let blockN = 16
  let blockK = 8
  let groups = 2
  let lanes = 4
  /// Of a lane: two by two of them make a group's 8×16.
  let laneM = 4
  let laneN = 8

  func program() -> TileProgram {
    let builder = TileBuilder("matmul_f32_\(blockM)x\(blockN)x\(blockK)_stages\(stages)")
    let (m, n, k) = (Dim.symbol("m"), Dim.symbol("n"), Dim.symbol("k"))
    let a = builder.parameter("a", .input, BufferType(.float32, [m, k]))
    let b = builder.parameter("b", .input, BufferType(.float32, [k, n]))
    let c = builder.parameter("c", .output, BufferType(.float32, [m, n]))
    let (sizeM, sizeN, sizeK) = (builder.size(m), builder.size(n), builder.size(k))
    let zero = builder.index(0)
    let steps = sizeK.ceilDivided(by: blockK)

    builder.loop(.grid(axis: 1), to: sizeM, step: blockM) { row in
      builder.loop(.grid(axis: 0), to: sizeN, step: blockN) { column in
        let sharedA = builder.allocate(shared([stages, blockM, blockK]))
        let sharedB = builder.allocate(shared([stages, blockK, blockN]))
        builder.loop(.group, to: builder.index(groups)) { group in
          builder.loop(.lane, to: builder.index(lanes)) { lane in
            let thread = group * lanes + lane

            /// This thread's share of the step's tiles: two rows of `a`, one of `b`.
            func copy(step: Tile) {
              let stage = step % stages
              let start = step * blockK
              let (rowA, rowB) = (thread * 2, thread)
              let partA = a.load(
                [.span((row + rowA).minimum(sizeM - 1), 0), .span(start, 1)], shape: [2, blockK],
                limits: [sizeM - (row + rowA), sizeK - start])
              sharedA.store(partA, [.at(stage), .span(rowA, 0), .span(zero, 1)])
              let partB = b.load(
                [.span((start + rowB).minimum(sizeK - 1), 0), .span(column, 1)], shape: [1, blockN],
                limits: [sizeK - (start + rowB), sizeN - column])
              sharedB.store(partB, [.at(stage), .span(rowB, 0), .span(zero, 1)])
            }

            let rowInBlock = group * (blockM / groups) + lane / 2 * laneM
            let columnInBlock = lane % 2 * laneN
            let mapping = stages == 1 ? Mapping.sequential : .pipelined(stages: stages)
            if stages > 1 { copy(step: zero) }
            let sum = builder.loop(mapping, to: steps, carrying: [builder.constant(0, .float32, [laneM, laneN])]) {
              step, sums in
              if stages == 1 {
                copy(step: step)
                builder.barrier()
              } else {
                builder.barrier()
                builder.when((step + 1).less(steps)) { copy(step: step + 1) }
              }
              let stage = step % stages
              let x = sharedA.load([.at(stage), .span(rowInBlock, 0), .span(zero, 1)], shape: [laneM, blockK])
              let y = sharedB.load([.at(stage), .span(zero, 0), .span(columnInBlock, 1)], shape: [blockK, laneN])
              let sum = sums[0].addingDot(x, y)
              if stages == 1 { builder.barrier() }
              return [sum]
            }[0]
            let (firstRow, firstColumn) = (row + rowInBlock, column + columnInBlock)
            c.store(
              sum, [.span(firstRow, 0), .span(firstColumn, 1)], limits: [sizeM - firstRow, sizeN - firstColumn])
          }
        }
      }
    }
    return builder.finish()
  }

  private func shared(_ sizes: [Int]) -> BufferType { BufferType(.float32, sizes.map { Dim($0) }, space: .shared) }

  /// The same sum in the same order, every step rounded once: equal to the last bit.
  static func reference(_ a: HostTensor, _ b: HostTensor) -> [Float] {
    let (m, k, n) = (a.shape[0], a.shape[1], b.shape[1])
    let (x, y) = (a.array(of: Float.self), b.array(of: Float.self))
    return (0..<m * n).map { i in
      (0..<k).reduce(Float(0)) { $0.addingProduct(x[i / n * k + $1], y[$1 * n + i % n]) }
    }
  }
}

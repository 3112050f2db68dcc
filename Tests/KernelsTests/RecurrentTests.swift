import KernelTesting
import Kernels
import TensorTypes
import Testing

extension RecurrentCase {
  fileprivate func run(knobs: [Knobs] = []) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    try check(kernelCase(&generator), seed: seed, knobs: knobs)
  }
}

@Suite struct RecurrentTests {
  @Test(arguments: RecurrentCase.kinds) func sizes(kind: RecurrentWorkload.Kind) throws {
    for hidden in [1, 8, 33] { try RecurrentCase(kind: kind, hidden: hidden).run() }
    for batch in [3] { try RecurrentCase(kind: kind, batch: batch, hidden: 19).run() }
    try RecurrentCase(kind: kind, steps: 0, batch: 2, hidden: 5).run()
    try RecurrentCase(kind: kind, steps: 3, batch: 5, hidden: 17, isSymbolic: true).run()
  }

  @Test(arguments: RecurrentCase.kinds, [RecurrentWorkload.Direction.reverse, .both]) func directions(
    kind: RecurrentWorkload.Kind, direction: RecurrentWorkload.Direction
  ) throws {
    if direction == .both { try RecurrentCase(kind: kind, direction: direction, batch: 3, hidden: 11).run() }
    try RecurrentCase(kind: kind, direction: direction, batch: 4, hidden: 10, hasLengths: true).run()
    if direction == .both { try RecurrentCase(kind: kind, direction: direction, hidden: 16, isConstant: false).run() }
  }

  @Test(arguments: [false, true]) func peepholes(isCoupled: Bool) throws {
    try RecurrentCase(kind: .lstm(isCoupled: isCoupled), direction: .both, batch: 2, hidden: 9, hasPeepholes: true)
      .run()
  }

  @Test(arguments: RecurrentCase.kinds) func knobs(kind: RecurrentWorkload.Kind) throws {
    for (rows, vectors, parts) in [(1, 2, 2), (2, 4, 1), (4, 1, 2), (5, 1, 8)] {
      let knobs: Knobs = ["rows": rows, "vectors": vectors, "parts": parts]
      try RecurrentCase(kind: kind, batch: 5, hidden: 21).run(knobs: [knobs])
    }
  }
}

import TensorTypes
import Testing
import TileIR

@Suite struct GPUMatmulTests {
  @Test(arguments: [1, 2])
  func agreesWithReferenceAtTileEdges(stages: Int) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let matmul = GPUMatmul(stages: stages)
    let program = matmul.program()
    func edges(_ tile: Int) -> [Int] {
      [1, tile - 1, tile, tile + 1, 2 * tile + 1, Int.random(in: 1...40, using: &generator)]
    }
    for m in edges(matmul.blockM) {
      for n in edges(matmul.blockN) {
        for k in edges(matmul.blockK) {
          let (a, b) = (generator.tensor([m, k]), generator.tensor([k, n]))
          let c = try TileInterpreter(program, symbols: ["m": m, "n": n, "k": k]).run([a, b])
          #expect(c[0].shape == [m, n])
          #expect(c[0].array(of: Float.self) == GPUMatmul.reference(a, b), "m \(m) n \(n) k \(k), seed \(seed)")
        }
      }
    }
  }

  @Test(arguments: [1, 2])
  func everyBarrierIsNeeded(stages: Int) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let program = GPUMatmul(stages: stages).program()
    #expect(program.body.barrierCount == (stages == 1 ? 2 : 1))
    for index in 0..<program.body.barrierCount {
      var broken = program
      broken.body = program.body.removingBarrier(index)
      let (m, n, k) = (
        Int.random(in: 5...40, using: &generator), Int.random(in: 9...40, using: &generator),
        Int.random(in: 9...40, using: &generator)
      )
      let (a, b) = (generator.tensor([m, k]), generator.tensor([k, n]))
      let interpreter = try TileInterpreter(broken, symbols: ["m": m, "n": n, "k": k])
      let fault = #expect(throws: TileFault.self, "barrier \(index), seed \(seed)") { _ = try interpreter.run([a, b]) }
      #expect(fault?.kind == .race, "\(fault.map(\.description) ?? "none"), barrier \(index), seed \(seed)")
    }
  }

  @Test(arguments: [1, 2])
  func roundTrips(stages: Int) throws {
    let program = GPUMatmul(stages: stages).program()
    #expect(try TileProgram(parsing: program.description) == program)
  }
}

import KernelTesting
import Kernels
import TensorTypes
import Testing
import TileIR

@testable import LLVMBackend

/// Division by a constant is rounded as a division on every target, however it is done.
@Suite struct ConstantDivisionTests {
  private static let count = 1 << 14

  private func program(_ c: Float) -> TileProgram {
    let b = TileBuilder("divide")
    let x = b.parameter("x", .input, BufferType(.float32, [Dim(Self.count)]))
    let y = b.parameter("y", .output, BufferType(.float32, [Dim(Self.count)]))
    b.loop(.parallel(grain: 1 << 20), to: b.index(Self.count), step: 32) { i in
      let divisor = b.constant(.float(Double(c)), .float32, [32])
      y.store(x.load([.span(i, 0)], shape: [32]).binary(.divide, divisor), [.span(i, 0)])
    }
    return b.finish()
  }

  @Test func roundsAsDivision() throws {
    let seed = freshSeed()
    var g = SeededGenerator(seed: seed)
    let odd: [Float] = [3, 255, 0.031, -7e-5, 1.9999999, Float(bitPattern: 0x3FFF_FFFF), 0x1p-60, .infinity, 0, 1e30]
    let divisors = odd + (0..<20).map { _ in Float.random(in: -10...10, using: &g) }
    let special: [Float] = [
      0, -0.0, .infinity, -.infinity, .nan, .greatestFiniteMagnitude, .leastNormalMagnitude, .leastNonzeroMagnitude,
    ]
    for c in divisors {
      let program = program(c)
      let input = Sample(View(.float32, [Dim(Self.count)]))
      var place = 0
      input.fill {
        defer { place += 1 }
        // Any bits; numbers of usual size; quotients that lie near the middle between two integers.
        let number: Float =
          switch place % 4 {
          case 0:
            place / 4 < special.count ? special[place / 4] : Float(bitPattern: UInt32.random(in: 0 ... .max, using: &g))
          case 1: Float.random(in: -100...100, using: &g)
          case 2: (Float(Int.random(in: -200...200, using: &g)) + 0.5) * c
          default: Float(Int.random(in: -1000...1000, using: &g)) * c
          }
        return .float(Double(number))
      }
      for target in Target.runnable {
        let output = Sample(View(.float32, [Dim(Self.count)]))
        try NativeKernel(program, for: target).run([input.memory, output.memory], sizes: [:])
        let wrong = (0..<Self.count).first { i in
          let (x, got) = (Float(input.memory[i].double), Float(output.memory[i].double))
          let want = x / c
          if got.bitPattern == want.bitPattern || (got.isNaN && want.isNaN) { return false }
          let isTiny = want.magnitude < 2 * .leastNormalMagnitude || x.magnitude < 0x1p-60
          return !(isTiny && abs(got - want) <= max(want.ulp, got.ulp))
        }
        #expect(
          wrong == nil, "\(wrong.map { input.memory[$0].double } ?? 0) / \(c) on \(target.name), seed \(seed)")
      }
    }
  }
}

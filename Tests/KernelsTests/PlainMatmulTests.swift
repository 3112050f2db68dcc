import KernelTesting
import Kernels
import TensorTypes
import Testing

@Suite struct PlainMatmulTests {
  private static let types = ElementType.allCases.filter { $0 != .bool && $0 != .float32 }

  @Test(arguments: types) func tileEdges(type: ElementType) throws {
    for (m, n, k) in [(1, 1, 1), (4, 8, 0), (5, 17, 9), (8, 16, 33)] {
      for isSymbolic in [k == 9] {
        let sizes = isSymbolic ? ["m": m, "n": n, "k": k] : [:]
        func dim(_ name: String, _ value: Int) -> Dim { isSymbolic ? .symbol(name) : Dim(value) }
        let (rows, columns, depth) = (dim("m", m), dim("n", n), dim("k", k))
        let right: View =
          k % 2 == 1 ? .transposed(type, [2, columns, depth], [0, 2, 1]) : View(type, [2, depth, columns])
        let output = View(type, [2, rows, columns])
        let epilogue = Epilogue(
          expression: .binary(.add, type), operands: [View(type, output.shape, strides: [0, 0, 1])], output: output)
        let w = MatmulWorkload(
          a: View(type, [2, rows, depth]), b: right, bIsConstant: false, epilogue: epilogue)
        let seed = freshSeed()
        var generator = SeededGenerator(seed: seed)
        let inputs = samples(w.operands, sizes: sizes, &generator)
        try check(.matmul(w), sizes: sizes, inputs: inputs, seed: seed) { i in
          let bias = inputs[2][i]
          var (sum, magnitude) = (0.0, 0.0)
          for step in 0..<k {
            let product = inputs[0][[i[0], i[1], step]].double * inputs[1][[i[0], step, i[2]]].double
            (sum, magnitude) = (sum + product, magnitude + abs(product))
          }
          // Integers wrap around: sums of numbers up to 100 are exact in f64, and cut to the type.
          if !type.isFloat { return Expected(value: .integer(wrapped(Int64(sum + bias.double), type))) }
          // The sum in f32 (f64), rounded to the type, and then once more with the bias.
          let unit = type == .float64 ? 0x1p-53 : 0x1p-24
          return Expected(
            value: .float(sum + bias.double),
            tolerance: Double(k + 2) * unit * magnitude + type.epsilon * (abs(sum) + abs(sum + bias.double)))
        }
      }
    }
  }

  private func wrapped(_ value: Int64, _ type: ElementType) -> Int64 {
    switch type {
    case .int8: Int64(Int8(truncatingIfNeeded: value))
    case .int16: Int64(Int16(truncatingIfNeeded: value))
    case .int32: Int64(Int32(truncatingIfNeeded: value))
    case .uint8: Int64(UInt8(truncatingIfNeeded: value))
    case .uint16: Int64(UInt16(truncatingIfNeeded: value))
    case .uint32: Int64(UInt32(truncatingIfNeeded: value))
    case .int64, .uint64, .float64, .float32, .float16, .bfloat16, .bool: value
    }
  }
}

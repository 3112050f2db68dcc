import TensorTypes
import Testing
import TileIR

@Suite struct InterpreterArithmeticTests {
  /// Applies lines that make %20 from %10, the input, of `count` elements each.
  private func apply<T: BitwiseCopyable, U: BitwiseCopyable>(
    _ x: [T], _ from: String, _ to: String, count: Int, _ lines: String, as: U.Type = U.self
  ) throws -> [U] {
    let program = try TileProgram(
      parsing: """
        program "apply" {
          %0 = input "x": buffer \(from)[\(x.count)] global
          %1 = output "y": buffer \(to)[\(count)] global
          %2 = constant 0: i64
          %3 = constant 1: i64
          for parallel(1) %4 = %2 to %3 step 1 {
            %10 = load %0[%2 + d0] fill 0: \(from)[\(x.count)]
            \(lines)
            store %20, %1[%2 + d0]
          }
        }
        """)
    let element = try #require(ElementType(rawValue: from))
    return try TileInterpreter(program).run([HostTensor(element, [x.count], x)])[0].array(of: U.self)
  }

  /// ((x₀+x₄) + (x₂+x₆)) + ((x₁+x₅) + x₃) for seven elements: the order that `reduce` states.
  @Test func sumIsPairwise() throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<100 {
      let x = generator.tensor([7]).array(of: Float.self)
      let y: [Float] = try apply(x, "f32", "f32", count: 1, "%20 = reduce sum %10 along 0: f32[1]")
      #expect(y[0] == ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + x[3]), "seed \(seed)")
    }
  }

  @Test func fmaRoundsOnce() throws {
    let e = Float.ulpOfOne
    // (1 + e)² − (1 + 2e) = e², lost if the product is rounded by itself.
    let y: [Float] = try apply(
      [1 + e, -(1 + 2 * e)], "f32", "f32", count: 1,
      """
      %11 = iota 0: i64[2]
      %12 = load %0[%3] fill 0.0: f32
      %13 = load %0[%2] fill 0.0: f32
      %14 = fma %13, %13, %12: f32
      %20 = reshape %14: f32[1]
      """)
    #expect(y == [e * e])
  }

  @Test func halvesAreRoundedAfterEachFunction() throws {
    // 2049 is no f16: it becomes 2048, and 2048 + 1 again.
    let y: [Float16] = try apply(
      [2048, 1] as [Float16], "f16", "f16", count: 2,
      "%11 = load %0[%3] fill 0.0: f16 %12 = broadcast %11: f16[2] %13 = add %10, %12: f16[2] %20 = add %13, %12: f16[2]"
    )
    #expect(y == [2048, 3])
  }

  @Test func castsSaturate() throws {
    let y: [Int8] = try apply(
      [-1000, -1.9, 1.9, 1000, .nan] as [Float], "f32", "i8", count: 5, "%20 = cast %10: i8[5]")
    #expect(y == [-128, -1, 1, 127, 0])
  }

  @Test func integersWrap() throws {
    let y: [Int32] = try apply([.max, .min, 7, -7] as [Int32], "i32", "i32", count: 4, "%20 = add %10, %10: i32[4]")
    #expect(y == [-2, 0, 14, -14])
  }

  @Test func bitcastKeepsBits() throws {
    let x: [Float] = [1, -0.0, .infinity, 3.5]
    let y: [UInt32] = try apply(x, "f32", "u32", count: 4, "%20 = bitcast %10: u32[4]")
    #expect(y == x.map(\.bitPattern))
    let h: [Int16] = try apply([1, -2] as [Float16], "f16", "i16", count: 2, "%20 = bitcast %10: i16[2]")
    #expect(h == [1, -2].map { Int16(bitPattern: Float16($0).bitPattern) })
  }

  @Test func shapesMove() throws {
    let x = (0..<6).map { Int32($0) }
    let y: [Int32] = try apply(
      x, "i32", "i32", count: 6,
      "%11 = reshape %10: i32[2x3] %12 = transpose %11 [1, 0]: i32[3x2] %20 = reshape %12: i32[6]")
    #expect(y == [0, 3, 1, 4, 2, 5])
    let z: [Int32] = try apply(
      [5, 6] as [Int32], "i32", "i32", count: 6,
      "%11 = reshape %10: i32[2x1] %12 = broadcast %11: i32[2x3] %20 = reshape %12: i32[6]")
    #expect(z == [5, 5, 5, 6, 6, 6])
    let turned: [Int32] = try apply(
      x, "i32", "i32", count: 6,
      "%11 = reshape %10: i32[2x3] %12 = rotate %11 by 2: i32[2x3] %20 = reshape %12: i32[6]")
    #expect(turned == [2, 0, 1, 5, 3, 4])
  }

  @Test func carriedValuesSwap() throws {
    // A Fibonacci step: both carried values change at once.
    let y: [Int64] = try apply(
      [0, 1] as [Int64], "i64", "i64", count: 1,
      """
      %11 = load %0[%2] fill 0: i64
      %12 = load %0[%3] fill 0: i64
      %13 = constant 10: i64
      %14, %15 = for unrolled(2) %16 = %2 to %13 step 1 carrying %17 = %11, %18 = %12 {
        %19 = add %17, %18: i64
        yield %18, %19
      }
      %20 = reshape %14: i64[1]
      """)
    #expect(y == [55])
  }

  @Test func narrowIntegersContract() throws {
    let x: [Int8] = [-128, 127, 5, -6]
    let y: [Int32] = try apply(
      x, "i8", "i32", count: 1,
      "%11 = reshape %10: i8[1x4] %12 = reshape %10: i8[4x1] %13 = constant 7: i32[1x1] %14 = dot %13, %11, %12: i32[1x1] %20 = reshape %14: i32[1]"
    )
    #expect(y == [x.reduce(7) { $0 + Int32($1) * Int32($1) }])
  }

  @Test func stridedBuffersKeepTheirGaps() throws {
    let program = try TileProgram(
      parsing: """
        program "strided" {
          %0 = input "x": buffer f32[2, 3; strides 1, 2] global
          %1 = output "y": buffer f32[2, 3; strides 4, 1] global
          %2 = constant 0: i64
          %3 = constant 2: i64
          for grid(0) %4 = %2 to %3 step 1 {
            %5 = load %0[%4, %2 + d0] fill 0.0: f32[3]
            store %5, %1[%4, %2 + d0]
          }
        }
        """)
    let y = try TileInterpreter(program).run([HostTensor(.float32, [6], [0, 1, 2, 3, 4, 5] as [Float])])[0]
    #expect(y.shape == [7])
    let values = y.array(of: Float.self)
    #expect(Array(values[0..<3]) == [0, 2, 4])
    #expect(Array(values[4..<7]) == [1, 3, 5])
  }
}

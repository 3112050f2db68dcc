import TensorTypes
import Testing
import TileIR

/// One of every operation, index, mapping and memory space.
let everything = """
  program "every \\"thing\\"" {
    %0 = input "x": buffer f32[n, 2*h + 1; strides 2*h + 3, 1] global
    %1 = output "y": buffer f32[n, 2*h + 1] global
    %2 = scratch "s": buffer i64[16] global
    %3 = input "b": buffer bf16[16, 8] global
    %4 = constant 0: i64
    %5 = size n: i64
    %6 = size 2*h + 1: i64
    %7 = constant 16: i64
    for sequential %8 = %4 to %7 step 1 {
      store %8, %2[%8]
    }
    for parallel(4) %9 = %4 to %5 step 1 {
      for parallel(1) %10 = %4 to %6 step 1 {
        %11 = load %0[%9, %10] fill 0.0: f32
        store %11, %1[%9, %10]
      }
    }
    for grid(0) %12 = %4 to %4 step 4 {
      %13 = allocate: buffer f32[16] shared
      %14 = iota 0: i64[4]
      %15 = load %2[%14[d0]] fill -1: i64[4]
      %16 = subtract %5, %12: i64
      %17 = load %0[%12 + d0, %4 + -2*d1] limits [%16, _] fill inf: f32[4x1]
      %18 = constant 1e-05: f32[4x1]
      %19 = fma %17, %18, %17: f32[4x1]
      %20 = exp %19: f32[4x1]
      %21 = less %19, %20: bool[4x1]
      %22 = select %21, %19, %20: f32[4x1]
      %23 = cast %22: i32[4x1]
      %24 = bitcast %23: f32[4x1]
      %25 = broadcast %24: f32[4x8]
      %26 = transpose %25 [1, 0]: f32[8x4]
      %27 = rotate %25 by 3: f32[4x8]
      %28 = reduce maximum %27 along 1: f32[4x1]
      %29 = load %3[%4 + d0, %4 + d1] fill 0.0: bf16[1x8]
      %30 = constant nan: f32
      for group %31 = %4 to %7 step 8 {
        for lane %32 = %4 to %7 step 8 {
          %33 = allocate: buffer f32[4, 8; strides 8, 1] local
          store %27, %33[%4 + d0, %4 + d1]
          %34 = dot %27, %28, %29: f32[4x8]
          %35, %36 = for pipelined(3) %37 = %4 to %7 step 1 carrying %38 = %34, %39 = %27 {
            yield %39, %38
          }
          barrier
        }
      }
      %40 = constant 1: bool
      if %40 {
        for unrolled(4) %41 = %4 to %7 step 1 {
          prefetch %0[%12, %41]
        }
      } else {
        barrier
      }
      %42 = constant 7: i32[4x8]
      %43 = bitcast %42: i16[4x16]
      %44 = bitcast %43: i32[4x8]
      %45 = constant 9: i32[8x8]
      %46 = dot i16x2 %42, %44, %45: i32[4x8]
      %47 = dot bf16x2 %27, %44, %45: f32[4x8]
      %48 = dot u8i8x4 %42, %44, %45: i32[4x8]
    }
  }

  """

@Suite struct TextTests {
  @Test func textComesBack() throws {
    let program = try TileProgram(parsing: everything)
    #expect(program.name == "every \"thing\"")
    let text = program.description
    // A row-major buffer's strides are left out.
    #expect(text == everything.replacing("[4, 8; strides 8, 1]", with: "[4, 8]"))
    #expect(try TileProgram(parsing: text).description == text)
  }

  @Test func truncatedTextIsRefused() throws {
    let bytes = Array(everything.utf8)
    // Only the newline after the last brace may be missing.
    for length in 0..<bytes.count - 2 {
      #expect(throws: Failure.self, "of length \(length)") {
        _ = try TileProgram(parsing: String(decoding: bytes[..<length], as: UTF8.self))
      }
    }
  }

  @Test func changedTextNeverTraps() {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let bytes = Array(everything.utf8)
    var accepted = 0
    for _ in 0..<3000 {
      var changed = bytes
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        let at = Int.random(in: 0..<changed.count, using: &generator)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: changed[at] = bytes.randomElement(using: &generator) ?? 0
        case 1: changed.remove(at: at)
        default: changed.insert(bytes.randomElement(using: &generator) ?? 0, at: at)
        }
      }
      do {
        let program = try TileProgram(parsing: String(decoding: changed, as: UTF8.self))
        let again = try TileProgram(parsing: program.description)
        #expect(again.description == program.description, "seed \(seed)")
        accepted += 1
      } catch {
        #expect(error is Failure, "\(error), seed \(seed)")
      }
    }
    #expect(accepted > 0)
  }

  @Test func limitsHold() {
    let nested =
      "program \"p\" { %0 = constant 0: i64 %1 = constant 1: bool " + String(repeating: "if %1 {", count: 100_000)
    #expect(throws: Failure.self) { _ = try TileProgram(parsing: nested) }
    #expect(throws: Failure.self) { _ = try TileProgram(parsing: "program \"p\" { %99999999999 = constant 0: i64 }") }
    #expect(throws: Failure.self) {
      _ = try TileProgram(parsing: "program \"p\" { %0 = constant 0: i64[9999999x9999999x9999999] }")
    }
    let sizes = (0..<200).map { "s\($0)" }.joined(separator: " + ")
    let buffer =
      "program \"p\" { %0 = input \"x\": buffer f32[\(Array(repeating: sizes, count: 8).joined(separator: ", "))] global }"
    #expect(throws: Failure.self) { _ = try TileProgram(parsing: buffer) }
  }
}

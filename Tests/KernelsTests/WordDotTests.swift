import KernelTesting
import Kernels
import TensorTypes
import Testing
import TileIR

@testable import LLVMBackend

/// Short dot products over words, on tiles of every width that chunks come in.
@Suite struct WordDotTests {
  /// `y = c + a · b` for words a `[m, k]` and b `[k, n]`.
  private func program(_ parts: WordParts, _ m: Int, _ n: Int, _ k: Int) -> TileProgram {
    let b = TileBuilder("dot")
    let left = b.parameter("a", .input, BufferType(.int32, [Dim(m), Dim(k)]))
    let right = b.parameter("b", .input, BufferType(.int32, [Dim(k), Dim(n)]))
    let start = b.parameter("c", .input, BufferType(parts.accumulator, [Dim(m), Dim(n)]))
    let y = b.parameter("y", .output, BufferType(parts.accumulator, [Dim(m), Dim(n)]))
    b.loop(.parallel(grain: 1), to: b.index(1)) { _ in
      let all: [TileBuffer.Index] = [.span(b.index(0), 0), .span(b.index(0), 1)]
      let sum = start.load(all, shape: [m, n]).addingDot(
        left.load(all, shape: [m, k]), right.load(all, shape: [k, n]), of: parts)
      y.store(sum, all)
    }
    return b.finish()
  }

  /// CPUs with tiles for products of bf16 are slow at the vectors' instruction.
  @Test func targetsSuitCPUs() {
    let features = Set(Target.avx512bf16.requiredFeatures)
    #expect(Target.native(features) == .avx512bf16)
    #expect(Target.native(features.union(["avx512_fp16"])) == .avx512vnni)
    #expect(Target.native([]) == .sse42)
  }

  /// Against sums in plain integers, or f64: the machine's instruction, code that spells it out, and the interpreter.
  @Test(arguments: WordParts.allCases) func agreesWithReference(parts: WordParts) throws {
    let seed = freshSeed()
    print("seed \(seed)")
    var g = SeededGenerator(seed: seed)
    for (m, n, k) in [(1, 1, 1), (3, 7, 2), (2, 8, 3), (2, 16, 5), (1, 21, 4)] {
      let views = [
        View(.int32, [Dim(m), Dim(k)]), View(.int32, [Dim(k), Dim(n)]), View(parts.accumulator, [Dim(m), Dim(n)]),
      ]
      let inputs = samples(views, &g)
      for (i, input) in inputs.prefix(2).enumerated() {
        input.fill { .integer(Int64(parts.word(isLeft: i == 0, &g))) }
      }
      let program = program(parts, m, n, k)
      try program.verify()
      let wanted = (0..<m * n).map { place in
        var (sum, size) = (inputs[2].memory[place].double, 0.0)
        for step in 0..<k {
          for j in 0..<parts.count {
            let x = parts.part(inputs[0].memory[place / n * k + step], j, parts.elements.a)
            let product = x * parts.part(inputs[1].memory[step * n + place % n], j, parts.elements.b)
            (sum, size) = (sum + product, size + abs(product))
          }
        }
        return (sum, parts == .bf16x2 ? Double(2 * k + 1) * 0x1p-24 * (size + 4) : 0)
      }
      func check(_ got: [Double], _ label: String) {
        for (x, (value, tolerance)) in zip(got, wanted) {
          let expected = parts == .bf16x2 ? value : Double(Int32(truncatingIfNeeded: Int64(value)))
          #expect(abs(x - expected) <= tolerance, "\(label) \(parts) \(m)x\(n)x\(k) seed \(seed)")
        }
      }
      for target in [Target.avx2, .sse42] {
        let output = Sample(View(parts.accumulator, [Dim(m), Dim(n)]))
        try NativeKernel(program, for: target).run(inputs.map(\.memory) + [output.memory], sizes: [:])
        check((0..<m * n).map { output.memory[$0].double }, target.name)
      }
      let tensors = inputs.map { input in
        HostTensor(input.view.element, [input.memory.count]) { input.memory[$0] }
      }
      let interpreted = try TileInterpreter(program).run(tensors)[0]
      check((0..<m * n).map { interpreted[$0].double }, "interpreter")
    }
  }

  /// The instructions that the op is named after.
  @Test func instructions() throws {
    func assembly(_ parts: WordParts, _ target: Target) throws -> String {
      let code = try Backend.compile(program(parts, 2, 16, 2), for: target, symbols: [], as: .assembly)
      return String(decoding: code.object, as: UTF8.self)
    }
    #expect(try assembly(.i16x2, .avx2).contains("vpmaddwd"))
    #expect(try assembly(.i16x2, .sse42).contains("pmaddwd"))
    #expect(try !assembly(.u8i8x4, .avx512).contains("vpdpbusd"))
    var newer = Target.avx512
    newer.featureString += ",+avx512vnni,+avx512bf16"
    newer.machine.wordDots = WordParts.allCases
    #expect(try assembly(.u8i7x4, .avx2).contains("vpmaddubsw"))
    #expect(try assembly(.u8i7x4, newer).contains("vpdpbusd"))
    #expect(try assembly(.u8i8x4, newer).contains("vpdpbusd"))
    #expect(try assembly(.bf16x2, newer).contains("vdpbf16ps"))
  }

  /// A bitcast to words and back, through rows whose chunks do not line up.
  @Test(arguments: [2, 6, 12, 16, 22, 48]) func bitcastsToWords(numbers: Int) throws {
    let seed = freshSeed()
    var g = SeededGenerator(seed: seed)
    let b = TileBuilder("words")
    let x = b.parameter("x", .input, BufferType(.int16, [2, Dim(numbers)]))
    let y = b.parameter("y", .output, BufferType(.int16, [2, Dim(numbers)]))
    let one = b.parameter("w", .output, BufferType(.int32, [2, Dim(numbers / 2)]))
    b.loop(.parallel(grain: 1), to: b.index(1)) { _ in
      let all: [TileBuffer.Index] = [.span(b.index(0), 0), .span(b.index(0), 1)]
      let words = x.load(all, shape: [2, numbers]).bitcast(.int32)
      one.store(words, all)
      y.store((words + b.constant(1, .int32, words.shape)).bitcast(.int16), all)
    }
    let program = b.finish()
    try program.verify()
    let input = samples([View(.int16, [2, Dim(numbers)])], &g)[0]
    for target in [Target.avx2, .sse42] {
      let (output, words) = (Sample(View(.int16, [2, Dim(numbers)])), Sample(View(.int32, [2, Dim(numbers / 2)])))
      try NativeKernel(program, for: target).run([input.memory, output.memory, words.memory], sizes: [:])
      let interpreted = try TileInterpreter(program).run([
        HostTensor(.int16, [2 * numbers]) { input.memory[$0] }
      ])
      for i in 0..<numbers {
        let (low, high) = (input.memory[2 * i].double, input.memory[2 * i + 1].double)
        let word = Double(Int32(truncatingIfNeeded: Int64(low) & 0xFFFF | Int64(high) << 16))
        #expect(words.memory[i].double == word && interpreted[1][i].double == word, "seed \(seed)")
        let next = Double(Int16(truncatingIfNeeded: Int64(low) + 1))
        #expect(output.memory[2 * i].double == next && interpreted[0][2 * i].double == next, "seed \(seed)")
      }
    }
  }
}

extension WordParts {
  /// A word of numbers that sum up exactly: any 8-bit ones, i16 within 2¹⁵, bf16 within 2.
  fileprivate func word(isLeft: Bool, _ g: inout SeededGenerator) -> Int32 {
    if self == .u8i7x4, !isLeft {
      let parts = (0..<4).map { _ in UInt32(UInt8(bitPattern: g.pick(-64, 64, Int8.random(in: -64...64, using: &g)))) }
      return Int32(bitPattern: parts[0] | parts[1] << 8 | parts[2] << 16 | parts[3] << 24)
    }
    guard self == .bf16x2 else { return Int32.random(in: .min ... .max, using: &g) }
    let parts = (0..<2).map { _ in UInt32(Float.random(in: -2...2, using: &g).bitPattern >> 16) }
    return Int32(bitPattern: parts[0] | parts[1] << 16)
  }

  fileprivate func part(_ word: Scalar, _ j: Int, _ element: ElementType) -> Double {
    let bits = UInt32(truncatingIfNeeded: Int64(word.double)) >> UInt32(j * 32 / count)
    if element == .bfloat16 { return Double(Float(bitPattern: bits << 16)) }
    return Double(element.wrapped(Int64(bits)))
  }
}

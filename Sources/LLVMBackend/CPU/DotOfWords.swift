internal import CLLVM
import TensorTypes
import TileIR

extension KernelLowering {
  /// acc[m, n] + Σₖ Σⱼ a[m, k]ⱼ · b[k, n]ⱼ, k after k: an instruction a vector where the machine has one, else spelled out.
  func dotOfWords(_ parts: WordParts, _ accumulator: Registers, _ a: Registers, _ b: Registers) -> Registers {
    let (m, k) = (accumulator.shape[0], a.shape[1])
    let perRow = widths(accumulator.rowLength).count
    var sums = accumulator.chunks
    for step in 0..<k {
      for row in 0..<m {
        let word = extract(a, row * k + step)
        for c in 0..<perRow {
          let chunk = b.chunks[step * perRow + c]
          let place = row * perRow + c
          sums[place] = dot(parts, sums[place], e.splat(word, width(chunk)), chunk)
        }
      }
    }
    return Registers(element: accumulator.element, shape: accumulator.shape, chunks: sums)
  }

  /// sum + Σⱼ xⱼ · yⱼ for each lane.
  private func dot(_ parts: WordParts, _ sum: LLVMValueRef, _ x: LLVMValueRef, _ y: LLVMValueRef) -> LLVMValueRef {
    // The general instruction does it in one where there is one.
    let general = parts == .u8i7x4 && target.machine.wordDots.contains(.u8i8x4) ? .u8i8x4 : parts
    let bits = width(x) * 32
    guard target.machine.wordDots.contains(general), let name = general.instruction(bits: bits) else {
      return spelledOut(parts, sum, x, y)
    }
    switch general {
    case .u8i7x4:
      let ones = e.splat(e.constant(.integer(1), .int16), width(x) * 2)
      let pairs = e.call(WordParts.i16x2.instruction(bits: bits)!, [e.call(name, [x, y]), ones])
      return LLVMBuildAdd(e.builder, sum, pairs, "")
    case .i16x2: return LLVMBuildAdd(e.builder, sum, e.call(name, [x, y]), "")
    case .u8i8x4, .bf16x2: return e.call(name, [sum, x, y])
    }
  }

  private func spelledOut(_ parts: WordParts, _ sum: LLVMValueRef, _ x: LLVMValueRef, _ y: LLVMValueRef)
    -> LLVMValueRef
  {
    (0..<parts.count).reduce(sum) { sum, j in
      let (a, b) = (part(x, parts.elements.a, j), part(y, parts.elements.b, j))
      return fma(a, b, sum, parts.accumulator)
    }
  }

  /// Number j of each word, in the accumulator's type.
  private func part(_ words: LLVMValueRef, _ element: ElementType, _ j: Int) -> LLVMValueRef {
    let (b, bits) = (e.builder, element.byteCount * 8)
    func shift(_ by: Int) -> LLVMValueRef { e.splat(e.constant32(by), width(words)) }
    let top = LLVMBuildShl(b, words, shift(32 - bits * (j + 1)), "")!
    if element == .bfloat16 {
      // A bf16 is the upper half of an f32.
      let upper = LLVMBuildAnd(b, top, shift(-1 << 16), "")
      return LLVMBuildBitCast(b, upper, e.vector(e.type(.float32), width(words)), "")
    }
    return element.isSignedInteger
      ? LLVMBuildAShr(b, top, shift(32 - bits), "") : LLVMBuildLShr(b, top, shift(32 - bits), "")
  }
}

extension WordParts {
  /// The instruction for vectors of so many bits, as LLVM names it.
  fileprivate func instruction(bits: Int) -> String? {
    guard [128, 256, 512].contains(bits) else { return nil }
    switch self {
    case .i16x2:
      return [128: "llvm.x86.sse2.pmadd.wd", 256: "llvm.x86.avx2.pmadd.wd", 512: "llvm.x86.avx512.pmaddw.d.512"][bits]
    case .u8i7x4:
      return [
        128: "llvm.x86.ssse3.pmadd.ub.sw.128", 256: "llvm.x86.avx2.pmadd.ub.sw", 512: "llvm.x86.avx512.pmaddubs.w.512",
      ][bits]
    case .u8i8x4: return "llvm.x86.avx512.vpdpbusd.\(bits)"
    case .bf16x2: return "llvm.x86.avx512bf16.dpbf16ps.\(bits)"
    }
  }
}

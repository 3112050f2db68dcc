import TensorTypes

/// Whether a candidate's output is the reference's, but for what another order of summation may do.
struct Agreement {
  let element: ElementType
  /// Allowed difference over the larger of 1 and the reference's magnitude.
  let tolerance: Double

  /// Operands lie in -1...1, so a sum of n products has partial sums of about √n / 3, each rounded with a relative
  /// error of at most 2⁻²⁴: about n · 2⁻²⁴ / 4 together. 32 (n + 8) · 2⁻²⁴ leaves room for Winograd's transforms (which
  /// lose up to 5 bits for F(4×4, 3×3)) and for the functions of an epilogue, and is still hundreds of times less than
  /// one missing product of the typical size ⅓.
  init(_ element: ElementType, _ work: Work) {
    self.element = element
    var rounding = work.rounding
    switch element {
    case .float16: rounding += 0x1p-11
    case .bfloat16: rounding += 0x1p-8
    case .float64, .float32, .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16, .uint8, .bool: break
    }
    tolerance = 32 * Double(work.reduction + 8) * 0x1p-24 + 2 * rounding
  }

  /// The first element that differs, or nil. Memory between a view's elements keeps its poison in both, and must.
  func firstDifference(_ output: UnsafeRawBufferPointer, _ reference: UnsafeRawBufferPointer) -> Int? {
    let count = output.count / element.byteCount
    for i in 0..<count {
      let at = i * element.byteCount
      switch element {
      case .float64:
        if differ(load(output, at, Double.self), load(reference, at, Double.self)) { return i }
      case .float32:
        if differ(Double(load(output, at, Float.self)), Double(load(reference, at, Float.self))) { return i }
      case .float16:
        let (x, y) = (load(output, at, UInt16.self), load(reference, at, UInt16.self))
        if differ(Double(HalfBits.float(x)), Double(HalfBits.float(y))) { return i }
      case .bfloat16:
        let (x, y) = (load(output, at, UInt16.self), load(reference, at, UInt16.self))
        func wide(_ bits: UInt16) -> Double { Double(Float(bitPattern: UInt32(bits) << 16)) }
        if differ(wide(x), wide(y)) { return i }
      case .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16, .uint8, .bool:
        for byte in at..<at + element.byteCount where output[byte] != reference[byte] { return i }
      }
    }
    return nil
  }

  private func load<T: BitwiseCopyable>(_ bytes: UnsafeRawBufferPointer, _ at: Int, _ type: T.Type) -> T {
    bytes.loadUnaligned(fromByteOffset: at, as: type)
  }

  private func differ(_ x: Double, _ y: Double) -> Bool {
    if x.isNaN || y.isNaN { return x.isNaN != y.isNaN }
    return x != y && !(abs(x - y) <= tolerance * max(1, abs(y)))
  }
}

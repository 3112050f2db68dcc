import GraphIR
import TensorTypes

// ONNX Runtime's product with weights of a few bits.

let narrowProductRows: [OperatorRow] = [
  // Inputs: A [.., K]; B u8 [N, ⌈K / block⌉, bytes of a block]; scales [N, ⌈K / block⌉]; zero points, packed like B along a
  // row of blocks, or numbers of A's type; g_idx, given up; bias [N].
  .one("MatMulNBits", domain: "com.microsoft") { n in
    let weights = try NBitsWeights(n)
    let a = try n.input(0)
    let wide = try n.cast(a, .float32)
    var y = try n.add(MatMul(transposeRight: true), wide, weights.matrix())
    if let bias = try n.optionalInput(5) { y = try n.binary(.add, y, n.cast(bias, .float32)) }
    return try n.cast(y, n.element(a))
  }
]

/// The weights of a MatMulNBits (ONNX Runtime's ContribOperators.md): codes from a byte's lowest bits on, in blocks of a
/// power of two along k; without zero points, codes are centred at half of their range.
private struct NBitsWeights {
  let n: NodeImport
  let (columns, depth, bits, block): (Int, Int, Int, Int)
  private var blocks: Int { (depth + block - 1) / block }

  init(_ n: NodeImport) throws {
    self.n = n
    (columns, depth) = (try n.int("N"), try n.int("K"))
    (bits, block) = (try n.int("bits", default: 4), try n.int("block_size"))
    guard [2, 4, 8].contains(bits), block >= 16, block & (block - 1) == 0, block <= 1 << 24 else {
      throw Failure.badData("blocks of \(block) codes of \(bits) bits are not supported")
    }
    guard columns > 0, depth > 0, columns < 1 << 31, depth < 1 << 31 else {
      throw Failure.badData("N \(columns) and K \(depth)")
    }
    if try n.optionalInput(4) != nil { throw Failure.badData("g_idx, which ONNX Runtime gave up, is not supported") }
  }

  /// `[N, K]`
  func matrix() throws -> ValueID {
    let packed = try n.constant(n.input(1), "the packed weights")
    let codes = try unpacked(packed, perRow: blocks * block, keeping: depth, "packed weights")
    let scales = n.constant(try numbers(n.input(2), "the scales"))
    let dequantize = Dequantize(axis: 1, block: block)
    guard let zero = try n.optionalInput(3) else {
      let half = HostTensor(.uint8, [columns, blocks]) { memory in
        for i in memory.indices { memory[i] = 1 << UInt8(bits - 1) }
      }
      return try n.add(dequantize, n.constant(codes), scales, n.constant(half))
    }
    let zeros = try n.constant(zero, "the zero points")
    if zeros.element == .uint8 {
      let unpacked = try unpacked(zeros, perRow: blocks, keeping: blocks, "zero points")
      return try n.add(dequantize, n.constant(codes), scales, n.constant(unpacked))
    }
    // Zero points between codes: (q − z) · s as q · s − z · s.
    let points = n.constant(try numbers(zero, "the zero points"))
    let ones = HostTensor(.int8, [columns, depth]) { memory in for i in memory.indices { memory[i] = 1 } }
    let offsets = try n.add(dequantize, n.constant(ones), n.binary(.multiply, points, scales))
    return try n.binary(.subtract, n.add(dequantize, n.constant(codes), scales), offsets)
  }

  /// One number a block, as f32 `[N, blocks]`.
  private func numbers(_ value: ValueID, _ what: String) throws -> HostTensor {
    let tensor = try n.constant(value, what)
    guard tensor.element.isFloat, tensor.elementCount == columns * blocks else {
      throw Failure.badData("\(what) of type \(tensor.type) for \(columns) columns of \(blocks) blocks")
    }
    return HostTensor(.float32, [columns, blocks], .floats(tensor.doubles))
  }

  /// Codes of rows that begin at whole bytes, `perRow` to a row, of which the first `kept` count: `[N, kept]` of u8.
  private func unpacked(_ tensor: HostTensor, perRow: Int, keeping kept: Int, _ what: String) throws -> HostTensor {
    let rowBytes = (perRow * bits + 7) / 8
    guard tensor.element == .uint8, tensor.byteCount == columns * rowBytes else {
      throw Failure.badData("\(what) of type \(tensor.type), where \(columns) times \(rowBytes) bytes are needed")
    }
    let (inByte, mask) = (8 / bits, UInt8(truncatingIfNeeded: (1 << bits) - 1))
    return HostTensor(.uint8, [columns, kept]) { memory in
      for row in 0..<columns {
        for k in 0..<kept {
          let byte = tensor.bytes[row * rowBytes + k / inByte]
          memory[row * kept + k] = byte >> UInt8(k % inByte * bits) & mask
        }
      }
    }
  }
}

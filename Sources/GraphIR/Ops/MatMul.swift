import TensorTypes

/// `c[…, m, n] = Σ_k a[…, m, k] · b[…, k, n]`, the outer dimensions broadcast as NumPy does. A transposed operand
/// has its two innermost dimensions the other way round in memory: `a[…, k, m]`, `b[…, n, k]`.
///
/// If it widens, products of i8, u8 and i16 are summed in i32, which wraps around.
///
/// If it may round, f32 factors may be rounded to bf16 before they are multiplied, each off by at most 2⁻⁸ of itself.
///
/// - (matmul_c1) Two operands of one element type, not bool; of i8, u8 and i16 in any combination if it widens.
/// - (matmul_c2) Both of rank 2 or more.
/// - (matmul_c3) Equal sizes along `k`.
/// - (matmul_c4) The outer dimensions broadcast.
public struct MatMul: Op {
  public static let mnemonic = "matmul"
  public var transposeLeft: Bool
  public var transposeRight: Bool
  public var widens: Bool
  public var mayRound = false

  public init(transposeLeft: Bool = false, transposeRight: Bool = false, widens: Bool = false) {
    (self.transposeLeft, self.transposeRight, self.widens) = (transposeLeft, transposeRight, widens)
  }

  public var attributes: [(name: String, value: Attribute)] {
    [("transpose_left", .bool(transposeLeft)), ("transpose_right", .bool(transposeRight))]
      + (widens ? [("widens", .bool(true))] : []) + (mayRound ? [("may_round", .bool(true))] : [])
  }
  public init(attributes: inout AttributeReader) throws {
    transposeLeft = try attributes.bool("transpose_left", default: false)
    transposeRight = try attributes.bool("transpose_right", default: false)
    widens = try attributes.bool("widens", default: false)
    mayRound = try attributes.bool("may_round", default: false)
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    let element = productType(x.map(\.element), widens: widens)
    guard let element else { throw Failure.badData("matmul_c1: operands \(x) are not two of one numeric type") }
    try require(x[0].rank >= 2 && x[1].rank >= 2, "matmul_c2: operands \(x) are not of rank 2 or more")
    let (m, k) = sizes(x[0].shape, transposeLeft)
    let (k2, n) = sizes(x[1].shape, transposeRight)
    try require(mayBeEqual(k, k2), "matmul_c3: \(k) columns against \(k2) rows in operands \(x)")
    let batch = try broadcast(x[0].shape.dropLast(2), x[1].shape.dropLast(2), constraint: "matmul_c4")
    return [TensorType(element, batch + [m, n])]
  }

  /// Rows and columns as the product sees them.
  private func sizes<T>(_ shape: [T], _ transposed: Bool) -> (T, T) {
    let (a, b) = (shape[shape.count - 2], shape[shape.count - 1])
    return transposed ? (b, a) : (a, b)
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let shape = try infer(x.map(\.type))[0].shape.integers()
    return [
      x[0].element.isFloat ? multiply(x[0], x[1], shape, Double.self) : multiply(x[0], x[1], shape, Int64.self)
    ]
  }

  /// Constants are folded by this, so it is quick for what it is: rows of b side by side, some of them at a time, which
  /// all rows of a find in a cache.
  private func multiply<N: ReferenceNumber>(_ a: HostTensor, _ b: HostTensor, _ shape: [Int], _: N.Type) -> HostTensor {
    let (m, depth) = sizes(a.shape, transposeLeft)
    let n = shape[shape.count - 1]
    let batch = Array(shape.dropLast(2))
    let (aBatch, bBatch) = (matrixNumbers(a.shape, batch), matrixNumbers(b.shape, batch))
    let (x, y) = (N.load(untransposed(a, transposeLeft)), N.load(untransposed(b, transposeRight)))
    var result = [N](repeating: .zero, count: shape.product)
    let rowsOfB = max(1, (1 << 15) / max(1, n))
    for matrix in aBatch.indices {
      let (aStart, bStart) = (aBatch[matrix] * m * depth, bBatch[matrix] * depth * n)
      for first in stride(from: 0, to: depth, by: rowsOfB) {
        for i in 0..<m {
          for k in first..<min(first + rowsOfB, depth) {
            add(x[aStart + i * depth + k], y, row: bStart + k * n, to: &result, row: (matrix * m + i) * n, count: n)
          }
        }
      }
    }
    return HostTensor(widens ? .int32 : a.element, shape, N.column(result))
  }

  private func untransposed(_ x: HostTensor, _ isTransposed: Bool) -> HostTensor {
    let outer = x.shape.count - 2
    return isTransposed ? x.transposed(Array(0..<outer) + [outer + 1, outer]) : x
  }

  /// Adds `left` times `count` elements of y to as many of the result.
  @inline(__always)
  private func add<N: ReferenceNumber>(
    _ left: N, _ y: [N], row from: Int, to result: inout [N], row to: Int, count: Int
  ) {
    y.withUnsafeBufferPointer { y in
      result.withUnsafeMutableBufferPointer { result in
        for j in 0..<count { result[to + j] = N.sum(result[to + j], N.product(left, y[from + j])) }
      }
    }
  }

  /// Which matrix of an operand goes into each matrix of the result.
  private func matrixNumbers(_ shape: [Int], _ batch: [Int]) -> [Int] {
    let own = Array(shape.dropLast(2))
    return HostTensor(integers: Array(0..<own.product), own).broadcast(to: batch).integers.map { Int($0) }
  }
}

/// The element type of a product of two operands; nil if they have none.
/// - Parameter widens: whether narrow integers give an i32.
func productType(_ elements: [ElementType], widens: Bool) -> ElementType? {
  guard elements.count == 2 else { return nil }
  if widens { return elements.allSatisfy(\.isNarrowInteger) ? .int32 : nil }
  return elements[0] == elements[1] && elements[0] != .bool ? elements[0] : nil
}

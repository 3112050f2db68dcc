import Kernels
import TensorTypes

/// Σ of `count` products of numbers in -2...2, each step rounded: error at most count · ε/2 · Σ|a·b|, and the epilogue's
/// few roundings on top.
public func productTolerance(_ count: Int, _ magnitude: Double) -> Double {
  Double(count + 4) * 0x1p-24 * (magnitude + 4)
}

/// What a product that may round its factors to bf16 may be off by, a share of Σ|a·b|: nothing where, as half of the time, the first `count` of
/// `inputs` are made such numbers; else 2⁻⁸ for each factor.
func allowRounding(_ inputs: [Sample], count: Int = 2, _ g: inout SeededGenerator) -> Double {
  guard g.flip() else { return 0x1.01p-7 }
  for input in inputs.prefix(count) {
    input.fill { .float(Double(Float(bitPattern: Float.random(in: -2...2, using: &g).bitPattern & 0xFFFF_0000))) }
  }
  return 0
}

/// bias per column, residual in the output's layout, and a scalar: y = max(acc + bias + residual, low)
public func sampleEpilogue(_ output: View) -> (Epilogue, (Double, [Double]) -> Double) {
  let shape = output.shape
  let bias = View(.float32, shape, strides: [Dim](repeating: 0, count: shape.count - 1) + [1])
  let scalar = View(.float32, shape, strides: [Dim](repeating: 0, count: shape.count))
  let expression = Expression(inputs: [.float32, .float32, .float32, .float32]) { e in
    let sum = e.binary(.add, e.binary(.add, e.input(0), e.input(1)), e.input(2))
    return e.binary(.maximum, sum, e.input(3))
  }
  return (
    Epilogue(
      expression: expression, operands: [bias, View(.float32, shape, strides: output.strides), scalar], output: output),
    { max($0 + $1[0] + $1[1], $1[2]) }
  )
}

/// A product of f32 matrices with bias, residual and a bound.
public struct MatmulCase: Sendable {
  public var (m, n, k, batch): (Int, Int, Int, Int)
  public var aIsConstant = false
  public var bIsConstant = true
  /// b lies in memory as [n, k].
  public var transposed = false
  /// Rows are known at run time only.
  public var isSymbolic = false
  public var mayRound = false

  public init(m: Int, n: Int, k: Int, batch: Int, bIsConstant: Bool, transposed: Bool, isSymbolic: Bool) {
    (self.m, self.n, self.k, self.batch) = (m, n, k, batch)
    (self.bIsConstant, self.transposed, self.isSymbolic) = (bIsConstant, transposed, isSymbolic)
  }

  /// What random ones are drawn for.
  public enum Kind: Sendable {
    case general
    /// So few rows that reading b is all there is.
    case skinny
    /// So few columns that reading a is.
    case thin
  }

  public static func random(_ kind: Kind, _ g: inout SeededGenerator) -> MatmulCase {
    let n = kind == .thin ? g.size(1...16) : g.edge([8, 16, 64], most: kind == .skinny ? 200 : 70)
    var c = MatmulCase(
      m: kind == .skinny ? g.size(1...4) : g.edge([4, 6, 12], most: 40), n: n,
      k: g.flip(0.1) ? g.edge([256], most: 600) : g.edge([8, 16], most: 70), batch: g.pick(1, 1, 2, 3),
      bIsConstant: g.flip(0.7), transposed: g.flip(), isSymbolic: g.flip(0.3))
    if kind == .thin { c.transposed = c.transposed || !c.bIsConstant }
    c.aIsConstant = !c.bIsConstant && kind != .thin && g.flip()
    c.mayRound = g.flip(0.3)
    return c
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    var sizes = DrawnSizes(isSymbolic)
    // A constant has known sizes.
    let (rows, columns) = aIsConstant ? (Dim(m), sizes.dim("n", n)) : (sizes.dim("m", m), Dim(n))
    let b: View =
      transposed
      ? .transposed(.float32, [Dim(batch), columns, Dim(k)], [0, 2, 1]) : View(.float32, [Dim(batch), Dim(k), columns])
    let (epilogue, finish) = sampleEpilogue(View(.float32, [Dim(batch), rows, columns]))
    // One constant matrix for all of the batch.
    var a = View(.float32, [Dim(batch), rows, Dim(k)])
    if aIsConstant { a.strides[0] = 0 }
    let w = MatmulWorkload(
      a: a, b: b, aIsConstant: aIsConstant, bIsConstant: bIsConstant, mayRound: mayRound, epilogue: epilogue)
    let inputs = samples(w.operands, sizes: sizes.values, &generator)
    let rounding = mayRound ? allowRounding(inputs, &generator) : 0
    let depth = k
    return KernelCase(.matmul(w), sizes: sizes.values, inputs: inputs) { i in
      var (sum, magnitude) = (0.0, 0.0)
      for step in 0..<depth {
        let product = inputs[0][[i[0], i[1], step]].double * inputs[1][[i[0], step, i[2]]].double
        sum += product
        magnitude += abs(product)
      }
      let value = finish(sum, (2...4).map { inputs[$0][i].double })
      return Expected(value: .float(value), tolerance: productTolerance(depth, magnitude) + rounding * magnitude)
    }
  }
}

/// A product of matrices of any element type, with a bias.
public struct PlainMatmulCase: Sendable {
  public var type: ElementType
  public var (m, n, k): (Int, Int, Int)
  public var transposed: Bool
  public var isSymbolic: Bool

  public init(_ type: ElementType, m: Int, n: Int, k: Int, transposed: Bool, isSymbolic: Bool) {
    (self.type, self.m, self.n, self.k) = (type, m, n, k)
    (self.transposed, self.isSymbolic) = (transposed, isSymbolic)
  }

  public static let types = ElementType.allCases.filter { $0 != .bool && $0 != .float32 }

  public static func random(_ g: inout SeededGenerator) -> PlainMatmulCase {
    PlainMatmulCase(
      g.pick(types), m: g.edge([4], most: 13), n: g.edge([8, 16], most: 40), k: g.flip(0.1) ? 0 : g.edge([4], most: 40),
      transposed: g.flip(), isSymbolic: g.flip(0.3))
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    var sizes = DrawnSizes(isSymbolic)
    let (rows, columns, depth) = (sizes.dim("m", m), sizes.dim("n", n), sizes.dim("k", k))
    let right: View =
      transposed ? .transposed(type, [2, columns, depth], [0, 2, 1]) : View(type, [2, depth, columns])
    let output = View(type, [2, rows, columns])
    let epilogue = Epilogue(
      expression: .binary(.add, type), operands: [View(type, output.shape, strides: [0, 0, 1])], output: output)
    let w = MatmulWorkload(a: View(type, [2, rows, depth]), b: right, bIsConstant: false, epilogue: epilogue)
    let inputs = samples(w.operands, sizes: sizes.values, &generator)
    let (type, k) = (type, k)
    return KernelCase(.matmul(w), sizes: sizes.values, inputs: inputs) { i in
      let bias = inputs[2][i]
      var (sum, magnitude) = (0.0, 0.0)
      for step in 0..<k {
        let product = inputs[0][[i[0], i[1], step]].double * inputs[1][[i[0], step, i[2]]].double
        (sum, magnitude) = (sum + product, magnitude + abs(product))
      }
      // Integers wrap around: sums of numbers up to 100 are exact in f64, and cut to the type.
      if !type.isFloat { return Expected(value: .integer(type.wrapped(Int64(sum + bias.double)))) }
      // The sum in f32 (f64), rounded to the type, and then once more with the bias.
      let unit = type == .float64 ? 0x1p-53 : 0x1p-24
      return Expected(
        value: .float(sum + bias.double),
        tolerance: Double(k + 2) * unit * magnitude + type.epsilon * (abs(sum) + abs(sum + bias.double)))
    }
  }
}

extension ElementType {
  /// What is left of `value` in the type, which wraps around.
  func wrapped(_ value: Int64) -> Int64 {
    switch self {
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

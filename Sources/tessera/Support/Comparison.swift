import TensorTypes

/// How far one tensor is from another.
struct Comparison {
  /// What differs besides values: element type or shape; nil if neither.
  var mismatch: String?
  var worstAbsolute = 0.0
  /// The largest error over the largest magnitude expected.
  var worstOverPeak = 0.0
  /// Elements further off than `atol + rtol · |expected|`.
  var wrongCount = 0
  var firstWrong: Int?

  var isGood: Bool { mismatch == nil && wrongCount == 0 }

  /// - Parameters:
  ///   - rtol, atol: as NumPy's `allclose`. If both are nil: 1e-4 of the largest magnitude expected.
  init(_ found: HostTensor, expected: HostTensor, rtol: Double?, atol: Double?) {
    guard found.element == expected.element else {
      mismatch = "element type \(found.element.rawValue), expected \(expected.element.rawValue)"
      return
    }
    guard found.shape == expected.shape else {
      mismatch = "shape \(found.shape), expected \(expected.shape)"
      return
    }
    let (a, b) = (found.doubles, expected.doubles)
    let peak = b.reduce(0) { $1.isFinite ? max($0, abs($1)) : $0 }
    let absolute = rtol == nil && atol == nil ? 1e-4 * peak : atol ?? 0
    for i in a.indices {
      // Equal covers infinities; NaN agrees with NaN alone.
      if a[i] == b[i] || (a[i].isNaN && b[i].isNaN) { continue }
      let error = abs(a[i] - b[i])
      let isFinite = error.isFinite
      worstAbsolute = max(worstAbsolute, isFinite ? error : .infinity)
      if !isFinite || error > absolute + (rtol ?? 0) * abs(b[i]) {
        wrongCount += 1
        firstWrong = firstWrong ?? i
      }
    }
    worstOverPeak = worstAbsolute == 0 ? 0 : worstAbsolute / max(peak, .leastNormalMagnitude)
  }
}

extension HostTensor {
  /// The elements as doubles.
  var doubles: [Double] {
    switch element {
    case .float64: array(of: Double.self)
    case .float32: array(of: Float.self).map(Double.init)
    case .float16: array(of: Float16.self).map(Double.init)
    case .bfloat16: array(of: UInt16.self).map { Double(Float(bitPattern: UInt32($0) << 16)) }
    case .int64: array(of: Int64.self).map(Double.init)
    case .int32: array(of: Int32.self).map(Double.init)
    case .int16: array(of: Int16.self).map(Double.init)
    case .int8: array(of: Int8.self).map(Double.init)
    case .uint64: array(of: UInt64.self).map(Double.init)
    case .uint32: array(of: UInt32.self).map(Double.init)
    case .uint16: array(of: UInt16.self).map(Double.init)
    case .uint8, .bool: array(of: UInt8.self).map(Double.init)
    }
  }
}

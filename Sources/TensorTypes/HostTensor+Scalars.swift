/// Elements widened to the two types that reference evaluation computes in.
public enum Column: Sendable {
  /// Of a float type.
  case floats([Double])
  /// Of an integer type or bool; u64 as bits.
  case integers([Int64])

  public var count: Int {
    switch self {
    case .floats(let x): x.count
    case .integers(let x): x.count
    }
  }

  public subscript(_ i: Int) -> Scalar {
    switch self {
    case .floats(let x): .float(x[i])
    case .integers(let x): .integer(x[i])
    }
  }

  /// `count` times `value`, as an element of type `element` holds it.
  public init(repeating value: Scalar, as element: ElementType, count: Int) {
    if element.isFloat {
      self = .floats([Double](repeating: element.rounded(value.double), count: count))
    } else {
      let integer: Int64
      switch value {
      case .integer(let i): integer = element == .bool ? (i != 0 ? 1 : 0) : element.wrapped(i)
      case .float(let d): integer = element.saturated(d)
      }
      self = .integers([Int64](repeating: integer, count: count))
    }
  }
}

extension HostTensor {
  /// Element number `i` in row-major order.
  public subscript(_ i: Int) -> Scalar { column(i..<i + 1)[0] }

  /// The elements of `range` in row-major order (all of them by default).
  public func column(_ range: Range<Int>? = nil) -> Column {
    let range = range ?? 0..<elementCount
    precondition(range.lowerBound >= 0 && range.upperBound <= elementCount, "elements of the tensor")
    let start = storage.bytes.baseAddress
    func load<T: BitwiseCopyable, U>(_: T.Type, _ convert: (T) -> U) -> [U] {
      [U](unsafeUninitializedCapacity: range.count) { buffer, count in
        for (slot, i) in range.enumerated() {
          let value = start!.loadUnaligned(fromByteOffset: i * MemoryLayout<T>.size, as: T.self)
          buffer.initializeElement(at: slot, to: convert(value))
        }
        count = range.count
      }
    }
    switch element {
    case .float64: return .floats(load(Double.self) { $0 })
    case .float32: return .floats(load(Float.self) { Double($0) })
    case .float16: return .floats(load(UInt16.self) { Double(Float16(bitPattern: $0)) })
    case .bfloat16: return .floats(load(UInt16.self) { Double(Float(bfloat16Bits: $0)) })
    case .int64, .uint64: return .integers(load(Int64.self) { $0 })
    case .int32: return .integers(load(Int32.self) { Int64($0) })
    case .int16: return .integers(load(Int16.self) { Int64($0) })
    case .int8: return .integers(load(Int8.self) { Int64($0) })
    case .uint32: return .integers(load(UInt32.self) { Int64($0) })
    case .uint16: return .integers(load(UInt16.self) { Int64($0) })
    case .uint8: return .integers(load(UInt8.self) { Int64($0) })
    case .bool: return .integers(load(UInt8.self) { $0 == 0 ? 0 : 1 })
    }
  }

  /// The elements as floats, whatever their type.
  public var doubles: [Double] {
    switch column() {
    case .floats(let x): x
    case .integers(let x): x.map { element.float($0, as: .float64) }
    }
  }

  /// The elements of an integer or bool tensor; u64 as bits.
  public var integers: [Int64] {
    guard case .integers(let x) = column() else { preconditionFailure("an integer tensor, not \(type)") }
    return x
  }

  /// Rounds (floats) or wraps (integers) `column` into elements.
  /// - Precondition: as many as the shape says, and of the kind of `element`.
  public init(_ element: ElementType, _ shape: [Int], _ column: Column) {
    precondition(column.count == shape.reduce(1, *), "as many values as the shape says")
    self.init(element, shape, filling: { HostTensor.store(column, element, into: $0, at: 0) })
  }

  /// `f(i)` for the element number `i` in row-major order.
  public init(_ element: ElementType, _ shape: [Int], _ f: (Int) throws -> Scalar) rethrows {
    let count = shape.reduce(1, *)
    if element.isFloat {
      self.init(element, shape, .floats(try (0..<count).map { try f($0).double }))
    } else {
      self.init(
        element, shape,
        .integers(
          try (0..<count).map {
            switch try f($0) {
            case .integer(let i): element == .bool ? (i != 0 ? 1 : 0) : i
            case .float(let d): element.saturated(d)
            }
          }))
    }
  }

  /// Fresh memory for the elements, filled by `initialize`.
  public init(
    _ element: ElementType, _ shape: [Int], filling initialize: (UnsafeMutableRawBufferPointer) throws -> Void
  ) rethrows {
    let count = shape.reduce(1, *) * element.byteCount
    self.init(element, shape, storage: try .make(byteCount: count, initialize))
  }

  /// A tensor of i64.
  public init(integers: [Int], _ shape: [Int]) { self.init(.int64, shape, integers.map { Int64($0) }) }

  /// Writes `column` into `memory`, the first as element number `offset`.
  public static func store(
    _ column: Column, _ element: ElementType, into memory: UnsafeMutableRawBufferPointer, at offset: Int
  ) {
    precondition((offset + column.count) * element.byteCount <= memory.count, "room for \(column.count) elements")
    func put<U, T: BitwiseCopyable>(_ values: [U], _ convert: (U) -> T) {
      let size = MemoryLayout<T>.size
      for (i, value) in values.enumerated() {
        memory.storeBytes(of: convert(value), toByteOffset: (offset + i) * size, as: T.self)
      }
    }
    switch (column, element) {
    case (.floats(let x), .float64): put(x) { $0 }
    case (.floats(let x), .float32): put(x) { Float($0) }
    case (.floats(let x), .float16): put(x) { Float16($0).bitPattern }
    case (.floats(let x), .bfloat16): put(x) { bfloat16Bits(Float($0)) }
    case (.integers(let x), .int64), (.integers(let x), .uint64): put(x) { $0 }
    case (.integers(let x), .int32), (.integers(let x), .uint32): put(x) { Int32(truncatingIfNeeded: $0) }
    case (.integers(let x), .int16), (.integers(let x), .uint16): put(x) { Int16(truncatingIfNeeded: $0) }
    case (.integers(let x), .int8), (.integers(let x), .uint8): put(x) { Int8(truncatingIfNeeded: $0) }
    case (.integers(let x), .bool): put(x) { UInt8(truncatingIfNeeded: $0 & 1) }
    case (.floats, _), (.integers, _): preconditionFailure("a column that fits \(element.rawValue)")
    }
  }
}

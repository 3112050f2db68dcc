// Tensors over bytes that came from a file: nothing about them is taken on trust.

extension HostTensor {
  /// Dimensions more than these are refused in every file.
  public static let rankLimit = 32

  /// The number of elements of `shape`.
  /// - Throws: `Failure` of kind `badData` if it has too many dimensions, a negative one, or overflows.
  public static func checkedElementCount(_ shape: [Int]) throws -> Int {
    guard shape.count <= rankLimit else {
      throw Failure.badData("\(shape.count) dimensions; the limit is \(rankLimit)")
    }
    var product = 1
    var overflow = false
    for size in shape {
      guard size >= 0 else { throw Failure.badData("dimensions \(shape) hold a negative size") }
      let (next, o) = product.multipliedReportingOverflow(by: size)
      overflow = overflow || o
      product = next
    }
    // A zero anywhere makes the tensor empty, however large the others are.
    if shape.contains(0) { return 0 }
    guard !overflow, product <= Int.max / 16 else {
      throw Failure.badData("dimensions \(shape) make a tensor larger than any memory")
    }
    return product
  }

  /// A tensor over `storage`, which must be exactly as large as the tensor. Bools other than 0 become 1.
  /// - Throws: `Failure` of kind `badData` saying both sizes.
  public static func checked(_ element: ElementType, _ shape: [Int], _ storage: Storage) throws -> HostTensor {
    let needed = try checkedElementCount(shape) * element.byteCount
    guard storage.bytes.count == needed else {
      throw Failure.badData("\(element.rawValue)\(shape) needs \(needed) bytes, but there are \(storage.bytes.count)")
    }
    guard element == .bool, storage.bytes.contains(where: { $0 > 1 }) else {
      return HostTensor(element, shape, storage: storage)
    }
    return HostTensor(element, shape, storage.bytes.map { $0 == 0 ? 0 : 1 } as [UInt8])
  }

  /// The axes in reverse order, as a row-major copy: Fortran's order into C's.
  func transposedFromFortran() -> HostTensor {
    let reversed = Array(shape.reversed())
    guard shape.count > 1, elementCount > 0 else { return HostTensor(element, reversed, storage: storage) }
    let size = element.byteCount
    // Strides, in bytes of the source, of the result's axes.
    var strides = [Int](repeating: size, count: shape.count)
    for axis in 1..<shape.count { strides[axis] = strides[axis - 1] * reversed[axis - 1] }
    let copy = Storage.make(byteCount: byteCount) { target in
      var index = [Int](repeating: 0, count: reversed.count)
      var source = 0
      for element in 0..<elementCount {
        for byte in 0..<size { target[element * size + byte] = storage.bytes[source + byte] }
        var axis = reversed.count - 1
        while axis >= 0 {
          index[axis] += 1
          source += strides[axis]
          if index[axis] < reversed[axis] { break }
          source -= strides[axis] * reversed[axis]
          index[axis] = 0
          axis -= 1
        }
      }
    }
    return HostTensor(element, reversed, storage: copy)
  }
}

extension HostTensor.Storage {
  /// The bytes as an array; a rest smaller than an element is left out.
  public func array<T: BitwiseCopyable>(of: T.Type) -> [T] {
    // The bytes are an unsafe view of self: a temporary must not go before they are copied.
    withExtendedLifetime(self) {
      let count = bytes.count / MemoryLayout<T>.size
      return [T](unsafeUninitializedCapacity: count) { buffer, initialized in
        UnsafeMutableRawBufferPointer(buffer).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: bytes[..<(count * MemoryLayout<T>.size)]))
        initialized = count
      }
    }
  }
}

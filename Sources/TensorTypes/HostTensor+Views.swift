/// Steps in elements between neighbours along each dimension of a gapless row-major tensor.
public func rowMajorStrides(_ shape: [Int]) -> [Int] {
  var strides = [Int](repeating: 1, count: shape.count)
  for i in shape.indices.dropLast().reversed() { strides[i] = strides[i + 1] * shape[i + 1] }
  return strides
}

/// Calls `body` with the multi-index of each element of `shape`, in row-major order.
public func forEachIndex(_ shape: [Int], _ body: ([Int]) throws -> Void) rethrows {
  guard !shape.contains(0) else { return }
  var index = [Int](repeating: 0, count: shape.count)
  while true {
    try body(index)
    var axis = shape.count - 1
    while axis >= 0 {
      index[axis] += 1
      if index[axis] < shape[axis] { break }
      index[axis] = 0
      axis -= 1
    }
    if axis < 0 { return }
  }
}

/// The position Σ start + index·stride of each element of `shape`, in row-major order.
public func stridedPositions(_ shape: [Int], start: Int = 0, strides: [Int]) -> [Int] {
  // Without this, a dimension of billions beside one of 0 would take the memory of billions.
  if shape.contains(0) { return [] }
  var positions = [start]
  for (size, stride) in zip(shape, strides) {
    var next: [Int] = []
    next.reserveCapacity(positions.count * size)
    for position in positions { for i in 0..<size { next.append(position + i * stride) } }
    positions = next
  }
  return positions
}

extension HostTensor {
  /// The tensor of `shape` whose element number `i` is element number `positions[i]` of this one.
  public func picking(_ positions: [Int], _ shape: [Int]) -> HostTensor {
    precondition(positions.count == shape.reduce(1, *), "a position an element")
    let (source, limit) = (bytes, elementCount)
    func copy<T: BitwiseCopyable>(_: T.Type, _ memory: UnsafeMutableRawBufferPointer) {
      let size = MemoryLayout<T>.size
      for (i, position) in positions.enumerated() {
        precondition(position >= 0 && position < limit, "a position within the tensor")
        let value = source.loadUnaligned(fromByteOffset: position * size, as: T.self)
        memory.storeBytes(of: value, toByteOffset: i * size, as: T.self)
      }
    }
    return HostTensor(
      element, shape,
      filling: { memory in
        switch element.byteCount {
        case 1: copy(UInt8.self, memory)
        case 2: copy(UInt16.self, memory)
        case 4: copy(UInt32.self, memory)
        default: copy(UInt64.self, memory)
        }
      })
  }

  /// A copy in which `result[index] = self[start + Σ index·stride]`.
  public func strided(_ shape: [Int], start: Int = 0, strides: [Int]) -> HostTensor {
    picking(stridedPositions(shape, start: start, strides: strides), shape)
  }

  /// Repeated along new outer dimensions and along dimensions of size 1, as NumPy broadcasts.
  /// - Precondition: the shapes broadcast.
  public func broadcast(to target: [Int]) -> HostTensor {
    if target == shape { return self }
    let own = rowMajorStrides(shape)
    let lead = target.count - shape.count
    precondition(lead >= 0, "a target of at least the tensor's rank")
    let strides = target.indices.map { i in
      if i < lead || (shape[i - lead] == 1 && target[i] != 1) { return 0 }
      precondition(shape[i - lead] == target[i], "sizes that broadcast")
      return own[i - lead]
    }
    return strided(target, strides: strides)
  }
}

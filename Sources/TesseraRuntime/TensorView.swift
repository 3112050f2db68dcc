public import TensorTypes

/// A tensor in memory that someone else keeps: element type, sizes, and elements in row-major order without gaps.
public struct TensorView: @unchecked Sendable {
  public var element: ElementType
  public var shape: [Int]
  /// At least as many bytes as the elements need, aligned to an element.
  public var bytes: UnsafeRawBufferPointer

  public init(_ element: ElementType, _ shape: [Int], _ bytes: UnsafeRawBufferPointer) {
    self.element = element
    self.shape = shape
    self.bytes = bytes
  }
}

/// The same to be written.
public struct MutableTensorView: @unchecked Sendable {
  public var element: ElementType
  public var shape: [Int]
  public var bytes: UnsafeMutableRawBufferPointer

  public init(_ element: ElementType, _ shape: [Int], _ bytes: UnsafeMutableRawBufferPointer) {
    self.element = element
    self.shape = shape
    self.bytes = bytes
  }
}

/// Bytes that a tensor of these sizes takes; nil if that is more than fits an `Int`, or a size is negative.
func byteCount(_ element: ElementType, _ shape: [Int]) -> Int? {
  var count = element.byteCount
  var isEmpty = false
  for size in shape {
    guard size >= 0 else { return nil }
    if size == 0 {
      isEmpty = true
    } else {
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      guard !overflow else { return nil }
      count = product
    }
  }
  return isEmpty ? 0 : count
}

/// Checks that `bytes` can hold a tensor of these sizes and lie where its elements may.
func checkMemory(_ element: ElementType, _ shape: [Int], _ bytes: UnsafeRawBufferPointer) throws(Failure) {
  guard let needed = byteCount(element, shape) else { throw .badData("sizes \(shape) make no tensor") }
  guard bytes.count >= needed else {
    throw .badData("\(bytes.count) bytes of memory for \(shape) of \(element.rawValue), which takes \(needed)")
  }
  guard UInt(bitPattern: bytes.baseAddress) % UInt(element.byteCount) == 0 else {
    throw Failure(.usage, "memory not aligned to its elements of \(element.byteCount) bytes")
  }
}

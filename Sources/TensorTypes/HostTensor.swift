/// A tensor in memory: element type, sizes, and elements in row-major order without gaps.
///
/// A value: copying shares the bytes, which are never written once a tensor holds them. The bytes may be a slice of
/// a mapped file, kept alive by `storage`.
public struct HostTensor: Sendable {
  public let element: ElementType
  public let shape: [Int]
  public let storage: Storage

  /// Bytes that stay where they are as long as the object lives.
  public final class Storage: @unchecked Sendable {
    public let bytes: UnsafeRawBufferPointer
    private let release: () -> Void

    /// - Parameter release: frees or unmaps `bytes`; called once.
    public init(_ bytes: UnsafeRawBufferPointer, release: @escaping @Sendable () -> Void) {
      self.bytes = bytes
      self.release = release
    }
    deinit { release() }

    /// A slice that keeps its whole alive.
    public func slice(_ range: Range<Int>) -> Storage {
      precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "a slice within the storage")
      return Storage(UnsafeRawBufferPointer(rebasing: bytes[range])) { [self] in _ = self }
    }

    /// Fresh memory, filled by `initialize`, aligned to 64 bytes.
    public static func make(byteCount: Int, _ initialize: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows
      -> Storage
    {
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
      do { try initialize(memory) } catch {
        memory.deallocate()
        throw error
      }
      let owner = Owner(memory)
      return Storage(UnsafeRawBufferPointer(memory)) { owner.free() }
    }

    private struct Owner: @unchecked Sendable {
      let memory: UnsafeMutableRawBufferPointer
      init(_ memory: UnsafeMutableRawBufferPointer) { self.memory = memory }
      func free() { memory.deallocate() }
    }
  }

  /// - Precondition: `storage` holds at least as many bytes as the elements need.
  public init(_ element: ElementType, _ shape: [Int], storage: Storage) {
    precondition(storage.bytes.count >= shape.reduce(1, *) * element.byteCount, "storage as large as the tensor")
    self.element = element
    self.shape = shape
    self.storage = storage
  }

  /// Copies `values`, whose Swift type must be that of `element` (`Float` for f32, `UInt16` for f16 and bf16 bits,
  /// `UInt8` or `Bool` for bool).
  public init<T: BitwiseCopyable>(_ element: ElementType, _ shape: [Int], _ values: [T]) {
    precondition(MemoryLayout<T>.size == element.byteCount, "a Swift type as wide as \(element.rawValue)")
    precondition(values.count == shape.reduce(1, *), "as many values as the shape says")
    self.element = element
    self.shape = shape
    storage = Storage.make(byteCount: values.count * element.byteCount) { memory in
      values.withUnsafeBytes { memory.copyMemory(from: $0) }
    }
  }

  public var elementCount: Int { shape.reduce(1, *) }
  public var byteCount: Int { elementCount * element.byteCount }
  public var type: TensorType { TensorType(element, shape.map { Dim($0) }) }
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: storage.bytes[0..<byteCount]) }

  /// The same elements under another shape of the same number of elements.
  public func reshaped(_ shape: [Int]) -> HostTensor { HostTensor(element, shape, storage: storage) }

  /// The elements as a Swift array of a type as wide as the elements; unaligned storage is fine.
  public func array<T: BitwiseCopyable>(of: T.Type = T.self) -> [T] {
    precondition(MemoryLayout<T>.size == element.byteCount, "a Swift type as wide as \(element.rawValue)")
    // The bytes are an unsafe view of the storage: it must not go before they are copied.
    return withExtendedLifetime(storage) {
      [T](unsafeUninitializedCapacity: elementCount) { buffer, count in
        UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
        count = elementCount
      }
    }
  }
}

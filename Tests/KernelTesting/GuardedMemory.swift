import Glibc
import TensorTypes

/// Elements that end right before a page that may not be touched (or start right after one), so that an over-read
/// is a crash and not luck.
public final class GuardedMemory {
  public let element: ElementType
  public let count: Int
  public let start: UnsafeMutableRawPointer
  private let mapping: UnsafeMutableRawPointer
  private let mapped: Int
  private static let page = 4096

  public init(_ element: ElementType, count: Int, guardsFront: Bool = false) {
    self.element = element
    self.count = count
    let bytes = count * element.byteCount
    let inner = max(1, (bytes + GuardedMemory.page - 1) / GuardedMemory.page) * GuardedMemory.page
    mapped = inner + 2 * GuardedMemory.page
    mapping = mmap(nil, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    precondition(mapping != MAP_FAILED, "memory for a test")
    mprotect(mapping, GuardedMemory.page, PROT_NONE)
    mprotect(mapping + GuardedMemory.page + inner, GuardedMemory.page, PROT_NONE)
    start = mapping + GuardedMemory.page + (guardsFront ? 0 : inner - bytes)
    memset(mapping + GuardedMemory.page, 0xFF, inner)  // NaN, or a number that is no result of a test
  }

  deinit { munmap(mapping, mapped) }

  public subscript(_ index: Int) -> Scalar {
    get {
      precondition(index >= 0 && index < count, "an element of the \(count), not \(index)")
      let p = start + index * element.byteCount
      switch element {
      case .float64: return .float(p.loadUnaligned(as: Double.self))
      case .float32: return .float(Double(p.loadUnaligned(as: Float.self)))
      case .float16: return .float(Double(p.loadUnaligned(as: Float16.self)))
      case .bfloat16: return .float(Double(Float(bitPattern: UInt32(p.loadUnaligned(as: UInt16.self)) << 16)))
      case .int64, .uint64: return .integer(p.loadUnaligned(as: Int64.self))
      case .int32: return .integer(Int64(p.loadUnaligned(as: Int32.self)))
      case .uint32: return .integer(Int64(p.loadUnaligned(as: UInt32.self)))
      case .int16: return .integer(Int64(p.loadUnaligned(as: Int16.self)))
      case .uint16: return .integer(Int64(p.loadUnaligned(as: UInt16.self)))
      case .int8: return .integer(Int64(p.loadUnaligned(as: Int8.self)))
      case .uint8, .bool: return .integer(Int64(p.loadUnaligned(as: UInt8.self)))
      }
    }
    set {
      let p = start + index * element.byteCount
      switch element {
      case .float64: p.storeBytes(of: newValue.double, as: Double.self)
      case .float32: p.storeBytes(of: Float(newValue.double), as: Float.self)
      case .float16: p.storeBytes(of: Float16(newValue.double), as: Float16.self)
      case .bfloat16:
        p.storeBytes(of: UInt16(Float(element.rounded(newValue.double)).bitPattern >> 16), as: UInt16.self)
      case .int64, .uint64, .int32, .uint32, .int16, .uint16, .int8, .uint8, .bool:
        guard case .integer(let i) = newValue else { preconditionFailure("an integer for \(element)") }
        withUnsafeBytes(of: i.littleEndian) { p.copyMemory(from: $0.baseAddress!, byteCount: element.byteCount) }
      }
    }
  }
}

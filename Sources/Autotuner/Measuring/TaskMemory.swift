import Compiler
import Glibc
import Kernels
import TensorTypes

/// Memory whose end lies against a page that may not be touched, so that reading past an operand is a crash.
final class GuardedBuffer {
  let bytes: UnsafeMutableRawBufferPointer
  private let mapping: UnsafeMutableRawPointer
  private let mapped: Int

  /// Aligned to 64 bytes; so up to 63 bytes lie between its end and the guard.
  init(byteCount: Int) throws(Failure) {
    let (page, rounded) = (4096, (byteCount + 63) / 64 * 64)
    let inner = max(page, (rounded + page - 1) / page * page)
    mapped = inner + page
    let memory = mmap(nil, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory, memory != MAP_FAILED else { throw Failure(.noDevice, "no memory for \(byteCount) bytes") }
    mapping = memory
    mprotect(memory + inner, page, PROT_NONE)
    bytes = UnsafeMutableRawBufferPointer(start: memory.advanced(by: inner - rounded), count: byteCount)
  }

  convenience init(_ tensor: HostTensor) throws(Failure) {
    try self.init(byteCount: tensor.byteCount)
    bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: tensor.bytes[..<tensor.byteCount]))
  }

  deinit { munmap(mapping, mapped) }
}

/// The operands of a task, filled with repeatable random numbers.
struct TaskOperands {
  let tensors: [HostTensor]

  init(_ workload: Workload, sizes: [String: Int], seed: UInt64) throws(Failure) {
    var generator = SeededGenerator(seed: seed)
    var tensors: [HostTensor] = []
    for view in workload.operands {
      guard let count = Self.span(view, sizes) else { throw .badData("a task with an open size without a value") }
      tensors.append(Self.random(view.element, count, rounded: workload.mayRound, &generator))
    }
    self.tensors = tensors
  }

  /// Elements from the first to the last that a view addresses.
  static func span(_ view: View, _ sizes: [String: Int]) -> Int? {
    var last = 0
    for (size, stride) in zip(view.shape, view.strides) {
      guard let size = size.evaluate(sizes), let stride = stride.evaluate(sizes) else { return nil }
      if size == 0 { return 0 }
      last += (size - 1) * stride
    }
    return last + 1
  }

  /// Floats in -1...1, integers in 0...3 (which index anything of four elements; others are clamped), any bool.
  /// - Parameter rounded: f32 numbers are such of bf16, so that kernels which round them agree with those that do not.
  private static func random(
    _ element: ElementType, _ count: Int, rounded: Bool, _ generator: inout SeededGenerator
  ) -> HostTensor {
    func values<T: BitwiseCopyable>(_ make: (UInt64) -> T) -> HostTensor {
      HostTensor(element, [count], (0..<count).map { _ in make(generator.next()) })
    }
    func unit(_ bits: UInt64) -> Double { Double(bits >> 11) * 0x1p-52 - 1 }
    switch element {
    case .float64: return values { unit($0) }
    case .float32: return values { Float(bitPattern: Float(unit($0)).bitPattern & (rounded ? 0xFFFF_0000 : .max)) }
    case .float16: return values { HalfBits.float16(Float(unit($0))) }
    case .bfloat16: return values { UInt16(Float(unit($0)).bitPattern >> 16) }
    case .int64, .uint64: return values { Int64($0 >> 62) }
    case .int32, .uint32: return values { Int32($0 >> 62) }
    case .int16, .uint16: return values { Int16($0 >> 62) }
    case .int8, .uint8: return values { Int8($0 >> 62) }
    case .bool: return values { UInt8($0 >> 63) }
    }
  }
}

enum HalfBits {
  static func float16(_ value: Float) -> UInt16 { Float16(value).bitPattern }
  static func float(_ bits: UInt16) -> Float { Float(Float16(bitPattern: bits)) }
}

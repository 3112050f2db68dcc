internal import Glibc
internal import TensorTypes
internal import TesseraABI
internal import TesseraHost

/// Memory that a run asks for once it knows how much: tensors of sizes that depend on data, and outputs of such sizes.
/// Kept from run to run. Used by one run at a time, on the thread that runs.
final class RunMemory {
  private final class Slot { var memory = Workspace() }
  private var slots: [Int: Slot] = [:]
  private let ports: [Port]
  private let poisons: Bool
  /// Where the caller wants each output; no memory for one that the session shall keep.
  private var wanted: [MutableTensorView] = []
  /// Memory for outputs that the caller gave none for.
  private var owned: [Int: HostTensor.Storage] = [:]
  /// Outputs whose memory the run has asked for.
  private var found: [Int: MutableTensorView] = [:]
  /// Why a service returned null.
  private(set) var failure: Failure?

  init(ports: [Port], poisons: Bool) {
    self.ports = ports
    self.poisons = poisons
  }

  func begin(_ outputs: [MutableTensorView]) {
    wanted = outputs
    found = [:]
    failure = nil
  }

  /// The outputs of the run that has ended, with the sizes that they came to have.
  func results(_ outputs: [MutableTensorView]) throws(Failure) -> [MutableTensorView] {
    var results = outputs
    for (i, port) in ports.enumerated() where port.isUnknown {
      guard let result = found[i] else { throw Failure(.ours, "the library has not given output '\(port.name)'") }
      results[i] = result
    }
    return results
  }

  /// Hands over the memory of an output that the caller gave none for.
  func take(_ index: Int) -> HostTensor.Storage? { owned.removeValue(forKey: index) }

  // MARK: What the services do

  func allocate(slot number: Int, bytes: UInt64, keep: UInt64) -> UnsafeMutableRawPointer? {
    let slot = slots[number] ?? Slot()
    slots[number] = slot
    do throws(Failure) { try slot.memory.grow(to: bytes, keeping: keep) } catch {
      failure = error.at("a tensor whose size depends on the input")
      return nil
    }
    guard let base = slot.memory.base else { return nil }
    if poisons { (base + Int(keep)).initializeMemory(as: UInt8.self, repeating: 0xFF, count: Int(bytes - keep)) }
    return base
  }

  func output(_ index: Int, _ dims: UnsafePointer<Int64>) -> UnsafeMutableRawPointer? {
    do throws(Failure) { return try place(index, dims) } catch {
      failure = error
      return nil
    }
  }

  private func place(_ index: Int, _ dims: UnsafePointer<Int64>) throws(Failure) -> UnsafeMutableRawPointer {
    guard ports.indices.contains(index), ports[index].isUnknown else {
      throw Failure(.ours, "the library asks for the memory of output \(index)")
    }
    let port = ports[index]
    let place = "output '\(port.name)'"
    let shape = (0..<port.rank).map { Int(dims[$0]) }
    guard let needed = byteCount(port.element, shape) else {
      throw .badData("these inputs lead to the sizes \(shape), which no tensor has", place: place)
    }
    var memory = wanted[index].bytes
    if memory.baseAddress != nil {
      guard memory.count >= needed else {
        throw .badData("\(memory.count) bytes of memory for sizes \(shape), which take \(needed)", place: place)
      }
    } else {
      memory = try own(index, needed, place)
    }
    if poisons { memory.initializeMemory(as: UInt8.self, repeating: 0xFF) }
    found[index] = MutableTensorView(port.element, shape, UnsafeMutableRawBufferPointer(rebasing: memory[..<needed]))
    guard let base = memory.baseAddress else { throw Failure(.noDevice, place: place, "no memory") }
    return base
  }

  private func own(_ index: Int, _ needed: Int, _ place: String) throws(Failure) -> UnsafeMutableRawBufferPointer {
    if let storage = owned[index], storage.bytes.count >= needed {
      return UnsafeMutableRawBufferPointer(mutating: storage.bytes)
    }
    let storage = try tensorMemory(byteCount: needed, place)
    owned[index] = storage
    return UnsafeMutableRawBufferPointer(mutating: storage.bytes)
  }
}

/// Memory for a tensor, aligned to 64 bytes.
/// - Throws: `noDevice` naming `place` if there is not that much.
func tensorMemory(byteCount: Int, _ place: String) throws(Failure) -> HostTensor.Storage {
  var memory: UnsafeMutableRawPointer?
  let size = max(64, byteCount)
  guard size <= 1 << 46, posix_memalign(&memory, 64, size) == 0, let memory else {
    throw Failure(.noDevice, place: place, "no memory for \(byteCount) bytes")
  }
  let owner = MutableTensorView(.uint8, [size], UnsafeMutableRawBufferPointer(start: memory, count: size))
  return HostTensor.Storage(UnsafeRawBufferPointer(owner.bytes)) { free(owner.bytes.baseAddress) }
}

/// The services as C calls them: the run's memory is behind the host's handle.
enum RunServices {
  static let allocate: @convention(c) (UnsafeMutableRawPointer?, Int32, UInt64, UInt64) -> UnsafeMutableRawPointer? =
    { host, slot, bytes, keep in memory(host)?.allocate(slot: Int(slot), bytes: bytes, keep: keep) }

  static let output:
    @convention(c) (UnsafeMutableRawPointer?, Int32, UnsafePointer<Int64>?) -> UnsafeMutableRawPointer? =
      { host, index, dims in
        guard let dims else { return nil }
        return memory(host)?.output(Int(index), dims)
      }

  private static func memory(_ host: UnsafeMutableRawPointer?) -> RunMemory? {
    guard let memory = host?.assumingMemoryBound(to: TsrHost.self).pointee.memory else { return nil }
    return Unmanaged<RunMemory>.fromOpaque(memory).takeUnretainedValue()
  }
}

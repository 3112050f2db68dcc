internal import Glibc
internal import TensorTypes

/// Memory for a run's intermediate tensors: aligned to pages, grown when a run needs more, kept in between.
struct Workspace: ~Copyable {
  private var mapping: UnsafeMutableRawPointer?
  private var mappedSize = 0
  private(set) var base: UnsafeMutableRawPointer?
  private(set) var size = 0

  /// From this size on, aligned to and backed by huge pages where the system grants them.
  private static let hugePage = 2 << 20

  /// Makes at least `needed` bytes available. What they hold is unspecified.
  mutating func reserve(_ needed: UInt64) throws(Failure) {
    guard base == nil || needed > UInt64(size) else { return }
    guard needed <= 1 << 46 else { throw Failure(.noDevice, "a workspace of \(needed) bytes is more than can be had") }
    release()
    let alignment = needed >= Self.hugePage ? Self.hugePage : 4096
    let rounded = (max(1, Int(needed)) + alignment - 1) / alignment * alignment
    let total = alignment == 4096 ? rounded : rounded + alignment
    let memory = mmap(nil, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory, memory != MAP_FAILED else {
      throw Failure(.noDevice, "no memory for a workspace of \(needed) bytes")
    }
    let skip = (alignment - Int(bitPattern: memory) % alignment) % alignment
    (mapping, mappedSize) = (memory, total)
    (base, size) = (memory + skip, rounded)
    if alignment == Self.hugePage { madvise(memory + skip, rounded, Int32(MADV_HUGEPAGE)) }
  }

  /// Makes at least `needed` bytes available, the first `keep` of which hold what they held. Grows by half at least, so
  /// that growing step by step costs little.
  mutating func grow(to needed: UInt64, keeping keep: UInt64) throws(Failure) {
    guard base == nil || needed > UInt64(size) else { return }
    var larger = Workspace()
    let ample = min(UInt64(size) + UInt64(size) / 2, 1 << 46)
    try larger.reserve(max(needed, ample))
    if let base, let new = larger.base { new.copyMemory(from: base, byteCount: min(size, Int(keep))) }
    swap(&self, &larger)
  }

  private mutating func release() {
    if let mapping { munmap(mapping, mappedSize) }
    (mapping, mappedSize, base, size) = (nil, 0, nil, 0)
  }

  deinit { if let mapping { munmap(mapping, mappedSize) } }
}

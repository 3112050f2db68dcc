import TensorTypes

/// Gives each tensor between kernels its place in one arena, so that those that live at the same time do not overlap.
///
/// Sizes known at compile time: greedily by size, each at the lowest offset that is free during its life (Pisarchyk &
/// Lee, Efficient Memory Management for Deep Neural Net Inference, 2020). Sizes with symbols: tensors whose lives do
/// not meet share a slot as large as the largest of them; offsets are expressions evaluated at each run.
struct ArenaPlanner {
  struct Tenant {
    var byteCount: Dim
    var life: ClosedRange<Int>
  }

  static let alignment = 64

  /// - Returns: an offset in bytes for each tenant, and the arena's size.
  static func place(_ tenants: [Tenant]) -> (offsets: [Dim], byteCount: Dim) {
    let sizes = tenants.map { $0.byteCount.constant }
    if sizes.allSatisfy({ $0 != nil }) { return placeKnown(tenants, sizes.map { align($0!) }) }
    return placeSymbolic(tenants)
  }

  private static func align(_ bytes: Int) -> Int { (bytes + alignment - 1) / alignment * alignment }

  private static func placeKnown(_ tenants: [Tenant], _ sizes: [Int]) -> (offsets: [Dim], byteCount: Dim) {
    var offsets = [Int](repeating: 0, count: tenants.count)
    var placed: [Int] = []
    var end = 0
    for i in tenants.indices.sorted(by: { sizes[$0] != sizes[$1] ? sizes[$0] > sizes[$1] : $0 < $1 }) {
      let neighbours = placed.filter { tenants[$0].life.overlaps(tenants[i].life) }.sorted { offsets[$0] < offsets[$1] }
      var candidate = 0
      for other in neighbours {
        if candidate + sizes[i] <= offsets[other] { break }
        candidate = max(candidate, offsets[other] + sizes[other])
      }
      offsets[i] = candidate
      placed.append(i)
      end = max(end, candidate + sizes[i])
    }
    return (offsets.map { Dim($0) }, Dim(end))
  }

  /// A size that stands for an expression where tensors are compared: symbols at a middling value.
  static func nominal(_ size: Dim) -> Int {
    size.evaluate(Dictionary(uniqueKeysWithValues: size.symbols.map { ($0, 64) })) ?? .max
  }

  /// Memory that tensors have in turn.
  private struct Slot {
    /// Its size is the largest of these, none of which is known to be no larger than another.
    var sizes: [Dim]
    var nominal: Int
    var lives: [ClosedRange<Int>]

    /// Makes room for one more tensor.
    mutating func take(_ tenant: Tenant) {
      lives.append(tenant.life)
      if sizes.contains(where: { $0.isAtLeast(tenant.byteCount) }) { return }
      sizes = sizes.filter { !tenant.byteCount.isAtLeast($0) } + [tenant.byteCount]
    }
  }

  private static func placeSymbolic(_ tenants: [Tenant]) -> (offsets: [Dim], byteCount: Dim) {
    var slots: [Slot] = []
    var slotOf = [Int](repeating: 0, count: tenants.count)
    let sizes = tenants.map { nominal($0.byteCount) }
    for i in tenants.indices.sorted(by: { sizes[$0] != sizes[$1] ? sizes[$0] > sizes[$1] : $0 < $1 }) {
      let tenant = tenants[i]
      let free = slots.indices.filter { slot in !slots[slot].lives.contains { $0.overlaps(tenant.life) } }
      // One that need not grow whatever the symbols are, else the one that it fits best: the smallest, as all are at
      // least as large.
      let best = free.min { a, b in
        let (growsA, growsB) = (grows(slots[a], tenant), grows(slots[b], tenant))
        return growsA != growsB ? growsB : slots[a].nominal < slots[b].nominal
      }
      if let best {
        slots[best].take(tenant)
        slotOf[i] = best
      } else {
        slotOf[i] = slots.count
        slots.append(Slot(sizes: [tenant.byteCount], nominal: sizes[i], lives: [tenant.life]))
      }
    }
    var starts: [Dim] = []
    var end = Dim(0)
    for slot in slots {
      starts.append(end)
      let byteCount = slot.sizes.reduce(Dim(0), Dim.maximum)
      end = end + byteCount.ceilDivided(by: Dim(alignment)) * Dim(alignment)
    }
    return (slotOf.map { starts[$0] }, end)
  }

  private static func grows(_ slot: Slot, _ tenant: Tenant) -> Bool {
    !slot.sizes.contains { $0.isAtLeast(tenant.byteCount) }
  }
}

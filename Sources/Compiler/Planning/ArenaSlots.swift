import TensorTypes

/// Tensors whose lives do not meet share a slot as large as the largest of them; offsets are expressions evaluated at
/// each run.
struct ArenaSlots {
  /// By tenant.
  private(set) var offsets: [Int: Dim] = [:]
  private(set) var byteCount = Dim(0)

  /// Memory that tensors have in turn.
  private struct Slot {
    /// Its size is the largest of these, none of which is known to be no larger than another.
    var sizes: [Dim]
    var nominal: Int
    var lives: [ClosedRange<Int>]

    /// Makes room for one more tensor.
    mutating func take(_ size: Dim, _ life: ClosedRange<Int>) {
      lives.append(life)
      if holds(size) { return }
      sizes = sizes.filter { !size.isAtLeast($0) } + [size]
    }

    func holds(_ size: Dim) -> Bool { sizes.contains { $0.isAtLeast(size) } }
  }

  /// - Parameters:
  ///   - members: which of the tenants.
  ///   - aligned: the tenants' sizes.
  init(_ tenants: [ArenaPlanner.Tenant], _ members: [Int], _ aligned: [Dim]) {
    var slots: [Slot] = []
    var slotOf: [Int: Int] = [:]
    let nominal = Dictionary(uniqueKeysWithValues: members.map { ($0, aligned[$0].nominal) })
    for i in members.sorted(by: { nominal[$0]! != nominal[$1]! ? nominal[$0]! > nominal[$1]! : $0 < $1 }) {
      let (size, life) = (aligned[i], tenants[i].life)
      let free = slots.indices.filter { slot in !slots[slot].lives.contains { $0.overlaps(life) } }
      let holding = Set(free.filter { slots[$0].holds(size) })
      // One that need not grow whatever the symbols are, else the one that it fits best: the smallest, as all are at
      // least as large.
      let best = free.min { a, b in
        holding.contains(a) != holding.contains(b) ? holding.contains(a) : slots[a].nominal < slots[b].nominal
      }
      if let best {
        slots[best].take(size, life)
        slotOf[i] = best
      } else {
        slotOf[i] = slots.count
        slots.append(Slot(sizes: [size], nominal: nominal[i]!, lives: [life]))
      }
    }
    var starts: [Dim] = []
    for slot in slots {
      starts.append(byteCount)
      byteCount = byteCount + slot.sizes.reduce(Dim(0), Dim.maximum)
    }
    offsets = slotOf.mapValues { starts[$0] }
  }
}

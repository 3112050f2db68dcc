import TensorTypes

/// Gives each tensor between kernels its place in one arena, so that those that live at the same time do not overlap.
///
/// Tensors are placed one after the other, each at the lowest offset at which it is free of all that live with it
/// (greedy by size: Pisarchyk & Lee, Efficient Memory Management for Deep Neural Net Inference, 2020). The order decides
/// how well it goes: some are tried, and the one with the smallest arena is taken.
///
/// Sizes with symbols are placed alike, by offsets that are expressions; that a place is free must then be proved for
/// all values of the symbols. That goes for polynomials of symbols. Where sizes are rounded (half an image's odd height)
/// too little can be proved: such tensors share slots behind the others, as large as the largest of each (`ArenaSlots`).
struct ArenaPlanner {
  struct Tenant {
    var byteCount: Dim
    var life: ClosedRange<Int>
  }

  static let alignment = 64
  /// An order this close to the bound is good enough: 1 %.
  private static let enough = 1.01
  /// How often the tensors at the arena's end are placed earlier, to see whether it shrinks.
  private static let repairs = 24

  private let tenants: [Tenant]
  /// Aligned.
  private let sizes: [Dim]
  private let isKnown: Bool
  /// The sizes with symbols at some values, by which places are tried before anything is proved: a list a tenant.
  private let samples: [[Int]]

  private init(_ tenants: [Tenant]) {
    self.tenants = tenants
    let unit = Dim(Self.alignment)
    let sizes = tenants.map { $0.byteCount.ceilDivided(by: unit) * unit }
    let points = Self.points(sizes.reduce(into: []) { $0.formUnion($1.symbols) })
    samples = sizes.map { size in points.map { point in size.constant ?? size.evaluate(point) ?? .max } }
    isKnown = sizes.allSatisfy { $0.constant != nil }
    self.sizes = sizes
  }

  /// Values of symbols that are unlike each other; the first stands for the symbols where numbers are compared.
  private static func points(_ symbols: Set<String>) -> [[String: Int]] {
    let names = symbols.sorted()
    let values: [(Int) -> Int] = [{ _ in nominal }, { _ in 1 }, { 7 + 3 * $0 }, { $0 % 2 == 0 ? 1000 : 1 }]
    return values.prefix(symbols.isEmpty ? 1 : values.count).map { value in
      Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, value($0)) })
    }
  }

  /// What a symbol counts as where a number is needed.
  static let nominal = 64

  /// - Returns: an offset in bytes for each tenant, the arena's size, and what it cannot be smaller than.
  static func place(_ tenants: [Tenant]) -> (offsets: [Dim], arena: Plan.Arena) {
    ArenaPlanner(tenants).place()
  }

  private func place() -> (offsets: [Dim], arena: Plan.Arena) {
    let bound = bound()
    let indices = Array(tenants.indices)
    let simple = indices.filter { sizes[$0].isPolynomial }
    let inSlots = ArenaSlots(tenants, indices, sizes)
    var (offsets, byteCount) = (inSlots.offsets, inSlots.byteCount)
    if !simple.isEmpty, let layout = layout(of: simple, least: bound.map(\.nominal).max() ?? 0) {
      let rest = ArenaSlots(tenants, indices.filter { !sizes[$0].isPolynomial }, sizes)
      let whole = layout.byteCount + rest.byteCount
      if whole.nominal < byteCount.nominal, whole != .saturated {
        for i in indices {
          offsets[i] = sizes[i].isPolynomial ? layout.offsets[i]! : rest.offsets[i]! + layout.byteCount
        }
        byteCount = whole
      }
    }
    return (indices.map { offsets[$0]! }, Plan.Arena(byteCount: byteCount, bound: bound))
  }

  /// The best layout of some tenants; nil if it has no expression of a bearable size.
  private func layout(of members: [Int], least: Int) -> Layout? {
    var best: Layout?
    func attempt(_ order: [Int]) -> Bool {
      let layout = layout(order)
      if layout.end[0] < best?.end[0] ?? .max { best = layout }
      return Double(best?.end[0] ?? .max) <= Self.enough * Double(least)
    }
    if !orders(members).contains(where: attempt), let first = best { repair(first, attempt) }
    return best.flatMap { $0.byteCount == .saturated ? nil : $0 }
  }

  // MARK: Orders

  private func orders(_ members: [Int]) -> [[Int]] {
    let size = samples.map { $0[0] }
    let length = tenants.map(\.life.count)
    func sorted(_ isBefore: (Int, Int) -> Bool?) -> [Int] {
      members.sorted { isBefore($0, $1) ?? ($0 < $1) }
    }
    func larger(_ a: Int, _ b: Int) -> Bool? { size[a] != size[b] ? size[a] > size[b] : nil }
    func longer(_ a: Int, _ b: Int) -> Bool? { length[a] != length[b] ? length[a] > length[b] : nil }
    func area(_ i: Int) -> Double { Double(size[i]) * Double(length[i]) }
    let peak = peak()
    let atPeak = tenants.map { $0.life.contains(peak) }
    return [
      sorted(larger), sorted { larger($0, $1) ?? longer($0, $1) },
      sorted { atPeak[$0] != atPeak[$1] ? atPeak[$0] : larger($0, $1) ?? longer($0, $1) },
      sorted { area($0) != area($1) ? area($0) > area($1) : nil },
      sorted { longer($0, $1) ?? larger($0, $1) },
    ]
  }

  /// The step at which most is alive.
  private func peak() -> Int {
    var change: [Int: Int] = [:]
    for (tenant, sample) in zip(tenants, samples) {
      change[tenant.life.lowerBound, default: 0] += sample[0]
      change[tenant.life.upperBound + 1, default: 0] -= sample[0]
    }
    var (alive, most, step) = (0, 0, 0)
    for (at, bytes) in change.sorted(by: { $0.key < $1.key }) {
      alive += bytes
      if alive > most { (most, step) = (alive, at) }
    }
    return step
  }

  /// Places those that reach farthest first, again and again.
  private func repair(_ first: Layout, _ attempt: ([Int]) -> Bool) {
    var current = first
    for _ in 0..<(isKnown ? Self.repairs : Self.repairs / 4) {
      let last = current.order.filter { current.ends[$0][0] == current.end[0] }
      let order = last + current.order.filter { current.ends[$0][0] != current.end[0] }
      if order == current.order || attempt(order) { return }
      current = layout(order)
    }
  }

  // MARK: Placing

  /// Offsets for all tenants, found in some order.
  private struct Layout {
    let order: [Int]
    var offsets: [Int: Dim] = [:]
    /// Offsets, and offsets plus sizes, at each sample, by tenant.
    var starts: [[Int]]
    var ends: [[Int]]
    /// The largest end at each sample.
    var end: [Int]
    var byteCount = Dim(0)
  }

  private func layout(_ order: [Int]) -> Layout {
    let none = [[Int]](repeating: [], count: tenants.count)
    var layout = Layout(
      order: order, starts: none, ends: none,
      end: [Int](repeating: 0, count: samples.first?.count ?? 1))
    var placed: [Int] = []
    for i in order {
      let neighbours = placed.filter { tenants[$0].life.overlaps(tenants[i].life) }
        .sorted { layout.starts[$0][0] < layout.starts[$1][0] }
      let place = place(i, among: neighbours, layout)
      layout.offsets[i] = place.offset
      layout.starts[i] = place.values
      layout.ends[i] = zip(place.values, samples[i]).map { saturatingSum($0, $1) }
      layout.end = zip(layout.end, layout.ends[i]).map(max)
      placed.append(i)
    }
    let ends = order.map { isKnown ? Dim(layout.ends[$0][0]) : layout.offsets[$0]! + sizes[$0] }
    layout.byteCount = Set(ends).sorted { $0.nominal > $1.nominal }.reduce(Dim(0), Dim.maximum)
    return layout
  }

  private func place(_ i: Int, among neighbours: [Int], _ layout: Layout) -> (offset: Dim, values: [Int]) {
    let zero = (offset: Dim(0), values: [Int](repeating: 0, count: samples[i].count))
    if isKnown {
      var candidate = 0
      for other in neighbours {
        if candidate + samples[i][0] <= layout.starts[other][0] { break }
        candidate = max(candidate, layout.ends[other][0])
      }
      return (Dim(candidate), [candidate])
    }
    let ends = neighbours.map { (offset: layout.offsets[$0]! + sizes[$0], values: layout.ends[$0]) }
    for candidate in [zero] + ends.sorted(by: { $0.values[0] < $1.values[0] })
    where isFree(candidate, i, neighbours, layout) {
      return candidate
    }
    // Behind all of them, whichever is the last.
    let values = ends.reduce(zero.values) { zip($0, $1.values).map(max) }
    return (ends.map(\.offset).reduce(Dim(0), Dim.maximum), values)
  }

  private func isFree(
    _ place: (offset: Dim, values: [Int]), _ i: Int, _ neighbours: [Int], _ layout: Layout
  ) -> Bool {
    let ends = zip(place.values, samples[i]).map { saturatingSum($0, $1) }
    func lie(_ a: [Int], before b: [Int]) -> Bool { zip(a, b).allSatisfy { $0 <= $1 } }
    // For each neighbour, whether this comes before it; it must be one or the other in every sample.
    var isBefore: [Bool] = []
    for other in neighbours {
      if lie(layout.ends[other], before: place.values) {
        isBefore.append(false)
      } else if lie(ends, before: layout.starts[other]) {
        isBefore.append(true)
      } else {
        return false
      }
    }
    let end = place.offset + sizes[i]
    return zip(neighbours, isBefore).allSatisfy { other, isBefore in
      isBefore
        ? layout.offsets[other]!.isAtLeast(end) : place.offset.isAtLeast(layout.offsets[other]! + sizes[other])
    }
  }

  private func saturatingSum(_ a: Int, _ b: Int) -> Int {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : sum
  }

  // MARK: Bound

  /// The largest sums of sizes alive at once: for every step's there is one here that is known to be at least as large,
  /// but for the smallest of very many.
  private func bound() -> [Dim] {
    var changes: [Int: [(Int, isBirth: Bool)]] = [:]
    for (i, tenant) in tenants.enumerated() {
      changes[tenant.life.lowerBound, default: []].append((i, true))
      changes[tenant.life.upperBound + 1, default: []].append((i, false))
    }
    var alive = Dim(0)
    var sums: [Dim] = []
    for (_, members) in changes.sorted(by: { $0.key < $1.key }) {
      for (i, isBirth) in members { alive = isBirth ? alive + sizes[i] : alive - sizes[i] }
      sums.append(alive)
    }
    // Sorting keeps equals in order: the same plan gives the same library, byte for byte.
    var largest: [Dim] = []
    for sum in sums.sorted(by: { $0.nominal > $1.nominal })
    where largest.count < 16 && !largest.contains(where: { $0.isAtLeast(sum) }) {
      largest.append(sum)
    }
    return largest
  }
}

extension Dim {
  /// Whether nothing but sums and products of symbols is in it.
  fileprivate var isPolynomial: Bool {
    terms.allSatisfy { term in
      term.factors.allSatisfy { atom in
        switch atom {
        case .symbol: true
        case .quotient, .remainder, .minimum, .maximum: false
        }
      }
    }
  }

  /// The size where a number is needed.
  var nominal: Int {
    constant ?? evaluate(Dictionary(uniqueKeysWithValues: symbols.map { ($0, ArenaPlanner.nominal) })) ?? .max
  }
}

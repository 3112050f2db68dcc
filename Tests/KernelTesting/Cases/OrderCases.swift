import Kernels
import TensorTypes

/// Values with many ties, both zeros and, of floats, infinities and NaN.
private func fillWithTies(_ sample: Sample, _ generator: inout SeededGenerator) {
  let element = sample.view.element
  let special: [Double] = [.nan, .infinity, -.infinity, 0, -0.0]
  sample.fill {
    if element.isFloat {
      let roll = Int.random(in: 0..<12, using: &generator)
      return .float(roll < special.count ? special[roll] : Double(Int.random(in: -20...20, using: &generator)) / 4)
    }
    if element == .bool { return .integer(Int64.random(in: 0...1, using: &generator)) }
    if element == .uint64 { return .integer([0, 1, -1, .max, .min].randomElement(using: &generator)!) }
    return .integer(Int64.random(in: (element.isSignedInteger ? -9 : 0)...9, using: &generator))
  }
}

/// Whether a comes before b.
private func precedes(_ a: Scalar, _ b: Scalar, _ element: ElementType, largestFirst: Bool, nanFirst: Bool) -> Bool {
  switch (a, b) {
  case (.float(let x), .float(let y)):
    if x.isNaN || y.isNaN { return nanFirst ? x.isNaN && !y.isNaN : !x.isNaN && y.isNaN }
    return largestFirst ? x > y : x < y
  case (.integer(let x), .integer(let y)):
    if element == .uint64 {
      return largestFirst
        ? UInt64(bitPattern: x) > UInt64(bitPattern: y) : UInt64(bitPattern: x) < UInt64(bitPattern: y)
    }
    return largestFirst ? x > y : x < y
  default: preconditionFailure("two of one type")
  }
}

/// The position of the first or last extreme along a dimension, among many ties.
public struct ArgReduceCase: Sendable {
  public var x: View
  public var axis: Int
  public var isMaximum: Bool
  public var selectsLast: Bool
  public var sizes: [String: Int]

  public init(_ x: View, axis: Int, isMaximum: Bool, selectsLast: Bool, sizes: [String: Int] = [:]) {
    (self.x, self.axis, self.isMaximum, self.selectsLast, self.sizes) = (x, axis, isMaximum, selectsLast, sizes)
  }

  public static func random(_ g: inout SeededGenerator) -> ArgReduceCase {
    let (x, axis, sizes) = drawnTensor(g.flip(0.6) ? .float32 : g.pick(ElementType.allCases), mayBeEmpty: false, &g)
    return ArgReduceCase(x, axis: axis, isMaximum: g.flip(), selectsLast: g.flip(), sizes: sizes)
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    let inputs = samples([x], sizes: sizes, &generator)
    fillWithTies(inputs[0], &generator)
    var shape = x.shape
    shape[axis] = 1
    let w = ArgReduceWorkload(
      x: x, axis: axis, isMaximum: isMaximum, selectsLast: selectsLast, output: View(.int64, shape))
    let (element, axis, isMaximum, selectsLast) = (x.element, axis, isMaximum, selectsLast)
    return KernelCase(.argReduce(w), sizes: sizes, inputs: inputs) { index in
      var best = 0
      var place = index
      for i in 0..<inputs[0].shape[axis] {
        place[axis] = i
        let candidate = inputs[0][place]
        place[axis] = best
        let incumbent = inputs[0][place]
        func before(_ a: Scalar, _ b: Scalar) -> Bool {
          precedes(a, b, element, largestFirst: isMaximum, nanFirst: true)
        }
        if selectsLast ? !before(incumbent, candidate) : before(candidate, incumbent) { best = i }
      }
      return Expected(value: .integer(Int64(best)))
    }
  }
}

/// The first k along a dimension in order, and where they were, among many ties.
public struct SortCase: Sendable {
  public var x: View
  public var axis: Int
  public var k: Dim
  public var isDescending: Bool
  public var sizes: [String: Int]

  public init(_ x: View, axis: Int, k: Dim, isDescending: Bool, sizes: [String: Int] = [:]) {
    (self.x, self.axis, self.k, self.isDescending, self.sizes) = (x, axis, k, isDescending, sizes)
  }

  public static func random(_ g: inout SeededGenerator) -> SortCase {
    let element = g.flip(0.6) ? .float32 : g.pick(ElementType.allCases)
    var (x, axis, sizes) = drawnTensor(element, mayBeEmpty: true, &g)
    // Rows of which it pays to find the first before they are sorted.
    if g.flip(0.4) {
      var drawn = DrawnSizes(g.flip(0.3))
      let shape: Shape = [drawn.dim("n0", g.size(1...3)), drawn.dim("n1", g.edge([64, 320], most: 1300) + 128)]
      (x, axis, sizes) = (g.flip(0.7) ? View(element, shape) : .transposed(element, shape, [1, 0]), 1, drawn.values)
      if x.strides[1] != 1 { axis = 0 }
    }
    // Many rows, of which lanes of vectors take one each.
    if g.flip(0.3) {
      var drawn = DrawnSizes(g.flip(0.3))
      let shape: Shape = [
        drawn.dim("n0", g.edge([16, 32], most: 140) + 16), drawn.dim("n1", g.edge([16, 32], most: 70)),
      ]
      (x, axis, sizes) = (g.flip(0.7) ? View(element, shape) : .transposed(element, shape, [1, 0]), 1, drawn.values)
      return SortCase(
        x, axis: axis, k: Dim(min(g.size(1...9), shape[1].evaluate(sizes)!)), isDescending: g.flip(), sizes: sizes)
    }
    let length = x.shape[axis].evaluate(sizes)!
    let count = g.pick(length, g.size(0...length), g.size(0...length / 8), min(1, length))
    let k: Dim = sizes.isEmpty ? Dim(count) : .symbol("k")
    if !sizes.isEmpty { sizes["k"] = count }
    return SortCase(x, axis: axis, k: k, isDescending: g.flip(), sizes: sizes)
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    let inputs = samples([x], sizes: sizes, &generator)
    fillWithTies(inputs[0], &generator)
    var shape = x.shape
    shape[axis] = k
    let w = SortWorkload(
      x: x, axis: axis, isDescending: isDescending, output: View(x.element, shape), indices: View(.int64, shape))
    let order = order(of: inputs[0])
    let axis = axis
    return KernelCase(
      .sort(w), sizes: sizes, inputs: inputs, extras: [{ Expected(value: .integer(Int64(order($0)[$0[axis]]))) }]
    ) { index in
      var source = index
      source[axis] = order(index)[index[axis]]
      return Expected(value: inputs[0][source])
    }
  }

  /// Positions along the axis in order, for the row that an index is in.
  private func order(of x: Sample) -> ([Int]) -> [Int] {
    var orders: [[Int]: [Int]] = [:]
    return { index in
      var place = index
      place[axis] = 0
      if let known = orders[place] { return known }
      let values = (0..<x.shape[axis]).map { i -> Scalar in
        var there = index
        there[axis] = i
        return x[there]
      }
      func before(_ a: Scalar, _ b: Scalar) -> Bool {
        precedes(a, b, x.view.element, largestFirst: isDescending, nanFirst: isDescending)
      }
      orders[place] = values.indices.sorted { a, b in
        before(values[a], values[b]) || (!before(values[b], values[a]) && a < b)
      }
      return orders[place]!
    }
  }
}

/// Running sums along a dimension.
public struct ScanCase: Sendable {
  public var x: View
  public var axis: Int
  public var isExclusive: Bool
  public var isReverse: Bool
  public var sizes: [String: Int]

  public init(_ x: View, axis: Int, isExclusive: Bool, isReverse: Bool, sizes: [String: Int] = [:]) {
    (self.x, self.axis, self.isExclusive, self.isReverse, self.sizes) = (x, axis, isExclusive, isReverse, sizes)
  }

  public static func random(_ g: inout SeededGenerator) -> ScanCase {
    let type: ElementType = g.pick(.float32, .float32, .float64, .float16, .int32, .int64)
    if g.flip(0.2) {
      // Rows so long that their sums are kept in memory.
      let x = View(type, [Dim(g.edge(most: 5)), Dim(g.size(0...40)), Dim(g.pick(512, 1024, 3072))])
      return ScanCase(x, axis: g.size(0...1), isExclusive: g.flip(), isReverse: g.flip())
    }
    let (x, axis, sizes) = drawnTensor(type, mayBeEmpty: true, &g)
    return ScanCase(x, axis: axis, isExclusive: g.flip(), isReverse: g.flip(), sizes: sizes)
  }

  public func kernelCase(_ generator: inout SeededGenerator) -> KernelCase {
    let inputs = samples([x], sizes: sizes, &generator)
    let w = ScanWorkload(
      function: .sum, x: x, axis: axis, isExclusive: isExclusive, isReverse: isReverse, output: View(x.element, x.shape)
    )
    // Half a unit in the last place of what sums are computed in.
    let unit = x.element == .float64 ? 0x1p-53 : 0x1p-24
    let (element, axis, isExclusive, isReverse) = (x.element, axis, isExclusive, isReverse)
    return KernelCase(.scan(w), sizes: sizes, inputs: inputs) { index in
      let n = inputs[0].shape[axis]
      let range = isReverse ? index[axis]..<n : 0..<(index[axis] + 1)
      let members = range.filter { !isExclusive || $0 != index[axis] }
      let values = members.map { i -> Double in
        var place = index
        place[axis] = i
        return inputs[0][place].double
      }
      let sum = values.reduce(0, +)
      if !element.isFloat { return Expected(value: .integer(Int64(sum))) }
      // One rounding a step, of sums up to the sum of magnitudes, and one to the element type.
      let magnitude = values.reduce(0) { $0 + abs($1) }
      return Expected(
        value: .float(sum), tolerance: Double(values.count) * unit * magnitude + element.epsilon * abs(sum))
    }
  }
}

/// A tensor of one to three dimensions, transposed at times, and one of them.
private func drawnTensor(
  _ element: ElementType, mayBeEmpty: Bool, _ g: inout SeededGenerator
) -> (x: View, axis: Int, sizes: [String: Int]) {
  let rank = g.size(1...3)
  var sizes = DrawnSizes(g.flip(0.3))
  let shape = (0..<rank).map { d in
    sizes.dim("n\(d)", mayBeEmpty && g.flip(0.03) ? 0 : g.edge(most: [131, 33, 9][rank - 1]))
  }
  let order = Array(0..<rank).shuffled(using: &g)
  let x: View = g.flip(0.7) ? View(element, shape) : .transposed(element, shape, order)
  return (x, g.size(0...rank - 1), sizes.values)
}

import Glibc
import KernelTesting
import Kernels
import TensorTypes
import Testing

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

@Suite struct ArgReduceTests {
  private func checkArg(
    _ x: View, axis: Int, isMaximum: Bool, selectsLast: Bool, sizes: [String: Int] = [:]
  ) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let inputs = samples([x], sizes: sizes, &generator)
    fillWithTies(inputs[0], &generator)
    var shape = x.shape
    shape[axis] = 1
    let w = ArgReduceWorkload(
      x: x, axis: axis, isMaximum: isMaximum, selectsLast: selectsLast, output: View(.int64, shape))
    try check(.argReduce(w), sizes: sizes, inputs: inputs, seed: seed) { index in
      var best = 0
      var place = index
      for i in 0..<inputs[0].shape[axis] {
        place[axis] = i
        let candidate = inputs[0][place]
        place[axis] = best
        let incumbent = inputs[0][place]
        func before(_ a: Scalar, _ b: Scalar) -> Bool {
          precedes(a, b, x.element, largestFirst: isMaximum, nanFirst: true)
        }
        if selectsLast ? !before(incumbent, candidate) : before(candidate, incumbent) { best = i }
      }
      return Expected(value: .integer(Int64(best)))
    }
  }

  @Test(arguments: [true, false], [true, false]) func finds(isMaximum: Bool, selectsLast: Bool) throws {
    for n in [1, 9, 67] {
      try checkArg(
        View(.float32, [2, .symbol("n")]), axis: 1, isMaximum: isMaximum, selectsLast: selectsLast, sizes: ["n": n])
      try checkArg(
        View(.uint8, [2, .symbol("m"), .symbol("n")]), axis: 1, isMaximum: isMaximum, selectsLast: selectsLast,
        sizes: ["n": n, "m": 6])
    }
    try checkArg(View(.float32, [3, 16]), axis: 1, isMaximum: isMaximum, selectsLast: selectsLast)
    try checkArg(View(.int64, [5, 7]), axis: 0, isMaximum: isMaximum, selectsLast: selectsLast)
    if isMaximum == selectsLast { return }
    for type in ElementType.allCases {
      try checkArg(View(type, [2, 19]), axis: 1, isMaximum: isMaximum, selectsLast: selectsLast)
    }
  }
}

@Suite struct SortTests {
  private func checkSort(
    _ x: View, axis: Int, k: Dim, isDescending: Bool, sizes: [String: Int] = [:]
  ) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let inputs = samples([x], sizes: sizes, &generator)
    fillWithTies(inputs[0], &generator)
    var shape = x.shape
    shape[axis] = k
    let w = SortWorkload(
      x: x, axis: axis, isDescending: isDescending, output: View(x.element, shape), indices: View(.int64, shape))
    var orders: [[Int]: [Int]] = [:]
    func order(_ index: [Int]) -> [Int] {
      var place = index
      place[axis] = 0
      if let known = orders[place] { return known }
      func value(_ i: Int) -> Scalar {
        var there = index
        there[axis] = i
        return inputs[0][there]
      }
      func before(_ a: Scalar, _ b: Scalar) -> Bool {
        precedes(a, b, x.element, largestFirst: isDescending, nanFirst: isDescending)
      }
      orders[place] = (0..<inputs[0].shape[axis]).sorted { a, b in
        before(value(a), value(b)) || (!before(value(b), value(a)) && a < b)
      }
      return orders[place]!
    }
    try check(
      .sort(w), sizes: sizes, inputs: inputs, seed: seed,
      extras: [{ Expected(value: .integer(Int64(order($0)[$0[axis]]))) }]
    ) { index in
      var source = index
      source[axis] = order(index)[index[axis]]
      return Expected(value: inputs[0][source])
    }
  }

  @Test(arguments: [true, false]) func sorts(isDescending: Bool) throws {
    for (n, k) in [(1, 1), (2, 2), (9, 0), (31, 1), (67, 66), (131, 131)] {
      try checkSort(
        View(.int64, [.symbol("n"), 3]), axis: 0, k: .symbol("k"), isDescending: isDescending,
        sizes: ["n": n, "k": k])
    }
    try checkSort(View(.float32, [2, 33]), axis: 1, k: 33, isDescending: isDescending)
    try checkSort(View(.float32, [2, 40]), axis: 1, k: 7, isDescending: isDescending)
    try checkSort(View(.float32, [0]), axis: 0, k: 0, isDescending: isDescending)
    for type in ElementType.allCases where isDescending || type.isFloat {
      try checkSort(View(type, [2, 19]), axis: 1, k: 19, isDescending: isDescending)
    }
  }
}

@Suite struct ScanTests {
  private func checkScan(
    _ x: View, axis: Int, isExclusive: Bool, isReverse: Bool, sizes: [String: Int] = [:]
  ) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let inputs = samples([x], sizes: sizes, &generator)
    let w = ScanWorkload(
      function: .sum, x: x, axis: axis, isExclusive: isExclusive, isReverse: isReverse, output: View(x.element, x.shape)
    )
    // Half a unit in the last place of what sums are computed in.
    let unit = x.element == .float64 ? 0x1p-53 : 0x1p-24
    try check(.scan(w), sizes: sizes, inputs: inputs, seed: seed) { index in
      let n = inputs[0].shape[axis]
      let range = isReverse ? index[axis]..<n : 0..<(index[axis] + 1)
      let members = range.filter { !isExclusive || $0 != index[axis] }
      let values = members.map { i -> Double in
        var place = index
        place[axis] = i
        return inputs[0][place].double
      }
      let sum = values.reduce(0, +)
      if !x.element.isFloat { return Expected(value: .integer(Int64(sum))) }
      // One rounding a step, of sums up to the sum of magnitudes, and one to the element type.
      let magnitude = values.reduce(0) { $0 + abs($1) }
      return Expected(
        value: .float(sum), tolerance: Double(values.count) * unit * magnitude + x.element.epsilon * abs(sum))
    }
  }

  @Test(arguments: [true, false], [true, false]) func sums(isExclusive: Bool, isReverse: Bool) throws {
    for n in [0, 9, 67] {
      try checkScan(
        View(.int32, [2, .symbol("m"), .symbol("n")]), axis: 1, isExclusive: isExclusive, isReverse: isReverse,
        sizes: ["n": n, "m": 6])
    }
    try checkScan(View(.float32, [33]), axis: 0, isExclusive: isExclusive, isReverse: isReverse)
    if isExclusive == isReverse {
      for type in [ElementType.float64, .float16, .int64] {
        try checkScan(View(type, [9, 17]), axis: 0, isExclusive: isExclusive, isReverse: isReverse)
      }
    }
    try checkScan(
      .transposed(.float32, [70, 3], [1, 0]), axis: 1, isExclusive: isExclusive, isReverse: isReverse)
  }
}

@Suite struct RunningProductTests {
  @Test func products() throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let x = View(.int32, [3, .symbol("n")])
    let sizes = ["n": 9]
    let inputs = samples([x], sizes: sizes, &generator)
    inputs[0].fill { .integer(Int64.random(in: -3...3, using: &generator)) }
    let w = ScanWorkload(
      function: .product, x: x, axis: 1, isExclusive: true, isReverse: false, output: View(.int32, x.shape))
    try check(.scan(w), sizes: sizes, inputs: inputs, seed: seed) { index in
      let product = (0..<index[1]).reduce(1.0) { $0 * inputs[0][[index[0], $1]].double }
      return Expected(value: .integer(Int64(product)))
    }
  }
}

@Suite struct RandomTests {
  /// Philox-4x32-10 with known answers for counter 0: Random123's kat_vectors give, for key 0 and counter 0,
  /// 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
  @Test func knownAnswer() throws {
    let words: [UInt32] = [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
    let w = RandomWorkload(kind: .uniform, seed: 0, output: View(.float32, [4]))
    try check(.random(w), inputs: [], seed: 0) { index in
      Expected(value: .float(Double(words[index[0]] >> 8) * 0x1p-24))
    }
  }

  @Test(arguments: [ElementType.float32, .float64, .float16]) func draws(type: ElementType) throws {
    for (n, seed) in [(0, 1), (5, -3), (32, 1 << 40), (5000, 5)] {
      var sizes: [String: Int] = [:]
      for size in type == .float32 ? [Dim(n), Dim.symbol("n")] : [Dim(n)] {
        if size.constant == nil { sizes["n"] = n }
        for kind in [RandomWorkload.Kind.uniform, .normal] {
          let w = RandomWorkload(kind: kind, seed: seed, output: View(type, [size]))
          try check(.random(w), sizes: sizes, inputs: [], seed: 0) { index in
            let value = draw(kind, seed, index[0])
            // Of a normal one: log, root and product in f32, an angle of up to 2π rounded to f32 (values below 6).
            let unit = type == .float64 ? 0x1p-50 : 0x1p-20
            let tolerance = (kind == .normal ? 6 * unit : 0) + type.epsilon * abs(value)
            return Expected(value: .float(value), tolerance: tolerance)
          }
        }
      }
    }
  }

  private func draw(_ kind: RandomWorkload.Kind, _ seed: Int, _ i: Int) -> Double {
    func uniform(_ i: Int) -> Double {
      Double(word(UInt64(i / 4), UInt64(bitPattern: Int64(seed)), i % 4) >> 8) * 0x1p-24
    }
    if kind == .uniform { return uniform(i) }
    let radius = (-2 * log(1 - uniform(i & ~1))).squareRoot()
    let angle = 2 * Double.pi * uniform(i | 1)
    return radius * (i & 1 == 0 ? cos(angle) : sin(angle))
  }

  /// Written from the paper's description of a round, on 64-bit products.
  private func word(_ counter: UInt64, _ key: UInt64, _ number: Int) -> UInt32 {
    var x: [UInt64] = [counter & 0xFFFF_FFFF, counter >> 32, 0, 0]
    var (left, right) = (key & 0xFFFF_FFFF, key >> 32)
    for _ in 0..<10 {
      let (p, q) = (x[0] * 0xD251_1F53, x[2] * 0xCD9E_8D57)
      x = [q >> 32 ^ x[1] ^ left, q & 0xFFFF_FFFF, p >> 32 ^ x[3] ^ right, p & 0xFFFF_FFFF]
      left = (left + 0x9E37_79B9) & 0xFFFF_FFFF
      right = (right + 0xBB67_AE85) & 0xFFFF_FFFF
    }
    return UInt32(x[number])
  }
}

import KernelTesting
import Kernels
import TensorTypes
import Testing

@Suite struct ArgReduceTests {
  private func checkArg(
    _ x: View, axis: Int, isMaximum: Bool, selectsLast: Bool, sizes: [String: Int] = [:]
  ) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let search = ArgReduceCase(x, axis: axis, isMaximum: isMaximum, selectsLast: selectsLast, sizes: sizes)
    try check(search.kernelCase(&generator), seed: seed)
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
    let sort = SortCase(x, axis: axis, k: k, isDescending: isDescending, sizes: sizes)
    try check(sort.kernelCase(&generator), seed: seed)
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

  /// The first ones are found before they are sorted: all ranks equal but a few, more blocks than elements asked for and
  /// fewer, and as many elements as there are.
  @Test(arguments: [true, false]) func selects(isDescending: Bool) throws {
    for k in [0, 1, 5, 64, 65, 200, 699, 700] {
      try checkSort(View(.float32, [2, 700]), axis: 1, k: Dim(k), isDescending: isDescending)
      try checkSort(
        View(.float32, [.symbol("n"), 2]), axis: 0, k: .symbol("k"), isDescending: isDescending,
        sizes: ["n": 700, "k": k])
    }
    for type in ElementType.allCases {
      try checkSort(View(type, [1, 130]), axis: 1, k: 7, isDescending: isDescending)
      try checkSort(View(type, [1, 643]), axis: 1, k: 9, isDescending: isDescending)
    }
  }

  /// Ranks at both ends of their type, and rows in order, so that all of a block or none of it come first.
  @Test(arguments: [true, false]) func selectsAmongExtremes(isDescending: Bool) throws {
    let rows: [[Int64]] = [
      Array(repeating: .min, count: 1000), Array(repeating: .max, count: 1000), Array(0..<1000),
      Array((0..<1000).reversed()),
    ]
    for values in rows {
      let (x, k) = (View(.int64, [1, 1000]), Shape([1, 10]))
      let inputs = [Sample(x, sizes: [:])]
      var remaining = values[...]
      inputs[0].fill { .integer(remaining.removeFirst()) }
      // Of equal ones the first.
      let order = values.indices.sorted { i, j in
        let (a, b) = (values[i], values[j])
        if a == b { return i < j }
        return isDescending ? a > b : a < b
      }
      let w = SortWorkload(
        x: x, axis: 1, isDescending: isDescending, output: View(.int64, k), indices: View(.int64, k))
      let place: ([Int]) -> Expected = { Expected(value: .integer(Int64(order[$0[1]]))) }
      try check(.sort(w), inputs: inputs, seed: 0, extras: [place]) { Expected(value: .integer(values[order[$0[1]]])) }
    }
  }
}

@Suite struct ScanTests {
  private func checkScan(
    _ x: View, axis: Int, isExclusive: Bool, isReverse: Bool, sizes: [String: Int] = [:]
  ) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    let scan = ScanCase(x, axis: axis, isExclusive: isExclusive, isReverse: isReverse, sizes: sizes)
    try check(scan.kernelCase(&generator), seed: seed)
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
      for isSymbolic in type == .float32 ? [false, true] : [false] {
        for kind in [RandomWorkload.Kind.uniform, .normal] {
          try check(RandomCase(kind, type, count: n, seed: seed, isSymbolic: isSymbolic).kernelCase(), seed: 0)
        }
      }
    }
  }
}

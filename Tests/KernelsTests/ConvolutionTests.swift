import KernelTesting
import Kernels
import LLVMBackend
import TensorTypes
import Testing

@Suite struct ConvolutionTests {
  /// - Parameter kernel: which to check; nil: all but Winograd's.
  private func check(_ c: ConvolutionCase, knobs: [Knobs] = [], kernel: String? = nil) throws {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    var kernelCase = c.kernelCase(&generator)
    kernelCase.includes = { template in
      kernel.map { $0 == template.name } ?? (template.name != "convolution.winograd")
    }
    try KernelsTests.check(kernelCase, seed: seed, knobs: knobs)
  }

  @Test(arguments: [
    ConvolutionCase([9, 13], 5, 19, window: [3, 3], pad: 1),
    ConvolutionCase([9, 13], 5, 16, window: [3, 3], pad: 1, channelsLast: false),
    ConvolutionCase([9, 13], 8, 17, window: [3, 3], pad: 1, isSymbolic: true),
    ConvolutionCase([15, 14], 3, 9, window: [7, 7], stride: 2, pad: 3),
    ConvolutionCase([12, 12], 4, 6, window: [3, 2], dilation: 2, pad: 2),
    // Rows a dilation apart: as many of each residue, and not; more apart than there are.
    ConvolutionCase([13, 9], 4, 6, window: [3, 3], dilation: 4, pad: 4),
    ConvolutionCase([5, 7], 3, 5, window: [3, 1], dilation: 7, pad: 7),
    ConvolutionCase([11, 6], 4, 6, window: [2, 2], dilation: 3, pad: 3, isSymbolic: true),
    // Patches without border: taps of every position outside, of some, of a whole register tile.
    ConvolutionCase([9, 14], 32, 10, window: [3, 3], dilation: 5, pad: 5),
    ConvolutionCase([6, 20], 33, 8, window: [3, 3], dilation: 8, pad: 8, channelsLast: false),
    ConvolutionCase([7, 7], 32, 20, window: [5, 5], pad: 2, isSymbolic: true),
    ConvolutionCase([40], 35, 9, window: [3], dilation: 21, pad: 21, wIsConstant: false),
    ConvolutionCase([9, 9], 32, 9, window: [5, 5], stride: 2, dilation: 3, pad: 7),
    ConvolutionCase([10, 10], 6, 9, window: [3, 3], pad: 1, groups: 3),
    ConvolutionCase([11], 7, 8, window: [5], stride: 2, pad: 2),
    ConvolutionCase([4, 5, 6], 3, 8, window: [2, 3, 3], pad: 1),
    ConvolutionCase([1, 1], 3, 4, window: [3, 3], pad: 1), ConvolutionCase([5, 5], 2, 3, window: [5, 5]),
    ConvolutionCase([6, 40], 9, 33, window: [1, 1], stride: 2),
    ConvolutionCase([9, 13], 6, 38, window: [3, 3], pad: 1, groups: 2, wIsConstant: false),
    ConvolutionCase([9, 13], 5, 7, window: [2, 3], pad: -1),
    ConvolutionCase([30], 4, 9, window: [3], dilation: 4, pad: -2),
  ])
  func implicitGEMM(_ c: ConvolutionCase) throws { try check(c) }

  /// Words of two channels: even and odd numbers of them, in both layouts, and weights known at run time only.
  @Test(
    arguments: [
      ConvolutionCase([9, 13], 5, 19, window: [3, 3], pad: 1),
      ConvolutionCase([9, 13], 8, 16, window: [3, 3], pad: 1),
      ConvolutionCase([9, 13], 5, 16, window: [3, 3], pad: 1, channelsLast: false, isSymbolic: true),
      ConvolutionCase([15, 14], 3, 9, window: [7, 7], stride: 2, pad: 3),
      ConvolutionCase([15, 14], 1, 17, window: [5, 5], pad: 2, channelsLast: false),
      ConvolutionCase([10, 10], 6, 10, window: [3, 3], dilation: 2, pad: 1, groups: 2),
      ConvolutionCase([6, 40], 9, 33, window: [1, 1], stride: 2),
      ConvolutionCase([9, 13], 6, 38, window: [3, 3], pad: 1, groups: 2, wIsConstant: false),
      ConvolutionCase([30], 40, 9, window: [3], dilation: 4, pad: -2, wIsConstant: false),
      ConvolutionCase([4, 5, 6], 3, 8, window: [2, 3, 3], pad: 1),
    ], [(ElementType.uint8, ElementType.int8), (.int16, .uint8)])
  func integers(_ c: ConvolutionCase, types: (ElementType, ElementType)) throws {
    var integers = c
    integers.integers = types
    try check(integers)
  }

  @Test(
    arguments: [
      ConvolutionCase([9, 13], 17, 19, window: [3, 3], pad: 1), ConvolutionCase([8, 8], 16, 16, window: [3, 3]),
      ConvolutionCase([9, 13], 16, 35, window: [3, 3], pad: 1, channelsLast: false),
      ConvolutionCase([13, 9], 8, 8, window: [3, 3], pad: 1, isSymbolic: true),
      ConvolutionCase([5, 3], 32, 40, window: [3, 3], groups: 2),
      ConvolutionCase([1, 2], 8, 9, window: [3, 3], pad: 2), ConvolutionCase([27], 9, 10, window: [3], pad: 1),
      ConvolutionCase([4, 5, 6], 8, 8, window: [3, 3, 3], pad: 1),
      ConvolutionCase([7, 7], 8, 8, window: [3, 3], pad: -1),
      // Of several pieces.
      ConvolutionCase([29], 17, 19, window: [11], pad: 5), ConvolutionCase([31], 16, 33, window: [7], dilation: 3),
      ConvolutionCase([9, 13], 16, 35, window: [5, 5], pad: 2, channelsLast: false),
      ConvolutionCase([8, 9], 16, 16, window: [4, 7], pad: 1, isSymbolic: true),
      ConvolutionCase([2, 7, 9], 8, 8, window: [2, 1, 5], pad: 2),
    ], [2, 4])
  func winograd(_ c: ConvolutionCase, m: Int) throws {
    try check(
      c,
      knobs: [
        ["m": m, "mr": 3, "nr": 8, "tiles": 2, "panels": 2, "nc": 3, "unroll": 2, "prefetch": 2],
        ["m": m, "mr": 6, "nr": 8, "tiles": 1, "panels": 1, "nc": 1, "unroll": 4, "prefetch": 0],
      ], kernel: "convolution.winograd")
  }

  /// Windows that move by two along all dimensions or one, of numbers and of integers.
  @Test(
    arguments: [
      ConvolutionCase([12, 13], 17, 19, window: [3, 3], stride: 2, pad: 1),
      ConvolutionCase([9, 14], 16, 35, window: [3, 3], stride: 2, channelsLast: false),
      ConvolutionCase([13, 9], 8, 8, window: [3, 3], stride: 2, pad: 1, isSymbolic: true),
      ConvolutionCase([7, 11], 32, 40, window: [3, 3], stride: 2, pad: 1, groups: 2),
      ConvolutionCase([1, 2], 8, 9, window: [3, 3], stride: 2, pad: 2),
      ConvolutionCase([28], 9, 10, window: [3], stride: 2, pad: 1),
      ConvolutionCase([4, 9, 8], 8, 8, window: [3, 3, 3], stride: 2, pad: 1),
      ConvolutionCase([7, 14], 8, 8, window: [3, 3], stride: 2, pad: -1),
      ConvolutionCase([9, 14], 8, 8, window: [1, 3], stride: 2, pad: 1),
    ], [nil, (ElementType.uint8, ElementType.int8)])
  func winogradOfStrides(_ given: ConvolutionCase, types: (ElementType, ElementType)?) throws {
    var all = given
    all.integers = types
    if types != nil { all.border = 9 }
    var one = all
    one.strides[0] = 1
    for (c, m) in [(all, 3), (one, given.strides.count == 1 || types != nil ? 2 : 4)] {
      try check(
        c, knobs: [["m": m, "mr": 3, "nr": 8, "tiles": 2, "panels": 2, "nc": 3, "unroll": 1, "prefetch": 2]],
        kernel: "convolution.winograd")
      // AVX-512's vectors are filled by sixteen channels.
      if c.channels / c.groups >= 16 { try check(c, kernel: "convolution.winograd") }
    }
  }

  /// Words of two channels, the last of them full or not, and a border that is no zero.
  @Test(
    arguments: [
      ConvolutionCase([9, 13], 17, 19, window: [3, 3], pad: 1), ConvolutionCase([8, 8], 16, 16, window: [3, 3]),
      ConvolutionCase([9, 13], 33, 35, window: [3, 3], pad: 1, channelsLast: false),
      ConvolutionCase([13, 9], 8, 8, window: [3, 3], pad: 1, isSymbolic: true),
      ConvolutionCase([5, 9], 32, 40, window: [3, 3], dilation: 2, pad: 1, groups: 2),
      ConvolutionCase([27], 9, 10, window: [3], pad: 1), ConvolutionCase([9, 11], 9, 17, window: [5, 4], pad: 2),
      ConvolutionCase([4, 5, 6], 8, 8, window: [3, 3, 3], pad: 1),
    ], [(ElementType.uint8, ElementType.int8), (.int8, .uint8)])
  func winogradOfIntegers(_ c: ConvolutionCase, types: (ElementType, ElementType)) throws {
    var integers = c
    integers.integers = types
    integers.border = types.0 == .int8 ? -7 : 9
    try check(
      integers,
      knobs: [
        ["m": 2, "mr": 3, "nr": 8, "tiles": 2, "panels": 2, "nc": 3, "unroll": 2, "prefetch": 2],
        ["m": 2, "mr": 6, "nr": 8, "tiles": 1, "panels": 1, "nc": 1, "unroll": 1, "prefetch": 0],
      ], kernel: "convolution.winograd")
  }

  /// The largest numbers, of as many channels as four times their sum fits 32 bits of, and one more.
  @Test func winogradOfTheLargestIntegers() throws {
    func kernelCase(channels: Int) -> KernelCase {
      var c = ConvolutionCase([4, 6], channels, 16, window: [3, 3], pad: 1)
      (c.integers, c.border) = ((.uint8, .int8), 255)
      var generator = SeededGenerator(seed: 1)
      var kernelCase = c.kernelCase(&generator)
      kernelCase.includes = { $0.name == "convolution.winograd" }
      kernelCase.inputs[0].fill { .integer(255) }
      kernelCase.inputs[1].fill { .integer(-128) }
      return kernelCase
    }
    let most = ((1 << 31) - 1) / (4 * 9 * 255 * 128)
    try KernelsTests.check(kernelCase(channels: most), seed: 1, knobs: [])
    let winograd = allKernels.first { $0.name == "convolution.winograd" }!
    let machine = Target.avx2.machine
    #expect(winograd.space(for: kernelCase(channels: most).workload, on: machine) != nil)
    #expect(winograd.space(for: kernelCase(channels: most + 1).workload, on: machine) == nil)
  }

  @Test(arguments: [
    ConvolutionCase([9, 13], 19, 19, window: [3, 3], pad: 1, groups: 19),
    ConvolutionCase([8, 30], 16, 16, window: [3, 3], stride: 2, pad: 1, groups: 16),
    ConvolutionCase([9, 13], 20, 20, window: [5, 5], dilation: 2, pad: 4, groups: 20, isSymbolic: true),
    ConvolutionCase([33], 8, 8, window: [4], pad: 1, groups: 8),
    ConvolutionCase([33], 9, 9, window: [3], pad: -2, groups: 9),
    ConvolutionCase([9, 9], 21, 21, window: [3, 3], pad: 1, groups: 21, wIsConstant: false),
    ConvolutionCase([3, 3], 40, 40, window: [7, 7], pad: 3, groups: 40),
    ConvolutionCase([4, 4, 7], 6, 6, window: [3, 3, 3], pad: 1, groups: 6),
  ])
  func depthwise(_ c: ConvolutionCase) throws {
    try check(c)
    try check(
      c,
      knobs: [
        ["positions": 3, "vectors": 1, "tileH": 2, "tileW": 7], ["positions": 4, "vectors": 2, "tileH": 3, "tileW": 8],
      ], kernel: "convolution.depthwise")
  }

  /// Dimensions that windows have one tap along are joined: not if they move by two, reach over a border, or lie apart.
  @Test func longRows() throws {
    func dimensions(_ c: ConvolutionCase) throws -> Int {
      var generator = SeededGenerator(seed: 1)
      guard case .convolution(let w) = c.kernelCase(&generator).workload else { return 0 }
      return w.withLongRows.strides.count
    }
    #expect(try dimensions(ConvolutionCase([6, 4, 7], 3, 5, window: [3, 1, 1])) == 2)
    #expect(try dimensions(rowCase([6, 4, 7], 3, 5, window: [3, 1, 1])) == 2)
    #expect(try dimensions(ConvolutionCase([6, 4, 7], 3, 5, window: [3, 1, 1], stride: 2)) == 3)
    #expect(try dimensions(ConvolutionCase([6, 4, 7], 3, 5, window: [3, 1, 1], pad: 1)) == 3)
    #expect(try dimensions(ConvolutionCase([6, 4, 7], 3, 5, window: [1, 3, 3])) == 3)
  }

  /// With channels first: whole tiles of rows and parts of them, columns in several blocks, residues of strides, groups,
  /// several channels, several outputs of a group at once, and depth.
  @Test(arguments: [
    rowCase([9, 37], 5, 5, window: [3, 3], pad: 1, groups: 5),
    rowCase([8, 16], 3, 3, window: [3, 3], stride: 2, pad: 1, groups: 3),
    rowCase([21, 50], 2, 2, window: [7, 7], pad: 3, groups: 2),
    rowCase([9, 40], 4, 4, window: [5, 5], dilation: 2, pad: 4, groups: 4, isSymbolic: true),
    rowCase([70], 3, 3, window: [4], stride: 3, pad: 2, groups: 3),
    rowCase([33], 2, 2, window: [3], pad: -2, groups: 2),
    rowCase([9, 19], 6, 9, window: [3, 3], pad: 1, groups: 3, wIsConstant: false),
    rowCase([10, 24], 8, 8, window: [3, 3], stride: 2, pad: 1, groups: 2),
    rowCase([3, 4, 18], 4, 6, window: [2, 3, 3], pad: 1, groups: 2), rowCase([5, 9], 7, 4, window: [3, 3], pad: 1),
    rowCase([1, 1], 2, 2, window: [3, 3], pad: 1, groups: 2),
    rowCase([4, 6], 2, 2, window: [3, 3], pad: 3, groups: 2),
  ])
  func rows(_ c: ConvolutionCase) throws {
    try check(
      c,
      knobs: [
        ["outputs": 1, "rows": 2, "vectors": 2, "tileH": 3, "tileW": 16],
        ["outputs": 1, "rows": 4, "vectors": 1, "tileH": 4, "tileW": 32],
        ["outputs": 1, "rows": 7, "vectors": 1, "tileH": 8, "tileW": 32],
      ], kernel: "convolution.rows")
  }
}

/// A convolution of tensors with channels first.
private func rowCase(
  _ space: [Int], _ channels: Int, _ outputs: Int, window: [Int], stride: Int = 1, dilation: Int = 1, pad: Int = 0,
  groups: Int = 1, isSymbolic: Bool = false, wIsConstant: Bool = true
) -> ConvolutionCase {
  ConvolutionCase(
    space, channels, outputs, window: window, stride: stride, dilation: dilation, pad: pad, groups: groups,
    channelsLast: false, resultChannelsLast: false, isSymbolic: isSymbolic, wIsConstant: wIsConstant)
}

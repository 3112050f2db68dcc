import TensorTypes

/// How a window slides over the spatial dimensions of a convolution or pool. One entry a spatial dimension each.
struct Window {
  var kernel: [Int]
  var strides: [Int]
  var dilations: [Int]
  var padsBefore: [Int]
  var padsAfter: [Int]

  /// - Throws: `Failure` quoting `constraint` unless all lists have one entry a spatial dimension, kernels, strides
  ///   and dilations being positive.
  func check(_ constraint: String) throws {
    let lists = [strides, dilations, padsBefore, padsAfter]
    try require(
      lists.allSatisfy { $0.count == kernel.count },
      "\(constraint): strides, dilations and pads need \(kernel.count) entries, one a spatial dimension")
    try require(
      (kernel + strides + dilations).allSatisfy { $0 > 0 && $0 <= Int(Int32.max) },
      "\(constraint): window sizes, strides and dilations must be positive")
    try require(
      (padsBefore + padsAfter).allSatisfy { abs($0) <= Int(Int32.max) }, "\(constraint): pads must be reasonable")
  }

  /// Elements that the window spans along `axis`.
  func extent(_ axis: Int) -> Int { dilations[axis] * (kernel[axis] - 1) + 1 }

  /// ⌊(size + pads − extent) / stride⌋ + 1; rounded up in ceil mode, where a window must still begin within the
  /// input or the padding before it.
  func outputSize(_ size: Dim, _ axis: Int, ceilMode: Bool = false) -> Dim {
    let stride = Dim(strides[axis])
    let padded = size + Dim(padsBefore[axis])
    let room = padded + Dim(padsAfter[axis]) - Dim(extent(axis))
    guard ceilMode else { return room.floorDivided(by: stride) + 1 }
    return Dim.minimum(room.ceilDivided(by: stride) + 1, padded.ceilDivided(by: stride))
  }

  var taps: Int { kernel.product }

  /// For each output position, row-major, the row-major input position that tap number `tap` of the window sees, or
  /// -1 where that is padding.
  func positions(tap: Int, input: [Int], output: [Int]) -> [Int] {
    let index = tapIndex(tap)
    var positions = [0]
    for axis in kernel.indices {
      var next: [Int] = []
      next.reserveCapacity(positions.count * output[axis])
      for position in positions {
        for o in 0..<output[axis] {
          let i = o * strides[axis] - padsBefore[axis] + index[axis] * dilations[axis]
          next.append(position < 0 || i < 0 || i >= input[axis] ? -1 : position * input[axis] + i)
        }
      }
      positions = next
    }
    return positions
  }

  /// The multi-index of tap number `tap` of the window.
  func tapIndex(_ tap: Int) -> [Int] {
    zip(rowMajorStrides(kernel), kernel).map { tap / $0 % $1 }
  }
}

/// Where the channels are in a tensor of images.
public enum ConvolutionLayout: String, Hashable, Sendable, Codable, CaseIterable {
  /// `[N, C, spatial…]`
  case channelsFirst
  /// `[N, spatial…, C]`
  case channelsLast

  public func channelAxis(rank: Int) -> Int { self == .channelsFirst ? 1 : rank - 1 }
  public func spatialAxes(rank: Int) -> Range<Int> { self == .channelsFirst ? 2..<rank : 1..<rank - 1 }

  /// The shape with these parts, in this layout.
  public func shape<T>(batch: T, channels: T, spatial: [T]) -> [T] {
    self == .channelsFirst ? [batch, channels] + spatial : [batch] + spatial + [channels]
  }

  /// Elements between neighbouring channels, and between neighbouring spatial positions.
  func steps(channels: Int, positions: Int) -> (channel: Int, position: Int) {
    self == .channelsFirst ? (positions, 1) : (1, channels)
  }
}

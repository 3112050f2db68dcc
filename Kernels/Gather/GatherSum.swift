import TensorTypes
import TileIR

/// `y[n, c, p] = Σₜ weights[n, t, p] · x[n, c, indices[n, t, p]]`, indices clamped into range.
public struct GatherSumWorkload: Hashable, Sendable, Codable {
  /// N, C, S.
  public var x: View
  /// N, T, P, where T is known.
  public var indices: View
  /// Of the indices' shape.
  public var weights: View
  /// N, C, P.
  public var output: View

  public init(x: View, indices: View, weights: View, output: View) {
    (self.x, self.indices, self.weights, self.output) = (x, indices, weights, output)
  }

  public var operands: [View] { [x, indices, weights] }

  /// A copy of x by pixels of four, if three channels are fetched so often that it makes up for the copy. With vectors of 8 it
  /// was slower, in one noisy measurement.
  fileprivate func pixels(_ machine: Machine) -> BufferType? {
    guard machine.lanes >= 16, x.shape[1] == 3, x.strides[1] != 1, x.element == .float32,
      let size = x.shape[2].constant,
      let taps = indices.shape[1].constant, let points = output.shape[2].constant,
      taps * points >= 2 * size
    else { return nil }
    return BufferType(x.element, [x.shape[0], 4, x.shape[2]], strides: [4 * x.shape[2], 1, 4])
  }
}

/// A vector of positions at a time, whose indices are fetched once for a strip of channels. Where channels are neighbours in memory,
/// each position's are fetched by vectors, and a tile of them is turned when its sums are known; else elements are fetched one by one.
/// Three channels are made neighbours first, in pixels of four, where more elements are fetched than there are.
struct GatherSum: KernelTemplate {
  let name = "gather.sum"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .gatherSum(let w) = workload, w.x.element.isFloat else { return nil }
    return KnobSpace([])
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs { [:] }

  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] {
    declaredScratch(workload, knobs, machine)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .gatherSum(let w) = workload else { preconditionFailure("a sum of gathered elements") }
    return GatherSumProgram(w, machine).build()
  }
}

private struct GatherSumProgram {
  let lanes: Int
  let b = TileBuilder("gather_sum")
  let x, indices, weights, y: TileBuffer
  let element: ElementType
  /// Whether channels are neighbours in memory, or in the pixels.
  let isByRows: Bool
  /// x with a pixel's channels side by side: N, 4, S.
  let pixels: TileBuffer?

  init(_ w: GatherSumWorkload, _ machine: Machine) {
    lanes = machine.lanes
    x = b.parameter("x", .input, w.x.buffer)
    indices = b.parameter("indices", .input, w.indices.buffer)
    weights = b.parameter("weights", .input, w.weights.buffer)
    y = b.parameter("y", .output, w.output.buffer)
    element = w.x.element.accumulator
    pixels = w.pixels(machine).map { [b] in b.parameter("pixels", .scratch, $0) }
    isByRows = pixels != nil || (w.x.strides[1] == 1 && w.x.shape[1] != 1)
  }

  func build() -> TileProgram {
    if let pixels { copy(to: pixels) }
    let (shape, points) = (y.type.shape, y.type.shape[2])
    let work = max(1, min(1 << 30, shape[1].estimate * indices.type.shape[1].estimate * lanes))
    let block = lanes * min(64, LoopWork.operations(work).grain)
    let count = b.size(points)
    b.parallel([b.size(shape[0]), count.ceilDivided(by: block)], work: .operations(work * block / lanes)) { place in
      let span = b.part(place[1], of: points, count, by: block)
      // A channel's results are written one after the other.
      b.strips(b.span(shape[1]), lanes: isByRows ? lanes : 1, vectors: isByRows ? 1 : 4) { channels in
        b.strips(span, lanes: lanes, vectors: 1) { positions in tile(place[0], channels, positions) }
      }
    }
    return b.finish()
  }

  /// Vectors of each channel's elements become pixels.
  private func copy(to pixels: TileBuffer) {
    let (shape, block) = (pixels.type.shape, 64 * lanes)
    let (room, size) = (shape[1].constant!, b.size(shape[2]))
    let work = LoopWork.elements(block * room)
    b.parallel([b.size(shape[0]), size.ceilDivided(by: block)], work: work) { place in
      b.strips(b.part(place[1], of: shape[2], size, by: block), lanes: lanes, vectors: 1) { strip in
        let channels = x.load(
          [.at(place[0]), .span(b.index(0), 0), strip.index(1)], shape: [room, strip.count],
          limits: [b.size(x.type.shape[1]), strip.limit])
        pixels.store(
          channels.transpose([1, 0]), [.at(place[0]), .span(b.index(0), 1), strip.index(0)],
          limits: [strip.limit, nil])
      }
    }
  }

  private func tile(_ batch: Tile, _ channels: Strip, _ positions: Strip) {
    let (along, across) = isByRows ? (0, 1) : (1, 0)
    let width = pixels?.type.shape[1].constant ?? channels.count
    var shape = [width, width]
    shape[along] = positions.count
    var bounds = [channels.limit, channels.limit]
    // Past the last position indices are 0, where there is something.
    bounds[along] = nil
    let last = b.size(x.type.shape[2]) - 1
    let sums = b.loop(to: b.size(indices.type.shape[1]), carrying: [b.constant(0, element, shape)]) { tap, sums in
      let place: [TileBuffer.Index] = [.at(batch), .at(tap), positions.index(0)]
      let index = indices.load(place, shape: [positions.count], limits: [positions.limit]).cast(.int64)
      let picked = index.minimum(last.broadcast(to: index.shape)).maximum(b.constant(0, .int64, index.shape))
      let values = (pixels ?? x).load(
        [.at(batch), channels.index(across), .gather(picked, along)], shape: shape, limits: bounds)
      let weight = weights.load(place, shape: [positions.count], limits: [positions.limit]).cast(element)
      let factors = isByRows ? weight.reshape([positions.count, 1]) : weight
      return [values.cast(element).fma(factors.broadcast(to: shape), sums[0])]
    }
    let result = isByRows ? sums[0].transpose([1, 0]) : sums[0]
    y.store(
      result.cast(y.type.element), [.at(batch), channels.index(0), positions.index(1)],
      limits: [pixels.map { _ in b.index(channels.count) } ?? channels.limit, positions.limit])
  }
}

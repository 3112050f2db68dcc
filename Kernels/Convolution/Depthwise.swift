import TensorTypes
import TileIR

/// y[p, c] = epilogue(Σ over taps t of x[p·stride + t·dilation − pad, c] · w[t, c])
///
/// Each channel by itself: vectors of channels, several positions of a row at a time, taps outermost so that a tap's
/// weights are loaded once for all of them. Bound by loads, not by arithmetic.
struct Depthwise: KernelTemplate {
  let name = "convolution.depthwise"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .convolution(let w) = workload, w.x.element == .float32, w.w.element == .float32 else { return nil }
    let shape = w.w.shape
    guard (1...3).contains(w.strides.count), shape[0] == Dim(w.groups), w.groups > 1, shape[shape.count - 1] == 1,
      shape[shape.count - 2] == 1, w.x.strides.last == 1
    else { return nil }
    return KnobSpace([("positions", [1, 2, 4, 6, 8]), ("vectors", [1, 2, 4])]) { knobs in
      knobs["positions"] * knobs["vectors"] + knobs["vectors"] + 1 <= machine.vectorRegisters
    }
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs { ["positions": 4, "vectors": 2] }

  /// The taps by channels, as one panel a vector block wide: `[1, ⌈C / width⌉, taps, width]`.
  func packing(for workload: Workload, knobs: Knobs, on machine: Machine) -> [WeightPacking?] {
    guard case .convolution(let w) = workload else { preconditionFailure("a convolution") }
    return [nil, w.wIsConstant ? Self.weights(w, knobs, machine) : nil] + w.epilogue.operands.map { _ in nil }
  }

  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] {
    guard case .convolution(let w) = workload else { preconditionFailure("a convolution") }
    return w.wIsConstant ? [] : [Self.weights(w, knobs, machine).packed]
  }

  /// Bound by the load of a vector of x for each tap.
  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .convolution(let w) = workload else { preconditionFailure("a convolution") }
    let vectors = machine.vectors(for: w.groups)
    return Double(w.positions * vectors * w.w.shape[1..<(w.w.rank - 2)].product.estimate)
  }

  fileprivate static func weights(_ w: ConvolutionWorkload, _ knobs: Knobs, _ machine: Machine) -> WeightPacking {
    let taps = 1..<(w.w.rank - 2)
    let source = View(
      .float32, [1] + w.w.shape[taps] + [w.w.shape[0]], strides: [0] + w.w.strides[taps] + [w.w.strides[0]])
    return WeightPacking(source: source, width: knobs["vectors"] * machine.lanes, element: .float32)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .convolution(let given) = workload else { preconditionFailure("a convolution") }
    return DepthwiseProgram(given, knobs, machine).build()
  }
}

private struct DepthwiseProgram {
  let w: ConvolutionWorkload
  let positions: Int
  let width: Int
  let b: TileBuilder
  let x: TileBuffer
  let packing: WeightPacking
  let source: TileBuffer
  let weights: TileBuffer
  let operands: [TileBuffer]
  let y: TileBuffer
  let channels: Int
  let taps: [Int]

  init(_ given: ConvolutionWorkload, _ knobs: Knobs, _ machine: Machine) {
    w = given.withThreeDimensions
    positions = knobs["positions"]
    width = knobs["vectors"] * machine.lanes
    channels = w.groups
    taps = w.taps
    b = TileBuilder("depthwise")
    x = b.parameter("x", .input, w.x.buffer)
    packing = Depthwise.weights(given, knobs, machine)
    let panels = BufferType(.float32, packing.packed.shape)
    source = b.parameter("w", .input, w.wIsConstant ? panels : packing.source.buffer)
    (operands, y) = b.parameters(w.epilogue)
    weights = w.wIsConstant ? source : b.parameter("panels", .scratch, panels)
  }

  func build() -> TileProgram {
    let shape = w.epilogue.output.shape
    if !w.wIsConstant { b.packPanels(source, to: weights, packing) }
    b.loop(.parallel(grain: 1), to: b.size(shape[0])) { n in
      b.loop(.parallel(grain: 1), to: b.size(shape[1])) { d in
        b.loop(.parallel(grain: 2), to: b.size(shape[2])) { h in
          b.loop(to: b.index(channels), step: width) { c in
            b.loop(to: b.size(shape[3]), step: positions) { v in block(n, d, h, v, c) }
          }
        }
      }
    }
    return b.finish()
  }

  /// Some positions of a row, one block of channels.
  private func block(_ n: Tile, _ d: Tile, _ h: Tile, _ v: Tile, _ c: Tile) {
    let (zero, sizes) = (b.index(0), (1...3).map { b.size(w.x.shape[$0]) })
    let start = [
      d * w.strides[0] - w.padsBefore[0], h * w.strides[1] - w.padsBefore[1], v * w.strides[2] - w.padsBefore[2],
    ]
    let channelLimit: Tile? = channels % width == 0 ? nil : b.index(channels) - c
    let columns = b.size(w.epilogue.output.shape[3])

    let last = start[2] + ((positions - 1) * w.strides[2] + (taps[2] - 1) * w.dilations[2])
    let isInside = zero.lessEqual(start[2]).and(last.less(sizes[2])).and((v + (positions - 1)).less(columns))
    func sum(masked: Bool) -> Tile {
      b.loop(to: b.index(taps.reduce(1, *)), carrying: [b.constant(0, .float32, [positions, width])]) { tap, carried in
        let (line, tw) = (tap / taps[2], tap % taps[2])
        let id = start[0] + line / taps[1] * w.dilations[0]
        let ih = start[1] + line % taps[1] * w.dilations[1]
        let weight = weights.load([.at(zero), .at(c / width), .at(tap), .span(zero, 0)], shape: [width]).reshape([
          1, width,
        ])
        let rowIn = zero.lessEqual(id).and(id.less(sizes[0])).and(zero.lessEqual(ih)).and(ih.less(sizes[1]))
        // In place of a row outside row 0 is read, and thrown away.
        let (sd, sh) = (rowIn.select(id, zero), rowIn.select(ih, zero))
        let iw = start[2] + tw * w.dilations[2]
        let places = b.iota([positions], dimension: 0) * w.strides[2] + iw
        var tile: Tile
        if masked {
          let clamped = places.maximum(zero).minimum(sizes[2] - 1)
          tile = x.load(
            [.at(n), .at(sd), .at(sh), .gather(clamped, 0), .span(c, 1)], shape: [positions, width],
            limits: [nil, channelLimit])
          let inside = zero.lessEqual(places).and(places.less(sizes[2])).reshape([positions, 1])
          tile = inside.broadcast(to: [positions, width]).select(tile, b.constant(0, .float32, [positions, width]))
        } else {
          tile = x.load(
            [.at(n), .at(sd), .at(sh), .span(iw, 0, step: w.strides[2]), .span(c, 1)], shape: [positions, width],
            limits: [nil, channelLimit])
        }
        return [rowIn.select(tile, b.constant(0, .float32, [positions, width])).fma(weight, carried[0])]
      }[0]
    }
    func store(_ tile: Tile, rowLimit: Tile?) {
      let position = BlockPosition(rows: [.at(n), .at(d), .at(h), .span(v, 0)], column: c)
      w.epilogue.store(tile, to: y, operands, at: position, rowLimit: rowLimit, columnLimit: channelLimit, in: b)
    }
    b.when(isInside) {
      store(sum(masked: false), rowLimit: nil)
    } otherwise: {
      store(sum(masked: true), rowLimit: columns - v)
    }
  }
}

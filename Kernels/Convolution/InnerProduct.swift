import TensorTypes
import TileIR

/// y[p, o] = epilogue(Σ over taps t and channels c of x[p·stride + t·dilation − pad, c] · w[t, c, o]), few outputs o
///
/// Vectors run along the channels that are summed over, so that none of their lanes is idle however few outputs there
/// are (three, for a picture). A register tile holds a vector of partial sums for each of some positions and all outputs;
/// the vectors are added up at the end. Patches as in `ImplicitGEMM`.
struct InnerProduct: KernelTemplate {
  let name = "convolution.inner_product"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .convolution(let w) = workload, w.x.element == .float32, w.w.element == .float32, w.wIsConstant,
      (1...3).contains(w.strides.count), let channels = w.x.shape.last?.constant, channels >= w.groups * machine.lanes,
      let outputs = w.w.shape.last?.constant, outputs <= machine.lanes
    else { return nil }
    return KnobSpace([
      ("positions", [1, 2, 3, 4, 6, 8, 12]), ("tileH", [1, 2, 3, 4, 6, 8, 12, 16]),
      ("tileW", [1, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128]), ("unroll", [1, 2, 4]),
    ]) { machine.holdsInnerProducts(rows: $0["positions"], columns: outputs) }
  }

  /// As many sums as leave some registers for a position's vector and the weights. The rectangle as for `ImplicitGEMM`.
  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .convolution(let given) = workload else { preconditionFailure("a convolution") }
    let w = given.unrounded.withThreeDimensions
    let most = max(1, (machine.vectorRegisters - 4) / w.outputsPerGroup)
    let positions = [1, 2, 3, 4, 6, 8].last { $0 <= most }!
    let (tileH, tileW) = PatchRectangles.size(for: w, rows: positions, on: machine)
    return ["positions": positions, "tileH": tileH, "tileW": tileW, "unroll": 2]
  }

  /// Panels of channels whose rows are taps, then outputs.
  func packing(for workload: Workload, knobs: Knobs, on machine: Machine) -> [WeightPacking?] {
    guard case .convolution(let w) = workload else { preconditionFailure("a convolution") }
    return [nil, Self.weights(w, machine)] + w.epilogue.operands.map { _ in nil }
  }

  fileprivate static func weights(_ w: ConvolutionWorkload, _ machine: Machine) -> WeightPacking {
    WeightPacking(
      source: w.w.permuted(Array(0..<(w.w.rank - 2)) + [w.w.rank - 1, w.w.rank - 2]), width: machine.lanes,
      element: .float32)
  }

  /// Two multiplications of vectors a cycle, less often than in a product of matrices; the patch as in `ImplicitGEMM`.
  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .convolution(let given) = workload else { preconditionFailure("a convolution") }
    let w = given.unrounded.withThreeDimensions
    let vectors = machine.vectors(for: w.channelsPerGroup) * w.taps.reduce(1, *)
    let copied = 3 * w.strides.reduce(1, *) * w.channelsPerGroup / machine.lanes
    return Double(w.positions * w.groups) * (Double(vectors * w.outputsPerGroup) / 2 / 0.7 + Double(copied))
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .convolution(let w) = workload else { preconditionFailure("a convolution") }
    return InnerProductProgram(w, knobs, machine).build()
  }
}

private struct InnerProductProgram {
  let w: ConvolutionWorkload
  let positions: Int
  let lanes: Int
  let unroll: Int
  let b: TileBuilder
  let patches: PatchRectangles
  let weights: TileBuffer
  let operands: [TileBuffer]
  let y: TileBuffer

  init(_ given: ConvolutionWorkload, _ knobs: Knobs, _ machine: Machine) {
    w = given.unrounded.withThreeDimensions
    (positions, unroll, lanes) = (knobs["positions"], knobs["unroll"], machine.lanes)
    b = TileBuilder("inner_product")
    let x = b.parameter("x", .input, w.x.buffer)
    patches = PatchRectangles(
      w, machine, tileH: knobs["tileH"], tileW: knobs["tileW"], rows: knobs["positions"], run: w.channelsPerGroup, x: x,
      in: b)
    weights = b.parameter("w", .input, BufferType(.float32, InnerProduct.weights(given, machine).packed.shape))
    (operands, y) = b.parameters(w.epilogue)
  }

  func build() -> TileProgram {
    patches.forAll { number in
      let rectangle = patches.rectangle(number)
      b.loop(to: rectangle.positions, step: positions) { i in
        let sum = sum(rectangle, i)
        patches.store(sum, rectangle, i, column: b.index(0), columnsLeft: nil) {
          w.epilogue.store(sum, to: y, operands, at: $0, rowLimit: $1, columnLimit: $2, in: b)
        }
      }
    }
    return b.finish()
  }

  /// `[positions, outputs]`
  private func sum(_ rectangle: PatchRectangles.Rectangle, _ i: Tile) -> Tile {
    let windows = patches.start(rectangle, i)
    let (channels, outputs, taps) = (w.channelsPerGroup, w.outputsPerGroup, w.taps)
    let sums = b.loop(
      to: b.index(taps.reduce(1, *)), carrying: [b.constant(0, .float32, [positions, outputs, lanes])]
    ) { tap, carried in
      let (row, column, _) = patches.places(rectangle, windows, line: tap / taps[2], tap: tap % taps[2])
      let (rows, columns) = (row.reshape([positions]), column.reshape([positions]))
      return [
        b.addingInnerProducts(to: carried[0], depth: channels, unroll: unroll) { c, limit in
          rectangle.patch.load(
            [.gather(rows, 0), .gather(columns, 0), .span(c, 2)], shape: [positions, 1, lanes],
            limits: [nil, nil, limit])
        } _: { c, _ in
          weights.load(
            [.at(rectangle.place.group), .at(c / lanes), .span(tap * outputs, 1), .span(b.index(0), 2)],
            shape: [1, outputs, lanes])
        }
      ]
    }[0]
    return sums.reduce(.sum, dimension: 2).reshape([positions, outputs])
  }
}

import TensorTypes
import TileIR

/// Convolution whose windows are 3 or more wide (and as high, or 1; any depth), of stride 1, or of stride 2 and 3 wide, by
/// minimal filtering:
///
///     V[t, c] = Bᵀ x[tile t, c] B      M[p] = V[p] · U[p]      y[tile t, o] = epilogue(Aᵀ M[t, o] A)
///
/// with `U = G w Gᵀ` made at compile time: 2.25 (F(2×2)) or 4 (F(4×4)) times fewer multiplications than the direct
/// sum, of stride 2 1.65 times fewer. A task takes a block of tiles and a range of output channels; V stays in local memory, for each of the points
/// `p` a matrix [tiles, channels], and some panels of M at a time. Error: see `WinogradTransform`.
///
/// A longer window is cut into pieces of 3, the last filled up with zeros: their products, each with an input that lies so much
/// further, are summed like those of further channels. 11 taps take 6 products by F(4).
///
/// Dilated by δ, positions of one residue modulo δ take part in nothing but each other's results: a tile holds such, δ apart.
///
/// Numbers of 8 bits are summed exactly, by F(2×2) with 4·U: V and 4·U fit 16 bits, in words of two channels (`WordParts.i16x2`),
/// and 4·y fits 32.
struct Winograd: KernelTemplate {
  let name = "convolution.winograd"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .convolution(let given) = workload, (1...3).contains(given.strides.count), given.wIsConstant else {
      return nil
    }
    let w = given.withThreeDimensions
    let taps = w.taps
    guard taps[2] >= 3, taps[1] >= 3 || taps[1] == 1, w.isSteppedByTiles, w.isFloat || w.isExactByWinograd,
      w.channelsPerGroup >= machine.lanes, w.outputsPerGroup >= machine.lanes,
      // What lies between the inputs of a tile of a widely dilated window is too much to copy.
      WinogradShape(w, m: w.tileOutputs.last!).patchElements * 4 <= 2 * machine.cacheBytes[1]
    else { return nil }
    return KnobSpace([
      ("m", w.tileOutputs), ("tiles", [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24]), ("panels", [1, 2, 3, 4, 6, 8]),
      ("nc", [1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 64, 80]), ("unroll", [1, 2, 4, 8]),
      ("prefetch", PanelPrefetch.choices),
    ]).choosing(of: RegisterTile.choices(on: machine))
  }

  /// Of F(2, 3) and F(4, 3) the one with the lower estimate.
  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .convolution(let given) = workload else { preconditionFailure("a convolution") }
    let w = given.withThreeDimensions
    let settings = w.tileOutputs.map { WinogradShape(w, m: $0).defaultKnobs(on: machine) }
    return settings.min {
      estimate(for: workload, knobs: $0, on: machine) < estimate(for: workload, knobs: $1, on: machine)
    }!
  }

  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .convolution(let given) = workload else { preconditionFailure("a convolution") }
    return WinogradShape(given.withThreeDimensions, m: knobs["m"]).cycles(knobs, on: machine)
  }

  func packing(for workload: Workload, knobs: Knobs, on machine: Machine) -> [WeightPacking?] {
    guard case .convolution(let given) = workload else { preconditionFailure("a convolution") }
    return [nil, Self.weights(given.withThreeDimensions, knobs)] + given.epilogue.operands.map { _ in nil }
  }

  /// Panels whose rows are depth tap, point, channel.
  static func weights(_ w: ConvolutionWorkload, _ knobs: Knobs) -> WeightPacking {
    let shape = WinogradShape(w, m: knobs["m"])
    var packing = WeightPacking(
      source: w.w, width: knobs["nr"], element: shape.parts?.elements.b ?? .float32, group: shape.numbersPerStep)
    /// Of each piece of a window, for each of its points.
    func matrix(_ transform: WinogradTransform, pieces: Int, taps: Int) -> [[Double]] {
      let rows = (shape.parts == nil ? transform.weights : transform.doubledWeights).prefix(transform.filters)
      return (0..<pieces).flatMap { piece in
        rows.map { row in (0..<taps).map { $0 / 3 == piece ? row[$0 % 3] : 0 } }
      }
    }
    packing.transforms = [
      nil, shape.transforms.h.map { matrix($0, pieces: shape.pieces.h, taps: w.taps[1]) },
      shape.transforms.w.map { matrix($0, pieces: shape.pieces.w, taps: w.taps[2]) }, nil,
    ]
    return packing
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .convolution(let given) = workload else { preconditionFailure("a convolution") }
    return WinogradProgram(given.withThreeDimensions, knobs, machine).build()
  }
}

extension ConvolutionWorkload {
  fileprivate var isFloat: Bool { x.element == .float32 && w.element == .float32 }
  /// Outputs that a tile may have along a dimension; of stride 2 they are always three.
  fileprivate var tileOutputs: [Int] {
    let isStrided = (1...2).allSatisfy { strides[$0] == 2 || taps[$0] == 1 }
    return isStrided ? [3] : isFloat ? [2, 4] : [2]
  }

  /// Whether windows move by one or, of three taps and undilated, by two. Of three dimensions of space.
  fileprivate var isSteppedByTiles: Bool {
    (1...2).allSatisfy { strides[$0] == 1 || strides[$0] == 2 && dilations[$0] == 1 && taps[$0] <= 3 }
  }

  /// Whether integers of 8 bits are few enough that four times their sum fits 32 bits. Of three dimensions of space.
  fileprivate var isExactByWinograd: Bool {
    guard widens, x.element.byteCount == 1, w.element.byteCount == 1 else { return false }
    let largest = Double(wLimit ?? (w.element == .int8 ? 128 : 255)) * (x.element == .int8 ? 128 : 255)
    return 4 * largest * Double(taps.reduce(1, *) * channelsPerGroup) < 0x1p31
  }
}

/// The sizes of a Winograd convolution, and what they cost.
struct WinogradShape {
  /// With three space dimensions.
  let w: ConvolutionWorkload
  /// The knob.
  private let m: Int
  /// Along h, where windows have more than a row, and w.
  let transforms: (h: WinogradTransform?, w: WinogradTransform?)
  /// Of a window along h and w, three taps each.
  let pieces: (h: Int, w: Int)
  /// Outputs of a tile along h and w.
  let outputs: (h: Int, w: Int)
  /// Inputs of a tile along h and w that a piece of the window sees: as many points.
  let inputs: (h: Int, w: Int)
  /// How far apart the positions of a tile lie along h and w.
  let spacing: (h: Int, w: Int)

  init(_ w: ConvolutionWorkload, m: Int) {
    (self.w, self.m) = (w, m)
    func transform(_ dimension: Int) -> WinogradTransform? {
      w.taps[dimension] == 1 ? nil : WinogradTransform(m: m, stride: w.strides[dimension])
    }
    transforms = (transform(1), transform(2))
    pieces = ((w.taps[1] + 2) / 3, (w.taps[2] + 2) / 3)
    outputs = (transforms.h?.outputs ?? 1, transforms.w?.outputs ?? 1)
    inputs = (transforms.h?.points ?? 1, transforms.w?.points ?? 1)
    spacing = (transforms.h == nil ? 1 : w.dilations[1], w.dilations[2])
  }

  /// Of integers, what words of channels hold.
  var parts: WordParts? { w.widens ? .i16x2 : nil }
  var numbersPerStep: Int { parts?.count ?? 1 }
  /// Channels, or words of them.
  var steps: Int { w.steps(of: parts) }
  var points: Int { inputs.h * inputs.w }
  /// Points along h and w that have weights of their own; those after them have the last one's.
  var filters: (h: Int, w: Int) { (transforms.h?.filters ?? 1, transforms.w?.filters ?? 1) }
  /// All inputs of a tile along h and w, with those between them.
  var extent: (h: Int, w: Int) {
    ((inputs.h + 3 * pieces.h - 4) * spacing.h + 1, (inputs.w + 3 * pieces.w - 4) * spacing.w + 1)
  }
  /// What is copied of x for a tile that reaches over the image's edge, or of another layout.
  var patchElements: Int { extent.h * extent.w * w.taps[0] * steps }
  /// Of a whole window.
  var allPieces: Int { w.taps[0] * pieces.h * pieces.w }
  /// Products, or words of them, summed for each point of one output channel.
  var depth: Int { allPieces * steps }

  /// Tiles of all images: how many, or a guess.
  private var tiles: Int {
    let shape = w.epilogue.output.shape.map(\.estimate)
    func along(_ size: Int, _ outputs: Int, _ spacing: Int) -> Int {
      let residue = (size + spacing - 1) / spacing
      return spacing * ((residue + outputs - 1) / outputs)
    }
    return shape[0] * shape[1] * along(shape[2], outputs.h, spacing.h) * along(shape[3], outputs.w, spacing.w)
  }

  /// The share of tiles that reach over the image's edge where windows are dilated; else they are few.
  private var edges: Double {
    guard spacing != (1, 1) else { return 0 }
    let shape = w.x.shape.map(\.estimate)
    func inside(_ size: Int, _ extent: Int) -> Double { max(0, Double(size - extent + 1)) / Double(max(1, size)) }
    return 1 - inside(shape[2], extent.h) * inside(shape[3], extent.w)
  }

  /// Cycles of one core: the products at their usual rate while the transformed weights come from memory once, the transforms by their
  /// instructions. Results that don't lie with channels last are stored one by one.
  func cycles(_ knobs: Knobs, on machine: Machine) -> Double {
    let (mr, nr, lanes) = (knobs["mr"], knobs["nr"], machine.lanes)
    let columns = (w.outputsPerGroup + nr - 1) / nr * nr
    let block = min(tiles, knobs["tiles"] * mr)
    let blocks = (tiles + block - 1) / block
    let rows = blocks * ((block + mr - 1) / mr) * mr
    let passes = (columns / nr + knobs["nc"] - 1) / knobs["nc"]
    let multiplications = Double(rows * points * depth * columns / lanes) * machine.cyclesPerStep(of: parts) / 0.8
    let inputVectors = Double(tiles * depth * passes / lanes)
    let outputVectors = Double(tiles * w.outputsPerGroup / lanes)
    let transforms = Double(points) * 3.5 * (inputVectors + outputVectors)
    let products = ConvolutionWorkload.cycles(
      multiplications, fetching: filters.h * filters.w * depth * columns * 4)
    let copied =
      Double(tiles * patchElements * passes) * (w.isChannelsInnermost ? edges : 1) * PatchCopy.cycles(w, on: machine)
    let storing =
      w.epilogue.output.strides.last == 1
      ? 0 : ConvolutionWorkload.cyclesToScatter * Double(w.positions * w.outputsPerGroup)
    return Double(w.groups) * (products + transforms + copied + storing)
  }

  /// As many tiles at a time as the level-2 cache holds V and a pass of M of, but enough that a weight fetched from
  /// further away is used often.
  func defaultKnobs(on machine: Machine) -> Knobs {
    let register = RegisterTile.fitting(
      rows: tiles, columns: w.outputsPerGroup, streams: false, addresses: false, of: parts, on: machine)
    let panels = (w.outputsPerGroup + register.columns - 1) / register.columns
    let bytesPerTile = points * 4 * (depth + register.columns)
    let inCache = machine.cacheBytes[1] * 6 / 10 / (bytesPerTile * register.rows)
    let forReuse = (w.outputsPerGroup / 8 + register.rows - 1) / register.rows
    let all = (tiles + register.rows - 1) / register.rows
    var blocks = max(1, min(12, all, max(inCache, forReuse)))
    // Enough tasks for threads to finish together: first fewer tiles at a time, then fewer channels, for which tiles are transformed
    // again.
    while blocks > max(2, forReuse), all / blocks < 4 * (machine.workers ?? 2) { blocks -= 1 }
    // Blocks of one size.
    let tasks = (all + blocks - 1) / blocks
    blocks = (all + tasks - 1) / tasks
    let products = Double(all * register.rows * panels * register.columns) / 2 / 0.8
    // V made anew goes through the caches: it takes more than twice its instructions' time.
    let columns = SharedResults(rows: tasks, columns: panels, workers: machine.workers)
      .columnsPerTask(anew: 8 * Double(tiles) / products)
    // V, where it is too much for the level-2 cache, is read once for several panels; of M there is so much more.
    let sums = points * 4 * blocks * register.rows * register.columns
    let together = inCache >= blocks ? 1 : max(2, min(4, machine.cacheBytes[1] * 6 / 10 / sums))
    return [
      "m": m, "mr": register.rows, "nr": register.columns, "tiles": blocks,
      "panels": min(together, columns), "nc": columns, "unroll": parts == nil ? 4 : 1,
      "prefetch": PanelPrefetch.blocks(passing: blocks),
    ]
  }
}

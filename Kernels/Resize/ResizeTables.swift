import TensorTypes
import TileIR

/// Which elements along one resized dimension each output position is made of, and their weights.
struct ResizeTables {
  static let coordinateModes = [
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn",
  ]

  /// An index and a weight per output position; no weight where there is only one tap.
  struct Tap {
    var index: Tile
    var weight: Tile?
  }

  let w: ResizeWorkload
  let dimension: Int
  let b: TileBuilder
  let indices: TileBuffer
  let weights: TileBuffer?

  /// Taps of each output position.
  var count: Int { w.mode == "nearest" ? 1 : w.mode == "linear" ? 2 : 4 }

  /// - Parameter element: that weights are held in.
  init(_ w: ResizeWorkload, dimension: Int, _ element: ElementType, _ b: TileBuilder) {
    (self.w, self.dimension, self.b) = (w, dimension, b)
    let count = w.mode == "nearest" ? 1 : w.mode == "linear" ? 2 : 4
    let shape = [Dim(count), w.output.shape[dimension]]
    indices = b.parameter("indices\(dimension)", .scratch, BufferType(.int64, shape))
    weights =
      w.mode == "nearest" ? nil : b.parameter("weights\(dimension)", .scratch, BufferType(element, shape))
  }

  /// The taps for positions of the output; `count` is nil for a single one.
  func taps(_ position: TileBuffer.Index, count: Int?, limit: Tile?) -> [Tap] {
    (0..<self.count).map { tap in
      func load(_ table: TileBuffer) -> Tile {
        table.load([.at(b.index(tap)), position], shape: count.map { [$0] } ?? [], limits: count == nil ? [] : [limit])
      }
      return Tap(index: load(indices), weight: weights.map { load($0) })
    }
  }

  // MARK: Writing

  private func number(_ value: Double) -> Tile { b.constant(value, .float64) }

  /// Computes the taps of one output position, in f64.
  func write(_ position: Tile) {
    let input = b.size(w.x.shape[dimension])
    let x = coordinate(position)
    let last = input - 1
    func clamped(_ i: Tile) -> Tile { i.minimum(last).maximum(b.index(0)) }
    guard let weights else {
      indices.store(clamped(nearest(x).cast(.int64)), [.at(b.index(0)), .at(position)])
      return
    }
    let base = x.unary(.floor)
    let first = base.cast(.int64) - (count / 2 - 1)
    for tap in 0..<count {
      let distance = (base + number(Double(tap - (count / 2 - 1))) - x).unary(.abs)
      indices.store(clamped(first + tap), [.at(b.index(tap)), .at(position)])
      weights.store(kernel(distance).cast(weights.type.element), [.at(b.index(tap)), .at(position)])
    }
  }

  /// Where an output position lies in the input.
  private func coordinate(_ position: Tile) -> Tile {
    let o = position.cast(.float64)
    let input = b.size(w.x.shape[dimension]).cast(.float64)
    let output = b.size(w.output.shape[dimension]).cast(.float64)
    let stated = w.scales[dimension]
    let scale = stated == 0 ? output / input : number(stated)
    let (zero, half, one) = (number(0), number(0.5), number(1))
    let halfPixel = (o + half) / scale - half
    let x: Tile
    switch w.coordinateMode {
    case "half_pixel": x = halfPixel
    case "half_pixel_symmetric": x = input / number(2) * (one - output / (scale * input)) + halfPixel
    case "pytorch_half_pixel": x = output.equal(one).select(zero, halfPixel)
    case "align_corners":
      x = output.equal(one).select(zero, o * (input - one) / (output - one).maximum(one))
    case "asymmetric": x = o / scale
    case "tf_half_pixel_for_nn": x = (o + half) / scale
    default: preconditionFailure("a coordinate mode that the template accepts, not \(w.coordinateMode)")
    }
    // A dimension that keeps its size is copied, whatever the mode.
    guard stated == 0 || stated == 1 else { return x }
    return input.equal(output).select(o, x)
  }

  private func nearest(_ x: Tile) -> Tile {
    switch w.nearestMode {
    case "round_prefer_floor": (x - number(0.5)).unary(.ceil)
    case "round_prefer_ceil": (x + number(0.5)).unary(.floor)
    case "floor": x.unary(.floor)
    default: x.unary(.ceil)
    }
  }

  /// The triangle of width 2, or Keys' cubic of width 4, at a distance.
  private func kernel(_ d: Tile) -> Tile {
    let one = number(1)
    if w.mode == "linear" { return (one - d).maximum(number(0)) }
    let a = w.cubicCoefficient
    let near = ((number(a + 2) * d - number(a + 3)) * d * d) + one
    let far = ((number(a) * d - number(5 * a)) * d + number(8 * a)) * d - number(4 * a)
    return d.lessEqual(one).select(near, d.less(number(2)).select(far, number(0)))
  }
}

extension ResizeWorkload {
  /// s ≤ 8 where the output at i is the input at ⌊i / s⌋ along a dimension: `nearest` by a whole number, in those modes in
  /// which no coordinate comes near to the middle between two elements.
  func repeats(along dimension: Int) -> Int? {
    guard mode == "nearest", let count = Int(exactly: scales[dimension]), (2...8).contains(count),
      output.shape[dimension] == x.shape[dimension] * Dim(count)
    else { return nil }
    let isCentred = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel"].contains(coordinateMode)
    switch nearestMode {
    case "floor": return coordinateMode == "asymmetric" || coordinateMode == "tf_half_pixel_for_nn" ? count : nil
    case "round_prefer_floor", "round_prefer_ceil": return isCentred ? count : nil
    default: return nil
    }
  }
}

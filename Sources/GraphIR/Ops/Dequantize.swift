import TensorTypes

/// Numbers stored in fewer bits, as f32: `y[i] = x[i]` for 16-bit floats; for integers
/// `y[i] = (x[i] − zero[s(i)]) · scale[s(i)]`, rounded once. `s` is where the scale of an element is: along `axis` a
/// scale holds for `block` elements, along other dimensions for one or, where there is one scale, for all.
///
/// Unlike the arithmetic that it stands for, it is not folded: a product reads its constant operand as it is stored.
///
/// - (dequantize_c1) One operand of f16 or bf16; or i8 or u8, a scale of f32, and if there is a third a zero point of the
///   first's type.
/// - (dequantize_c2) Scales of the rank of `x`: as many along a dimension as there are elements, or one; along `axis` also
///   one for each begun block.
/// - (dequantize_c3) The zero point has the scale's shape.
public struct Dequantize: Op {
  public static let mnemonic = "dequantize"
  public var axis: Int
  /// Elements along `axis` that share a scale; 0: there are no blocks.
  public var block: Int
  /// Bits that hold every integer, with its sign if it has one: what is known of a constant.
  public var bits: Int

  public init(axis: Int = 0, block: Int = 0, bits: Int = 8) { (self.axis, self.block, self.bits) = (axis, block, bits) }

  public var attributes: [(name: String, value: Attribute)] {
    [("axis", .integer(axis)), ("block", .integer(block)), ("bits", .integer(bits))]
  }
  public init(attributes: inout AttributeReader) throws {
    axis = try attributes.integer("axis", default: 0)
    block = try attributes.integer("block", default: 0)
    bits = try attributes.integer("bits", default: 8)
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    if x.count == 1, x[0].element.isNarrowFloat { return [TensorType(.float32, x[0].shape)] }
    try require(
      (2...3).contains(x.count) && (x[0].element == .int8 || x[0].element == .uint8) && x[1].element == .float32
        && (x.count == 2 || x[2].element == x[0].element), "dequantize_c1: operands \(x)")
    let fits = zip(x[0].shape, x[1].shape).enumerated().allSatisfy { d, sizes in
      let blocks = block > 0 && d == axis ? sizes.0.ceilDivided(by: Dim(block)) : sizes.0
      return sizes.1 == 1 || sizes.1 == blocks
    }
    try require(x[0].rank == x[1].rank && fits, "dequantize_c2: scales \(x[1]) for \(x[0]), blocks of \(block)")
    try require(x.count == 2 || x[1].shape == x[2].shape, "dequantize_c3: zero point \(x.last!), scale \(x[1])")
    return [TensorType(.float32, x[0].shape)]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    if x.count == 1 { return [HostTensor(.float32, x[0].shape, .floats(x[0].doubles))] }
    let places = scalePlaces(x[0].shape, x[1].shape)
    let (codes, scales) = (x[0].integers, x[1].doubles)
    let zeros = x.count == 3 ? x[2].integers : [Int64](repeating: 0, count: scales.count)
    let values = codes.indices.map { Double(codes[$0] - zeros[places[$0]]) * scales[places[$0]] }
    return [HostTensor(.float32, x[0].shape, .floats(values))]
  }

  /// The position of each element's scale.
  private func scalePlaces(_ shape: [Int], _ scales: [Int]) -> [Int] {
    var places = [0]
    for d in shape.indices {
      let (size, count) = (shape[d], scales[d])
      let step = count == 1 ? max(1, size) : block > 0 && d == axis ? block : 1
      places = places.flatMap { outer in (0..<size).map { outer * count + $0 / step } }
    }
    return places
  }
}

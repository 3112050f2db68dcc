import TensorTypes

/// The multi-indices of the elements that are not 0, in row-major order, a column each: i64 `[rank, count]`. How many
/// there are is known only at run time and called `count` from here on.
///
/// - (non_zero_c1) One operand of rank 1 or more.
public struct NonZero: Op {
  public static let mnemonic = "non_zero"
  /// A symbol that no other value uses.
  public var count: String

  public init(count: String) { self.count = count }

  public var attributes: [(name: String, value: Attribute)] { [("count", .string(count))] }
  public init(attributes: inout AttributeReader) throws { count = try attributes.string("count") }

  public var definedSymbols: [String] { [count] }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(x.count == 1 && x[0].rank >= 1, "non_zero_c1: operands \(x)")
    return [TensorType(.int64, [Dim(x[0].rank), .symbol(count)])]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let column = x[0].column()
    var positions: [Int] = []
    switch column {
    case .floats(let values): positions = values.indices.filter { values[$0] != 0 }
    case .integers(let values): positions = values.indices.filter { values[$0] != 0 }
    }
    let indices = zip(rowMajorStrides(x[0].shape), x[0].shape).flatMap { stride, size in
      positions.map { $0 / stride % size }
    }
    return [HostTensor(integers: indices, [x[0].shape.count, positions.count])]
  }
}

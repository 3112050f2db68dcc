import TensorTypes

/// A copy of the data in which `y[i… with i[axis] = indices[i…]]` is joined with `updates[i…]`, for each index in
/// row-major order. Negative indices count from the end.
///
/// - (scatter_elements_c1) Three operands of one rank: data, indices of type i32 or i64, updates of the data's type.
/// - (scatter_elements_c2) `axis` is a dimension of them; indices and updates have one shape.
/// - (scatter_elements_c3) Indices are within the dimension (checked when they are known).
public struct ScatterElements: Op {
  public static let mnemonic = "scatter_elements"
  public var axis: Int
  public var reduction: ScatterReduction

  public init(axis: Int, reduction: ScatterReduction = .replace) { (self.axis, self.reduction) = (axis, reduction) }

  public var attributes: [(name: String, value: Attribute)] {
    [("axis", .integer(axis)), ("reduction", .word(reduction))]
  }
  public init(attributes: inout AttributeReader) throws {
    axis = try attributes.integer("axis")
    reduction = try attributes.word("reduction", default: .replace)
  }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 3 && x[1].element.isIndex && x[2].element == x[0].element && x.allSatisfy { $0.rank == x[0].rank },
      "scatter_elements_c1: operands \(x)")
    try require(
      areAxes([axis], rank: x[0].rank) && mayBeEqual(x[1].shape, x[2].shape),
      "scatter_elements_c2: axis \(axis) of operands \(x)")
    return [x[0]]
  }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let positions = try elementPositions(x[0].shape, x[1], axis: axis, "scatter_elements_c3")
    guard positions.allSatisfy({ $0 < x[0].elementCount }) else {
      throw Failure.badData("scatter_elements_c2: indices \(x[1].type) reach out of \(x[0].type)")
    }
    return [reduction.apply(x[0], positions, x[2])]
  }
}

/// What an update does to the element that is there.
public enum ScatterReduction: String, Hashable, Sendable, Codable, CaseIterable {
  case replace, add, multiply, minimum, maximum

  public var function: BinaryFunction? {
    switch self {
    case .replace: nil
    case .add: .add
    case .multiply: .multiply
    case .minimum: .minimum
    case .maximum: .maximum
    }
  }

  /// A copy of `data` in which update number `i` is joined with the element at `positions[i]`, in order.
  func apply(_ data: HostTensor, _ positions: [Int], _ updates: HostTensor) -> HostTensor {
    data.element.isFloat
      ? apply(data, positions, updates, Double.self) : apply(data, positions, updates, Int64.self)
  }

  private func apply<N: ReferenceNumber>(
    _ data: HostTensor, _ positions: [Int], _ updates: HostTensor, _: N.Type
  ) -> HostTensor {
    var values = N.load(data)
    let join = function.map { N.function($0, data.element) } ?? { $1 }
    for (position, update) in zip(positions, N.load(updates)) { values[position] = join(values[position], update) }
    return HostTensor(data.element, data.shape, N.column(values))
  }
}

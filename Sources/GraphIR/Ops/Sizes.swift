import TensorTypes

/// A tensor of rank 1 and type i64 that holds sizes: what asking a tensor for its shape gives.
///
/// - (sizes_c1) No operands.
public struct Sizes: Op {
  public static let mnemonic = "sizes"
  public var dims: [Dim]

  public init(_ dims: [Dim]) { self.dims = dims }

  public var attributes: [(name: String, value: Attribute)] { [("dims", .dims(dims))] }
  public init(attributes: inout AttributeReader) throws { dims = try attributes.dims("dims") }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(x.isEmpty, "sizes_c1: operands \(x)")
    return [TensorType(.int64, [Dim(dims.count)])]
  }

  public func contents(_ x: [ValueFacts]) -> [[Dim]?] { [dims] }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    [HostTensor(integers: try dims.integers(), [dims.count])]
  }

  public func substituting(_ bindings: [String: Dim]) -> Sizes { Sizes(dims.substituting(bindings)) }
}

import TensorTypes

/// Operands one after the other along `axis`.
///
/// - (concat_c1) One or more operands of one element type and rank, of which `axis` is a dimension.
/// - (concat_c2) All other dimensions are equal.
public struct Concat: Op {
  public static let mnemonic = "concat"
  public var axis: Int

  public init(axis: Int) { self.axis = axis }

  public var attributes: [(name: String, value: Attribute)] { [("axis", .integer(axis))] }
  public init(attributes: inout AttributeReader) throws { axis = try attributes.integer("axis") }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    guard let first = x.first, areAxes([axis], rank: first.rank),
      x.allSatisfy({ $0.element == first.element && $0.rank == first.rank })
    else { throw Failure.badData("concat_c1: operands \(x) along axis \(axis)") }
    var shape = first.shape
    for operand in x.dropFirst() {
      for i in shape.indices {
        if i == axis {
          shape[i] = shape[i] + operand.shape[i]
        } else {
          try require(mayBeEqual(shape[i], operand.shape[i]), "concat_c2: operands \(x) along axis \(axis)")
          shape[i] = moreExact(shape[i], operand.shape[i])
        }
      }
    }
    return [TensorType(first.element, shape)]
  }

  public func contents(_ x: [ValueFacts]) -> [[Dim]?] { contentsByMoving(x, dataCount: x.count) }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    let shape = try infer(x.map(\.type))[0].shape.integers()
    let outer = shape[..<axis].reduce(1, *)
    // Bytes that each operand adds to each outer index.
    let runs = x.map { $0.shape[axis...].reduce(1, *) * $0.element.byteCount }
    return [
      HostTensor(
        x[0].element, shape,
        filling: { memory in
          var position = 0
          for i in 0..<outer {
            for (operand, run) in zip(x, runs) where run > 0 {
              let source = UnsafeRawBufferPointer(rebasing: operand.bytes[i * run..<(i + 1) * run])
              UnsafeMutableRawBufferPointer(rebasing: memory[position..<position + run]).copyMemory(from: source)
              position += run
            }
          }
        })
    ]
  }
}

import GraphIR
import TensorTypes

extension GraphPass {
  /// Computes equal things once: nodes with equal ops and operands, and constants with equal elements.
  static let commonSubexpressions = GraphPass("commonSubexpressions") { graph in
    try GraphRewriter.rewrite(graph, [], sharing: true)
  }
}

/// Finds constants that are equal.
struct ConstantPool {
  private var known: [Key: [(tensor: HostTensor, value: ValueID)]] = [:]

  /// Of the elements only a few are looked at; candidates are then compared in full.
  private struct Key: Hashable {
    var element: ElementType
    var shape: [Int]
    var sample: [UInt8]

    init(_ tensor: HostTensor) {
      (element, shape) = (tensor.element, tensor.shape)
      let bytes = tensor.bytes
      let step = max(1, bytes.count / 61)
      sample = stride(from: 0, to: bytes.count, by: step).map { bytes[$0] }
    }
  }

  /// The value that holds just the elements of `tensor`, if there is one.
  func value(of tensor: HostTensor) -> ValueID? {
    known[Key(tensor)]?.first { $0.tensor.isIdentical(to: tensor) }?.value
  }

  /// Remembers that `value` holds `tensor`.
  mutating func insert(_ tensor: HostTensor, _ value: ValueID) {
    if self.value(of: tensor) == nil { known[Key(tensor), default: []].append((tensor, value)) }
  }
}

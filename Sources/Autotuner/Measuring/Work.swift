import Kernels
import TensorTypes

/// What a workload cannot do without, for rooflines and tolerances.
public struct Work: Hashable, Sendable {
  /// Additions and multiplications of the mathematics, whatever the algorithm saves.
  public var operations: Double
  /// Bytes of operands and output, each touched once.
  public var bytes: Double
  /// Terms added up for one element of the result.
  public var reduction: Int
  /// What a term may be off by, a share of itself, though the operands are what they are: attention may round exponentials to bf16.
  public var rounding: Double

  public init(_ workload: Workload, sizes: [String: Int]) {
    func size(_ dims: some Sequence<Dim>) -> Double { dims.reduce(1) { $0 * Double($1.evaluate(sizes) ?? 1) } }
    let views = workload.operands + [workload.output] + workload.extraOutputs
    bytes = views.reduce(0) { sum, view in
      // What is repeated lies in memory once.
      let distinct = zip(view.shape, view.strides).filter { $0.1 != 0 }.map(\.0)
      return sum + size(distinct) * Double(view.element.byteCount)
    }
    if case .matmul(let w) = workload, let bits = w.scaling?.bits {
      bytes -= size(w.b.shape.dropFirst()) * (1 - Double(bits) / 8)
    }
    let results = size(workload.output.shape)
    var terms = 1.0
    var perTerm = 1.0
    switch workload {
    case .matmul(let w): (terms, perTerm) = (size([w.a.shape[2]]), 2)
    case .convolution(let w): (terms, perTerm) = (size(w.w.shape.dropFirst().dropLast()), 2)
    case .attention(let w): (terms, perTerm) = (size([w.k.shape[2]]), 4)
    case .normalization(let w): (terms, perTerm) = (size(w.x.shape.suffix(w.rowRank)), 1)
    case .reduction(let w): terms = size(w.axes.map { w.inputs[0].shape[$0] })
    case .pool(let w): terms = Double(w.window.reduce(1, *))
    case .gatherSum(let w): (terms, perTerm) = (size([w.indices.shape[1]]), 2)
    case .argReduce(let w): terms = size([w.x.shape[w.axis]])
    case .elementwise, .movement, .gather, .resize, .generate, .scatter, .scan, .sort, .random, .recurrent, .nonZero:
      break
    }
    reduction = Int(min(terms, 1e9))
    if case .attention(let w) = workload, w.mayRound == true || w.q.element == .bfloat16 {
      rounding = 0x1p-8
    } else {
      rounding = 0
    }
    if case .normalization = workload { operations = results * 4 } else { operations = results * terms * perTerm }
  }
}

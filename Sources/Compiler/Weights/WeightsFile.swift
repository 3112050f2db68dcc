import GraphIR
import Kernels
import TensorTypes

/// Lays constants out in memory as a plan's kernels want them.
enum WeightsFile {
  /// Writes the weights of one variant to `memory`, which holds zeros.
  /// - Complexity: one pass over the constants.
  static func write(_ plan: Plan, _ graph: Graph, to memory: UnsafeMutableRawBufferPointer) throws {
    for weight in plan.weights {
      guard let tensor = graph.constant(at: weight.value) else { preconditionFailure("a constant") }
      let place = UnsafeMutableRawBufferPointer(rebasing: memory[weight.offset..<weight.offset + weight.byteCount])
      if let packing = weight.packing {
        try pack(tensor, packing, place)
      } else {
        place.copyMemory(from: tensor.bytes)
      }
    }
  }

  /// Fills the panels of `packing` from a tensor of 4-byte elements.
  static func pack(_ tensor: HostTensor, _ packing: WeightPacking, _ to: UnsafeMutableRawBufferPointer) throws {
    let source = packing.source
    guard tensor.element == packing.element, tensor.element.byteCount == 4 else {
      preconditionFailure("elements of 4 bytes, packed as they are")
    }
    // How often a matrix is repeated that is there once may be known only at run time.
    let batches = packing.packed.shape[0].constant!
    let shape = [batches] + source.shape.dropFirst().map { $0.constant! }
    let strides = source.strides.map { $0.constant! }
    let rank = shape.count
    let (columns, width) = (shape[rank - 1], packing.width)
    let rowOffsets = offsets(Array(shape[1..<rank - 1]), Array(strides[1..<rank - 1]))
    let step = strides[rank - 1]
    // A model's file aligns its tensors as it likes.
    let from = tensor.bytes
    to.withMemoryRebound(to: UInt32.self) { panels in
      var next = 0
      for batch in 0..<batches {
        let start = packing.offset.constant! + batch * strides[0]
        for first in stride(from: 0, to: columns, by: width) {
          let present = min(width, columns - first)
          for row in rowOffsets {
            let base = start + row + first * step
            for j in 0..<present {
              panels[next + j] = from.loadUnaligned(fromByteOffset: 4 * (base + j * step), as: UInt32.self)
            }
            next += width  // what is missing stays zero
          }
        }
      }
    }
  }

  /// The offsets of all elements with these sizes and strides, in row-major order.
  private static func offsets(_ shape: [Int], _ strides: [Int]) -> [Int] {
    var all = [0]
    for (size, stride) in zip(shape, strides) { all = all.flatMap { base in (0..<size).map { base + $0 * stride } } }
    return all
  }
}

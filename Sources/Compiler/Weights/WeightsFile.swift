import GraphIR
import Kernels
import TensorTypes

/// Lays constants out in memory as a plan's kernels want them.
enum WeightsFile {
  /// The weights of one variant.
  /// - Complexity: one pass over the constants; memory for all of them once.
  static func bytes(_ plan: Plan, _ graph: Graph) throws -> [UInt8] {
    let graphs = GraphTree(graph).graphs
    return try [UInt8](unsafeUninitializedCapacity: plan.weightsBytes) { buffer, count in
      let memory = UnsafeMutableRawBufferPointer(buffer)
      memory.initializeMemory(as: UInt8.self, repeating: 0)
      for weight in plan.weights {
        guard let tensor = graphs[weight.graph].constant(at: weight.value) else { preconditionFailure("a constant") }
        let place = UnsafeMutableRawBufferPointer(rebasing: memory[weight.offset..<weight.offset + weight.byteCount])
        if let packing = weight.packing {
          try pack(tensor, packing, place)
        } else {
          place.copyMemory(from: tensor.bytes)
        }
      }
      count = plan.weightsBytes
    }
  }

  /// Fills the panels of `packing` from a tensor of 4-byte elements.
  static func pack(_ tensor: HostTensor, _ packing: WeightPacking, _ to: UnsafeMutableRawBufferPointer) throws {
    let source = packing.source
    guard tensor.element == packing.element, tensor.element.byteCount == 4 else {
      preconditionFailure("elements of 4 bytes, packed as they are")
    }
    let shape = source.shape.map { $0.constant! }
    let strides = source.strides.map { $0.constant! }
    let rank = shape.count
    let (columns, width) = (shape[rank - 1], packing.width)
    let rowOffsets = offsets(Array(shape[1..<rank - 1]), Array(strides[1..<rank - 1]))
    let step = strides[rank - 1]
    // A tensor's bytes may lie anywhere in the model's file.
    let isAligned = UInt(bitPattern: tensor.bytes.baseAddress) % 4 == 0
    let elements = isAligned ? tensor : HostTensor(tensor.element, tensor.shape, tensor.array(of: UInt32.self))
    elements.bytes.withMemoryRebound(to: UInt32.self) { from in
      to.withMemoryRebound(to: UInt32.self) { panels in
        var next = 0
        for batch in 0..<shape[0] {
          let start = packing.offset.constant! + batch * strides[0]
          for first in stride(from: 0, to: columns, by: width) {
            let present = min(width, columns - first)
            for row in rowOffsets {
              let base = start + row + first * step
              for j in 0..<present { panels[next + j] = from[base + j * step] }
              next += width  // what is missing stays zero
            }
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

import GraphIR
import Kernels
import TensorTypes

/// Lays constants out in memory as a plan's kernels want them.
enum WeightsFile {
  /// Writes the weights of one variant to `memory`, which holds zeros.
  /// - Complexity: one pass over the constants.
  static func write(_ plan: Plan, _ graph: Graph, to memory: UnsafeMutableRawBufferPointer) {
    let graphs = GraphTree(graph).graphs
    for weight in plan.weights {
      guard let tensor = graphs[weight.graph].constant(at: weight.value) else { preconditionFailure("a constant") }
      let place = UnsafeMutableRawBufferPointer(rebasing: memory[weight.offset..<weight.offset + weight.byteCount])
      if let packing = weight.packing {
        pack(tensor, packing, to: place)
      } else {
        place.copyMemory(from: tensor.bytes)
      }
    }
  }

  /// Fills the panels of `packing`, which hold zeros.
  static func pack(_ tensor: HostTensor, _ packing: WeightPacking, to memory: UnsafeMutableRawBufferPointer) {
    Packer(tensor, packing).pack(to: memory)
  }
}

/// Fills the panels of a packing from a tensor of 4-byte elements.
private struct Packer {
  let packing: WeightPacking
  /// May stand at any address: a model's file aligns nothing.
  let bytes: UnsafeRawBufferPointer
  let (batches, columns): (Int, Int)
  let (batchStep, columnStep): (Int, Int)
  /// Of k's elements, in row-major order.
  let rowOffsets: [Int]

  init(_ tensor: HostTensor, _ packing: WeightPacking) {
    guard tensor.element == packing.element, tensor.element.byteCount == 4 else {
      preconditionFailure("elements of 4 bytes, packed as they are")
    }
    self.packing = packing
    bytes = tensor.bytes
    // How often a matrix is repeated that is there once may be known only at run time.
    let shape = [packing.packed.shape[0].constant!] + packing.source.shape.dropFirst().map { $0.constant! }
    let strides = packing.source.strides.map { $0.constant! }
    (batches, columns) = (shape[0], shape[shape.count - 1])
    (batchStep, columnStep) = (strides[0], strides[shape.count - 1])
    var offsets = [0]
    for d in 1..<(shape.count - 1) {
      offsets = offsets.flatMap { base in (0..<shape[d]).map { base + $0 * strides[d] } }
    }
    rowOffsets = offsets
  }

  private func start(_ batch: Int, _ column: Int) -> Int {
    packing.offset.constant! + batch * batchStep + column * columnStep
  }

  func pack(to: UnsafeMutableRawBufferPointer) {
    if packing.transforms.contains(where: { $0 != nil }) { return packTransformed(to) }
    to.withMemoryRebound(to: UInt32.self) { panels in
      var next = 0
      for batch in 0..<batches {
        for first in stride(from: 0, to: columns, by: packing.width) {
          let present = min(packing.width, columns - first)
          for row in rowOffsets {
            let base = start(batch, first) + row
            for j in 0..<present {
              panels[next + j] = bytes.loadUnaligned(fromByteOffset: (base + j * columnStep) * 4, as: UInt32.self)
            }
            next += packing.width  // what is missing stays zero
          }
        }
      }
    }
  }

  /// k's dimensions are transformed: a column at a time, in double precision.
  private func packTransformed(_ to: UnsafeMutableRawBufferPointer) {
    let sizes = packing.source.shape.dropFirst().dropLast().map { $0.constant! }
    let (width, depth) = (packing.width, packing.depth.product.constant!)
    let panels = (columns + width - 1) / width
    to.withMemoryRebound(to: Float.self) { target in
      for batch in 0..<batches {
        for column in 0..<columns {
          let base = start(batch, column)
          var values = rowOffsets.map {
            Double(bytes.loadUnaligned(fromByteOffset: (base + $0) * 4, as: Float.self))
          }
          var inner = rowOffsets.count
          for (size, matrix) in zip(sizes, packing.transforms) {
            inner /= size
            if let matrix { values = Packer.transform(values, matrix, size: size, inner: inner) }
          }
          var slot = (batch * panels + column / width) * depth * width + column % width
          for value in values {
            target[slot] = Float(value)
            slot += width
          }
        }
      }
    }
  }

  /// `matrix` applied along a dimension of `size`, with `inner` elements within it.
  private static func transform(_ x: [Double], _ matrix: [[Double]], size: Int, inner: Int) -> [Double] {
    let outer = x.count / (size * inner)
    return [Double](unsafeUninitializedCapacity: outer * matrix.count * inner) { result, count in
      count = outer * matrix.count * inner
      result.initialize(repeating: 0)
      x.withUnsafeBufferPointer { x in
        for o in 0..<outer {
          for (i, row) in matrix.enumerated() {
            let to = (o * matrix.count + i) * inner
            for (k, factor) in row.enumerated() where factor != 0 {
              let from = (o * size + k) * inner
              for j in 0..<inner { result[to + j] += factor * x[from + j] }
            }
          }
        }
      }
    }
  }
}

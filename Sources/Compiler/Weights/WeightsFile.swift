import GraphIR
import Kernels
import TensorTypes

/// Lays constants out in memory as a plan's kernels want them.
enum WeightsFile {
  /// Writes the weights of one variant, which begin at `start` of a file of zeros, several constants at a time.
  /// - Throws: `Failure` if the file can't be written.
  /// - Complexity: one pass over the constants; the memory of `jobs` packed ones.
  static func write(_ plan: Plan, _ graph: Graph, to file: PreallocatedFile, at start: Int, jobs: Int) throws {
    let graphs = GraphTree(graph).graphs
    try concurrently(plan.weights.count, jobs: jobs) { i in
      let weight = plan.weights[i]
      guard let tensor = graphs[weight.graph].constant(at: weight.value) else { preconditionFailure("a constant") }
      guard let packing = weight.packing else { return try file.write(tensor.bytes, at: start + weight.offset) }
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: weight.byteCount, alignment: 64)
      defer { memory.deallocate() }
      memory.initializeMemory(as: UInt8.self, repeating: 0)
      pack(tensor, packing, to: memory)
      try file.write(UnsafeRawBufferPointer(memory), at: start + weight.offset)
    }
  }

  /// Fills the panels of `packing`, which hold zeros.
  static func pack(_ tensor: HostTensor, _ packing: WeightPacking, to memory: UnsafeMutableRawBufferPointer) {
    Packer(tensor, packing).pack(to: memory)
  }
}

/// Fills the panels of a packing from a tensor.
private struct Packer {
  let packing: WeightPacking
  let tensor: HostTensor
  /// May stand at any address: a model's file aligns nothing.
  let bytes: UnsafeRawBufferPointer
  let (batches, columns): (Int, Int)
  let (batchStep, columnStep): (Int, Int)
  /// Of k's elements, in row-major order.
  let rowOffsets: [Int]

  init(_ tensor: HostTensor, _ packing: WeightPacking) {
    let isCoded = packing.codeBits != nil && tensor.element == .int8 && packing.element == .int32
    guard isCoded || tensor.element == packing.element || packing.group > 1 else {
      preconditionFailure("elements packed as they are, codes in words, or integers in groups")
    }
    self.packing = packing
    self.tensor = tensor
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
    if let bits = packing.codeBits { return packCodes(to, bits) }
    if packing.transforms.contains(where: { $0 != nil }) { return packTransformed(to) }
    if packing.group > 1 { return packGroups(to) }
    switch packing.element.byteCount {
    case 1: packElements(to, UInt8.self)
    case 2: packElements(to, UInt16.self)
    case 4: packElements(to, UInt32.self)
    default: packElements(to, UInt64.self)
    }
  }

  /// - Parameter type: as wide as an element.
  private func packElements<T: BitwiseCopyable>(_ to: UnsafeMutableRawBufferPointer, _ type: T.Type) {
    let size = MemoryLayout<T>.size
    to.withMemoryRebound(to: T.self) { panels in
      var next = 0
      for batch in 0..<batches {
        for first in stride(from: 0, to: columns, by: packing.width) {
          let present = min(packing.width, columns - first)
          for row in rowOffsets {
            let base = start(batch, first) + row
            for j in 0..<present {
              panels[next + j] = bytes.loadUnaligned(fromByteOffset: (base + j * columnStep) * size, as: T.self)
            }
            next += packing.width  // what is missing stays zero
          }
        }
      }
    }
  }

  /// Codes of `bits` each, several steps of k to a word.
  private func packCodes(_ to: UnsafeMutableRawBufferPointer, _ bits: Int) {
    let (steps, half) = (32 / bits, 1 << (bits - 1))
    let words = (rowOffsets.count + steps - 1) / steps
    let panels = (columns + packing.width - 1) / packing.width
    to.withMemoryRebound(to: UInt32.self) { target in
      for batch in 0..<batches {
        for column in 0..<columns {
          let base = start(batch, column)
          let slot = (batch * panels + column / packing.width) * words * packing.width + column % packing.width
          for (k, row) in rowOffsets.enumerated() {
            let code = Int(bytes.loadUnaligned(fromByteOffset: base + row, as: Int8.self))
            precondition((-half..<half).contains(code), "a code of \(bits) bits, not \(code)")
            target[slot + k / steps * packing.width] |= UInt32(code + half) << UInt32(k % steps * bits)
          }
        }
      }
    }
  }

  /// Steps of k side by side.
  private func packGroups(_ to: UnsafeMutableRawBufferPointer) {
    switch (tensor.element, packing.element) {
    case (.int8, .int8), (.uint8, .uint8): packGroups(to, UInt8.self, UInt8.self) { $0 }
    case (.int8, .int32) where packing.group == 4: packGroups(to, UInt8.self, UInt8.self) { $0 }
    case (.int8, .int16): packGroups(to, Int8.self, Int16.self) { Int16($0) }
    case (.uint8, .int16): packGroups(to, UInt8.self, Int16.self) { Int16($0) }
    case (.int16, .int16), (.bfloat16, .bfloat16): packGroups(to, Int16.self, Int16.self) { $0 }
    case (.float32, .bfloat16): packGroups(to, Float.self, UInt16.self) { bfloat16Bits($0) }
    default: preconditionFailure("narrow numbers in groups, not \(tensor.element) as \(packing.element)")
    }
  }

  private func packGroups<S: BitwiseCopyable, T: BitwiseCopyable>(
    _ to: UnsafeMutableRawBufferPointer, _: S.Type, _: T.Type, _ convert: (S) -> T
  ) {
    let group = packing.group
    let inner = packing.source.shape[packing.source.rank - 2].constant!
    to.withMemoryRebound(to: T.self) { panels in
      var next = 0
      for batch in 0..<batches {
        for first in stride(from: 0, to: columns, by: packing.width) {
          let present = min(packing.width, columns - first)
          for (number, row) in rowOffsets.enumerated() {
            let place = number % inner
            let base = start(batch, first) + row
            for j in 0..<present {
              panels[next + j * group + place % group] = convert(
                bytes.loadUnaligned(fromByteOffset: (base + j * columnStep) * MemoryLayout<S>.size, as: S.self))
            }
            if place % group == group - 1 || place == inner - 1 { next += packing.width * group }
          }
        }
      }
    }
  }

  /// k's dimensions are transformed; integers stay such.
  private func packTransformed(_ to: UnsafeMutableRawBufferPointer) {
    switch (tensor.element, packing.element) {
    case (.float32, .float32): packTransformed(to, Float.self, Float.self, Double.init, Float.init)
    case (.int8, .int16): packTransformed(to, Int8.self, Int16.self, Double.init, Int16.init)
    case (.uint8, .int16): packTransformed(to, UInt8.self, Int16.self, Double.init, Int16.init)
    default: preconditionFailure("no transformed \(tensor.element) as \(packing.element)")
    }
  }

  /// A column at a time, in double precision.
  private func packTransformed<S: BitwiseCopyable, T: BitwiseCopyable>(
    _ to: UnsafeMutableRawBufferPointer, _: S.Type, _: T.Type, _ widen: (S) -> Double, _ round: (Double) -> T
  ) {
    let sizes = packing.source.shape.dropFirst().dropLast().map { $0.constant! }
    let (width, group) = (packing.width, packing.group)
    let channels = sizes.last!
    let panels = (columns + width - 1) / width
    let panel = packing.depth.dropLast().product.constant! * ((channels + group - 1) / group) * group * width
    to.withMemoryRebound(to: T.self) { target in
      for batch in 0..<batches {
        for column in 0..<columns {
          let base = start(batch, column)
          var values = rowOffsets.map {
            widen(bytes.loadUnaligned(fromByteOffset: (base + $0) * MemoryLayout<S>.size, as: S.self))
          }
          var inner = rowOffsets.count
          for (size, matrix) in zip(sizes, packing.transforms) {
            inner /= size
            if let matrix { values = Packer.transform(values, matrix, size: size, inner: inner) }
          }
          var slot = (batch * panels + column / width) * panel + column % width * group
          for (number, value) in values.enumerated() {
            let channel = number % channels
            target[slot + channel % group] = round(value)
            if channel % group == group - 1 || channel == channels - 1 { slot += width * group }
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

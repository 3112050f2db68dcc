import Kernels
import LLVMBackend
import TensorTypes
import TileIR

/// What a kernel should give at one place.
public struct Expected {
  public var value: Scalar
  /// Largest absolute difference allowed.
  public var tolerance: Double

  public init(value: Scalar, tolerance: Double = 0) { (self.value, self.tolerance) = (value, tolerance) }
}

/// A workload with operands and what belongs in its outputs.
public struct KernelCase {
  public var workload: Workload
  /// Values of the workload's symbols.
  public var sizes: [String: Int]
  /// One an operand.
  public var inputs: [Sample]
  /// What belongs at an index of the output, and of each extra output, if a template computes it with these knobs: an
  /// algorithm may have an error bound of its own.
  public var expected: (any KernelTemplate, Knobs) -> [([Int]) -> Expected]
  /// Which of the templates that take the workload are meant.
  public var includes: (any KernelTemplate) -> Bool = { _ in true }

  /// - Parameter extras: what belongs at an index of each extra output.
  public init(
    _ workload: Workload, sizes: [String: Int] = [:], inputs: [Sample], extras: [([Int]) -> Expected] = [],
    expected: @escaping ([Int]) -> Expected
  ) {
    (self.workload, self.sizes, self.inputs) = (workload, sizes, inputs)
    self.expected = { _, _ in [expected] + extras }
  }

  /// Those that take the workload on `machine`.
  public func templates(on machine: Machine) -> [any KernelTemplate] {
    allKernels.filter { includes($0) && $0.space(for: workload, on: machine) != nil }
  }

  /// Runs the workload's kernel natively, and by the tile interpreter if it is small, each into poisoned memory that may
  /// not be left, and compares every element.
  /// - Returns: what is wrong, a line each.
  /// - Throws: what building, compiling or interpreting throws: accesses out of bounds, reads of what nothing wrote, and
  ///   races are the interpreter's.
  public func mistakes(of template: any KernelTemplate, knobs: Knobs, on target: Target) throws -> [String] {
    let program = template.build(workload, knobs: knobs, on: target.machine)
    try program.verify()
    let kernel = try NativeKernel(program, for: target, symbols: sizes.keys.sorted())
    let outputs = ([workload.output] + workload.extraOutputs).map { Sample($0, sizes: sizes) }
    let poison = outputs.map { output in (0..<output.memory.count).map { output.memory[$0] } }
    let operands = packed(for: template, knobs, target)
    kernel.run(operands + outputs.map(\.memory) + scratch(program, sizes), sizes: sizes)
    let wanted = expected(template, knobs)
    var mistakes: [String] = []
    for (i, output) in outputs.enumerated() {
      mistakes += compare(output, poison[i], wanted[i]).map { "output \(i): \($0)" }
    }
    return mistakes + (try interpret(program, operands, outputs, wanted))
  }

  fileprivate func packed(for template: any KernelTemplate, _ knobs: Knobs, _ target: Target) -> [GuardedMemory] {
    zip(inputs, template.packing(for: workload, knobs: knobs, on: target.machine)).map { sample, packing in
      packing.map { KernelTesting.packed(sample, $0, sizes) } ?? sample.memory
    }
  }

  /// Runs the program as its definition says; the results must agree with the reference as closely as the native ones.
  private func interpret(
    _ program: TileProgram, _ operands: [GuardedMemory], _ outputs: [Sample], _ expected: [([Int]) -> Expected]
  ) throws -> [String] {
    let memories = operands + outputs.map(\.memory)
    guard memories.reduce(0, { $0 + $1.count }) <= interpretedElements else { return [] }
    let inputs = operands.map { memory in
      let bytes = UnsafeRawBufferPointer(start: memory.start, count: memory.count * memory.element.byteCount)
      return HostTensor(
        memory.element, [memory.count], storage: .make(byteCount: bytes.count) { $0.copyMemory(from: bytes) })
    }
    let results = try TileInterpreter(program, symbols: sizes).run(inputs)
    return outputs.indices.compactMap { i in
      var wrong: [String] = []
      let output = outputs[i]
      forEachIndex(output.shape) { index in
        let (got, want) = (results[i][output.offset(index)], expected[i](index))
        if !agree(got, want) { wrong.append("\(index): \(got), not \(want.value) ± \(want.tolerance)") }
      }
      return wrong.first.map { "interpreted, output \(i): \(wrong.count) wrong of \(output.shape); at \($0)" }
    }
  }
}

/// Elements of all operands up to which the interpreter, a thousand times slower than the kernel, is quick.
private let interpretedElements = 12_000
/// Elements of all operands up to which a case is recorded.
private let recordedElements = 60_000

extension KernelCase {
  /// Writes the workload's kernel for AVX-512 with its operands for `tools/test-avx512`, if `KernelRecord` has a folder and
  /// the case is small and has one output: a record holds one.
  public func record(_ template: any KernelTemplate, knobs: Knobs?) throws {
    let wantedOutputs = 1 + workload.extraOutputs.count
    guard let folder = KernelRecord.folder, wantedOutputs == 1,
      inputs.reduce(0, { $0 + $1.memory.count }) <= recordedElements
    else { return }
    let target = Target.avx512
    let setting = knobs ?? template.defaultKnobs(for: workload, on: target.machine)
    let program = template.build(workload, knobs: setting, on: target.machine)
    try program.verify()
    let output = Sample(workload.output, sizes: sizes)
    let expected = expected(template, setting)[0]
    var wanted = (0..<output.memory.count).map { KernelRecord.Expected(output.memory[$0].double, 0) }
    forEachIndex(output.shape) { index in
      let want = expected(index)
      wanted[output.offset(index)] = (want.value.double, want.tolerance)
    }
    let operands = packed(for: template, setting, target)
    let label = "\(template.name) \(setting.values.map { "\($0.key)\($0.value)" }.sorted()) \(output.shape)"
    try KernelRecord(label, in: folder).write(
      program, for: target, sizes: sizes, buffers: operands + [output.memory] + scratch(program, sizes),
      checked: operands.count, expected: wanted)
  }
}

private func scratch(_ program: TileProgram, _ sizes: [String: Int]) -> [GuardedMemory] {
  program.parameters.indices.filter { program.parameters[$0].role == .scratch }.map { i in
    guard case .buffer(let type) = program.types[i] else { preconditionFailure("a buffer") }
    return GuardedMemory(type.element, count: type.extent.evaluate(sizes)!)
  }
}

/// A constant operand as the kernel wants it, element by element after WeightPacking's definition.
private func packed(_ sample: Sample, _ packing: WeightPacking, _ sizes: [String: Int]) -> GuardedMemory {
  // A matrix that is the same for all of a batch is there once.
  let shape = [packing.packed.shape[0].evaluate(sizes)!] + packing.source.shape.dropFirst().map { $0.evaluate(sizes)! }
  let strides = packing.source.strides.map { $0.evaluate(sizes)! }
  let memory = GuardedMemory(packing.element, count: packing.packed.elementCount.evaluate(sizes)!)
  for i in 0..<memory.count { memory[i] = packing.element.isFloat ? .float(0) : .integer(0) }
  if let bits = packing.codeBits {
    packCodes(sample, packing, bits, shape, strides, to: memory)
    return memory
  }
  if !packing.transforms.isEmpty {
    transform(sample, packing, shape, strides, to: memory)
    return memory
  }
  let columns = shape.last!
  let (inner, group) = (shape[shape.count - 2], packing.group)
  let steps = shape[1..<(shape.count - 2)].reduce(1, *) * ((inner + group - 1) / group)
  let panels = (columns + packing.width - 1) / packing.width
  forEachIndex(shape) { index in
    let k = zip(index, shape).dropFirst().dropLast().reduce(0) { $0 * $1.1 + $1.0 }
    let column = index.last!
    let step = k / inner * ((inner + group - 1) / group) + k % inner / group
    let row = (index[0] * panels + column / packing.width) * steps + step
    let (slot, part) = (row * packing.width + column % packing.width, k % inner % group)
    let value = sample.memory[zip(index, strides).reduce(packing.offset.evaluate(sizes)!) { $0 + $1.0 * $1.1 }]
    guard group > 1, packing.element == .int32 else {
      memory[slot * group + part] = value
      return
    }
    let bits = UInt32(truncatingIfNeeded: Int(value.double)) & (UInt32.max >> UInt32(32 - 32 / group))
    let word = UInt32(truncatingIfNeeded: Int(memory[slot].double)) | bits << UInt32(part * 32 / group)
    memory[slot] = .integer(Int64(Int32(bitPattern: word)))
  }
  return memory
}

/// The same where several steps of k share a word.
private func packCodes(
  _ sample: Sample, _ packing: WeightPacking, _ bits: Int, _ shape: [Int], _ strides: [Int], to memory: GuardedMemory
) {
  let steps = 32 / bits
  let (panels, words) = ((shape[2] + packing.width - 1) / packing.width, (shape[1] + steps - 1) / steps)
  forEachIndex(shape) { index in
    let (batch, k, column) = (index[0], index[1], index[2])
    let code = sample.memory[zip(index, strides).reduce(packing.offset.constant!) { $0 + $1.0 * $1.1 }].double
    let bitsOfCode = UInt32(Int(code) + (1 << (bits - 1)))
    let slot = ((batch * panels + column / packing.width) * words + k / steps) * packing.width + column % packing.width
    let before = UInt32(truncatingIfNeeded: Int(memory[slot].double))
    memory[slot] = .integer(Int64(Int32(bitPattern: before | bitsOfCode << UInt32(k % steps * bits))))
  }
}

/// The same where dimensions of k are transformed: every element of the panels as its sum.
private func transform(
  _ sample: Sample, _ packing: WeightPacking, _ shape: [Int], _ strides: [Int], to memory: GuardedMemory
) {
  let depth = packing.depth.map { $0.constant! }
  let panels = (shape.last! + packing.width - 1) / packing.width
  let (inner, group) = (depth.last!, packing.group)
  let steps = (inner + group - 1) / group
  forEachIndex([shape[0]] + depth + [shape.last!]) { index in
    var sum = 0.0
    // A dimension that is not transformed has but the element itself.
    forEachIndex(packing.transforms.enumerated().map { $1 == nil ? 1 : shape[1 + $0] }) { summed in
      let k = summed.enumerated().map { packing.transforms[$0] == nil ? index[1 + $0] : $1 }
      let factor = packing.transforms.enumerated().reduce(1.0) { product, entry in
        product * (entry.element.map { $0[index[1 + entry.offset]][k[entry.offset]] } ?? 1)
      }
      if factor == 0 { return }
      let source = zip([index[0]] + k + [index.last!], strides).reduce(packing.offset.constant!) { $0 + $1.0 * $1.1 }
      sum += factor * sample.memory[source].double
    }
    let outer = zip(index, [1] + depth).dropFirst().dropLast().reduce(0) { $0 * $1.1 + $1.0 }
    let (batch, column, channel) = (index[0], index.last!, index[depth.count])
    let row =
      (batch * panels + column / packing.width) * depth.dropLast().reduce(1, *) * steps
      + outer * steps + channel / group
    memory[(row * packing.width + column % packing.width) * group + channel % group] =
      packing.element.isFloat ? .float(sum) : .integer(Int64(sum))
  }
}

private func compare(_ output: Sample, _ poison: [Scalar], _ expected: ([Int]) -> Expected) -> [String] {
  var written = [Bool](repeating: false, count: output.memory.count)
  var wrong = 0
  var first = ""
  forEachIndex(output.shape) { index in
    let got = output[index]
    let want = expected(index)
    written[output.offset(index)] = true
    if !agree(got, want) {
      if wrong == 0 { first = "\(index): \(got), not \(want.value) ± \(want.tolerance)" }
      wrong += 1
    }
  }
  let touched = written.indices.filter { !written[$0] && !agree(output.memory[$0], Expected(value: poison[$0])) }
  return (wrong == 0 ? [] : ["\(wrong) wrong of \(output.shape); at \(first)"])
    + (touched.isEmpty ? [] : ["memory between the output's elements was written, at \(touched.prefix(3))"])
}

private func agree(_ got: Scalar, _ want: Expected) -> Bool {
  switch (got, want.value) {
  case (.integer(let x), .integer(let y)): return x == y
  case (.float(let x), .float(let y)):
    if x.isNaN || y.isNaN { return x.isNaN && y.isNaN }
    return x == y || abs(x - y) <= want.tolerance
  default: return false
  }
}

/// Samples with random contents for views.
public func samples(
  _ views: [View], sizes: [String: Int] = [:], _ generator: inout SeededGenerator
) -> [Sample] {
  views.map { view in
    let sample = Sample(view, sizes: sizes, guardsFront: Bool.random(using: &generator))
    sample.fill { view.element.random(&generator) }
    return sample
  }
}

public func freshSeed() -> UInt64 { UInt64.random(in: 0 ... .max) }

extension View {
  /// A view of a row-major tensor of `shape`, its dimensions permuted to `order`.
  public static func transposed(_ element: ElementType, _ shape: Shape, _ order: [Int]) -> View {
    let view = View(element, shape)
    return View(element, order.map { view.shape[$0] }, strides: order.map { view.strides[$0] })
  }
}

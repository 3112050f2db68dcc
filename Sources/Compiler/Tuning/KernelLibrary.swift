import Glibc
import Kernels
import LLVMBackend
import TensorTypes
import TileIR

/// A library of one kernel alone, to be measured: its inputs are the task's operands as the kernel wants them, each
/// as the flat memory that the view spans, then for each open size a tensor of that many bytes that is never read.
public enum KernelLibrary {
  /// - Parameters:
  ///   - symbols: the program's open sizes.
  /// - Throws: `Failure` if the code cannot be generated or linked.
  public static func write(_ program: TileProgram, symbols: [String], for target: Target, to path: String) throws {
    let scratch = try ScratchFolder()
    defer { scratch.remove() }
    var program = program.expandingMath()
    program.name = "candidate"
    // The kernel knows none of the names that the host program adds after these.
    let kernel = try Backend.compile(program, for: target, symbols: symbols)
    let host = hostProgram(program, symbols: symbols, localBytes: kernel.localBytes)
    let none = UnsafeRawBufferPointer(start: nil, count: 0)
    let description = LibraryDescription(
      modelName: "candidate", interface: host, messages: host.messages,
      variants: [.init(target: target, weightsOffset: 0, weightsSize: 0)], weights: .none, weightsSize: 0,
      weightsHash: SHA256.hexDigest(none), manifest: "{}")
    let objects = [
      try scratch.write(kernel.object, "kernel.o"),
      try scratch.write(Backend.compile(host, messages: host.messages, for: target), "host.o"),
      try scratch.write(Backend.compile(description), "descriptor.o"),
    ]
    try Linker.link(objects: objects, output: path, soname: "candidate.so")
    try LibrarySeal.seal(path: path)
  }

  /// The name of the size of a parameter whose memory's size is not known: an input's size may be a name, but no
  /// expression.
  private static func memorySize(_ parameter: Int) -> String { "memory\(parameter)" }

  private static func hostProgram(_ program: TileProgram, symbols: [String], localBytes: Dim) -> HostProgram {
    var (inputs, outputs): ([HostProgram.Tensor], [HostProgram.Tensor]) = ([], [])
    var buffers: [HostProgram.Location] = []
    var arena = Dim(0)
    var named: [String] = []
    for (i, parameter) in program.parameters.enumerated() {
      guard case .buffer(let type) = program.types[i] else { preconditionFailure("a parameter is a buffer") }
      let extent = type.extent
      let isNamed = extent.constant == nil && parameter.role == .input
      let flat = HostProgram.Tensor(
        name: parameter.name, type: TensorType(type.element, [isNamed ? .symbol(memorySize(i)) : extent]))
      if isNamed { named.append(memorySize(i)) }
      switch parameter.role {
      case .input:
        buffers.append(.init(.input(inputs.count)))
        inputs.append(flat)
      case .output:
        buffers.append(.init(.output(outputs.count)))
        outputs.append(flat)
      case .scratch:
        buffers.append(.init(.workspace, offset: arena))
        arena = arena + (flat.type.byteCount + 63).floorDivided(by: 64) * 64
      }
    }
    for symbol in symbols { inputs.append(.init(name: symbol, type: TensorType(.uint8, [.symbol(symbol)]))) }
    return HostProgram(
      inputs: inputs, outputs: outputs, symbols: symbols + named, constraints: [],
      steps: [.launch(.init(kernel: program.name, buffers: buffers))], arenaBytes: arena, localBytes: localBytes)
  }

  /// An operand's memory as the candidate wants it: packed, or as it is.
  /// - Parameter operands: the flat memory that each operand's view spans.
  public static func arrange(
    _ operands: [HostTensor], for workload: Workload, _ candidate: Candidate, on machine: Machine
  ) -> [HostTensor] {
    zip(operands, candidate.kernel.packing(for: workload, knobs: candidate.knobs, on: machine)).map {
      operand, packing in
      packing.map { pack(operand, $0) } ?? operand
    }
  }

  /// An operand's flat memory in panels.
  public static func pack(_ operand: HostTensor, _ packing: WeightPacking) -> HostTensor {
    guard let count = packing.packed.elementCount.constant else { preconditionFailure("constants' sizes are known") }
    let storage = HostTensor.Storage.make(byteCount: count * packing.element.byteCount) { memory in
      memory.initializeMemory(as: UInt8.self, repeating: 0)
      WeightsFile.pack(operand, packing, to: memory)
    }
    return HostTensor(packing.element, [count], storage: storage)
  }
}

internal import CLLVM
import TensorTypes
import TileIR

/// Lowers one tile program to CPU vector code: a function a phase, and an entry that launches them.
///
/// The entry is `void NAME(const TesseraServices *, void **context)`; the context holds the buffers' addresses in the
/// parameters' order, then the symbols' values (`const int64_t *`), the address of the workers' local memory, the
/// bytes of it that each worker has, and room for an `int64_t`: which iteration of a loop that repeats phases it is.
final class KernelLowering {
  let e: Emitter
  let target: Target
  let program: TileProgram
  /// The order in which the host lays out the symbols' values.
  let symbols: [String]

  var values: [TileValue: Registers] = [:]
  var buffers: [TileValue: BufferAddress] = [:]
  var spare: LLVMValueRef?
  lazy var streamed = findStreamed()
  private var symbolValues: [String: LLVMValueRef] = [:]
  private var context: LLVMValueRef!
  private var worker: LLVMValueRef!
  private var localOffset = Dim(0)
  /// Bytes of local memory that a worker needs: the most that any phase takes.
  private(set) var localBytes = Dim(0)

  init(_ program: TileProgram, _ module: borrowing Module, target: Target, symbols: [String]) {
    e = Emitter(module, target: target)
    self.target = target
    self.program = program
    self.symbols = symbols
  }

  /// Emits all functions of the kernel.
  func lower() {
    var scalars = Block()
    for step in steps {
      switch step {
      case .scalar(let operation): scalars.operations.append(operation)
      case .phase(let phase): lower(phase, after: scalars)
      case .repeated(let loop, let phases): for phase in phases { lower(phase, after: scalars, repeatedBy: loop) }
      }
    }
    lowerEntry()
  }

  // MARK: Values

  func registers(_ value: TileValue) -> Registers {
    guard let found = values[value] else {
      preconditionFailure("a tile defined before its use: \(value) in \(program.name)")
    }
    return found
  }
  func scalar(_ value: TileValue) -> LLVMValueRef { registers(value).chunks[0] }
  func buffer(_ value: TileValue) -> BufferAddress {
    guard let found = buffers[value] else { preconditionFailure("a buffer defined before its use: \(value)") }
    return found
  }

  func size(_ dim: Dim) -> LLVMValueRef { e.size(dim) { symbolValues[$0]! } }

  private func contextSlot(_ index: Int, _ type: LLVMTypeRef) -> LLVMValueRef {
    e.load(type, e.offset(context, e.pointer, e.constant(index)), alignment: 8)
  }

  /// Loads what the context holds at a function's start.
  private func openContext(_ context: LLVMValueRef) {
    self.context = context
    values = [:]
    buffers = [:]
    symbolValues = [:]
    spare = nil
    localOffset = Dim(0)
    let used = usedSymbols
    if !used.isEmpty {
      let address = contextSlot(program.parameters.count, e.pointer)
      for (i, name) in symbols.enumerated() where used.contains(name) {
        symbolValues[name] = e.load(e.i64, e.offset(address, e.i64, e.constant(i)), alignment: 8)
      }
    }
    for i in program.parameters.indices { addBuffer(TileValue(i), at: contextSlot(i, e.pointer)) }
  }

  private func addBuffer(_ value: TileValue, at pointer: LLVMValueRef) {
    guard case .buffer(let type) = program[value] else { preconditionFailure("a buffer") }
    buffers[value] = BufferAddress(element: type.element, pointer: pointer, strides: type.strides.map { size($0) })
  }

  private lazy var usedSymbols: Set<String> = {
    var used: Set<String> = []
    for case .buffer(let type) in program.types {
      for dim in type.shape + type.strides { used.formUnion(dim.symbols) }
    }
    program.body.visit { operation in
      if case .size(let dim) = operation.kind { used.formUnion(dim.symbols) }
    }
    return used
  }()

  // MARK: Phases

  /// Concurrent loops that workers share: a function, which the entry launches.
  private struct Phase {
    let name: String
    let nest: Operation
  }

  /// What the entry does, in order.
  private enum Step {
    case scalar(Operation)
    case phase(Phase)
    case repeated(Loop, [Phase])
  }

  private lazy var steps: [Step] = {
    var count = 0
    func phase(_ nest: Operation) -> Phase {
      defer { count += 1 }
      return Phase(name: "\(program.name).phase\(count)", nest: nest)
    }
    return program.body.operations.map { operation in
      if operation.isPhaseLoop { return .phase(phase(operation)) }
      guard let loop = operation.repetition else { return .scalar(operation) }
      return .repeated(loop, loop.body.operations.filter(\.isPhaseLoop).map(phase))
    }
  }()

  /// What is neither a phase nor repeats phases.
  private func scalars(in block: Block) -> Block {
    Block(block.operations.filter { !$0.isPhaseLoop && $0.repetition == nil })
  }

  /// The concurrent loops nested perfectly in one another, outermost first, and the scalar operations that stand
  /// between them, which depend on none of them.
  private func nest(_ operation: Operation) -> (loops: [Loop], between: [Operation]) {
    guard case .loop(let outer) = operation.kind else { preconditionFailure("a loop") }
    var loops = [outer]
    var between: [Operation] = []
    while let last = loops.last!.body.operations.last, case .loop(let inner) = last.kind, inner.mapping.isConcurrent {
      between += loops.last!.body.operations.dropLast()
      loops.append(inner)
    }
    return (loops, between)
  }

  private func tripCount(_ loop: Loop) -> LLVMValueRef {
    let span = LLVMBuildSub(e.builder, scalar(loop.upper), scalar(loop.lower), "")!
    if loop.step == 1 { return span }
    return LLVMBuildSDiv(
      e.builder, LLVMBuildAdd(e.builder, span, e.constant(loop.step - 1), ""), e.constant(loop.step), "")
  }

  /// Where the context holds the iteration of a loop that repeats phases.
  private var iteration: LLVMValueRef { e.offset(context, e.pointer, e.constant(program.parameters.count + 3)) }

  /// `void phase(context, worker, begin, end)`: iterations begin..<end of the flattened nest.
  private func lower(_ phase: Phase, after above: Block, repeatedBy loop: Loop? = nil) {
    let parameters = e.begin(phase.name, [e.pointer, e.i32, e.i64, e.i64])
    openContext(parameters[0])
    worker = parameters[1]
    lower(above)
    if let loop {
      values[loop.induction] = Registers(element: .int64, shape: [], chunks: [e.load(e.i64, iteration, alignment: 8)])
      lower(scalars(in: loop.body))
    }
    let (loops, between) = nest(phase.nest)
    lower(Block(between))
    let counts = loops.map { tripCount($0) }
    forEach(from: parameters[2], to: parameters[3], metadata: nil) { flat in
      var remaining = flat
      for (i, loop) in loops.enumerated().reversed() {
        let position: LLVMValueRef
        if i == 0 {
          position = remaining
        } else {
          position = LLVMBuildURem(e.builder, remaining, counts[i], "")
          remaining = LLVMBuildUDiv(e.builder, remaining, counts[i], "")
        }
        let induction = e.add(scalar(loop.lower), e.multiply(position, e.constant(loop.step)))
        values[loop.induction] = Registers(element: .int64, shape: [], chunks: [induction])
      }
      lower(loops.last!.body)
    }
    if !streamed.isEmpty { orderStreams() }
    LLVMBuildRetVoid(e.builder)
    localBytes = Dim.maximum(localBytes, localOffset)
  }

  /// `void NAME(services, context)`: launches the phases one after the other.
  private func lowerEntry() {
    let parameters = e.begin(program.name, [e.pointer, e.pointer])
    openContext(parameters[1])
    lower(scalars(in: program.body))
    let services = parameters[0]
    // struct TesseraServices { u32 size; i32 worker_count; void *host; void (*parallel_for)(…); … }
    let host = e.load(e.pointer, e.offset(services, e.i8, e.constant(8)), alignment: 8)
    let launch = e.load(e.pointer, e.offset(services, e.i8, e.constant(16)), alignment: 8)
    for step in steps {
      switch step {
      case .scalar: continue
      case .phase(let phase): lowerLaunch(phase, launch, host)
      case .repeated(let loop, let phases):
        _ = forEach(
          from: scalar(loop.lower), to: scalar(loop.upper), step: loop.step, carrying: [], metadata: nil
        ) { induction, _ in
          e.store(induction, iteration, alignment: 8)
          values[loop.induction] = Registers(element: .int64, shape: [], chunks: [induction])
          lower(scalars(in: loop.body))
          for phase in phases { lowerLaunch(phase, launch, host) }
          return []
        }
      }
    }
    LLVMBuildRetVoid(e.builder)
  }

  /// Calls the service `launch` with the phase.
  private func lowerLaunch(_ phase: Phase, _ launch: LLVMValueRef, _ host: LLVMValueRef) {
    var types: [LLVMTypeRef?] = [e.pointer, e.pointer, e.pointer, e.i64, e.i64]
    let type = LLVMFunctionType(e.void, &types, UInt32(types.count), 0)
    let (loops, between) = nest(phase.nest)
    lower(Block(between))
    var count = e.constant(1)
    for loop in loops { count = e.multiply(count, tripCount(loop)) }
    var grain = 1
    for case .parallel(let loopGrain) in loops.map(\.mapping) { grain = max(grain, loopGrain) }
    let body = LLVMGetNamedFunction(e.module, phase.name)
    var arguments: [LLVMValueRef?] = [host, body, context, count, e.constant(grain)]
    LLVMBuildCall2(e.builder, type, launch, &arguments, UInt32(arguments.count), "")
  }

  /// The next piece of the worker's local memory, aligned to 64 bytes.
  func allocate(_ value: TileValue) {
    guard case .buffer(let type) = program[value] else { preconditionFailure("a buffer") }
    let base = contextSlot(program.parameters.count + 1, e.pointer)
    let perWorker = contextSlot(program.parameters.count + 2, e.i64)
    let mine = LLVMBuildMul(e.builder, LLVMBuildSExt(e.builder, worker, e.i64, ""), perWorker, "")!
    let address = e.offset(base, e.i8, e.add(mine, size(localOffset)))
    let bytes = type.extent * Dim(type.element.byteCount)
    localOffset = localOffset + bytes.ceilDivided(by: 64) * 64
    addBuffer(value, at: address)
  }
}

extension BufferType {
  /// Elements from the first to the last, both counted.
  public var extent: Dim {
    zip(shape, strides).reduce(Dim(1)) { $0 + ($1.0 - 1) * $1.1 }
  }
}

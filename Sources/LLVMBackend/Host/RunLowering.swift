internal import CLLVM
import TensorTypes

/// Lowers a host program's steps to `i32 run(const TesseraCall *)`.
final class RunLowering {
  private let host: HostLowering
  private var e: Emitter { host.e }
  private var program: HostProgram { host.program }

  /// The call's fields, and what comes with them.
  private var services: LLVMValueRef!
  private var weights: LLVMValueRef!
  private var workspace: LLVMValueRef!
  private var inputs: [LLVMValueRef] = []
  /// An output's address, or where it is kept if the run asks for it.
  private var outputs: [LLVMValueRef] = []
  /// Values of inputs' symbols.
  private var inputSymbols: [String: LLVMValueRef] = [:]
  /// Where all symbols' values lie.
  private var table: LLVMValueRef!
  private var arena: LLVMValueRef!
  private var local: LLVMValueRef!
  private var perWorker: LLVMValueRef!
  private var serviceHost: LLVMValueRef!
  private var mark: LLVMValueRef!
  private var isMarking: LLVMValueRef!
  private var context: LLVMValueRef!
  /// What registers point to, and the host's slot for each.
  private var registers: [(pointer: LLVMValueRef, slot: LLVMValueRef)] = []
  /// For passing an output's dimensions.
  private var dims: LLVMValueRef!
  private var launches = 0

  /// A size above this is no tensor's.
  static let largestSize = 1 << 40
  /// struct TesseraServices: where its functions stand, in bytes.
  private enum Service: Int {
    case workerCount = 4
    case host = 8
    case mark = 24
    case allocate = 32
    case output = 40
  }

  init(_ host: HostLowering) { self.host = host }

  func lower() {
    let call = e.begin("tessera_run_\(host.suffix)", [e.pointer], returns: e.i32)[0]
    openCall(call)
    for step in program.steps { lower(step) }
    emitMark(-1)
    LLVMBuildRet(e.builder, e.constant32(0))
  }

  // MARK: What a run begins with

  private func openCall(_ call: LLVMValueRef) {
    func field(_ index: Int) -> LLVMValueRef {
      e.load(e.pointer, e.offset(call, e.pointer, e.constant(index)), alignment: 8)
    }
    services = field(0)
    (weights, workspace) = (field(1), field(2))
    let (inputTable, outputTable, symbolTable) = (field(3), field(4), field(5))
    inputSymbols = host.loadInputSymbols(symbolTable)
    inputs = program.inputs.indices.map {
      e.load(e.pointer, e.offset(inputTable, e.pointer, e.constant($0)), alignment: 8)
    }
    outputs = program.outputs.indices.map {
      program.isComputed(output: $0)
        ? variable(e.pointer, LLVMConstNull(e.pointer))
        : e.load(e.pointer, e.offset(outputTable, e.pointer, e.constant($0)), alignment: 8)
    }
    registers = (0..<program.registers).map { (variable(e.pointer, workspace), variable(e.i32, e.constant32($0))) }
    let rank = program.outputs.map(\.type.rank).max() ?? 0
    if program.outputs.indices.contains(where: { program.isComputed(output: $0) }) {
      dims = LLVMBuildArrayAlloca(e.builder, e.i64, e.constant32(max(1, rank)), "dims")
    }
    table = symbolTable
    if !program.runSymbols.isEmpty {
      table = workspace
      for (i, name) in program.symbols.enumerated() {
        e.store(inputSymbols[name]!, e.offset(table, e.i64, e.constant(i)), alignment: 8)
      }
    }
    arena = e.offset(workspace, e.i8, size(host.tableBytes))
    local = e.offset(arena, e.i8, size(host.aligned(program.arenaBytes)))
    perWorker = size(host.aligned(program.localBytes))
    serviceHost = service(.host)
    mark = service(.mark)
    isMarking = LLVMBuildICmp(e.builder, LLVMIntNE, mark, LLVMConstNull(e.pointer), "")!
    let most: Int = (program.steps.launches() as [HostProgram.Launch]).map(\.buffers.count).max() ?? 0
    context = LLVMBuildArrayAlloca(e.builder, e.pointer, e.constant32(most + 4), "context")!
  }

  private func service(_ service: Service) -> LLVMValueRef {
    e.load(e.pointer, e.offset(services, e.i8, e.constant(service.rawValue)), alignment: 8)
  }

  private func variable(_ type: LLVMTypeRef, _ value: LLVMValueRef) -> LLVMValueRef {
    let place = LLVMBuildAlloca(e.builder, type, "")!
    LLVMBuildStore(e.builder, value, place)
    return place
  }

  private func load(_ type: LLVMTypeRef, _ variable: LLVMValueRef) -> LLVMValueRef {
    LLVMBuildLoad2(e.builder, type, variable, "")
  }

  // MARK: Sizes and places

  private func symbolAddress(_ name: String) -> LLVMValueRef {
    guard let number = program.runSymbols.firstIndex(of: name) else { preconditionFailure("a symbol, not \(name)") }
    return e.offset(table, e.i64, e.constant(program.symbols.count + number))
  }

  private func symbol(_ name: String) -> LLVMValueRef {
    inputSymbols[name] ?? e.load(e.i64, symbolAddress(name), alignment: 8)
  }

  private func size(_ dim: Dim) -> LLVMValueRef { e.size(dim) { symbol($0) } }

  private func address(_ location: HostProgram.Location) -> LLVMValueRef {
    let base =
      switch location.base {
      case .input(let i): inputs[i]
      case .output(let i): program.isComputed(output: i) ? load(e.pointer, outputs[i]) : outputs[i]
      case .weights: weights!
      case .workspace: arena!
      case .register(let i): load(e.pointer, registers[i].pointer)
      }
    return e.offset(base, e.i8, size(location.offset))
  }

  private func flag(_ location: HostProgram.Location) -> LLVMValueRef {
    let byte = e.load(e.i8, address(location), alignment: 1)
    return LLVMBuildICmp(e.builder, LLVMIntNE, byte, LLVMConstNull(e.i8), "")
  }

  // MARK: Steps

  private func lower(_ step: RunStep<HostProgram.Launch>) {
    switch step {
    case .launch(let launch): lower(launch)
    case .bind(let symbols, let location, let element, let message): bind(symbols, location, element, message)
    case .assign(let assignments):
      let values = assignments.map { size($0.value) }
      for (assignment, value) in zip(assignments, values) {
        e.store(value, symbolAddress(assignment.symbol), alignment: 8)
      }
    case .require(let relation, let message):
      host.returnUnless(host.holds(relation) { symbol($0) }, host.code(message))
    case .requireFlag(let location, let value, let message):
      let flag = flag(location)
      host.returnUnless(value ? flag : LLVMBuildNot(e.builder, flag, ""), host.code(message))
    case .allocate(let register, let bytes, let keeping):
      let slot = load(e.i32, registers[register].slot)
      let memory = allocate(slot: slot, byteCount(bytes), keeping: size(keeping))
      LLVMBuildStore(e.builder, memory, registers[register].pointer)
    case .output(let number): askForOutput(number)
    case .point(let register, let location):
      LLVMBuildStore(e.builder, address(location), registers[register].pointer)
    case .exchange(let a, let b):
      for (type, x, y) in [
        (e.pointer, registers[a].pointer, registers[b].pointer), (e.i32, registers[a].slot, registers[b].slot),
      ] {
        let (first, second) = (load(type, x), load(type, y))
        LLVMBuildStore(e.builder, second, x)
        LLVMBuildStore(e.builder, first, y)
      }
    case .branch(let condition, let then, let otherwise): branch(flag(condition), then, otherwise)
    case .loop(let loop): lower(loop)
    }
  }

  private func lower(_ launch: HostProgram.Launch) {
    var (localMemory, share) = (local!, perWorker!)
    if let bytes = launch.localBytes {
      share = size(host.aligned(bytes))
      let workers = e.load(e.i32, e.offset(services, e.i8, e.constant(Service.workerCount.rawValue)), alignment: 4)
      let total = e.multiply(LLVMBuildSExt(e.builder, workers, e.i64, ""), share)
      localMemory = allocate(slot: e.constant32(program.registers), total, keeping: e.constant(0))
    }
    emitMark(launches)
    launches += 1
    for (i, location) in launch.buffers.enumerated() {
      e.store(address(location), e.offset(context, e.pointer, e.constant(i)), alignment: 8)
    }
    for (i, value) in [table!, localMemory, share].enumerated() {
      e.store(value, e.offset(context, e.pointer, e.constant(launch.buffers.count + i)), alignment: 8)
    }
    callKernel(launch.kernel)
  }

  private func bind(_ symbols: [String], _ from: HostProgram.Location, _ element: ElementType, _ message: String) {
    let base = address(from)
    let type = e.type(element)
    for (i, name) in symbols.enumerated() {
      let read = e.load(type, e.offset(base, type, e.constant(i)), alignment: element.byteCount)
      let value = element == .int64 ? read : LLVMBuildSExt(e.builder, read, e.i64, "")!
      // As unsigned numbers, negative ones are large.
      let fits = LLVMBuildICmp(e.builder, LLVMIntULE, value, e.constant(Self.largestSize), "")!
      host.returnUnless(fits, host.code(message))
      e.store(value, symbolAddress(name), alignment: 8)
    }
  }

  private func branch(
    _ condition: LLVMValueRef, _ then: [RunStep<HostProgram.Launch>], _ otherwise: [RunStep<HostProgram.Launch>]
  ) {
    let (first, second, after) = (e.appendBlock("then"), e.appendBlock("otherwise"), e.appendBlock("after"))
    LLVMBuildCondBr(e.builder, condition, first, second)
    for (block, steps) in [(first, then), (second, otherwise)] {
      e.position(at: block)
      for step in steps { lower(step) }
      LLVMBuildBr(e.builder, after)
    }
    e.position(at: after)
  }

  private func lower(_ loop: RunStep<HostProgram.Launch>.Loop) {
    let limit =
      switch loop.limit {
      case .size(let dim): size(dim)
      case .memory(let location): e.load(e.i64, address(location), alignment: 8)
      }
    let starts = loop.starts.map { flag($0) } ?? LLVMConstInt(e.i1, 1, 0)!
    let iteration = symbolAddress(loop.iteration)
    e.store(e.constant(0), iteration, alignment: 8)
    let (check, body, after) = (e.appendBlock("check"), e.appendBlock("body"), e.appendBlock("after"))
    LLVMBuildCondBr(e.builder, starts, check, after)
    e.position(at: check)
    let number = e.load(e.i64, iteration, alignment: 8)
    LLVMBuildCondBr(e.builder, LLVMBuildICmp(e.builder, LLVMIntSLT, number, limit, ""), body, after)
    e.position(at: body)
    for step in loop.body { lower(step) }
    let goesOn = loop.goesOn.map { flag($0) }
    e.store(e.add(e.load(e.i64, iteration, alignment: 8), e.constant(1)), iteration, alignment: 8)
    if let goesOn { LLVMBuildCondBr(e.builder, goesOn, check, after) } else { LLVMBuildBr(e.builder, check) }
    e.position(at: after)
  }

  // MARK: Services

  /// A byte count, or an absurd one, which the host refuses, if the expression leaves what 64 bits hold.
  private func byteCount(_ dim: Dim) -> LLVMValueRef {
    if dim.constant != nil { return size(dim) }
    let estimate = e.estimate(dim) { symbol($0) }
    let most = LLVMConstReal(LLVMDoubleTypeInContext(e.context), 0x1p50)
    let fits = LLVMBuildFCmp(e.builder, LLVMRealOLT, estimate, most, "")!
    return LLVMBuildSelect(e.builder, fits, size(dim), e.constant(-1), "")
  }

  private func allocate(slot: LLVMValueRef, _ bytes: LLVMValueRef, keeping: LLVMValueRef) -> LLVMValueRef {
    var types: [LLVMTypeRef?] = [e.pointer, e.i32, e.i64, e.i64]
    var arguments: [LLVMValueRef?] = [serviceHost, slot, bytes, keeping]
    return obtain(.allocate, LLVMFunctionType(e.pointer, &types, 4, 0), &arguments)
  }

  private func askForOutput(_ number: Int) {
    for (i, dim) in program.outputs[number].type.shape.enumerated() {
      e.store(size(dim), e.offset(dims, e.i64, e.constant(i)), alignment: 8)
    }
    var types: [LLVMTypeRef?] = [e.pointer, e.i32, e.pointer]
    var arguments: [LLVMValueRef?] = [serviceHost, e.constant32(number), dims]
    let memory = obtain(.output, LLVMFunctionType(e.pointer, &types, 3, 0), &arguments)
    LLVMBuildStore(e.builder, memory, outputs[number])
  }

  /// What a service gives; ends the run if that is null.
  private func obtain(_ function: Service, _ type: LLVMTypeRef, _ arguments: inout [LLVMValueRef?]) -> LLVMValueRef {
    let memory = LLVMBuildCall2(e.builder, type, service(function), &arguments, UInt32(arguments.count), "")!
    let given = LLVMBuildICmp(e.builder, LLVMIntNE, memory, LLVMConstNull(e.pointer), "")!
    host.returnUnless(given, e.constant32(-1))
    return memory
  }

  private func callKernel(_ name: String) {
    var types: [LLVMTypeRef?] = [e.pointer, e.pointer]
    let type = LLVMFunctionType(e.void, &types, 2, 0)
    let kernel = LLVMGetNamedFunction(e.module, name) ?? LLVMAddFunction(e.module, name, type)!
    LLVMSetVisibility(kernel, LLVMHiddenVisibility)
    var arguments: [LLVMValueRef?] = [services, context]
    LLVMBuildCall2(e.builder, type, kernel, &arguments, 2, "")
  }

  private func emitMark(_ number: Int) {
    let (calls, after) = (e.appendBlock("mark"), e.appendBlock("launch"))
    LLVMBuildCondBr(e.builder, isMarking, calls, after)
    e.position(at: calls)
    var types: [LLVMTypeRef?] = [e.pointer, e.i32]
    let type = LLVMFunctionType(e.void, &types, 2, 0)
    var arguments: [LLVMValueRef?] = [serviceHost, e.constant32(number)]
    LLVMBuildCall2(e.builder, type, mark, &arguments, 2, "")
    LLVMBuildBr(e.builder, after)
    e.position(at: after)
  }
}

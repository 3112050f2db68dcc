internal import CLLVM
import TensorTypes

/// Lowers a host program to the two functions of a `TesseraVariant`: `shape` and `run`.
struct HostLowering {
  let e: Emitter
  let program: HostProgram
  /// Appended to the functions' names, so that variants can share a library: `avx2`.
  let suffix: String

  static let alignment = Dim(64)

  func lower() {
    lowerShape()
    lowerRun()
  }

  private func loadSymbols(_ address: LLVMValueRef) -> (String) -> LLVMValueRef {
    var values: [String: LLVMValueRef] = [:]
    for (i, name) in program.symbols.enumerated() {
      values[name] = e.load(e.i64, e.offset(address, e.i64, e.constant(i)), alignment: 8)
    }
    return { name in
      guard let value = values[name] else { preconditionFailure("a symbol of an input, not \(name)") }
      return value
    }
  }

  private func aligned(_ bytes: Dim) -> Dim { bytes.ceilDivided(by: Self.alignment) * Self.alignment }

  /// `i32 shape(symbols, workers, *workspace, *output_dims)`
  private func lowerShape() {
    let p = e.begin("tessera_shape_\(suffix)", [e.pointer, e.i32, e.pointer, e.pointer], returns: e.i32)
    let symbol = loadSymbols(p[0])
    for (number, constraint) in program.constraints.enumerated() {
      let holds = LLVMBuildICmp(
        e.builder, LLVMIntEQ, e.size(constraint.left, symbol), e.size(constraint.right, symbol), "")
      let (violated, fine) = (e.appendBlock("violated"), e.appendBlock("fine"))
      LLVMBuildCondBr(e.builder, holds, fine, violated)
      e.position(at: violated)
      LLVMBuildRet(e.builder, e.constant32(number + 1))
      e.position(at: fine)
    }
    let workers = LLVMBuildSExt(e.builder, p[1], e.i64, "")!
    let local = e.multiply(workers, e.size(aligned(program.localBytes), symbol))
    e.store(e.add(e.size(aligned(program.arenaBytes), symbol), local), p[2], alignment: 8)
    for (i, dim) in program.outputs.flatMap(\.type.shape).enumerated() {
      e.store(e.size(dim, symbol), e.offset(p[3], e.i64, e.constant(i)), alignment: 8)
    }
    LLVMBuildRet(e.builder, e.constant32(0))
  }

  /// `i32 run(const TesseraCall *)`
  private func lowerRun() {
    let call = e.begin("tessera_run_\(suffix)", [e.pointer], returns: e.i32)[0]
    func field(_ index: Int) -> LLVMValueRef {
      e.load(e.pointer, e.offset(call, e.pointer, e.constant(index)), alignment: 8)
    }
    let services = field(0)
    let (weights, workspace, inputs, outputs, symbolsAddress) = (field(1), field(2), field(3), field(4), field(5))
    let symbol = loadSymbols(symbolsAddress)
    let inputAddresses = program.inputs.indices.map {
      e.load(e.pointer, e.offset(inputs, e.pointer, e.constant($0)), alignment: 8)
    }
    let outputAddresses = program.outputs.indices.map {
      e.load(e.pointer, e.offset(outputs, e.pointer, e.constant($0)), alignment: 8)
    }
    func address(_ location: HostProgram.Location) -> LLVMValueRef {
      let base =
        switch location.base {
        case .input(let i): inputAddresses[i]
        case .output(let i): outputAddresses[i]
        case .weights: weights
        case .workspace: workspace
        }
      return e.offset(base, e.i8, e.size(location.offset, symbol))
    }

    let local = e.offset(workspace, e.i8, e.size(aligned(program.arenaBytes), symbol))
    let perWorker = e.size(aligned(program.localBytes), symbol)
    // struct TesseraServices: the mark function stands at byte 24, the host's handle at byte 8.
    let host = e.load(e.pointer, e.offset(services, e.i8, e.constant(8)), alignment: 8)
    let mark = e.load(e.pointer, e.offset(services, e.i8, e.constant(24)), alignment: 8)
    let marking = LLVMBuildICmp(e.builder, LLVMIntNE, mark, LLVMConstNull(e.pointer), "")!
    let slots = (program.launches.map(\.buffers.count).max() ?? 0) + 3
    let context = LLVMBuildArrayAlloca(e.builder, e.pointer, e.constant32(slots), "context")!
    for (number, launch) in program.launches.enumerated() {
      emitMark(marking, mark, host, number)
      for (i, location) in launch.buffers.enumerated() {
        e.store(address(location), e.offset(context, e.pointer, e.constant(i)), alignment: 8)
      }
      for (i, value) in [symbolsAddress, local, perWorker].enumerated() {
        e.store(value, e.offset(context, e.pointer, e.constant(launch.buffers.count + i)), alignment: 8)
      }
      callKernel(launch.kernel, services, context)
    }
    emitMark(marking, mark, host, -1)
    LLVMBuildRet(e.builder, e.constant32(0))
  }

  private func callKernel(_ name: String, _ services: LLVMValueRef, _ context: LLVMValueRef) {
    var types: [LLVMTypeRef?] = [e.pointer, e.pointer]
    let type = LLVMFunctionType(e.void, &types, 2, 0)
    let kernel = LLVMGetNamedFunction(e.module, name) ?? LLVMAddFunction(e.module, name, type)!
    LLVMSetVisibility(kernel, LLVMHiddenVisibility)
    var arguments: [LLVMValueRef?] = [services, context]
    LLVMBuildCall2(e.builder, type, kernel, &arguments, 2, "")
  }

  private func emitMark(_ marking: LLVMValueRef, _ mark: LLVMValueRef, _ host: LLVMValueRef, _ number: Int) {
    let (calls, after) = (e.appendBlock("mark"), e.appendBlock("launch"))
    LLVMBuildCondBr(e.builder, marking, calls, after)
    e.position(at: calls)
    var types: [LLVMTypeRef?] = [e.pointer, e.i32]
    let type = LLVMFunctionType(e.void, &types, 2, 0)
    var arguments: [LLVMValueRef?] = [host, e.constant32(number)]
    LLVMBuildCall2(e.builder, type, mark, &arguments, 2, "")
    LLVMBuildBr(e.builder, after)
    e.position(at: after)
  }
}

internal import CLLVM
import TensorTypes

/// One LLVM module and the context that it lives in. Modules share nothing, so different ones may be worked on by
/// different threads.
struct Module: ~Copyable {
  let context: LLVMContextRef
  let reference: LLVMModuleRef
  private let machine: LLVMTargetMachineRef

  /// - Throws: `Failure` if this build of LLVM lacks the target.
  init(_ name: String, for target: Target) throws {
    Module.initialiseTargets
    var found: LLVMTargetRef?
    var message: UnsafeMutablePointer<CChar>?
    guard LLVMGetTargetFromTriple(target.triple, &found, &message) == 0 else {
      defer { LLVMDisposeMessage(message) }
      throw Failure(.ours, "LLVM has no target \(target.triple): \(message.map { String(cString: $0) } ?? "")")
    }
    let options = LLVMCreateTargetMachineOptions()
    defer { LLVMDisposeTargetMachineOptions(options) }
    LLVMTargetMachineOptionsSetCPU(options, target.cpu)
    LLVMTargetMachineOptionsSetFeatures(options, target.featureString)
    LLVMTargetMachineOptionsSetCodeGenOptLevel(options, LLVMCodeGenLevelAggressive)
    LLVMTargetMachineOptionsSetRelocMode(options, LLVMRelocPIC)
    machine = LLVMCreateTargetMachineWithOptions(found, target.triple, options)
    context = LLVMContextCreate()
    reference = LLVMModuleCreateWithNameInContext(name, context)
    LLVMSetTarget(reference, target.triple)
    let layout = LLVMCreateTargetDataLayout(machine)
    defer { LLVMDisposeTargetData(layout) }
    LLVMSetModuleDataLayout(reference, layout)
  }

  deinit {
    LLVMDisposeModule(reference)
    LLVMContextDispose(context)
    LLVMDisposeTargetMachine(machine)
  }

  private static let initialiseTargets: Void = {
    LLVMInitializeX86TargetInfo()
    LLVMInitializeX86Target()
    LLVMInitializeX86TargetMC()
    LLVMInitializeX86AsmPrinter()
    LLVMInitializeX86AsmParser()
  }()

  /// Checks what the lowering made.
  func verify() {
    var message: UnsafeMutablePointer<CChar>?
    if LLVMVerifyModule(reference, LLVMReturnStatusAction, &message) != 0 {
      preconditionFailure("well-formed LLVM IR, but: \(message.map { String(cString: $0) } ?? "")\n\(text)")
    }
    LLVMDisposeMessage(message)
  }

  /// Runs the optimiser. The tile program already says what is vector and what is unrolled, so LLVM's vectorisers
  /// stay off.
  func optimise(_ passes: String = "default<O2>") {
    let options = LLVMCreatePassBuilderOptions()
    defer { LLVMDisposePassBuilderOptions(options) }
    LLVMPassBuilderOptionsSetLoopVectorization(options, 0)
    LLVMPassBuilderOptionsSetSLPVectorization(options, 0)
    if let error = LLVMRunPasses(reference, passes, machine, options) {
      let message = LLVMGetErrorMessage(error)
      preconditionFailure("LLVM's passes to run, but: \(message.map { String(cString: $0) } ?? "")")
    }
  }

  /// The module as LLVM assembly.
  var text: String {
    let message = LLVMPrintModuleToString(reference)
    defer { LLVMDisposeMessage(message) }
    return message.map { String(cString: $0) } ?? ""
  }

  /// The module as an object file, or as the target's assembly.
  func emit(assembly: Bool = false) throws -> [UInt8] {
    var buffer: LLVMMemoryBufferRef?
    var message: UnsafeMutablePointer<CChar>?
    let kind = assembly ? LLVMAssemblyFile : LLVMObjectFile
    guard LLVMTargetMachineEmitToMemoryBuffer(machine, reference, kind, &message, &buffer) == 0, let buffer else {
      defer { LLVMDisposeMessage(message) }
      throw Failure(.ours, "LLVM could not generate code: \(message.map { String(cString: $0) } ?? "")")
    }
    defer { LLVMDisposeMemoryBuffer(buffer) }
    let bytes = UnsafeRawBufferPointer(start: LLVMGetBufferStart(buffer), count: LLVMGetBufferSize(buffer))
    return [UInt8](bytes)
  }
}

internal import CLLVM
import TensorTypes
import TileIR

/// What a compiled kernel is, besides its code.
public struct CompiledKernel: Sendable {
  public var object: [UInt8]
  /// Local memory that each worker needs.
  public var localBytes: Dim
}

/// What to stop at instead of an object.
public enum CodeForm: Hashable, Sendable { case llvm, assembly, object }

public enum Backend {
  /// Compiles one tile program.
  /// - Parameters:
  ///   - program: with transcendental functions expanded.
  ///   - symbols: the order in which the host passes symbols' values.
  public static func compile(_ program: TileProgram, for target: Target, symbols: [String], as form: CodeForm = .object)
    throws -> CompiledKernel
  {
    let module = try Module(program.name, for: target)
    let lowering = KernelLowering(program, module, target: target, symbols: symbols)
    lowering.lower()
    module.verify()
    module.optimise()
    module.storeSingleLanes()
    return CompiledKernel(object: try module.output(form), localBytes: lowering.localBytes)
  }

  /// Compiles a host program's `shape` and `run`.
  /// - Parameter messages: the descriptor's, among them all of the program's.
  public static func compile(
    _ program: HostProgram, messages: [String], for target: Target, as form: CodeForm = .object
  ) throws -> [UInt8] {
    let module = try Module("host", for: target)
    let emitter = Emitter(module, target: target)
    HostLowering(e: emitter, program: program, suffix: target.symbolSuffix, messages: messages).lower()
    module.verify()
    module.optimise()
    module.storeSingleLanes()
    return try module.output(form)
  }

  /// Compiles a library's descriptor and note. Code in it is for the least demanding variant.
  public static func compile(_ description: LibraryDescription) throws -> [UInt8] {
    let target = description.variants.last!.target
    let module = try Module("descriptor", for: target)
    DescriptorLowering(e: Emitter(module, target: target), description: description).lower()
    module.verify()
    return try module.output(.object)
  }

  /// `LLVM 22.1.8`
  public static var version: String {
    var (major, minor, patch): (UInt32, UInt32, UInt32) = (0, 0, 0)
    LLVMGetVersion(&major, &minor, &patch)
    return "LLVM \(major).\(minor).\(patch)"
  }
}

extension Module {
  borrowing func output(_ form: CodeForm) throws -> [UInt8] {
    switch form {
    case .llvm: Array(text.utf8)
    case .assembly: try emit(assembly: true)
    case .object: try emit()
    }
  }
}

internal import CLLVM
import TensorTypes

/// Lowers a host program to the two functions of a `TesseraVariant`: `shape` and `run`.
struct HostLowering {
  let e: Emitter
  let program: HostProgram
  /// Appended to the functions' names, so that variants can share a library: `avx2`.
  let suffix: String
  /// The descriptor's.
  let messages: [String]

  /// Whole pages: hardware fetches ahead up to the end of a page. Where a worker's local memory began in the page in
  /// which another's ends, it took lines that were being written (decision 098).
  static let alignment = Dim(4096)

  func lower() {
    lowerShape()
    RunLowering(self).lower()
  }

  func loadInputSymbols(_ address: LLVMValueRef) -> [String: LLVMValueRef] {
    var values: [String: LLVMValueRef] = [:]
    for (i, name) in program.symbols.enumerated() {
      values[name] = e.load(e.i64, e.offset(address, e.i64, e.constant(i)), alignment: 8)
    }
    return values
  }

  func aligned(_ bytes: Dim) -> Dim { bytes.ceilDivided(by: Self.alignment) * Self.alignment }

  /// Bytes at the workspace's start for the values of all symbols, if kernels can't read the host's: some are set by
  /// the run.
  var tableBytes: Dim {
    program.runSymbols.isEmpty ? 0 : aligned(Dim(8 * (program.symbols.count + program.runSymbols.count)))
  }

  /// The code for a message: its number, from 1.
  func code(_ message: String) -> LLVMValueRef {
    guard let number = messages.firstIndex(of: message) else { preconditionFailure("a message of the descriptor") }
    return e.constant32(number + 1)
  }

  func holds(_ relation: SizeRelation, _ symbol: (String) -> LLVMValueRef) -> LLVMValueRef {
    let predicate =
      switch relation.kind {
      case .equal: LLVMIntEQ
      case .atLeast: LLVMIntSGE
      }
    return LLVMBuildICmp(e.builder, predicate, e.size(relation.left, symbol), e.size(relation.right, symbol), "")
  }

  /// Returns `code` unless the condition holds; what follows is for when it does.
  func returnUnless(_ holds: LLVMValueRef, _ code: LLVMValueRef) {
    let (violated, fine) = (e.appendBlock("violated"), e.appendBlock("fine"))
    LLVMBuildCondBr(e.builder, holds, fine, violated)
    e.position(at: violated)
    LLVMBuildRet(e.builder, code)
    e.position(at: fine)
  }

  /// `i32 shape(symbols, workers, *workspace, *output_dims)`
  private func lowerShape() {
    let p = e.begin("tessera_shape_\(suffix)", [e.pointer, e.i32, e.pointer, e.pointer], returns: e.i32)
    let values = loadInputSymbols(p[0])
    let symbol = { (name: String) -> LLVMValueRef in
      guard let value = values[name] else { preconditionFailure("a symbol of an input, not \(name)") }
      return value
    }
    for constraint in program.constraints {
      returnUnless(holds(constraint.relation, symbol), code(constraint.message))
    }
    let workers = LLVMBuildSExt(e.builder, p[1], e.i64, "")!
    let local = e.multiply(workers, e.size(aligned(program.localBytes), symbol))
    e.store(e.add(e.size(tableBytes + aligned(program.arenaBytes), symbol), local), p[2], alignment: 8)
    for (i, dim) in program.outputs.flatMap(\.type.shape).enumerated() {
      let size = program.isKnownBefore(dim) ? e.size(dim, symbol) : e.constant(-1)
      e.store(size, e.offset(p[3], e.i64, e.constant(i)), alignment: 8)
    }
    LLVMBuildRet(e.builder, e.constant32(0))
  }
}

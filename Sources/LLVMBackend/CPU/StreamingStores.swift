internal import CLLVM
import TensorTypes
import TileIR

// Stores past the caches ("non-temporal", Intel 64 and IA-32 Architectures Optimization Reference Manual, 9.6): where all of a line is
// written at once, memory need not be read first, and what the kernel reads stays in the caches. A result that would leave them
// before its reader comes loses nothing by it.

extension KernelLowering {
  private static let lineBytes = 64

  /// Results stored so: large ones that no part of the program reads.
  func findStreamed() -> Set<TileValue> {
    let results = program.parameters.indices.filter { program.parameters[$0].role == .output }.map { TileValue($0) }
    var streamed = Set(results.filter { isLarge($0) })
    program.body.visit { operation in
      if case .load(let access, _) = operation.kind { streamed.remove(access.buffer) }
    }
    return streamed
  }

  private func isLarge(_ buffer: TileValue) -> Bool {
    guard case .buffer(let type) = program[buffer], let count = type.extent.constant else { return false }
    return type.element != .bool && count * type.element.byteCount >= target.machine.keptBytes
  }

  /// Whether a store to a buffer fills lines, if the first element of each of its rows begins one: rows are not cut off, and the
  /// smallest piece is one that an instruction takes.
  func streams(_ value: Registers, _ access: Access) -> Bool {
    let bytes = value.element.byteCount
    return streamed.contains(access.buffer) && access.limits.allSatisfy { $0 == nil }
      && value.rowLength * bytes % Self.lineBytes == 0 && target.machine.lanes * bytes >= 16
  }

  /// Stores a row's chunks side by side from `address` on: past the caches if a line begins there.
  func stream(_ chunks: ArraySlice<LLVMValueRef>, to address: LLVMValueRef, _ element: ElementType) {
    let place = LLVMBuildPtrToInt(e.builder, address, e.i64, "")!
    let rest = LLVMBuildAnd(e.builder, place, e.constant(Self.lineBytes - 1), "")!
    let beginsLine = LLVMBuildICmp(e.builder, LLVMIntEQ, rest, e.constant(0), "")!
    let blocks = (e.appendBlock("stream"), e.appendBlock("keep"), e.appendBlock("stored"))
    LLVMBuildCondBr(e.builder, beginsLine, blocks.0, blocks.1)
    for (block, streams) in [(blocks.0, true), (blocks.1, false)] {
      e.position(at: block)
      for (i, chunk) in chunks.enumerated() {
        let offset = i * target.machine.lanes
        let store = e.store(
          chunk, e.offset(address, e.type(element), e.constant(offset)),
          alignment: streams ? target.machine.lanes * element.byteCount : element.byteCount)
        if streams { LLVMSetMetadata(store, nonTemporalKind, nonTemporal) }
      }
      LLVMBuildBr(e.builder, blocks.2)
    }
    e.position(at: blocks.2)
  }

  /// Lets no store past the caches be seen after what this thread does next: they keep no order of their own.
  func orderStreams() {
    LLVMBuildFence(e.builder, LLVMAtomicOrderingSequentiallyConsistent, 0, "")
  }

  private var nonTemporalKind: UInt32 { LLVMGetMDKindIDInContext(e.context, "nontemporal", 11) }

  private var nonTemporal: LLVMValueRef {
    var one: LLVMMetadataRef? = LLVMValueAsMetadata(e.constant32(1))
    return LLVMMetadataAsValue(e.context, LLVMMDNodeInContext2(e.context, &one, 1))
  }
}

internal import CLLVM

// LLVM 22 writes a masked store of numbers that were just narrowed as a store of one whole wide number where the mask is
// known to let one lane through (X86's reduceMaskedStoreToScalarStore takes a truncating store for a plain one): of a
// vector of bytes, three more are overwritten.

extension Module {
  /// Turns masked stores of one known lane into what they are. To be called when the optimiser is through.
  func storeSingleLanes() {
    let builder = LLVMCreateBuilderInContext(context)!
    defer { LLVMDisposeBuilder(builder) }
    for call in maskedStores {
      let (value, address) = (LLVMGetOperand(call, 0)!, LLVMGetOperand(call, 1)!)
      // The callee is the last operand of a call.
      let mask = LLVMGetOperand(call, UInt32(LLVMGetNumOperands(call) - 2))!
      guard let lane = singleLane(mask) else { continue }
      LLVMPositionBuilderBefore(builder, call)
      let index = LLVMConstInt(LLVMInt64TypeInContext(context), UInt64(lane), 0)
      let element = LLVMGetElementType(LLVMTypeOf(value))
      var place: LLVMValueRef? = index
      let target = LLVMBuildGEP2(builder, element, address, &place, 1, "")
      let store = LLVMBuildStore(builder, LLVMBuildExtractElement(builder, value, index, ""), target)
      LLVMSetAlignment(store, 1)
      LLVMInstructionEraseFromParent(call)
    }
  }

  private var maskedStores: [LLVMValueRef] {
    let functions = sequence(first: LLVMGetFirstFunction(reference), next: LLVMGetNextFunction).prefix { $0 != nil }
    let stores = functions.filter { name($0!).hasPrefix("llvm.masked.store.") }
    return stores.flatMap { function in
      sequence(first: LLVMGetFirstUse(function), next: LLVMGetNextUse).prefix { $0 != nil }.map { LLVMGetUser($0)! }
    }
  }

  private func name(_ value: LLVMValueRef) -> String {
    var length = 0
    return LLVMGetValueName2(value, &length).map { String(cString: $0) } ?? ""
  }

  /// The lane that a constant mask lets through, if it is one.
  private func singleLane(_ mask: LLVMValueRef) -> Int? {
    guard LLVMIsConstant(mask) != 0 else { return nil }
    let one = LLVMConstInt(LLVMInt1TypeInContext(context), 1, 0)
    let lanes = (0..<LLVMGetVectorSize(LLVMTypeOf(mask))).filter { LLVMGetAggregateElement(mask, $0) == one }
    return lanes.count == 1 ? Int(lanes[0]) : nil
  }
}

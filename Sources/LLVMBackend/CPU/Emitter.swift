internal import CLLVM
import TensorTypes
import TileIR

/// Emits LLVM instructions into one function at a time. Thin: a method an instruction or idiom.
final class Emitter {
  let context: LLVMContextRef
  let module: LLVMModuleRef
  let builder: LLVMBuilderRef
  let target: Target
  /// The function being written.
  var function: LLVMValueRef!

  let i1: LLVMTypeRef
  let i8: LLVMTypeRef
  let i32: LLVMTypeRef
  let i64: LLVMTypeRef
  let pointer: LLVMTypeRef
  let void: LLVMTypeRef

  init(_ module: borrowing Module, target: Target) {
    context = module.context
    self.module = module.reference
    self.target = target
    builder = LLVMCreateBuilderInContext(context)
    i1 = LLVMInt1TypeInContext(context)
    i8 = LLVMInt8TypeInContext(context)
    i32 = LLVMInt32TypeInContext(context)
    i64 = LLVMInt64TypeInContext(context)
    pointer = LLVMPointerTypeInContext(context, 0)
    void = LLVMVoidTypeInContext(context)
  }

  deinit { LLVMDisposeBuilder(builder) }

  // MARK: Types and constants

  /// The type of one element in a register: bool is `i1`.
  func type(_ element: ElementType) -> LLVMTypeRef {
    switch element {
    case .float64: LLVMDoubleTypeInContext(context)
    case .float32: LLVMFloatTypeInContext(context)
    case .float16: LLVMHalfTypeInContext(context)
    case .bfloat16: LLVMInt16TypeInContext(context)  // as bits: LLVM's bfloat would call a runtime library
    case .int64, .uint64: i64
    case .int32, .uint32: i32
    case .int16, .uint16: LLVMInt16TypeInContext(context)
    case .int8, .uint8: i8
    case .bool: i1
    }
  }

  /// `width` elements; one is a scalar.
  func vector(_ element: LLVMTypeRef, _ width: Int) -> LLVMTypeRef {
    width == 1 ? element : LLVMVectorType(element, UInt32(width))
  }

  func constant(_ value: Int) -> LLVMValueRef { LLVMConstInt(i64, UInt64(bitPattern: Int64(value)), 1) }
  func constant32(_ value: Int) -> LLVMValueRef { LLVMConstInt(i32, UInt64(bitPattern: Int64(value)), 1) }

  func constant(_ value: Scalar, _ element: ElementType) -> LLVMValueRef {
    switch element {
    case .float64: LLVMConstReal(type(element), value.double)
    // Rounded here, once, so that LLVM has nothing to round.
    case .float32: LLVMConstReal(type(element), Double(Float(value.double)))
    case .float16: LLVMConstReal(type(element), Double(Float16(value.double)))
    case .bfloat16: LLVMConstInt(type(element), UInt64(bfloat16Bits(Float(value.double))), 0)
    default:
      switch value {
      case .integer(let i): LLVMConstInt(type(element), UInt64(bitPattern: i), 1)
      case .float(let d): LLVMConstInt(type(element), UInt64(bitPattern: Int64(d)), 1)
      }
    }
  }

  private func bfloat16Bits(_ x: Float) -> UInt16 {
    if x.isNaN { return 0x7FC0 }
    let bits = x.bitPattern
    return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
  }

  func integer(_ value: LLVMValueRef) -> Int? {
    LLVMIsAConstantInt(value) != nil ? Int(LLVMConstIntGetSExtValue(value)) : nil
  }

  // MARK: Integer arithmetic on i64

  func add(_ a: LLVMValueRef, _ b: LLVMValueRef) -> LLVMValueRef {
    integer(a) == 0 ? b : integer(b) == 0 ? a : LLVMBuildNSWAdd(builder, a, b, "")
  }
  func multiply(_ a: LLVMValueRef, _ b: LLVMValueRef) -> LLVMValueRef {
    integer(a) == 1 ? b : integer(b) == 1 ? a : LLVMBuildNSWMul(builder, a, b, "")
  }

  /// ⌊a / b⌋ for b > 0.
  func floorDivide(_ a: LLVMValueRef, _ b: LLVMValueRef) -> LLVMValueRef {
    let quotient = LLVMBuildSDiv(builder, a, b, "")!
    let remainder = LLVMBuildSRem(builder, a, b, "")!
    let below = LLVMBuildICmp(builder, LLVMIntSLT, remainder, constant(0), "")!
    return LLVMBuildSub(builder, quotient, LLVMBuildZExt(builder, below, i64, ""), "")
  }

  // MARK: Calls and memory

  func intrinsic(_ name: String, _ overloads: [LLVMTypeRef], _ arguments: [LLVMValueRef]) -> LLVMValueRef {
    let id = LLVMLookupIntrinsicID(name, name.utf8.count)
    precondition(id != 0, "an intrinsic of LLVM 22, not \(name)")
    var types: [LLVMTypeRef?] = overloads
    let declaration = LLVMGetIntrinsicDeclaration(module, id, &types, types.count)
    let type = LLVMIntrinsicGetType(context, id, &types, types.count)
    var values: [LLVMValueRef?] = arguments
    return LLVMBuildCall2(builder, type, declaration, &values, UInt32(values.count), "")
  }

  /// A call of an intrinsic of fixed types, each argument as the bits that it takes.
  func call(_ name: String, _ arguments: [LLVMValueRef]) -> LLVMValueRef {
    let id = LLVMLookupIntrinsicID(name, name.utf8.count)
    precondition(id != 0, "an intrinsic of LLVM 22, not \(name)")
    let type = LLVMIntrinsicGetType(context, id, nil, 0)!
    var wanted = [LLVMTypeRef?](repeating: nil, count: arguments.count)
    LLVMGetParamTypes(type, &wanted)
    var values: [LLVMValueRef?] = zip(arguments, wanted).map { LLVMBuildBitCast(builder, $0, $1, "") }
    let declaration = LLVMGetIntrinsicDeclaration(module, id, nil, 0)
    return LLVMBuildCall2(builder, type, declaration, &values, UInt32(values.count), "")
  }

  func load(_ type: LLVMTypeRef, _ address: LLVMValueRef, alignment: Int) -> LLVMValueRef {
    let load = LLVMBuildLoad2(builder, type, address, "")!
    LLVMSetAlignment(load, UInt32(alignment))
    return load
  }

  @discardableResult
  func store(_ value: LLVMValueRef, _ address: LLVMValueRef, alignment: Int) -> LLVMValueRef {
    let store = LLVMBuildStore(builder, value, address)!
    LLVMSetAlignment(store, UInt32(alignment))
    return store
  }

  /// `address` moved by `offset` elements of `type`.
  func offset(_ address: LLVMValueRef, _ type: LLVMTypeRef, _ offset: LLVMValueRef) -> LLVMValueRef {
    if integer(offset) == 0 { return address }
    var indices: [LLVMValueRef?] = [offset]
    return LLVMBuildInBoundsGEP2(builder, type, address, &indices, 1, "")
  }

  // MARK: Vectors

  func splat(_ scalar: LLVMValueRef, _ width: Int) -> LLVMValueRef {
    if width == 1 { return scalar }
    let type = vector(LLVMTypeOf(scalar), width)
    let one = LLVMBuildInsertElement(builder, LLVMGetPoison(type), scalar, constant32(0), "")
    return LLVMBuildShuffleVector(builder, one, LLVMGetPoison(type), LLVMConstNull(vector(i32, width)), "")
  }

  func extract(_ vector: LLVMValueRef, _ lane: Int) -> LLVMValueRef {
    LLVMBuildExtractElement(builder, vector, constant32(lane), "")
  }

  func insert(_ vector: LLVMValueRef, _ scalar: LLVMValueRef, _ lane: Int) -> LLVMValueRef {
    LLVMBuildInsertElement(builder, vector, scalar, constant32(lane), "")
  }

  func shuffle(_ a: LLVMValueRef, _ b: LLVMValueRef? = nil, _ lanes: [Int]) -> LLVMValueRef {
    var mask: [LLVMValueRef?] = lanes.map { constant32($0) }
    let other = b ?? LLVMGetPoison(LLVMTypeOf(a))
    return LLVMBuildShuffleVector(builder, a, other, LLVMConstVector(&mask, UInt32(mask.count)), "")
  }

  // MARK: Blocks

  func appendBlock(_ name: String) -> LLVMBasicBlockRef { LLVMAppendBasicBlockInContext(context, function, name) }
  func position(at block: LLVMBasicBlockRef) { LLVMPositionBuilderAtEnd(builder, block) }
  var currentBlock: LLVMBasicBlockRef { LLVMGetInsertBlock(builder) }

  /// Starts a function; returns its parameters.
  func begin(_ name: String, _ parameters: [LLVMTypeRef], returns: LLVMTypeRef? = nil, exported: Bool = false)
    -> [LLVMValueRef]
  {
    var types: [LLVMTypeRef?] = parameters
    let type = LLVMFunctionType(returns ?? void, &types, UInt32(types.count), 0)
    function = LLVMGetNamedFunction(module, name) ?? LLVMAddFunction(module, name, type)
    LLVMSetVisibility(function, exported ? LLVMDefaultVisibility : LLVMHiddenVisibility)
    for (key, value) in [
      ("target-cpu", target.cpu), ("target-features", target.featureString), ("tune-cpu", target.tune),
      ("frame-pointer", "none"),
    ]
    where !value.isEmpty {
      LLVMAddAttributeAtIndex(
        function, UInt32(bitPattern: -1),
        LLVMCreateStringAttribute(context, key, UInt32(key.utf8.count), value, UInt32(value.utf8.count)))
    }
    addAttribute("nounwind")
    position(at: appendBlock("entry"))
    return (0..<parameters.count).map { LLVMGetParam(function, UInt32($0)) }
  }

  private func addAttribute(_ name: String) {
    let kind = LLVMGetEnumAttributeKindForName(name, name.utf8.count)
    LLVMAddAttributeAtIndex(function, UInt32(bitPattern: -1), LLVMCreateEnumAttribute(context, kind, 0))
  }
}

internal import CLLVM
import TensorTypes
import TileIR

extension KernelLowering {
  func lower(_ block: Block) { for operation in block.operations { lower(operation) } }

  private func lower(_ operation: Operation) {
    switch operation.kind {
    case .allocate: allocate(operation.results[0])
    case .store(let value, let access): store(registers(value), access)
    case .prefetch(let access): prefetch(access)
    case .loop(let loop): lower(loop, results: operation.results)
    case .conditional(let condition, let then, let otherwise): lower(condition, then, otherwise)
    case .barrier: break  // lanes of a grid iteration are one thread here
    case .size, .constant, .iota, .unary, .binary, .select, .fma, .cast, .bitcast, .broadcast, .reshape, .transpose,
      .rotate, .reduce, .dot, .dotOfWords, .load:
      let result = operation.results[0]
      guard case .tile(let element, let shape) = program[result] else { preconditionFailure("a tile") }
      values[result] = lower(operation.kind, element, shape)
    }
  }

  private func lower(_ kind: Operation.Kind, _ element: ElementType, _ shape: [Int]) -> Registers {
    switch kind {
    case .size(let dim): return tile(element, shape) { _, _, _ in size(dim) }
    case .constant(let scalar):
      return tile(element, shape) { _, _, width in e.splat(e.constant(scalar, element), width) }
    case .iota(let dimension):
      let inner = shape[(dimension + 1)...].reduce(1, *)
      return assemble(element, shape) { e.constant($0 / inner % shape[dimension]) }
    case .unary(let function, let x): return map([x], element, shape) { unary(function, $0[0], registers(x).element) }
    case .binary(let function, let x, let y):
      return map([x, y], element, shape) { binary(function, $0[0], $0[1], registers(x).element) }
    case .select(let c, let x, let y):
      return map([c, x, y], element, shape) { LLVMBuildSelect(e.builder, $0[0], $0[1], $0[2], "") }
    case .fma(let x, let y, let z): return map([x, y, z], element, shape) { fma($0[0], $0[1], $0[2], element) }
    case .cast(let x): return map([x], element, shape) { convert($0[0], registers(x).element, element) }
    case .bitcast(let x): return bitcast(registers(x), element, shape)
    case .broadcast(let x): return broadcast(registers(x), to: shape)
    case .reshape(let x): return reshape(registers(x), to: shape)
    case .transpose(let x, let permutation): return transpose(registers(x), permutation)
    case .rotate(let x, let by): return rotate(registers(x), by: by)
    case .reduce(let function, let x, let dimension): return reduce(function, registers(x), dimension: dimension)
    case .dot(let accumulator, let a, let b): return dot(registers(accumulator), registers(a), registers(b))
    case .dotOfWords(let parts, let accumulator, let a, let b):
      return dotOfWords(parts, registers(accumulator), registers(a), registers(b))
    case .load(let access, let fill): return load(access, fill: fill, element, shape)
    case .store, .prefetch, .allocate, .loop, .conditional, .barrier:
      preconditionFailure("an operation with one tile as result")
    }
  }

  private func map(
    _ operands: [TileValue], _ element: ElementType, _ shape: [Int], _ f: ([LLVMValueRef]) -> LLVMValueRef
  ) -> Registers {
    let tiles = operands.map { registers($0).chunks }
    return Registers(element: element, shape: shape, chunks: tiles[0].indices.map { i in f(tiles.map { $0[i] }) })
  }

  private func lower(_ condition: TileValue, _ then: Block, _ otherwise: Block) {
    let blocks = (e.appendBlock("then"), e.appendBlock("otherwise"), e.appendBlock("joined"))
    LLVMBuildCondBr(e.builder, scalar(condition), blocks.0, blocks.1)
    for (target, block) in [(blocks.0, then), (blocks.1, otherwise)] {
      e.position(at: target)
      lower(block)
      LLVMBuildBr(e.builder, blocks.2)
    }
    e.position(at: blocks.2)
  }

  private func lower(_ loop: Loop, results: [TileValue]) {
    var unroll: Int? = nil
    if case .unrolled(let by) = loop.mapping { unroll = by }
    let last = forEach(
      from: scalar(loop.lower), to: scalar(loop.upper), step: loop.step, carrying: loop.initial.map { registers($0) },
      metadata: loopMetadata(unroll: unroll)
    ) { induction, carried in
      values[loop.induction] = Registers(element: .int64, shape: [], chunks: [induction])
      for (argument, value) in zip(loop.arguments, carried) { values[argument] = value }
      lower(loop.body)
      return loop.yields.map { registers($0) }
    }
    for (result, value) in zip(results, last) { values[result] = value }
  }

  func forEach(
    from lower: LLVMValueRef, to upper: LLVMValueRef, metadata: LLVMValueRef?, _ body: (LLVMValueRef) -> Void
  ) {
    _ = forEach(from: lower, to: upper, step: 1, carrying: [], metadata: metadata) { i, _ in
      body(i)
      return []
    }
  }

  /// `for i in stride(from: lower, to: upper, by: step)`, entered only if there is a first iteration.
  func forEach(
    from lower: LLVMValueRef, to upper: LLVMValueRef, step: Int, carrying initial: [Registers], metadata: LLVMValueRef?,
    _ body: (LLVMValueRef, [Registers]) -> [Registers]
  ) -> [Registers] {
    let b = e.builder
    let (before, header, after) = (e.currentBlock, e.appendBlock("loop"), e.appendBlock("after"))
    let enters = LLVMBuildICmp(b, LLVMIntSLT, lower, upper, "")
    LLVMBuildCondBr(b, enters, header, after)

    e.position(at: header)
    let induction = LLVMBuildPhi(b, e.i64, "")!
    let phis = initial.map { $0.chunks.map { LLVMBuildPhi(b, LLVMTypeOf($0), "")! } }
    let carried = zip(initial, phis).map { Registers(element: $0.element, shape: $0.shape, chunks: $1) }
    let yields = body(induction, carried)
    let next = LLVMBuildNSWAdd(b, induction, e.constant(step), "")!
    let latch = e.currentBlock
    let branch = LLVMBuildCondBr(b, LLVMBuildICmp(b, LLVMIntSLT, next, upper, ""), header, after)!
    if let metadata { LLVMSetMetadata(branch, loopKind, metadata) }
    connect(induction, [(lower, before), (next, latch)])
    for (tilePhis, (first, again)) in zip(phis, zip(initial, yields)) {
      for (phi, (x, y)) in zip(tilePhis, zip(first.chunks, again.chunks)) { connect(phi, [(x, before), (y, latch)]) }
    }

    e.position(at: after)
    return zip(initial, yields).map { first, again in
      let chunks = zip(first.chunks, again.chunks).map { x, y in
        let phi = LLVMBuildPhi(b, LLVMTypeOf(x), "")!
        connect(phi, [(x, before), (y, latch)])
        return phi
      }
      return Registers(element: first.element, shape: first.shape, chunks: chunks)
    }
  }

  private func connect(_ phi: LLVMValueRef, _ incoming: [(LLVMValueRef, LLVMBasicBlockRef)]) {
    var values: [LLVMValueRef?] = incoming.map(\.0)
    var blocks: [LLVMBasicBlockRef?] = incoming.map(\.1)
    LLVMAddIncoming(phi, &values, &blocks, UInt32(values.count))
  }

  private var loopKind: UInt32 { LLVMGetMDKindIDInContext(e.context, "llvm.loop", 9) }

  /// Says whether and how often a loop is unrolled: only what the program asks for.
  private func loopMetadata(unroll: Int?) -> LLVMValueRef {
    func string(_ text: String) -> LLVMMetadataRef { LLVMMDStringInContext2(e.context, text, text.utf8.count) }
    func node(_ parts: [LLVMMetadataRef]) -> LLVMMetadataRef {
      var operands: [LLVMMetadataRef?] = parts
      return LLVMMDNodeInContext2(e.context, &operands, operands.count)
    }
    let hint =
      unroll.map { node([string("llvm.loop.unroll.count"), LLVMValueAsMetadata(e.constant32($0))]) }
      ?? node([string("llvm.loop.unroll.disable")])
    // A loop's metadata is distinct and starts with itself.
    let placeholder = LLVMTemporaryMDNode(e.context, nil, 0)!
    let loop = node([placeholder, hint])
    LLVMMetadataReplaceAllUsesWith(placeholder, loop)
    return LLVMMetadataAsValue(e.context, loop)
  }
}

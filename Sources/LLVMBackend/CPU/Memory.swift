internal import CLLVM
import TensorTypes
import TileIR

/// A buffer's address and, per dimension, its stride in elements.
struct BufferAddress {
  let element: ElementType
  let pointer: LLVMValueRef
  let strides: [LLVMValueRef]
}

extension KernelLowering {
  /// The type of an element in memory: bool takes a byte.
  func memoryType(_ element: ElementType) -> LLVMTypeRef { element == .bool ? e.i8 : e.type(element) }

  /// Where a tile lies in a buffer: the address of its first element and what each of its dimensions adds.
  private struct Placement {
    var base: LLVMValueRef
    /// Per dimension of the tile: elements from one position to the next; nil where positions are gathered.
    var steps: [LLVMValueRef?]
    /// Per dimension of the tile: offsets of its positions, where they are gathered.
    var gathered: [[LLVMValueRef]?]
  }

  private func place(_ access: Access, _ shape: [Int]) -> (BufferAddress, Placement) {
    let buffer = buffer(access.buffer)
    var offset = e.constant(0)
    var steps = [LLVMValueRef?](repeating: e.constant(0), count: shape.count)
    var gathered = [[LLVMValueRef]?](repeating: nil, count: shape.count)
    for (index, stride) in zip(access.indices, buffer.strides) {
      switch index {
      case .at(let position): offset = e.add(offset, e.multiply(scalar(position), stride))
      case .span(let start, let dimension, let step):
        offset = e.add(offset, e.multiply(scalar(start), stride))
        steps[dimension] = e.multiply(e.constant(step), stride)
      case .gather(let indices, let dimension):
        let tile = registers(indices)
        let known = gathered[dimension] ?? [LLVMValueRef](repeating: e.constant(0), count: shape[dimension])
        gathered[dimension] = known.enumerated().map { e.add($1, e.multiply(extract(tile, $0), stride)) }
        steps[dimension] = nil
      }
    }
    let base = e.offset(buffer.pointer, memoryType(buffer.element), offset)
    return (buffer, Placement(base: base, steps: steps, gathered: gathered))
  }

  /// Address of a row's first element, and whether the row is touched at all (nil: it is).
  private func row(_ number: Int, _ placement: Placement, _ access: Access, _ shape: [Int], _ type: LLVMTypeRef) -> (
    LLVMValueRef, LLVMValueRef?
  ) {
    var address = placement.base
    var touched: LLVMValueRef?
    var remaining = number
    for d in shape.indices.dropLast().reversed() {
      let position = remaining % shape[d]
      remaining /= shape[d]
      address = e.offset(address, type, offset(placement, d, position))
      if let limit = access.limits[d] {
        let inside = LLVMBuildICmp(e.builder, LLVMIntSLT, e.constant(position), scalar(limit), "")!
        touched = touched.map { LLVMBuildAnd(e.builder, $0, inside, "") } ?? inside
      }
    }
    return (address, touched)
  }

  private func offset(_ placement: Placement, _ dimension: Int, _ position: Int) -> LLVMValueRef {
    if let offsets = placement.gathered[dimension] { return offsets[position] }
    return e.multiply(e.constant(position), placement.steps[dimension]!)
  }

  /// Which lanes of a chunk are touched; nil: all.
  private func mask(_ rowTouched: LLVMValueRef?, _ limit: TileValue?, _ offset: Int, _ width: Int) -> LLVMValueRef? {
    var mask = rowTouched.map { e.splat($0, width) }
    if let limit {
      let bound = e.splat(scalar(limit), width)
      var positions: [LLVMValueRef?] = (0..<width).map { e.constant(offset + $0) }
      let lanes = width == 1 ? positions[0]! : LLVMConstVector(&positions, UInt32(width))!
      let inside = LLVMBuildICmp(e.builder, LLVMIntSLT, lanes, bound, "")!
      mask = mask.map { LLVMBuildAnd(e.builder, $0, inside, "") } ?? inside
    }
    return mask
  }

  func load(_ access: Access, fill: Scalar, _ element: ElementType, _ shape: [Int]) -> Registers {
    let (buffer, placement) = place(access, shape)
    let type = memoryType(element)
    let inner = shape.count - 1
    return tile(element, shape) { rowNumber, offset, width in
      let (start, touched) = row(rowNumber, placement, access, shape, type)
      let mask = self.mask(touched, shape.isEmpty ? nil : access.limits[inner], offset, width)
      let filling = e.splat(
        e.constant(element == .bool ? .integer(fill.double == 0 ? 0 : 1) : fill, element == .bool ? .uint8 : element),
        width)
      let loaded: LLVMValueRef
      if width == 1 {
        let address = shape.isEmpty ? start : e.offset(start, type, self.offset(placement, inner, offset))
        loaded = loadScalar(type, address, mask, filling, buffer.element)
      } else {
        loaded = loadVector(type, start, placement, inner, offset, width, mask, filling, buffer.element)
      }
      return element == .bool ? LLVMBuildTrunc(e.builder, loaded, e.vector(e.i1, width), "") : loaded
    }
  }

  private func loadScalar(
    _ type: LLVMTypeRef, _ address: LLVMValueRef, _ mask: LLVMValueRef?, _ filling: LLVMValueRef, _ element: ElementType
  ) -> LLVMValueRef {
    guard let mask else { return e.load(type, address, alignment: element.byteCount) }
    // Instead of a branch: an untouched element is read from a slot that holds the filling.
    let slot = spareSlot()
    e.store(filling, slot, alignment: element.byteCount)
    let safe = LLVMBuildSelect(e.builder, mask, address, slot, "")!
    return e.load(type, safe, alignment: element.byteCount)
  }

  private func loadVector(
    _ type: LLVMTypeRef, _ start: LLVMValueRef, _ placement: Placement, _ dimension: Int, _ offset: Int, _ width: Int,
    _ mask: LLVMValueRef?, _ filling: LLVMValueRef, _ element: ElementType
  ) -> LLVMValueRef {
    let vector = e.vector(type, width)
    if let step = placement.steps[dimension], let constant = e.integer(step) {
      if constant == 1 {
        let address = e.offset(start, type, e.constant(offset))
        guard let mask else { return e.load(vector, address, alignment: element.byteCount) }
        return e.intrinsic("llvm.masked.load", [vector, e.pointer], [address, mask, filling])
      }
      if constant == 0 {
        let any = mask.map { e.extract($0, 0) }
        let one = e.splat(loadScalar(type, start, any, e.extract(filling, 0), element), width)
        return mask.map { LLVMBuildSelect(e.builder, $0, one, filling, "") } ?? one
      }
    }
    if mask == nil, let step = placement.steps[dimension].flatMap({ e.integer($0) }), (2...4).contains(step) {
      return loadStrided(type, e.offset(start, type, e.constant(offset * step)), step, width, element)
    }
    var result = LLVMGetPoison(vector)!
    for lane in 0..<width {
      let address = e.offset(start, type, self.offset(placement, dimension, offset + lane))
      let touched = mask.map { e.extract($0, lane) }
      result = e.insert(result, loadScalar(type, address, touched, e.extract(filling, lane), element), lane)
    }
    return result
  }

  /// Every `step`-th element: whole vectors from the first to the last of them, that and no more, of which lanes are taken.
  private func loadStrided(
    _ type: LLVMTypeRef, _ start: LLVMValueRef, _ step: Int, _ width: Int, _ element: ElementType
  ) -> LLVMValueRef {
    let last = (width - 1) * step
    var result: LLVMValueRef?
    var taken = 0
    while taken < width {
      let begin = min(taken * step, last + 1 - width)
      let part = e.load(
        e.vector(type, width), e.offset(start, type, e.constant(begin)), alignment: element.byteCount)
      let end = min(width, (begin + width - 1) / step + 1)
      let lanes = (0..<width).map { lane in
        lane < taken ? lane : (result == nil ? 0 : width) + (lane < end ? lane * step - begin : 0)
      }
      result = e.shuffle(result ?? part, result == nil ? nil : part, lanes)
      taken = end
    }
    return result!
  }

  func store(_ value: Registers, _ access: Access) {
    let (buffer, placement) = place(access, value.shape)
    let type = memoryType(value.element)
    let inner = value.shape.count - 1
    if streams(value, access), placement.steps[inner].flatMap({ e.integer($0) }) == 1 {
      let chunksOfRow = widths(value.rowLength).count
      for number in 0..<value.rowCount {
        let (start, _) = row(number, placement, access, value.shape, type)
        stream(value.chunks[number * chunksOfRow..<(number + 1) * chunksOfRow], to: start, value.element)
      }
      return
    }
    var next = 0
    _ = tile(value.element, value.shape) { rowNumber, offset, width in
      var chunk = value.chunks[next]
      next += 1
      if value.element == .bool { chunk = LLVMBuildZExt(e.builder, chunk, e.vector(e.i8, width), "") }
      let (start, touched) = row(rowNumber, placement, access, value.shape, type)
      let mask = self.mask(touched, value.shape.isEmpty ? nil : access.limits[inner], offset, width)
      if width > 1, let step = placement.steps[inner], e.integer(step) == 1 {
        let address = e.offset(start, type, e.constant(offset))
        if let mask {
          _ = e.intrinsic("llvm.masked.store", [e.vector(type, width), e.pointer], [chunk, address, mask])
        } else {
          e.store(chunk, address, alignment: buffer.element.byteCount)
        }
        return chunk
      }
      for lane in 0..<width {
        let element = width == 1 ? chunk : e.extract(chunk, lane)
        var address = value.shape.isEmpty ? start : e.offset(start, type, self.offset(placement, inner, offset + lane))
        if let mask {
          let touched = width == 1 ? mask : e.extract(mask, lane)
          address = LLVMBuildSelect(e.builder, touched, address, spareSlot(), "")
        }
        e.store(element, address, alignment: buffer.element.byteCount)
      }
      return chunk
    }
  }

  /// Into the level-1 cache; nothing that is stored past it.
  func prefetch(_ access: Access) {
    if streamed.contains(access.buffer) { return }
    let (_, placement) = place(access, [])
    let (reading, locality, data) = (e.constant32(0), e.constant32(3), e.constant32(1))
    _ = e.intrinsic("llvm.prefetch", [e.pointer], [placement.base, reading, locality, data])
  }

  /// Eight bytes on the stack where untouched elements are read from and written to.
  private func spareSlot() -> LLVMValueRef {
    if let spare { return spare }
    let here = e.currentBlock
    let entry = LLVMGetEntryBasicBlock(e.function)
    if let first = LLVMGetFirstInstruction(entry) {
      LLVMPositionBuilderBefore(e.builder, first)
    } else {
      e.position(at: entry!)
    }
    let slot = LLVMBuildAlloca(e.builder, e.i64, "spare")!
    e.position(at: here)
    spare = slot
    return slot
  }
}

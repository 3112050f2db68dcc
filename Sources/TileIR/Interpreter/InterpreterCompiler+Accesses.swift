import TensorTypes

/// Converts `count` elements from one place to another: `(from, stride in elements there, to, stride, count)`.
private typealias Transfer = (UnsafeRawPointer, Int, UnsafeMutableRawPointer, Int, Int) -> Void

extension InterpreterCompiler {
  mutating func addLoad(_ access: Access, fill: Scalar, into result: Slot, _ operation: Operation) {
    let rows = self.rows(access, result.shape, operation)
    let filling = self.filling(fill, result)
    let transfer = InterpreterCompiler.loading(result.element)
    let (elementBytes, registerBytes) = (result.element.byteCount, result.register.byteCount)
    code.instructions.append(
      .memory { thread in
        guard let memory = thread.buffers[rows.bufferNumber] else { preconditionFailure("memory allocated above") }
        let frame = thread.frame
        try rows.forEachRow(memory, frame, whenResolved: { isWhole in if !isWhole { filling(frame) } }) { row in
          try InterpreterCompiler.noteRead(row, memory, thread, rows)
          transfer(
            memory.bytes + row.element * elementBytes, row.stride, frame + result.offset + row.tile * registerBytes, 1,
            row.count)
        }
      })
  }

  mutating func addStore(_ value: Slot, _ access: Access, _ operation: Operation) {
    let rows = self.rows(access, value.shape, operation)
    let transfer = InterpreterCompiler.storing(value.element)
    let (elementBytes, registerBytes) = (value.element.byteCount, value.register.byteCount)
    code.instructions.append(
      .memory { thread in
        guard let memory = thread.buffers[rows.bufferNumber] else { preconditionFailure("memory allocated above") }
        let frame = thread.frame
        try rows.forEachRow(memory, frame, whenResolved: { _ in }) { row in
          try InterpreterCompiler.noteWrite(row, memory, thread, rows)
          transfer(
            frame + value.offset + row.tile * registerBytes, 1, memory.bytes + row.element * elementBytes, row.stride,
            row.count)
        }
      })
  }

  private func rows(_ access: Access, _ tile: [Int], _ operation: Operation) -> InterpreterAccess {
    InterpreterAccess(
      access, bufferNumber: bufferNumber(access.buffer), tile: tile,
      operation: TilePrinter.firstLine(operation, program), slot: slot)
  }

  // MARK: What is known of elements

  private static func noteRead(
    _ row: InterpreterAccess.Row, _ memory: InterpreterMemory, _ thread: InterpreterThread, _ rows: InterpreterAccess
  ) throws {
    guard let written = memory.written else { return }
    for i in 0..<row.count {
      let element = row.element + i * row.stride
      // Before the next question: what another iteration stores, this one may find unwritten or not.
      if let accesses = memory.accesses, accesses[element].note(thread, isWrite: false) {
        throw rows.fault(.race, memory, thread.frame, row.tile + i, "another iteration stores there at the same time")
      }
      if !written[element] {
        let fault = rows.fault(.unwrittenRead, memory, thread.frame, row.tile + i, "nothing was stored there")
        guard memory.accesses != nil, thread.iteration != 0 else { throw fault }
        thread.state.pendingFault = thread.state.pendingFault ?? fault
      }
    }
  }

  private static func noteWrite(
    _ row: InterpreterAccess.Row, _ memory: InterpreterMemory, _ thread: InterpreterThread, _ rows: InterpreterAccess
  ) throws {
    guard let written = memory.written else { preconditionFailure("memory that may be stored to") }
    for i in 0..<row.count {
      let element = row.element + i * row.stride
      if let accesses = memory.accesses, accesses[element].note(thread, isWrite: true) {
        throw rows.fault(.race, memory, thread.frame, row.tile + i, "another iteration uses it at the same time")
      }
      written[element] = true
    }
  }

  // MARK: Conversions

  private static func loading(_ element: ElementType) -> Transfer {
    switch element {
    case .float64: converting(Double.self, Double.self) { $0 }
    case .float32: converting(Float.self, Float.self) { $0 }
    case .float16: converting(UInt16.self, Float.self) { Float(Float16(bitPattern: $0)) }
    case .bfloat16: converting(UInt16.self, Float.self) { Float(bfloat16Bits: $0) }
    case .int64, .uint64: converting(Int64.self, Int64.self) { $0 }
    case .int32: converting(Int32.self, Int64.self) { Int64($0) }
    case .int16: converting(Int16.self, Int64.self) { Int64($0) }
    case .int8: converting(Int8.self, Int64.self) { Int64($0) }
    case .uint32: converting(UInt32.self, Int64.self) { Int64($0) }
    case .uint16: converting(UInt16.self, Int64.self) { Int64($0) }
    case .uint8: converting(UInt8.self, Int64.self) { Int64($0) }
    case .bool: converting(UInt8.self, Int64.self) { $0 == 0 ? 0 : 1 }
    }
  }

  private static func storing(_ element: ElementType) -> Transfer {
    switch element {
    case .float64: converting(Double.self, Double.self) { $0 }
    case .float32: converting(Float.self, Float.self) { $0 }
    case .float16: converting(Float.self, UInt16.self) { Float16($0).bitPattern }
    case .bfloat16: converting(Float.self, UInt16.self) { bfloat16Bits($0) }
    case .int64, .uint64: converting(Int64.self, Int64.self) { $0 }
    case .int32, .uint32: converting(Int64.self, UInt32.self) { UInt32(truncatingIfNeeded: $0) }
    case .int16, .uint16: converting(Int64.self, UInt16.self) { UInt16(truncatingIfNeeded: $0) }
    case .int8, .uint8: converting(Int64.self, UInt8.self) { UInt8(truncatingIfNeeded: $0) }
    case .bool: converting(Int64.self, UInt8.self) { $0 == 0 ? 0 : 1 }
    }
  }

  @inline(__always)
  private static func converting<A, B>(_: A.Type, _: B.Type, _ f: @escaping (A) -> B) -> Transfer {
    { source, sourceStride, target, targetStride, count in
      let x = source.assumingMemoryBound(to: A.self)
      let y = target.assumingMemoryBound(to: B.self)
      for i in 0..<count { y[i * targetStride] = f(x[i * sourceStride]) }
    }
  }
}

import TensorTypes

/// Runs a tile program as its definition says, one step after the other, and finds what no run may do: accesses out
/// of a buffer's shape, reads of memory that nothing was stored to, and races between iterations that may run at the
/// same time (of parallel and grid loops in one phase; of groups and lanes between barriers).
///
/// f32 and f64 arithmetic is exactly what `TileProgram` states; functions such as `exp` are the C library's, computed
/// in f64 and rounded. Every iteration order that a mapping allows gives what this one gives, once no race is found.
public struct TileInterpreter {
  private let program: TileProgram
  private let code: InterpreterCode

  /// - Parameter symbols: the value of each name in the program's sizes.
  /// - Throws: `TileProgramError` if the program breaks a rule; `Failure` if a size has no value or is negative.
  public init(_ program: TileProgram, symbols: [String: Int] = [:]) throws {
    try program.verify()
    var compiler = InterpreterCompiler(program, symbols: symbols)
    code = try compiler.compile()
    self.program = program
  }

  /// Runs the program once.
  /// - Parameters:
  ///   - inputs: one an input parameter, in order. Their bytes are the buffer's elements from the first to the last
  ///     addressed one, whatever the tensor's shape.
  ///   - checkingOutputs: whether every element of every output must have been stored to.
  /// - Returns: the outputs, in order; of the buffer's shape if that is row-major without gaps, else flat.
  /// - Throws: `TileFault` at the first thing done wrong; `Failure` for inputs of the wrong number, type or size.
  public func run(_ inputs: [HostTensor], checkingOutputs: Bool = true) throws -> [HostTensor] {
    let memories = try bind(inputs)
    let state = InterpreterState(code: code)
    let rest = [InterpreterMemory?](repeating: nil, count: code.buffers.count - memories.count)
    do { _ = try InterpreterThread(state: state, buffers: memories + rest).advance() } catch let fault as TileFault {
      // What follows from reading undefined memory is not the cause.
      if fault.kind != .race, let cause = state.pendingFault { throw cause }
      throw fault
    }

    var outputs: [HostTensor] = []
    for (parameter, memory) in zip(program.parameters, memories) where parameter.role == .output {
      if checkingOutputs, let position = memory.firstUnwritten() {
        throw TileFault(
          kind: .unwrittenOutput, operation: "", buffer: memory.name, indices: position,
          detail: "nothing is stored there")
      }
      var dense: [Int] = []
      for size in memory.shape.reversed() { dense.append((dense.last ?? 1) * size) }
      let isDense = Array([1] + dense.dropLast()).prefix(memory.shape.count).reversed() == memory.strides
      let storage = HostTensor.Storage.make(byteCount: memory.count * memory.element.byteCount) {
        $0.copyMemory(from: UnsafeRawBufferPointer(start: memory.bytes, count: $0.count))
      }
      outputs.append(HostTensor(memory.element, isDense ? memory.shape : [memory.count], storage: storage))
    }
    return outputs
  }

  private func bind(_ inputs: [HostTensor]) throws -> [InterpreterMemory] {
    let expected = program.parameters.count { $0.role == .input }
    guard inputs.count == expected else {
      throw Failure.badData("\(inputs.count) inputs where \(expected) are expected", place: program.name)
    }
    var waiting = inputs[...]
    return try zip(program.parameters, code.buffers).map { parameter, plan in
      let memory = InterpreterMemory(
        parameter.role == .input ? .input : .output, name: plan.name, element: plan.element, shape: plan.shape,
        strides: plan.strides, count: plan.count)
      guard parameter.role == .input else { return memory }
      let input = waiting.removeFirst()
      let byteCount = plan.count * plan.element.byteCount
      guard input.element == plan.element, input.byteCount >= byteCount else {
        throw Failure.badData(
          "\(input.type) given for \(plan.element.rawValue)\(plan.shape), strides \(plan.strides)",
          place: parameter.name)
      }
      memory.bytes.copyMemory(
        from: UnsafeRawPointer(input.bytes.baseAddress ?? UnsafeRawPointer(memory.bytes)), byteCount: byteCount)
      return memory
    }
  }
}

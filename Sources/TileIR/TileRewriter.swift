/// Rebuilds a program from top to bottom, giving a pass the chance to write something else for each operation.
///
/// The pass sees an operation whose operands are values of the new program, and either emits what stands for its
/// result and returns that, or returns nil to have the operation copied as it is. Loops, conditionals and memory
/// accesses are copied, their blocks rewritten within.
///
///     TileRewriter.rewrite(program) { kind, operands in
///       guard case .unary(.reciprocal, _) = kind else { return nil }
///       return operands[0].filled(1) / operands[0]
///     }
public struct TileRewriter {
  /// What stands for the result of an elementwise operation; nil: the operation itself.
  public typealias Replacement = (_ kind: Operation.Kind, _ operands: [Tile]) -> Tile?

  private let program: TileProgram
  private let builder: TileBuilder
  private let replacement: Replacement
  /// The new program's value for each of the old one's.
  private var values: [TileValue: TileValue] = [:]

  public static func rewrite(_ program: TileProgram, _ replacement: Replacement) -> TileProgram {
    withoutActuallyEscaping(replacement) { replacement in
      let builder = TileBuilder(program.name)
      var rewriter = TileRewriter(program: program, builder: builder, replacement: replacement)
      for (index, parameter) in program.parameters.enumerated() {
        let value = TileValue(index)
        guard case .buffer(let type) = program[value] else { preconditionFailure("parameters are buffers") }
        rewriter.values[value] = builder.parameter(parameter.name, parameter.role, type).value
      }
      rewriter.copy(program.body)
      return withExtendedLifetime(builder) { builder.finish() }
    }
  }

  private init(program: TileProgram, builder: TileBuilder, replacement: @escaping Replacement) {
    self.program = program
    self.builder = builder
    self.replacement = replacement
  }

  private func new(_ old: TileValue) -> TileValue {
    guard let value = values[old] else { preconditionFailure("value \(old.index) is defined before it is used") }
    return value
  }

  /// The new program's tile for an old value.
  private func tile(_ old: TileValue) -> Tile {
    guard case .tile(let element, let shape) = program[old] else { preconditionFailure("value \(old.index) is a tile") }
    return Tile(value: new(old), element: element, shape: shape, builder: builder)
  }

  private mutating func copy(_ block: Block) {
    for operation in block.operations { copy(operation) }
  }

  private mutating func copy(_ operation: Operation) {
    switch operation.kind {
    case .unary(_, let x), .cast(let x), .bitcast(let x): elementwise(operation, [x])
    case .binary(_, let x, let y): elementwise(operation, [x, y])
    case .select(let c, let x, let y): elementwise(operation, [c, x, y])
    case .fma(let x, let y, let z): elementwise(operation, [x, y, z])
    case .size, .constant, .iota: emit(operation.kind, operation)
    case .broadcast(let x): emit(.broadcast(new(x)), operation)
    case .reshape(let x): emit(.reshape(new(x)), operation)
    case .rotate(let x, let by): emit(.rotate(new(x), by: by), operation)
    case .transpose(let x, let permutation): emit(.transpose(new(x), permutation: permutation), operation)
    case .reduce(let function, let x, let dimension): emit(.reduce(function, new(x), dimension: dimension), operation)
    case .dot(let accumulator, let a, let b): emit(.dot(accumulator: new(accumulator), new(a), new(b)), operation)
    case .dotOfWords(let parts, let accumulator, let a, let b):
      emit(.dotOfWords(parts, accumulator: new(accumulator), new(a), new(b)), operation)
    case .load(let access, let fill): emit(.load(mapped(access), fill: fill), operation)
    case .store(let x, let access): builder.emit(.store(new(x), mapped(access)))
    case .prefetch(let access): builder.emit(.prefetch(mapped(access)))
    case .barrier: builder.barrier()
    case .allocate:
      guard case .buffer(let type) = program[operation.results[0]] else {
        preconditionFailure("allocate gives a buffer")
      }
      values[operation.results[0]] = builder.allocate(type).value
    case .loop(let loop): copy(loop, results: operation.results)
    case .conditional(let condition, let then, let otherwise):
      var (first, second) = (self, self)
      builder.when(tile(condition)) {
        first.copy(then)
      } otherwise: {
        second.copy(otherwise)
      }
    }
  }

  private mutating func elementwise(_ operation: Operation, _ operands: [TileValue]) {
    let tiles = operands.map { tile($0) }
    let kind = operation.kind.elementwise(on: tiles.map(\.value))
    guard let result = replacement(kind, tiles) else { return emit(kind, operation) }
    precondition(
      .tile(result.element, result.shape) == program[operation.results[0]], "a replacement of the type that it replaces"
    )
    values[operation.results[0]] = result.value
  }

  /// Appends an operation whose result has the type of the old one's.
  private mutating func emit(_ kind: Operation.Kind, _ old: Operation) {
    guard case .tile(let element, let shape) = program[old.results[0]] else {
      preconditionFailure("the result is a tile")
    }
    values[old.results[0]] = builder.emit(kind, element, shape).value
  }

  private mutating func copy(_ loop: Loop, results: [TileValue]) {
    var inner = self
    let finals = builder.loop(
      loop.mapping, from: tile(loop.lower), to: tile(loop.upper), step: loop.step,
      carrying: loop.initial.map { tile($0) }
    ) { induction, arguments in
      inner.values[loop.induction] = induction.value
      for (old, argument) in zip(loop.arguments, arguments) { inner.values[old] = argument.value }
      inner.copy(loop.body)
      return loop.yields.map { inner.tile($0) }
    }
    for (old, result) in zip(results, finals) { values[old] = result.value }
  }

  private func mapped(_ access: Access) -> Access {
    Access(
      buffer: new(access.buffer),
      indices: access.indices.map { index in
        switch index {
        case .at(let i): .at(new(i))
        case .span(let start, let dimension, let step): .span(start: new(start), dimension: dimension, step: step)
        case .gather(let indices, let dimension): .gather(new(indices), dimension: dimension)
        }
      },
      limits: access.limits.map { $0.map { new($0) } })
  }
}

extension Operation.Kind {
  /// The same elementwise operation on other operands.
  fileprivate func elementwise(on x: [TileValue]) -> Operation.Kind {
    switch self {
    case .unary(let function, _): .unary(function, x[0])
    case .binary(let function, _, _): .binary(function, x[0], x[1])
    case .select: .select(x[0], x[1], x[2])
    case .fma: .fma(x[0], x[1], x[2])
    case .cast: .cast(x[0])
    case .bitcast: .bitcast(x[0])
    case .size, .constant, .iota, .broadcast, .reshape, .transpose, .rotate, .reduce, .dot, .dotOfWords, .load, .store,
      .prefetch,
      .allocate, .loop, .conditional, .barrier:
      preconditionFailure("an elementwise operation")
    }
  }
}

import TensorTypes

// The text of a tile program, which `TileProgram(parsing:)` reads back:
//
//     program "scale" {
//       %0 = input "x": buffer f32[n] global
//       %1 = output "y": buffer f32[n] global
//       %2 = constant 0: i64
//       %3 = size n: i64
//       for parallel(64) %4 = %2 to %3 step 16 {
//         %5 = subtract %3, %4: i64
//         %6 = load %0[%4 + d0] limits [%5] fill 0.0: f32[16]
//         %7 = add %6, %6: f32[16]
//         store %7, %1[%4 + d0] limits [%5]
//       }
//     }

extension TileProgram: CustomStringConvertible {
  public var description: String {
    var printer = TilePrinter(program: self)
    printer.printProgram()
    return printer.text
  }
}

extension TileType: CustomStringConvertible {
  /// `i64`, `f32[6x16]`, `buffer f32[2*n, 64] global`, with `; strides 80, 1` unless row-major without gaps.
  public var description: String {
    switch self {
    case .tile(let element, let shape):
      return element.rawValue + (shape.isEmpty ? "" : "[\(shape.map(String.init).joined(separator: "x"))]")
    case .buffer(let type):
      func list(_ sizes: [Dim]) -> String { sizes.map(\.description).joined(separator: ", ") }
      let isDense = type == BufferType(type.element, type.shape, space: type.space)
      let strides = isDense ? "" : "; strides \(list(type.strides))"
      return "buffer \(type.element.rawValue)[\(list(type.shape))\(strides)] \(type.space.rawValue)"
    }
  }
}

extension Mapping: CustomStringConvertible {
  public var description: String {
    switch self {
    case .sequential: "sequential"
    case .unrolled(let by): "unrolled(\(by))"
    case .pipelined(let stages): "pipelined(\(stages))"
    case .parallel(let grain): "parallel(\(grain))"
    case .grid(let axis): "grid(\(axis))"
    case .group: "group"
    case .lane: "lane"
    }
  }
}

struct TilePrinter {
  let program: TileProgram
  var text = ""
  private var depth = 0

  init(program: TileProgram) { self.program = program }

  /// One operation, without the blocks in it.
  static func firstLine(_ operation: Operation, _ program: TileProgram) -> String {
    TilePrinter(program: program).header(operation)
  }

  mutating func printProgram() {
    line("program \(QuotedText.quoting(program.name)) {")
    depth += 1
    for (i, parameter) in program.parameters.enumerated() {
      line("%\(i) = \(parameter.role.rawValue) \(QuotedText.quoting(parameter.name)): \(program.types[i])")
    }
    printBlock(program.body)
    depth -= 1
    line("}")
  }

  private mutating func line(_ content: String) {
    text += String(repeating: "  ", count: depth) + content + "\n"
  }

  private mutating func printBlock(_ block: Block) {
    for operation in block.operations {
      switch operation.kind {
      case .loop(let loop):
        line(header(operation) + " {")
        depth += 1
        printBlock(loop.body)
        if !loop.yields.isEmpty { line("yield \(list(loop.yields))") }
        depth -= 1
        line("}")
      case .conditional(_, let then, let otherwise):
        line(header(operation) + " {")
        depth += 1
        printBlock(then)
        depth -= 1
        line("} else {")
        depth += 1
        printBlock(otherwise)
        depth -= 1
        line("}")
      case .size, .constant, .iota, .unary, .binary, .select, .fma, .cast, .bitcast, .broadcast, .reshape, .transpose,
        .rotate, .reduce, .dot, .dotOfWords, .load, .store, .prefetch, .allocate, .barrier:
        line(header(operation))
      }
    }
  }

  // MARK: Parts of a line

  private func header(_ operation: Operation) -> String {
    let results = operation.results.isEmpty ? "" : list(operation.results) + " = "
    let isTyped: Bool
    switch operation.kind {
    case .store, .prefetch, .loop, .conditional, .barrier: isTyped = false
    case .size, .constant, .iota, .unary, .binary, .select, .fma, .cast, .bitcast, .broadcast, .reshape, .transpose,
      .rotate, .reduce, .dot, .dotOfWords, .load, .allocate:
      isTyped = true
    }
    let type = isTyped ? operation.results.first.map { ": \(typeText($0))" } ?? "" : ""
    return results + words(operation.kind) + type
  }

  private func words(_ kind: Operation.Kind) -> String {
    switch kind {
    case .size(let dim): "size \(dim)"
    case .constant(let scalar): "constant \(scalar)"
    case .iota(let dimension): "iota \(dimension)"
    case .unary(let function, let x): "\(function.rawValue) \(name(x))"
    case .binary(let function, let x, let y): "\(function.rawValue) \(list([x, y]))"
    case .select(let c, let x, let y): "select \(list([c, x, y]))"
    case .fma(let x, let y, let z): "fma \(list([x, y, z]))"
    case .cast(let x): "cast \(name(x))"
    case .bitcast(let x): "bitcast \(name(x))"
    case .broadcast(let x): "broadcast \(name(x))"
    case .reshape(let x): "reshape \(name(x))"
    case .transpose(let x, let permutation):
      "transpose \(name(x)) [\(permutation.map(String.init).joined(separator: ", "))]"
    case .rotate(let x, let by): "rotate \(name(x)) by \(by)"
    case .reduce(let function, let x, let dimension): "reduce \(function.rawValue) \(name(x)) along \(dimension)"
    case .dot(let z, let x, let y): "dot \(list([z, x, y]))"
    case .dotOfWords(let parts, let z, let x, let y): "dot \(parts.rawValue) \(list([z, x, y]))"
    case .load(let access, let fill): "load \(accessText(access)) fill \(fill)"
    case .store(let x, let access): "store \(name(x)), \(accessText(access))"
    case .prefetch(let access): "prefetch \(accessText(access))"
    case .allocate: "allocate"
    case .loop(let loop): loopText(loop)
    case .conditional(let condition, _, _): "if \(name(condition))"
    case .barrier: "barrier"
    }
  }

  private func loopText(_ loop: Loop) -> String {
    var words =
      "for \(loop.mapping) \(name(loop.induction)) = \(name(loop.lower)) to \(name(loop.upper)) step \(loop.step)"
    if !loop.arguments.isEmpty {
      let pairs = zip(loop.arguments, loop.initial).map { "\(name($0)) = \(name($1))" }
      words += " carrying \(pairs.joined(separator: ", "))"
    }
    return words
  }

  private func accessText(_ access: Access) -> String {
    let indices = access.indices.map {
      switch $0 {
      case .at(let value): name(value)
      case .span(let start, let dimension, 1): "\(name(start)) + d\(dimension)"
      case .span(let start, let dimension, let step): "\(name(start)) + \(step)*d\(dimension)"
      case .gather(let indices, let dimension): "\(name(indices))[d\(dimension)]"
      }
    }
    var words = "\(name(access.buffer))[\(indices.joined(separator: ", "))]"
    // As many limits as the tile has dimensions must come back from the text: none are left out but for all nil.
    if access.limits.contains(where: { $0 != nil }) {
      words += " limits [\(access.limits.map { $0.map(name) ?? "_" }.joined(separator: ", "))]"
    }
    return words
  }

  private func name(_ value: TileValue) -> String { "%\(value.index)" }
  private func list(_ values: [TileValue]) -> String { values.map(name).joined(separator: ", ") }
  private func typeText(_ value: TileValue) -> String {
    program.types.indices.contains(value.index) ? "\(program[value])" : "?"
  }
}

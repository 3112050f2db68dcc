import TensorTypes

extension TileProgram {
  /// What a text may hold at most.
  enum TextLimits {
    static let values = 1 << 20
    static let nesting = 64
    static let sizeBytes = 2000
    /// Terms in the product of a buffer's sizes, from which missing strides follow.
    static let strideTerms = 256
  }

  /// Reads what `description` writes, and verifies it.
  /// - Throws: `Failure` of kind `badData`, naming the line of what can't be read or the rule that is broken.
  public init(parsing text: String) throws {
    var parser = TileParser(text)
    self = try parser.program()
    do { try verify() } catch let error as TileProgramError {
      throw Failure.badData(error.description)
    }
  }
}

struct TileParser {
  private var scanner: TileScanner
  private var types: [TileType?] = []

  init(_ text: String) { scanner = TileScanner(text) }

  mutating func program() throws -> TileProgram {
    try scanner.expect(word: "program")
    let name = try scanner.string()
    try scanner.expect("{")
    var parameters: [TileProgram.Parameter] = []
    while let parameter = try self.parameter(number: parameters.count) { parameters.append(parameter) }
    let (body, yields) = try block(depth: 0)
    guard yields.isEmpty else { throw scanner.failure("a program yields nothing") }
    guard scanner.isAtEnd else { throw scanner.failure("expected the end of the program") }
    // Numbers that name nothing are unused whatever their type.
    return TileProgram(name: name, parameters: parameters, types: types.map { $0 ?? .tile(.int64, []) }, body: body)
  }

  private mutating func parameter(number: Int) throws -> TileProgram.Parameter? {
    let saved = self
    guard scanner.next(is: "%") else { return nil }
    let value = try self.value()
    guard scanner.accept("="), let role = TileProgram.Parameter.Role(rawValue: scanner.word()) else {
      self = saved
      return nil
    }
    guard value.index == number else { throw scanner.failure("expected parameter %\(number)") }
    let name = try scanner.string()
    try scanner.expect(":")
    try define(value, type())
    return TileProgram.Parameter(name, role)
  }

  // MARK: Values and types

  private mutating func value() throws -> TileValue {
    try scanner.expect("%")
    guard let index = Int(scanner.word()), index < TileProgram.TextLimits.values else {
      throw scanner.failure("expected the number of a value, under \(TileProgram.TextLimits.values)")
    }
    return TileValue(index)
  }

  private mutating func values(_ count: Int) throws -> [TileValue] {
    var values = [try value()]
    while values.count < count {
      try scanner.expect(",")
      values.append(try value())
    }
    return values
  }

  private mutating func define(_ value: TileValue, _ type: TileType) throws {
    while types.count <= value.index { types.append(nil) }
    guard types[value.index] == nil else { throw scanner.failure("%\(value.index) is defined twice") }
    types[value.index] = type
  }

  private func knownType(_ value: TileValue) throws -> TileType {
    guard value.index < types.count, let type = types[value.index] else {
      throw scanner.failure("%\(value.index) is not defined above")
    }
    return type
  }

  private mutating func list<T>(until end: Character, _ element: (inout TileParser) throws -> T) throws -> [T] {
    var elements: [T] = []
    if scanner.accept(end) { return [] }
    repeat { elements.append(try element(&self)) } while scanner.accept(",")
    try scanner.expect(end)
    return elements
  }

  private mutating func type() throws -> TileType {
    let word = scanner.word()
    if word == "buffer" { return .buffer(try bufferType()) }
    guard let element = ElementType(rawValue: word) else { throw scanner.failure("expected a type, not '\(word)'") }
    guard scanner.accept("[") else { return .tile(element, []) }
    // `6x16` is one word to the scanner.
    let sizes = scanner.word().split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    let known = sizes.compactMap { $0 }
    guard known.count == sizes.count, known.count <= TileProgram.maximumRank else {
      throw scanner.failure("expected sizes like 6x16")
    }
    try scanner.expect("]")
    return .tile(element, known)
  }

  private mutating func bufferType() throws -> BufferType {
    guard let element = ElementType(rawValue: scanner.word()) else { throw scanner.failure("expected an element type") }
    try scanner.expect("[")
    var shape: [Dim] = []
    var strides: [Dim]?
    if !scanner.next(is: "]"), !scanner.next(is: ";") { shape = try dims() }
    if scanner.accept(";") {
      try scanner.expect(word: "strides")
      strides = scanner.next(is: "]") ? [] : try dims()
    }
    try scanner.expect("]")
    guard shape.count <= TileProgram.maximumRank, strides == nil || strides?.count == shape.count else {
      throw scanner.failure("a buffer has at most \(TileProgram.maximumRank) dimensions and a stride for each")
    }
    let terms = shape.reduce(1) { min($0 * max($1.terms.count, 1), 1 << 20) }
    guard strides != nil || terms <= TileProgram.TextLimits.strideTerms else {
      throw scanner.failure("strides must be given for sizes as long as these")
    }
    guard let space = MemorySpace(rawValue: scanner.word()) else { throw scanner.failure("expected a memory space") }
    return BufferType(element, shape, strides: strides, space: space)
  }

  private mutating func dims() throws -> [Dim] {
    var dims = [try scanner.dim()]
    while scanner.accept(",") {
      dims.append(try scanner.dim())
      guard dims.count <= TileProgram.maximumRank else { throw scanner.failure("too many dimensions") }
    }
    return dims
  }

  // MARK: Blocks

  /// Operations up to and with the closing brace, and what is yielded.
  private mutating func block(depth: Int) throws -> (Block, yields: [TileValue]) {
    guard depth < TileProgram.TextLimits.nesting else {
      throw scanner.failure("blocks nest deeper than \(TileProgram.TextLimits.nesting) levels")
    }
    var block = Block()
    while !scanner.accept("}") {
      if scanner.accept(word: "yield") {
        let yields = try list(until: "}") { try $0.value() }
        return (block, yields)
      }
      block.operations.append(try operation(depth: depth))
    }
    return (block, [])
  }

  private mutating func operation(depth: Int) throws -> Operation {
    var results: [TileValue] = []
    if scanner.next(is: "%") {
      repeat { results.append(try value()) } while scanner.accept(",")
      try scanner.expect("=")
    }
    let word = scanner.word()
    switch word {
    case "for": return try loop(results, depth: depth)
    case "if":
      let condition = try value()
      try scanner.expect("{")
      let then = try block(depth: depth + 1)
      try scanner.expect(word: "else")
      try scanner.expect("{")
      let otherwise = try block(depth: depth + 1)
      guard results.isEmpty, then.yields.isEmpty, otherwise.yields.isEmpty else {
        throw scanner.failure("a conditional gives nothing")
      }
      return Operation(.conditional(condition, then: then.0, otherwise: otherwise.0), results: [])
    case "store":
      let value = try self.value()
      try scanner.expect(",")
      guard results.isEmpty else { throw scanner.failure("a store gives nothing") }
      guard case .tile(_, let shape) = try knownType(value) else {
        throw scanner.failure("a tile is stored, not a buffer")
      }
      return Operation(.store(value, try access(rank: shape.count)), results: [])
    case "prefetch":
      guard results.isEmpty else { throw scanner.failure("a prefetch gives nothing") }
      return Operation(.prefetch(try access(rank: 0)), results: [])
    case "barrier":
      guard results.isEmpty else { throw scanner.failure("a barrier gives nothing") }
      return Operation(.barrier, results: [])
    case "load": return try load(results)
    default:
      guard let kind = try tileOperation(word) else { throw scanner.failure("expected an operation, not '\(word)'") }
      try defineOne(results)
      return Operation(kind, results: results)
    }
  }

  /// `: type` of the only result.
  private mutating func defineOne(_ results: [TileValue]) throws {
    guard results.count == 1 else { throw scanner.failure("expected one result") }
    try scanner.expect(":")
    try define(results[0], type())
  }

  private mutating func loop(_ results: [TileValue], depth: Int) throws -> Operation {
    let mapping = try self.mapping()
    let induction = try value()
    try scanner.expect("=")
    let lower = try value()
    try scanner.expect(word: "to")
    let upper = try value()
    try scanner.expect(word: "step")
    let step = try scanner.integer()
    var arguments: [TileValue] = []
    var initial: [TileValue] = []
    if scanner.accept(word: "carrying") {
      repeat {
        arguments.append(try value())
        try scanner.expect("=")
        initial.append(try value())
      } while scanner.accept(",")
    }
    guard results.count == initial.count else { throw scanner.failure("a result for each carried value") }
    try define(induction, .tile(.int64, []))
    for (argument, value) in zip(arguments, initial) { try define(argument, knownType(value)) }
    try scanner.expect("{")
    let (body, yields) = try block(depth: depth + 1)
    for (result, value) in zip(results, initial) { try define(result, knownType(value)) }
    let loop = Loop(
      mapping: mapping, induction: induction, lower: lower, upper: upper, step: step, initial: initial,
      arguments: arguments, body: body, yields: yields)
    return Operation(.loop(loop), results: results)
  }

  private mutating func mapping() throws -> Mapping {
    let word = scanner.word()
    func number() throws -> Int {
      try scanner.expect("(")
      let number = try scanner.integer()
      try scanner.expect(")")
      return number
    }
    switch word {
    case "sequential": return .sequential
    case "unrolled": return .unrolled(by: try number())
    case "pipelined": return .pipelined(stages: try number())
    case "parallel": return .parallel(grain: try number())
    case "grid": return .grid(axis: try number())
    case "group": return .group
    case "lane": return .lane
    default: throw scanner.failure("expected a loop's mapping, not '\(word)'")
    }
  }

  // MARK: Operations

  private mutating func load(_ results: [TileValue]) throws -> Operation {
    var access = try self.access(rank: nil)
    try scanner.expect(word: "fill")
    let fill = try scanner.scalar()
    try defineOne(results)
    if case .tile(_, let shape) = try knownType(results[0]), access.limits.isEmpty {
      access.limits = [TileValue?](repeating: nil, count: shape.count)
    }
    return Operation(.load(access, fill: fill), results: results)
  }

  /// - Parameter rank: of the tile, if known: how many limits stand for none written.
  private mutating func access(rank: Int?) throws -> Access {
    let buffer = try value()
    try scanner.expect("[")
    let indices = try list(until: "]") { try $0.axisIndex() }
    var limits = [TileValue?](repeating: nil, count: rank ?? 0)
    if scanner.accept(word: "limits") {
      try scanner.expect("[")
      limits = try list(until: "]") { try $0.scanner.accept(word: "_") ? nil : $0.value() }
    }
    return Access(buffer: buffer, indices: indices, limits: limits)
  }

  private mutating func axisIndex() throws -> AxisIndex {
    let value = try self.value()
    if scanner.accept("[") {
      let dimension = try self.dimension()
      try scanner.expect("]")
      return .gather(value, dimension: dimension)
    }
    guard scanner.accept("+") else { return .at(value) }
    var step = 1
    if !scanner.next(is: "d") {
      step = try scanner.integer()
      try scanner.expect("*")
    }
    return .span(start: value, dimension: try dimension(), step: step)
  }

  /// `d1`
  private mutating func dimension() throws -> Int {
    let word = scanner.word()
    guard word.first == "d", let dimension = Int(word.dropFirst()) else {
      throw scanner.failure("expected a dimension of the tile, like d0")
    }
    return dimension
  }

  /// The operations with one result; nil if `word` is none.
  private mutating func tileOperation(_ word: String) throws -> Operation.Kind? {
    switch word {
    case "size": return .size(try scanner.dim())
    case "constant": return .constant(try scanner.scalar())
    case "iota": return .iota(dimension: try scanner.integer())
    case "select":
      let x = try values(3)
      return .select(x[0], x[1], x[2])
    case "fma":
      let x = try values(3)
      return .fma(x[0], x[1], x[2])
    case "dot":
      if !scanner.next(is: "%") {
        guard let parts = WordParts(rawValue: scanner.word()) else {
          throw scanner.failure("expected operands or what words hold: i16x2, u8i8x4, u8i7x4 or bf16x2")
        }
        let x = try values(3)
        return .dotOfWords(parts, accumulator: x[0], x[1], x[2])
      }
      let x = try values(3)
      return .dot(accumulator: x[0], x[1], x[2])
    case "cast": return .cast(try value())
    case "bitcast": return .bitcast(try value())
    case "broadcast": return .broadcast(try value())
    case "reshape": return .reshape(try value())
    case "transpose":
      let x = try value()
      try scanner.expect("[")
      return .transpose(x, permutation: try list(until: "]") { try $0.scanner.integer() })
    case "rotate":
      let x = try value()
      try scanner.expect(word: "by")
      return .rotate(x, by: try scanner.integer())
    case "reduce":
      guard let function = ReductionFunction(rawValue: scanner.word()) else {
        throw scanner.failure("expected sum, product, minimum or maximum")
      }
      let x = try value()
      try scanner.expect(word: "along")
      return .reduce(function, x, dimension: try scanner.integer())
    case "allocate": return .allocate
    default:
      if let function = UnaryFunction(rawValue: word) { return .unary(function, try value()) }
      if let function = BinaryFunction(rawValue: word) {
        let x = try values(2)
        return .binary(function, x[0], x[1])
      }
      return nil
    }
  }
}

import TensorTypes

extension Graph {
  /// Reads what `text(constants:)` writes.
  /// - Parameter weights: the large constants by digest, where the text names them so.
  /// - Throws: `Failure` of kind `badData` naming the line and what was expected there.
  public init(parsing text: String, weights: [String: HostTensor] = [:]) throws {
    var parser = GraphParser(Scanner(text), weights: weights)
    do {
      self = try parser.graph(depth: 0)
      parser.scanner.skipSpace()
      guard parser.scanner.atEnd else { throw parser.scanner.expected("the end of the text") }
    } catch let failure as Failure {
      throw failure.at("line \(parser.scanner.line)")
    }
  }
}

private struct GraphParser {
  var scanner: Scanner
  let weights: [String: HostTensor]

  init(_ scanner: Scanner, weights: [String: HostTensor]) { (self.scanner, self.weights) = (scanner, weights) }

  mutating func graph(depth: Int) throws -> Graph {
    guard depth < 16 else { throw Failure.badData("graphs nest deeper than 16 levels") }
    try scanner.require("graph")
    var graph = Graph(name: try scanner.string())
    try scanner.require("{")
    while !scanner.accept("}") {
      if scanner.accept("output") {
        let name = try scanner.string()
        try scanner.require("=")
        graph.addOutput(name, try value(in: graph))
      } else {
        try statement(in: &graph, depth: depth)
      }
    }
    return graph
  }

  /// An input, a constant or a node.
  private mutating func statement(in graph: inout Graph, depth: Int) throws {
    var names: [String?] = []
    repeat {
      let number = try label()
      guard number == graph.values.count + names.count else {
        throw scanner.expected("the label %\(graph.values.count + names.count)")
      }
      names.append(scanner.peek("\"") ? try scanner.string() : nil)
    } while scanner.accept(",")
    try scanner.require("=")
    let mnemonic = try scanner.word()
    switch mnemonic {
    case "input":
      let name = scanner.peek("\"") ? try scanner.string() : ""
      try scanner.require(":")
      _ = graph.addInput(name, try type())
    case "constant":
      try scanner.require(":")
      let type = try type()
      _ = graph.addConstant(try elements(type), name: names[0])
    default:
      try node(mnemonic, names, in: &graph, depth: depth)
      return
    }
    guard names.count == 1 else { throw scanner.expected("one label") }
  }

  private mutating func node(_ mnemonic: String, _ names: [String?], in graph: inout Graph, depth: Int) throws {
    var operands: [ValueID?] = []
    try scanner.require("(")
    while !scanner.accept(")") {
      if !operands.isEmpty { try scanner.require(",") }
      operands.append(scanner.accept("_") ? nil : try value(in: graph))
    }
    var attributes: [(name: String, value: Attribute)] = []
    if scanner.accept("[") {
      while !scanner.accept("]") {
        if !attributes.isEmpty { try scanner.require(",") }
        let name = try scanner.word()
        try scanner.require("=")
        attributes.append((name, try attribute(depth: depth)))
      }
    }
    guard let kind = opsByMnemonic[mnemonic] else { throw Failure.badData("there is no op '\(mnemonic)'") }
    var reader = try AttributeReader(mnemonic, attributes)
    let op = try kind.init(attributes: &reader)
    try reader.finish()
    try scanner.require(":")
    var types = [try type()]
    while scanner.accept(",") { types.append(try type()) }
    let origin = scanner.accept("@") ? try scanner.string() : nil
    let results = try graph.add(op, operands, origin: origin)
    guard results.map({ graph.type($0) }) == types, results.count == names.count else {
      throw Failure.badData("the results of '\(mnemonic)' are \(results.map { graph.type($0) }), not \(types)")
    }
    for (result, name) in zip(results, names) { if let name { graph.setName(name, of: result) } }
  }

  private mutating func label() throws -> Int {
    try scanner.require("%")
    return try scanner.integer()
  }

  private mutating func value(in graph: Graph) throws -> ValueID {
    let number = try label()
    guard graph.values.indices.contains(number) else {
      throw Failure.badData("%\(number) is used before it is defined")
    }
    return ValueID(number)
  }

  private mutating func type() throws -> TensorType {
    let word = try scanner.word()
    guard let element = ElementType(rawValue: word) else { throw Failure.badData("there is no element type '\(word)'") }
    try scanner.require("[")
    let type = TensorType(element, try dims(until: "]"))
    guard type.isPossible else { throw Failure.badData("no tensor has type \(type)") }
    return type
  }

  private mutating func dims(until end: Character) throws -> [Dim] {
    var dims: [Dim] = []
    while !scanner.accept(end) {
      if !dims.isEmpty { try scanner.require(",") }
      dims.append(try Dim(parsing: try scanner.balanced(until: [",", end])))
    }
    return dims
  }

  private mutating func elements(_ type: TensorType) throws -> HostTensor {
    guard let shape = type.staticShape else { throw Failure.badData("a constant's sizes must be integers: \(type)") }
    let count = shape.reduce(1, *)
    if scanner.accept("#") {
      let digest = try scanner.word()
      guard let tensor = weights[digest], tensor.element == type.element, tensor.shape == shape else {
        throw Failure.badData("the elements of constant #\(digest) are not in this text: print it with full constants")
      }
      return tensor
    }
    if scanner.accept("0x") {
      let bytes = try scanner.hexadecimal()
      guard bytes.count == count * type.element.byteCount else {
        throw Failure.badData("expected \(count * type.element.byteCount) bytes for \(type), not \(bytes.count)")
      }
      return HostTensor(
        type.element, shape, filling: { memory in bytes.withUnsafeBytes { memory.copyMemory(from: $0) } })
    }
    try scanner.require("{")
    var values: [Scalar] = []
    while !scanner.accept("}") {
      if !values.isEmpty { try scanner.require(",") }
      values.append(try scanner.scalar())
    }
    guard values.count == count else {
      throw Failure.badData("expected \(count) elements for \(type), not \(values.count)")
    }
    return HostTensor(type.element, shape) { values[$0] }
  }

  private mutating func attribute(depth: Int) throws -> Attribute {
    if scanner.accept(".") { return .word(try scanner.word()) }
    if scanner.peek("\"") { return .string(try scanner.string()) }
    if scanner.accept("true") { return .bool(true) }
    if scanner.accept("false") { return .bool(false) }
    if scanner.accept("<") { return .dims(try dims(until: ">")) }
    if scanner.peek("graph") { return .graph(try graph(depth: depth + 1)) }
    if scanner.peek("(") { return .expression(try Expression(parsing: try scanner.through("}"))) }
    if scanner.accept("f[") { return .floats(try list { try $0.scalar().double }) }
    if scanner.accept("[") {
      return scanner.peek("\"") ? .strings(try list { try $0.string() }) : .integers(try list { try $0.integer() })
    }
    switch try scanner.scalar() {
    case .integer(let x): return .integer(Int(x))
    case .float(let x): return .float(x)
    }
  }

  private mutating func list<T>(_ element: (inout Scanner) throws -> T) throws -> [T] {
    var all: [T] = []
    while !scanner.accept("]") {
      if !all.isEmpty { try scanner.require(",") }
      all.append(try element(&scanner))
    }
    return all
  }
}

extension Expression {
  /// Reads what `description` writes.
  /// - Throws: `Failure` of kind `badData` naming the instruction that is wrong.
  public init(parsing text: String) throws {
    let parts = text.split(separator: "{", maxSplits: 1)
    let header = parts.first.map(trim) ?? ""
    guard parts.count == 2, header.hasPrefix("("), header.hasSuffix(")"), trim(parts[1]).hasSuffix("}") else {
      throw Failure.badData("expected '(x0: f32, …) { …; result }', not '\(text)'")
    }
    var inputs: [ElementType] = []
    for (i, declaration) in header.dropFirst().dropLast().split(separator: ",").enumerated() {
      let words = declaration.split(separator: ":").map(trim)
      guard words.count == 2, words[0] == "x\(i)", let type = ElementType(rawValue: words[1]) else {
        throw Failure.badData("expected 'x\(i): TYPE', not '\(trim(declaration))'")
      }
      inputs.append(type)
    }
    var lines = trim(parts[1]).dropLast().split(separator: ";").map(trim)
    guard let last = lines.popLast() else { throw Failure.badData("an expression has no result: '\(text)'") }
    self.init(inputs: inputs)
    if !lines.contains(where: { $0.contains("= input ") }) { for i in inputs.indices { _ = input(i) } }
    for line in lines { try parse(line) }
    result = try operand(last, in: last)
  }

  /// Whether the inputs are the first instructions, in order: then the text leaves them out.
  var hasCanonicalInputs: Bool {
    let positions = instructions.indices.filter { if case .input = instructions[$0] { true } else { false } }
    return positions == Array(inputTypes.indices)
      && inputTypes.indices.allSatisfy { instructions[$0] == .input($0) }
  }

  /// `t2 = add x0 x1`
  private mutating func parse(_ line: String) throws {
    func wrong(_ expected: String) -> Failure { .badData("expected \(expected) in '\(line)' of an expression") }
    let sides = line.split(separator: "=", maxSplits: 1).map(trim)
    guard sides.count == 2, sides[0] == "t\(instructions.count)" else { throw wrong("'t\(instructions.count) = …'") }
    let typed = sides[1].split(separator: ":").map(trim)
    guard let head = typed.first, typed.count <= 2 else { throw wrong("an instruction") }
    let words = head.split(separator: " ").map(String.init)
    let type = typed.count == 2 ? ElementType(rawValue: typed[1]) : nil
    let next: Instruction
    switch (words.first ?? "", words.count) {
    case ("input", 2):
      guard let i = Int(words[1]), inputTypes.indices.contains(i) else { throw wrong("an input's number") }
      next = .input(i)
    case ("constant", 2):
      guard let type, let value = Scalar(parsing: words[1]) else { throw wrong("'constant VALUE: TYPE'") }
      next = .constant(value, type)
    case ("cast", 2):
      guard let type else { throw wrong("'cast x: TYPE'") }
      next = .cast(try operand(words[1], in: line), type)
    case ("select", 4):
      let x = try words.dropFirst().map { try operand($0, in: line) }
      guard types[x[0]] == .bool, types[x[1]] == types[x[2]] else { throw wrong("a bool and two of one type") }
      next = .select(x[0], x[1], x[2])
    case (let name, 2):
      let x = try operand(words[1], in: line)
      guard let function = UnaryFunction(rawValue: name), function.accepts(types[x]) else { throw wrong("a function") }
      next = .unary(function, x)
    case (let name, 3):
      let (x, y) = (try operand(words[1], in: line), try operand(words[2], in: line))
      guard let function = BinaryFunction(rawValue: name), types[x] == types[y], function.accepts(types[x]) else {
        throw wrong("a function of two operands of one type")
      }
      next = .binary(function, x, y)
    default: throw wrong("an instruction")
    }
    guard add(next) == instructions.count - 1 else { throw wrong("an instruction that is not there yet") }
  }

  private func operand(_ word: String, in line: String) throws -> Operand {
    if let number = Int(word.dropFirst()) {
      if word.hasPrefix("t"), instructions.indices.contains(number) { return number }
      if word.hasPrefix("x"), let i = instructions.firstIndex(of: .input(number)) { return i }
    }
    throw Failure.badData("expected an operand that is defined, not '\(word)', in '\(line)' of an expression")
  }
}

private func trim(_ text: some StringProtocol) -> String {
  String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
}

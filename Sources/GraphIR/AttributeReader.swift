import TensorTypes

/// Hands an op its attributes by name and type, as parsed from text.
///
/// Every getter throws a `Failure` naming the op and the attribute if it is missing (and no default is given) or of
/// another kind; `finish()` throws if one was not asked for.
public struct AttributeReader {
  public let mnemonic: String
  private var values: [String: Attribute]

  public init(_ mnemonic: String, _ attributes: [(name: String, value: Attribute)]) throws {
    self.mnemonic = mnemonic
    values = [:]
    for (name, value) in attributes where values.updateValue(value, forKey: name) != nil {
      throw Failure.badData("\(mnemonic): attribute '\(name)' is given twice")
    }
  }

  private mutating func take<T>(
    _ name: String, _ kind: String, _ fallback: T?, _ convert: (Attribute) -> T?
  ) throws -> T {
    guard let value = values.removeValue(forKey: name) else {
      if let fallback { return fallback }
      throw Failure.badData("\(mnemonic): attribute '\(name)' is missing")
    }
    guard let result = convert(value) else {
      throw Failure.badData("\(mnemonic): attribute '\(name)' must be \(kind)")
    }
    return result
  }

  public mutating func integer(_ name: String, default fallback: Int? = nil) throws -> Int {
    try take(name, "an integer", fallback) { if case .integer(let x) = $0 { x } else { nil } }
  }

  public mutating func float(_ name: String, default fallback: Double? = nil) throws -> Double {
    try take(name, "a number", fallback) {
      switch $0 {
      case .float(let x): x
      case .integer(let x): Double(x)
      default: nil
      }
    }
  }

  public mutating func bool(_ name: String, default fallback: Bool? = nil) throws -> Bool {
    try take(name, "true or false", fallback) { if case .bool(let x) = $0 { x } else { nil } }
  }

  public mutating func string(_ name: String, default fallback: String? = nil) throws -> String {
    try take(name, "a string", fallback) { if case .string(let x) = $0 { x } else { nil } }
  }

  public mutating func strings(_ name: String, default fallback: [String]? = nil) throws -> [String] {
    try take(name, "a list of strings", fallback) {
      switch $0 {
      case .strings(let x): x
      case .integers(let x) where x.isEmpty: []
      default: nil
      }
    }
  }

  public mutating func integers(_ name: String, default fallback: [Int]? = nil) throws -> [Int] {
    try take(name, "a list of integers", fallback) { if case .integers(let x) = $0 { x } else { nil } }
  }

  public mutating func floats(_ name: String, default fallback: [Double]? = nil) throws -> [Double] {
    try take(name, "a list of numbers", fallback) {
      switch $0 {
      case .floats(let x): x
      case .integers(let x): x.map { Double($0) }
      default: nil
      }
    }
  }

  public mutating func dims(_ name: String, default fallback: [Dim]? = nil) throws -> [Dim] {
    try take(name, "a list of sizes", fallback) { if case .dims(let x) = $0 { x } else { nil } }
  }

  public mutating func dim(_ name: String, default fallback: Dim? = nil) throws -> Dim {
    try take(name, "a size", fallback) { if case .dims(let x) = $0, x.count == 1 { x[0] } else { nil } }
  }

  public mutating func scalar(_ name: String, default fallback: Scalar? = nil) throws -> Scalar {
    try take(name, "a number", fallback) {
      switch $0 {
      case .float(let x): .float(x)
      case .integer(let x): .integer(Int64(x))
      default: nil
      }
    }
  }

  public mutating func expression(_ name: String) throws -> Expression {
    try take(name, "an expression", nil) { if case .expression(let x) = $0 { x } else { nil } }
  }

  public mutating func graph(_ name: String) throws -> Graph {
    try take(name, "a graph", nil) { if case .graph(let x) = $0 { x } else { nil } }
  }

  /// A case of an enum, printed as its raw value.
  public mutating func word<E: RawRepresentable>(_ name: String, as: E.Type = E.self, default fallback: E? = nil) throws
    -> E
  where E.RawValue == String {
    try take(name, "one of the words that stand for a \(E.self)", fallback) {
      if case .word(let x) = $0 { E(rawValue: x) } else { nil }
    }
  }

  /// - Throws: `Failure` naming an attribute that no getter asked for.
  public func finish() throws {
    if let name = values.keys.min() { throw Failure.badData("\(mnemonic): attribute '\(name)' is unknown") }
  }
}

extension Attribute {
  public static func dim(_ dim: Dim) -> Attribute { .dims([dim]) }

  public static func scalar(_ scalar: Scalar) -> Attribute {
    switch scalar {
    case .integer(let i): .integer(Int(i))
    case .float(let d): .float(d)
    }
  }

  public static func word<E: RawRepresentable>(_ value: E) -> Attribute where E.RawValue == String {
    .word(value.rawValue)
  }

  /// The symbols in its sizes.
  public var symbols: Set<String> {
    if case .dims(let dims) = self { return dims.reduce(into: []) { $0.formUnion($1.symbols) } }
    return []
  }
}

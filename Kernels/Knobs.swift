/// Values chosen for a template's knobs: tile sizes, block sizes, unroll factors. What a tuning record holds.
public struct Knobs: Hashable, Sendable, Codable, ExpressibleByDictionaryLiteral {
  public var values: [String: Int]

  public init(_ values: [String: Int] = [:]) { self.values = values }
  public init(dictionaryLiteral elements: (String, Int)...) {
    values = Dictionary(elements) { _, last in last }
  }

  /// - Precondition: the template that made these has a knob of this name.
  public subscript(_ name: String) -> Int {
    get {
      guard let value = values[name] else { preconditionFailure("a knob named \(name) in \(values)") }
      return value
    }
    set { values[name] = newValue }
  }
}

/// The knobs of one template for one workload on one machine, each with its legal values in ascending order.
/// A combination may still be refused by `isLegal`.
public struct KnobSpace: Sendable {
  public var choices: [(name: String, values: [Int])]
  public var isLegal: @Sendable (Knobs) -> Bool

  public init(_ choices: [(name: String, values: [Int])], isLegal: @escaping @Sendable (Knobs) -> Bool = { _ in true })
  {
    self.choices = choices
    self.isLegal = isLegal
  }
}

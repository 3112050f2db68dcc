import TensorTypes

/// Passes a tensor of sizes on and gives the symbols their values: element `i` is what `symbols[i]` stands for from
/// here on. What makes a shape that depends on data a shape like any other.
///
/// - (bind_symbols_c1) One operand of type i64 or i32 and shape `[symbols.count]`, or a scalar for one symbol.
/// - (bind_symbols_c2) At run time no element is negative.
public struct BindSymbols: Op {
  public static let mnemonic = "bind_symbols"
  public var symbols: [String]

  public init(_ symbols: [String]) { self.symbols = symbols }

  public var attributes: [(name: String, value: Attribute)] { [("symbols", .strings(symbols))] }
  public init(attributes: inout AttributeReader) throws { symbols = try attributes.strings("symbols") }

  public var definedSymbols: [String] { symbols }

  public func infer(_ x: [TensorType]) throws -> [TensorType] {
    try require(
      x.count == 1 && x[0].element.isIndex && x[0].rank <= 1 && mayBeEqual(x[0].elementCount, Dim(symbols.count)),
      "bind_symbols_c1: operands \(x) for symbols \(symbols)")
    return x
  }

  public func contents(_ x: [ValueFacts]) -> [[Dim]?] { [symbols.map { Dim.symbol($0) }] }

  public func reference(_ x: [HostTensor]) throws -> [HostTensor] {
    for (name, value) in zip(symbols, x[0].integers) where value < 0 {
      throw Failure.badData("bind_symbols_c2: the size \(name) is \(value)")
    }
    return x
  }
}

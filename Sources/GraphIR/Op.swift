import TensorTypes

/// A core operator: semantics, inference and reference evaluation in one file of `Ops/`.
///
/// Constraints on operands are numbered in the type's doc comment, `(conv_c1)` and so on, and quoted by the errors
/// that `infer` throws. Sizes that an operator needs (a reshape's target, a slice's bounds) are attributes of type
/// `Dim`, never operands: shape arithmetic is settled while the graph is built.
public protocol Op: Hashable, Sendable {
  /// The name in a graph's text: lower case, words joined by `_`.
  static var mnemonic: String { get }

  /// The parameters, in the order in which they print. An attribute at its default may be left out.
  var attributes: [(name: String, value: Attribute)] { get }

  /// - Throws: `Failure` naming an attribute that is missing, unknown or of the wrong kind.
  init(attributes: inout AttributeReader) throws

  /// Types of the results for operands of these types.
  /// - Throws: `Failure` quoting the violated constraint.
  func infer(_ operands: [TensorType]) throws -> [TensorType]

  /// What is known of the elements of the results, where operands are small integer tensors whose elements are known
  /// sizes. The default knows nothing.
  func contents(_ operands: [ValueFacts]) -> [[Dim]?]

  /// The plain meaning: slow, obvious, independent of every kernel. Floating sums of f32 and narrower accumulate in
  /// f64 and round once.
  /// - Precondition: `infer` accepts the operands' types, and no attribute holds a symbol.
  func reference(_ operands: [HostTensor]) throws -> [HostTensor]

  /// The same op with every symbol in its attributes replaced.
  func substituting(_ bindings: [String: Dim]) -> Self

  /// Symbols that get their values when this op runs: sizes that depend on data.
  var definedSymbols: [String] { get }

  /// Whether the op does something besides giving results, so that it must run though nothing reads them.
  var hasEffect: Bool { get }
}

extension Op {
  public func contents(_ operands: [ValueFacts]) -> [[Dim]?] { [] }
  public func substituting(_ bindings: [String: Dim]) -> Self { self }
  public var definedSymbols: [String] { [] }
  public var hasEffect: Bool { false }
  public var mnemonic: String { Self.mnemonic }

  /// The graphs in the attributes, in their order.
  public var innerGraphs: [Graph] {
    attributes.compactMap { if case .graph(let graph) = $0.value { graph } else { nil } }
  }

  /// The symbols in the attributes.
  public var usedSymbols: Set<String> { attributes.reduce(into: []) { $0.formUnion($1.value.symbols) } }

  /// `reference`, once the operands are known to be legal and the results to be of a size that can be made.
  /// - Throws: `Failure` quoting a violated constraint, an index out of range, or a result over `largestResult` bytes.
  public func evaluate(_ operands: [HostTensor]) throws -> [HostTensor] {
    let unknown = usedSymbols.subtracting(definedSymbols)
    guard unknown.isEmpty else { throw Failure.badData("\(mnemonic): \(unknown.sorted()) have no values") }
    for type in try infer(operands.map(\.type)) {
      let bytes = type.byteCount.constant ?? 0
      guard bytes <= Self.largestResult, !type.shape.contains(where: { ($0.constant ?? 0) < 0 }) else {
        throw Failure.badData("\(mnemonic): a result of type \(type) can't be made")
      }
    }
    return try reference(operands)
  }

  static var largestResult: Int { 1 << 34 }
}

/// What is known of a value while a graph is built.
public struct ValueFacts: Hashable, Sendable {
  public var type: TensorType
  /// The elements in row-major order, for an integer or bool tensor of at most `Graph.contentsLimit` elements whose
  /// elements are sizes or constants.
  public var contents: [Dim]?

  public init(_ type: TensorType, contents: [Dim]? = nil) {
    self.type = type
    self.contents = contents
  }
}

/// A parameter of an operator.
public enum Attribute: Hashable, Sendable {
  case integer(Int)
  case float(Double)
  case bool(Bool)
  case word(String)  // an enum's case, an element type
  case string(String)
  case strings([String])
  case integers([Int])
  case floats([Double])
  case dims([Dim])
  case expression(Expression)
  case graph(Graph)
}

import GraphIR
import TensorTypes

/// The graph that a model means: every operator as core ops, sizes as expressions over the names of the inputs'
/// dimensions, weights as constants that share the model's bytes.
/// - Throws: `Failure` listing every operator that Tessera lacks, with its nodes; or naming the first node that makes
///   no sense, with what is wrong.
public func importModel(_ model: ONNXModel) throws -> Graph {
  do {
    let missing = unsupportedOperators(model)
    guard missing.isEmpty else { throw Failure.badData("operators not supported: \(describe(missing))") }
    return try ModelImport(model).graph()
  } catch let failure as Failure { throw model.file.isEmpty ? failure : failure.inFile(model.file) }
}

/// What all parts of one import share.
final class ModelImport {
  let model: ONNXModel
  private var symbols: Set<String> = []
  private var importedNodes = 0
  /// Nodes after inlining functions; a few functions that call each other twice each make exponentially many.
  private let nodeLimit = 1_000_000
  private(set) var depth = 0

  init(_ model: ONNXModel) { self.model = model }

  func graph() throws -> Graph {
    let builder = GraphBuilder(name: model.graph.name.isEmpty ? "model" : model.graph.name, self)
    let scope = Scope(builder)
    scope.opsets = model.opsetVersions
    try scope.declareInitializers(of: model.graph)
    let constants = Set(model.graph.initializers.map(\.name) + model.graph.sparseInitializers.map(\.name))
    // An input with a default that the model holds is a constant.
    let inputs = model.graph.inputs.filter { !constants.contains($0.name) }
    for name in inputs.flatMap({ $0.dimensions.compactMap(\.name) }) { symbols.insert(name) }
    let sizes = Set(inputs.flatMap { $0.dimensions.compactMap(\.name) }.filter { isPlainName($0) })
    for input in inputs {
      let type = try locating("input '\(input.name)'") { try tensorType(input, knownSizes: sizes) }
      try scope.define(input.name, builder.graph.addInput(input.name, type))
    }
    try scope.run(model.graph.nodes)
    if let twice = duplicate(model.graph.outputs.map(\.name)) {
      throw Failure.badData("output '\(twice)' is listed twice")
    }
    guard !model.graph.outputs.isEmpty else { throw Failure.badData("the graph has no outputs") }
    for output in model.graph.outputs {
      guard let value = try scope.lookup(output.name) else {
        throw Failure.badData("no node gives output '\(output.name)'")
      }
      builder.graph.addOutput(output.name, value)
    }
    return builder.graph.withoutDeadNodes()
  }

  /// The type of an input of the model. Sizes without a name are named after the input.
  private func tensorType(_ input: ONNXValueInfo, knownSizes: Set<String>) throws -> TensorType {
    guard case .tensor(let dataType, let shape) = input.type else {
      throw Failure.badData("only tensors are supported as inputs, not \(input.type)")
    }
    guard let element = dataType.element else {
      throw Failure.badData("elements of type \(dataType.name) are not supported")
    }
    guard let shape else { throw Failure.badData("has no shape: not even its rank is known") }
    return TensorType(
      element,
      shape.enumerated().map { i, dimension in
        switch dimension {
        case .value(let size): Dim(size)
        case .parameter(let name): size(named: name, knownSizes)
        case .unknown: .symbol(freshSymbol("\(input.name)_dim\(i)"))
        }
      })
  }

  /// Exporters also write expressions: `past_length + 1` where `past_length` is another dimension's name.
  private func size(named name: String, _ known: Set<String>) -> Dim {
    if let parsed = try? Dim(parsing: name), !parsed.symbols.isEmpty, parsed.symbols.isSubset(of: known) {
      return parsed
    }
    return .symbol(name)
  }

  /// A name for a size that no other has.
  func freshSymbol(_ base: String) -> String {
    let plain = base.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" }
    let stem = (plain.first?.isLetter ?? false ? "" : "s_") + String(plain)
    var name = stem
    var i = 1
    while !symbols.insert(name).inserted {
      i += 1
      name = "\(stem)_\(i)"
    }
    return name
  }

  func countNode() throws {
    importedNodes += 1
    guard importedNodes <= nodeLimit else {
      throw Failure.badData("functions and loops make more than \(nodeLimit) nodes of this model")
    }
  }

  /// Runs `body` one level deeper in functions and subgraphs.
  func nested<R>(_ body: () throws -> R) throws -> R {
    guard depth < 64 else { throw Failure.badData("functions call each other, or graphs nest, deeper than 64 levels") }
    depth += 1
    defer { depth -= 1 }
    return try body()
  }

  func function(_ node: ONNXNode) -> ONNXFunction? {
    model.functions.first { $0.name == node.opType && $0.domain == node.domain && $0.overload == node.overload }
  }
}

extension ONNXValueInfo {
  var dimensions: [ONNXDimension] {
    if case .tensor(_, let shape?) = type { return shape }
    return []
  }
}

extension ONNXDimension {
  var name: String? {
    if case .parameter(let name) = self { return name }
    return nil
  }
}

private func isPlainName(_ name: String) -> Bool { (try? Dim(parsing: name))?.name == name }

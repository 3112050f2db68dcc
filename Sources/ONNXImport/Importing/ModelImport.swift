import GraphIR
import TensorTypes

/// The graph that a model means: every operator as core ops, sizes as expressions over the names of the inputs'
/// dimensions, weights as constants that share the model's bytes.
/// - Parameter shapes: sizes of inputs, by the inputs' names, in place of what the model says. A size that has a name
///   is the same wherever the name occurs.
/// - Throws: `Failure` listing every operator that Tessera lacks, with its nodes; or naming the first node that makes
///   no sense, with what is wrong.
public func importModel(_ model: ONNXModel, shapes: [String: [Int]] = [:]) throws -> Graph {
  do {
    let missing = unsupportedOperators(model)
    guard missing.isEmpty else { throw Failure.badData("operators not supported: \(describe(missing))") }
    return try BranchSearch(model, shapes: shapes).graph()
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

  private let functions: [String: ONNXFunction]
  private let shapes: [String: [Int]]
  private var choices: ArraySlice<Bool>

  /// - Parameter choices: whether to assume that a condition holds, for each `If` in turn whose branches give tensors of
  ///   different ranks.
  init(_ model: ONNXModel, shapes: [String: [Int]], choices: [Bool] = []) {
    self.model = model
    self.shapes = shapes
    self.choices = choices[...]
    functions = functionsByName(model)
  }

  func graph() throws -> Graph {
    let builder = GraphBuilder(name: model.graph.name.isEmpty ? "model" : model.graph.name, self)
    let scope = Scope(builder)
    scope.opsets = model.opsetVersions
    try scope.declare(model.graph)
    let constants = Set(model.graph.initializers.map(\.name) + model.graph.sparseInitializers.map(\.name))
    // An input with a default that the model holds is a constant.
    let inputs = model.graph.inputs.filter { !constants.contains($0.name) }
    for name in inputs.flatMap({ $0.dimensions.compactMap(\.name) }) { symbols.insert(name) }
    let sizes = Set(inputs.flatMap { $0.dimensions.compactMap(\.name) }.filter { isPlainName($0) })
    let given = try givenSizes(inputs)
    for input in inputs {
      var type = try locating("input '\(input.name)'") { try tensorType(input, knownSizes: sizes) }
      if let shape = shapes[input.name] { type.shape = shape.map { Dim($0) } }
      type.shape = type.shape.map { $0.substituting(given) }
      let known = type.shape.compactMap(\.constant)
      // Below this, sums and products of a few sizes can't overflow anywhere.
      guard known.allSatisfy({ $0 < 1 << 48 }), known.contains(0) || known.reduce(1.0, { $0 * Double($1) }) < 0x1p48
      else {
        throw Failure.badData("is of type \(type), larger than any memory", place: "input '\(input.name)'")
      }
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

  /// What the shapes that the caller gives say of named sizes.
  private func givenSizes(_ inputs: [ONNXValueInfo]) throws -> [String: Dim] {
    var sizes: [String: Dim] = [:]
    for (name, shape) in shapes {
      guard let input = inputs.first(where: { $0.name == name }) else {
        throw Failure(.usage, "a shape is given for '\(name)', which is no input; inputs are \(inputs.map(\.name))")
      }
      guard case .tensor(_, let dimensions) = input.type, dimensions.map({ $0.count == shape.count }) ?? true,
        shape.allSatisfy({ $0 >= 0 })
      else { throw Failure(.usage, "shape \(shape) does not fit input '\(name)' of type \(input.type)") }
      for (dimension, size) in zip(dimensions ?? [], shape) {
        switch dimension {
        case .value(let own) where own != size:
          throw Failure(.usage, "shape \(shape) does not fit input '\(name)': the model says \(own)")
        case .parameter(let symbol):
          if let before = sizes.updateValue(Dim(size), forKey: symbol), before != Dim(size) {
            throw Failure(.usage, "the size '\(symbol)' is given as \(before) and as \(size)")
          }
        case .value, .unknown: break
        }
      }
    }
    return sizes
  }

  /// The type of an input of the model. Sizes without a name are named after the input.
  private func tensorType(_ input: ONNXValueInfo, knownSizes: Set<String>) throws -> TensorType {
    guard case .tensor(let dataType, let shape) = input.type else {
      throw Failure.badData("only tensors are supported as inputs, not \(input.type)")
    }
    guard let element = dataType.element else {
      throw Failure.badData("elements of type \(dataType.name) are not supported")
    }
    guard let shape = shape ?? shapes[input.name]?.map({ .value($0) }) else {
      throw Failure.badData("has no shape: not even its rank is known")
    }
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
    if name.utf8.count <= 200, let parsed = try? Dim(parsing: name), !parsed.symbols.isEmpty,
      parsed.symbols.isSubset(of: known)
    {
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

  /// What to assume of a condition whose branches can't both be compiled.
  /// - Throws: `OpenChoice` if that is for the search to say.
  func choice(at node: ONNXNode) throws -> Bool {
    guard let choice = choices.popFirst() else { throw OpenChoice(node: node) }
    return choice
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
    functions[node.functionKey]
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

extension ONNXNode {
  /// What tells functions apart.
  var functionKey: String { "\(domain):\(opType):\(overload)" }
}

/// The functions of a model by `ONNXNode.functionKey`.
func functionsByName(_ model: ONNXModel) -> [String: ONNXFunction] {
  Dictionary(model.functions.map { ("\($0.domain):\($0.name):\($0.overload)", $0) }) { first, _ in first }
}

private func isPlainName(_ name: String) -> Bool { (try? Dim(parsing: name))?.name == name }

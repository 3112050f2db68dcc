import GraphIR
import TensorTypes

/// One operator of ONNX, from one version of its operator set on: how it becomes core ops.
struct OperatorRow: Sendable {
  let name: String
  let domain: String
  /// The version from which the row holds, up to the next row of the operator.
  let since: Int
  /// Builds the node's outputs; nil for one that is not supported.
  let run: @Sendable (NodeImport) throws -> [ValueID?]

  init(
    _ name: String, domain: String = "", since: Int = 1, _ run: @escaping @Sendable (NodeImport) throws -> [ValueID?]
  ) {
    (self.name, self.domain, self.since, self.run) = (name, domain, since, run)
  }

  /// An operator with one output.
  static func one(
    _ name: String, domain: String = "", since: Int = 1, _ run: @escaping @Sendable (NodeImport) throws -> ValueID
  ) -> OperatorRow { OperatorRow(name, domain: domain, since: since) { [try run($0)] } }
}

/// Every operator that Tessera imports.
let operatorTable: [OperatorRow] =
  unaryRows + activationRows + binaryRows + typeRows
  + reductionRows + selectionRows
  + shapeRows + movementRows + indexingRows + resamplingRows + gridRows
  + productRows + narrowProductRows + convolutionRows + normalizationRows + attentionRows + quantizationRows
  + recurrentRows + controlRows + sourceRows + lossRows + spectrumRows + sequenceRows

private let rowsByName: [String: [OperatorRow]] = Dictionary(grouping: operatorTable) { "\($0.domain):\($0.name)" }
  .mapValues { $0.sorted { $0.since < $1.since } }

/// The row for an operator in a version of its operator set.
func operatorRow(_ name: String, _ domain: String, _ version: Int) -> OperatorRow? {
  rowsByName["\(domain):\(name)"]?.last { $0.since <= version }
}

/// An operator that has no row, and the nodes that use it.
public struct UnsupportedOperator: Hashable, Sendable {
  public var name: String
  public var nodes: [String]
}

/// All operators of a model, in functions and subgraphs too, that Tessera can't import; by name.
public func unsupportedOperators(_ model: ONNXModel) -> [UnsupportedOperator] {
  var nodes: [String: [String]] = [:]
  let functions = functionsByName(model)
  func visit(_ list: [ONNXNode], _ opsets: [String: Int]) {
    for node in list {
      if functions[node.functionKey] == nil && operatorRow(node.opType, node.domain, opsets[node.domain] ?? 0) == nil {
        nodes[node.domain.isEmpty ? node.opType : "\(node.domain).\(node.opType)", default: []].append(node.origin)
      }
      for attribute in node.attributes {
        switch attribute.value {
        case .graph(let graph): visit(graph.nodes, opsets)
        case .graphs(let graphs): for graph in graphs { visit(graph.nodes, opsets) }
        default: break
        }
      }
    }
  }
  visit(model.graph.nodes, model.opsetVersions)
  for function in model.functions {
    visit(function.nodes, function.opsetVersions.merging(model.opsetVersions) { own, _ in own })
  }
  return nodes.sorted { $0.key < $1.key }.map { UnsupportedOperator(name: $0.key, nodes: $0.value) }
}

func describe(_ missing: [UnsupportedOperator]) -> String {
  missing.map { operators in
    let shown = operators.nodes.prefix(5).joined(separator: ", ")
    let more = operators.nodes.count > 5 ? ", and \(operators.nodes.count - 5) more" : ""
    return "\(operators.name) (\(shown)\(more))"
  }.joined(separator: "; ")
}

import GraphIR
import TensorTypes

/// Which sizes get their values when. Those of the inputs are known before the run: epoch 0. Each step that gives
/// symbols their values begins another epoch; a tensor is of the latest epoch that one of its symbols is of, and its
/// memory is had then.
struct SizeTable {
  /// The inputs' symbols.
  private(set) var inputs: Set<String> = []
  private var epochOf: [String: Int] = [:]
  private(set) var epochs = 0
  /// In the order in which they get values.
  private(set) var runSymbols: [String] = []
  /// Names that the graphs use.
  private let taken: Set<String>

  /// - Parameter graph: the model's.
  init(_ graph: Graph) {
    for input in graph.inputs { for dim in graph.type(input).shape { inputs.formUnion(dim.symbols) } }
    taken = graph.mentionedSymbols.union(graph.innerSymbols)
  }

  /// A new symbol that only the plan knows.
  func fresh(_ stem: String) -> String {
    var number = runSymbols.count
    while taken.contains("\(stem)_\(number)") { number += 1 }
    return "\(stem)_\(number)"
  }

  /// Notes that symbols have a place in the table.
  mutating func declare(_ symbols: [String]) {
    for symbol in symbols where !runSymbols.contains(symbol) { runSymbols.append(symbol) }
  }

  /// Begins the epoch in which these symbols are known.
  mutating func beginEpoch(_ symbols: [String]) -> Int {
    declare(symbols)
    epochs += 1
    for symbol in symbols { epochOf[symbol] = epochs }
    return epochs
  }

  func epoch(_ dim: Dim) -> Int { dim.symbols.map { epochOf[$0] ?? 0 }.max() ?? 0 }

  /// Whether all symbols have values where planning stands.
  func areKnown(_ symbols: Set<String>) -> Bool { symbols.allSatisfy { inputs.contains($0) || epochOf[$0] != nil } }
  func areKnown(_ dims: some Sequence<Dim>) -> Bool { dims.allSatisfy { areKnown($0.symbols) } }

  func isInput(_ symbols: Set<String>) -> Bool { symbols.isSubset(of: inputs) }
}

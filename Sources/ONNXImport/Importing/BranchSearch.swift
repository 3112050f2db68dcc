import GraphIR
import TensorTypes

/// An `If` whose branches give tensors of different ranks is met and nothing says what to assume.
struct OpenChoice: Error {
  var node: ONNXNode
}

/// Finds out which branch a model means where branches give tensors of different ranks, as exporters write `squeeze`.
///
/// What follows fits one of the ranks: each is tried, the first branch first, and the import that succeeds is the
/// model. The graph then asserts the conditions, so that inputs that need another branch are refused, not misread.
struct BranchSearch {
  private let model: ONNXModel
  private let shapes: [String: [Int]]
  private var attempts = 0
  /// Each import costs as much as the graph is long.
  private static let limit = 64

  init(_ model: ONNXModel, shapes: [String: [Int]]) { (self.model, self.shapes) = (model, shapes) }

  func graph() throws -> Graph {
    var search = self
    return try search.graph(assuming: [])
  }

  private mutating func graph(assuming choices: [Bool]) throws -> Graph {
    attempts += 1
    guard attempts <= Self.limit else {
      throw Failure.badData("too many If nodes whose branches give tensors of different ranks")
    }
    do {
      return try ModelImport(model, shapes: shapes, choices: choices).graph()
    } catch let open as OpenChoice {
      do { return try graph(assuming: choices + [true]) } catch let first as Failure {
        do { return try graph(assuming: choices + [false]) } catch let second as Failure {
          let place = "\(open.node.place)"
          throw Failure.badData(
            "the branches give tensors of different ranks, and what follows fits neither: "
              + "[\(first.description)], [\(second.description)]", place: place)
        }
      }
    }
  }
}

import GraphIR
import TensorTypes

// Losses of classification, along dimension 1 of the scores.

let lossRows: [OperatorRow] = [
  .one("NegativeLogLikelihoodLoss") { n in
    try n.likelihoodLoss(n.input(0), n.input(1), weights: n.optionalInput(2))
  },
  OperatorRow("SoftmaxCrossEntropyLoss") { n in
    let logarithms = try n.add(Softmax(axis: 1, logarithm: true), n.input(0))
    return [try n.likelihoodLoss(logarithms, n.input(1), weights: n.optionalInput(2)), logarithms]
  },
]

extension NodeImport {
  /// `−x[n, target, …] · weight[target]`, 0 where the target is to be ignored; all of them, their sum or weighted mean.
  fileprivate func likelihoodLoss(_ x: ValueID, _ target: ValueID, weights: ValueID?) throws -> ValueID {
    guard rank(x) >= 2, rank(target) == rank(x) - 1 else {
      throw Failure.badData("targets \(type(target)) for scores \(type(x))")
    }
    let element = element(x)
    let ignored = try optionalInt("ignore_index")
    // Ignored targets may lie outside of the classes.
    let classes = try ignored.map { ignored in
      try map(target) { e, x in
        let type = e.types[x[0]]
        return e.select(
          e.binary(.equal, x[0], e.constant(Double(ignored), type)), e.constant(0, type), x[0])
      }
    }
    let picks = try unsqueeze(classes ?? target, [1])
    let chosen = try squeeze(add(GatherElements(axis: 1), x, picks), [1])
    var weight =
      try weights.map { try add(Gather(axis: 0), $0, classes ?? target) }
      ?? broadcast(
        constant(1, element), shape(target))
    if let ignored {
      weight = try map(target, weight) { e, x in
        e.select(
          e.binary(.equal, x[0], e.constant(Double(ignored), e.types[x[0]])), e.constant(0, element), x[1])
      }
    }
    let losses = try map(chosen, weight) { e, x in e.unary(.negate, e.binary(.multiply, x[0], x[1])) }
    let axes = Array(0..<rank(losses))
    switch try string("reduction", default: "mean") {
    case "none": return losses
    case "sum": return try add(Reduce(.sum, axes: axes, keepDims: false), losses)
    case "mean":
      let total = try add(Reduce(.sum, axes: axes, keepDims: false), losses)
      return try binary(.divide, total, add(Reduce(.sum, axes: axes, keepDims: false), weight))
    case let other: throw Failure.badData("attribute 'reduction' is '\(other)'")
    }
  }
}

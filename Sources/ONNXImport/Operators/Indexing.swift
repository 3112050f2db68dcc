import GraphIR
import TensorTypes

// Operators that take elements from, or put them to, places that a tensor names.

let indexingRows: [OperatorRow] = [
  .one("Gather") { n in
    let x = try n.input(0)
    return try n.add(Gather(axis: n.axis(n.int("axis", default: 0), rank: n.rank(x))), x, n.input(1))
  },
  .one("GatherElements") { n in
    let x = try n.input(0)
    return try n.add(GatherElements(axis: n.axis(n.int("axis", default: 0), rank: n.rank(x))), x, n.input(1))
  },
  .one("GatherND") { n in try n.add(GatherND(batchDims: n.int("batch_dims", default: 0)), n.input(0), n.input(1)) },
  .one("Scatter") { n in try n.scatterElements() },
  .one("ScatterElements") { n in try n.scatterElements() },
  .one("ScatterND") { n in try n.add(ScatterND(reduction: n.scatterReduction()), n.input(0), n.input(1), n.input(2)) },
  .one("TensorScatter") { n in try n.tensorScatter() },
]

extension NodeImport {
  fileprivate func scatterElements() throws -> ValueID {
    let x = try input(0)
    let axis = try axis(int("axis", default: 0), rank: rank(x))
    return try add(ScatterElements(axis: axis, reduction: scatterReduction()), x, input(1), input(2))
  }

  /// The update written along an axis from each sample's index on.
  fileprivate func tensorScatter() throws -> ValueID {
    let (cache, update) = (try input(0), try input(1))
    let axis = try axis(int("axis", default: -2), rank: rank(cache))
    let isCircular = try string("mode", default: "linear") == "circular"
    guard rank(update) == rank(cache), axis > 0 else { throw Failure.badData("\(type(update)) into \(type(cache))") }
    let trailing = rank(cache) - axis - 1
    var places = try iota(shape(update)[axis], trailing: trailing)
    if let starts = try optionalInput(2) {
      let aligned = try reshape(starts, shape(starts) + Shape(repeating: 1, count: rank(cache) - 1))
      let size = try reshape(builder.value(of: [shape(cache)[axis]]), [])
      places = try map(places, aligned, size) { e, x in
        let place = e.binary(.add, x[0], x[1])
        return isCircular ? e.binary(.modulo, place, x[2]) : place
      }
    }
    return try add(ScatterElements(axis: axis), cache, broadcast(places, shape(update)), update)
  }

  fileprivate func scatterReduction() throws -> ScatterReduction {
    switch try string("reduction", default: "none") {
    case "none": return .replace
    case "add": return .add
    case "mul": return .multiply
    case "max": return .maximum
    case "min": return .minimum
    case let other: throw Failure.badData("attribute 'reduction' is '\(other)'")
    }
  }
}

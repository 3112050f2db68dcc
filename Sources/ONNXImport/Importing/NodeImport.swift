import GraphIR
import TensorTypes

/// What a row of the operator table has at hand: a node, its operands and attributes, and the graph to build.
struct NodeImport {
  let node: ONNXNode
  /// Of the node's operator set.
  let version: Int
  let scope: Scope

  init(_ node: ONNXNode, version: Int, scope: Scope) {
    (self.node, self.version, self.scope) = (node, version, scope)
  }

  var builder: GraphBuilder { scope.builder }
  var graph: Graph { builder.graph }

  // MARK: Operands

  var inputCount: Int { node.inputs.count }

  func input(_ i: Int) throws -> ValueID {
    guard let value = try optionalInput(i) else { throw Failure.badData("input number \(i) is missing") }
    return value
  }

  /// nil where the node leaves the input out.
  func optionalInput(_ i: Int) throws -> ValueID? {
    guard i < node.inputs.count, !node.inputs[i].isEmpty else { return nil }
    return try scope.require(node.inputs[i])
  }

  /// All operands of an operator that takes any number.
  func inputs() throws -> [ValueID] { try node.inputs.indices.map { try input($0) } }

  /// Whether anything reads output number `i`.
  func wants(_ i: Int) -> Bool { i < node.outputs.count && !node.outputs[i].isEmpty }

  func type(_ value: ValueID) -> TensorType { builder.graph.type(value) }
  func shape(_ value: ValueID) -> Shape { type(value).shape }
  func rank(_ value: ValueID) -> Int { type(value).rank }
  func element(_ value: ValueID) -> ElementType { type(value).element }

  /// An axis counted from the front.
  func axis(_ axis: Int, rank: Int) throws -> Int {
    guard axis >= -rank, axis < rank else { throw Failure.badData("axis \(axis) of a tensor of rank \(rank)") }
    return axis < 0 ? axis + rank : axis
  }

  /// Axes counted from the front, in the order given, none twice.
  func axes(_ list: [Int], rank: Int) throws -> [Int] {
    let resolved = try list.map { try axis($0, rank: rank) }
    guard Set(resolved).count == resolved.count else { throw Failure.badData("axes \(list) name one axis twice") }
    return resolved
  }

  // MARK: What is known of operands

  func sizes(_ value: ValueID, _ what: String) throws -> [Dim] { try builder.sizes(value, what) }

  /// One size, of a scalar or a tensor of one element.
  func size(_ value: ValueID, _ what: String) throws -> Dim {
    let sizes = try sizes(value, what)
    guard sizes.count == 1 else { throw Failure.badData("\(what) must be one number, not \(sizes.count)") }
    return sizes[0]
  }

  func integers(_ value: ValueID, _ what: String) throws -> [Int] {
    guard let tensor = builder.knownTensor(value), !tensor.element.isFloat else {
      throw Failure.badData("\(what) must be constant integers")
    }
    return tensor.integers.map { Int($0) }
  }

  func constant(_ value: ValueID, _ what: String) throws -> HostTensor {
    guard let tensor = builder.knownTensor(value) else { throw Failure.badData("\(what) must be constant") }
    return tensor
  }

  /// The sizes of a dimension list of which every one must be an integer.
  func staticShape(_ value: ValueID, _ what: String) throws -> [Int] {
    guard let shape = type(value).staticShape else {
      throw Failure.badData("\(what) must have known sizes, not \(type(value))")
    }
    return shape
  }

  // MARK: Building

  func add(_ op: any Op, _ operands: ValueID...) throws -> ValueID { try addAll(op, operands)[0] }
  func addAll(_ op: any Op, _ operands: [ValueID?]) throws -> [ValueID] {
    try builder.add(op, operands, origin: node.origin)
  }

  func constant(_ tensor: HostTensor) -> ValueID { builder.graph.addConstant(tensor) }

  /// A scalar constant.
  func constant(_ value: Double, _ element: ElementType) -> ValueID {
    constant(HostTensor(element, [], Column(repeating: .float(value), as: element, count: 1)))
  }

  /// An elementwise op over `operands`, broadcast against each other.
  func map(
    _ operands: ValueID..., by build: (inout Expression, [Expression.Operand]) -> Expression.Operand
  ) throws -> ValueID { try map(operands, by: build) }

  func map(
    _ operands: [ValueID], by build: (inout Expression, [Expression.Operand]) -> Expression.Operand
  ) throws -> ValueID {
    let expression = Expression(inputs: operands.map { element($0) }) { e in
      let inputs = operands.indices.map { e.input($0) }
      return build(&e, inputs)
    }
    return try addAll(Elementwise(expression), operands)[0]
  }

  func unary(_ function: UnaryFunction, _ x: ValueID) throws -> ValueID {
    let isLogical = function == .not
    guard isLogical ? !element(x).isFloat : element(x) != .bool else {
      throw Failure.badData("\(function.rawValue) of elements of type \(element(x).rawValue)")
    }
    return try map(x) { e, x in e.unary(function, x[0]) }
  }

  /// `f(x, y)` for operands of one element type.
  func binary(_ function: BinaryFunction, _ x: ValueID, _ y: ValueID) throws -> ValueID {
    guard element(x) == element(y) else {
      throw Failure.badData("operands are of different types, \(type(x)) and \(type(y))")
    }
    guard function.accepts(element(x)) else {
      throw Failure.badData("\(function.rawValue) of elements of type \(element(x).rawValue)")
    }
    return try map(x, y) { e, x in e.binary(function, x[0], x[1]) }
  }

  /// - Throws: unless all operands are of one element type, for operators that mix them in one expression.
  func requireOneType(_ operands: ValueID...) throws {
    guard let first = operands.first, operands.allSatisfy({ element($0) == element(first) }) else {
      throw Failure.badData("operands must be of one type, not \(operands.map { type($0) })")
    }
  }

  func cast(_ x: ValueID, _ type: ElementType) throws -> ValueID {
    element(x) == type ? x : try map(x) { e, x in e.cast(x[0], type) }
  }

  func reshape(_ x: ValueID, _ shape: Shape) throws -> ValueID {
    shape == self.shape(x) ? x : try add(Reshape(shape), x)
  }

  func transpose(_ x: ValueID, _ permutation: [Int]) throws -> ValueID {
    permutation == Array(0..<rank(x)) ? x : try add(Transpose(permutation), x)
  }

  func broadcast(_ x: ValueID, _ shape: Shape) throws -> ValueID {
    shape == self.shape(x) ? x : try add(Broadcast(shape), x)
  }

  /// With dimensions of size 1 at `axes` of the result.
  func unsqueeze(_ x: ValueID, _ axes: [Int]) throws -> ValueID {
    guard axes.allSatisfy({ $0 < rank(x) + axes.count }) else {
      throw Failure.badData("dimensions of size 1 at \(axes) of \(type(x))")
    }
    var rest = shape(x)[...]
    let shape = (0..<rank(x) + axes.count).map { axes.contains($0) ? 1 : rest.removeFirst() }
    return try reshape(x, shape)
  }

  /// Without the dimensions at `axes`.
  func squeeze(_ x: ValueID, _ axes: [Int]) throws -> ValueID {
    try reshape(x, shape(x).enumerated().filter { !axes.contains($0.offset) }.map(\.element))
  }

  /// Elements `start..<start + size` along `axis`.
  func slice(_ x: ValueID, axis: Int, start: Dim, size: Dim, step: Int = 1) throws -> ValueID {
    guard axis < rank(x) else { throw Failure.badData("axis \(axis) of \(type(x))") }
    if start == 0 && step == 1 && size == shape(x)[axis] { return x }
    return try add(Slice(axes: [axis], starts: [start], sizes: [size], steps: [step]), x)
  }

  /// `0, 1, 2, …` along a dimension of `size`, with `trailing` dimensions of size 1 after it.
  func iota(_ size: Dim, _ element: ElementType = .int64, trailing: Int = 0) throws -> ValueID {
    try add(Iota(element, [size] + Shape(repeating: 1, count: trailing), axis: 0))
  }

  /// A parameter of shape `[C]` so that it broadcasts along dimension 1 of a tensor of rank `rank`.
  func perChannel(_ x: ValueID, rank: Int) throws -> ValueID {
    try reshape(x, [type(x).elementCount] + Shape(repeating: 1, count: max(rank - 2, 0)))
  }
}

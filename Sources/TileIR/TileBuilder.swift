import TensorTypes

/// Writes a tile program from top to bottom.
///
/// Values come out as `Tile`, which has operators, so a kernel reads like its algorithm. Arithmetic on constant
/// scalars folds at once. Programs are values: nothing is shared once `finish` is called.
public final class TileBuilder {
  private var name: String
  private var parameters: [TileProgram.Parameter] = []
  private(set) var types: [TileType] = []
  private var blocks: [Block] = [Block()]
  private var integers: [TileValue: Int] = [:]

  public init(_ name: String) { self.name = name }

  /// A buffer passed in.
  /// - Precondition: comes before every operation.
  public func parameter(_ name: String, _ role: TileProgram.Parameter.Role, _ type: BufferType) -> TileBuffer {
    precondition(types.count == parameters.count, "parameters before operations")
    parameters.append(.init(name, role))
    return TileBuffer(value: newValue(.buffer(type)), type: type, builder: self)
  }

  public func finish() -> TileProgram {
    precondition(blocks.count == 1, "finish outside of loops")
    return TileProgram(name: name, parameters: parameters, types: types, body: blocks[0])
  }

  // MARK: Values

  func newValue(_ type: TileType) -> TileValue {
    types.append(type)
    return TileValue(types.count - 1)
  }

  func emit(_ kind: Operation.Kind, _ element: ElementType, _ shape: [Int]) -> Tile {
    let value = newValue(.tile(element, shape))
    blocks[blocks.count - 1].operations.append(Operation(kind, results: [value]))
    return Tile(value: value, element: element, shape: shape, builder: self)
  }

  func emit(_ kind: Operation.Kind) { blocks[blocks.count - 1].operations.append(Operation(kind, results: [])) }

  /// The integer that an i64 scalar is known to be.
  public func integer(_ tile: Tile) -> Int? { integers[tile.value] }

  // MARK: Constants and sizes

  /// An i64 scalar.
  public func index(_ value: Int) -> Tile {
    let tile = emit(.constant(.integer(Int64(value))), .int64, [])
    integers[tile.value] = value
    return tile
  }

  /// A size as an i64 scalar.
  public func size(_ dim: Dim) -> Tile { dim.constant.map { index($0) } ?? emit(.size(dim), .int64, []) }

  public func constant(_ value: Scalar, _ element: ElementType, _ shape: [Int] = []) -> Tile {
    emit(.constant(value), element, shape)
  }
  public func constant(_ value: Double, _ element: ElementType = .float32, _ shape: [Int] = []) -> Tile {
    constant(element.isFloat ? .float(value) : .integer(Int64(value)), element, shape)
  }

  /// i64 positions along a dimension.
  public func iota(_ shape: [Int], dimension: Int) -> Tile { emit(.iota(dimension: dimension), .int64, shape) }

  // MARK: Memory

  public func allocate(_ type: BufferType) -> TileBuffer {
    precondition(type.space != .global, "local or shared memory")
    let value = newValue(.buffer(type))
    blocks[blocks.count - 1].operations.append(Operation(.allocate, results: [value]))
    return TileBuffer(value: value, type: type, builder: self)
  }

  public func barrier() { emit(.barrier) }

  // MARK: Control

  /// A loop without carried values.
  public func loop(
    _ mapping: Mapping = .sequential, from lower: Tile? = nil, to upper: Tile, step: Int = 1, _ body: (Tile) -> Void
  ) {
    _ = loop(mapping, from: lower, to: upper, step: step, carrying: []) { i, _ in
      body(i)
      return []
    }
  }

  /// A sequential loop that carries tiles from one iteration to the next; returns those after the last.
  public func loop(
    _ mapping: Mapping = .sequential, from lower: Tile? = nil, to upper: Tile, step: Int = 1, carrying initial: [Tile],
    _ body: (Tile, [Tile]) -> [Tile]
  ) -> [Tile] {
    let lower = lower ?? index(0)
    let induction = Tile(value: newValue(.tile(.int64, [])), element: .int64, shape: [], builder: self)
    let arguments = initial.map {
      Tile(value: newValue(types[$0.value.index]), element: $0.element, shape: $0.shape, builder: self)
    }
    blocks.append(Block())
    let yields = body(induction, arguments)
    let block = blocks.removeLast()
    precondition(
      yields.map(\.shape) == initial.map(\.shape) && yields.map(\.element) == initial.map(\.element),
      "a loop yields what it carries")
    let results = initial.map {
      Tile(value: newValue(types[$0.value.index]), element: $0.element, shape: $0.shape, builder: self)
    }
    let loop = Loop(
      mapping: mapping, induction: induction.value, lower: lower.value, upper: upper.value, step: step,
      initial: initial.map(\.value), arguments: arguments.map(\.value), body: block, yields: yields.map(\.value))
    blocks[blocks.count - 1].operations.append(Operation(.loop(loop), results: results.map(\.value)))
    return results
  }

  public func when(_ condition: Tile, _ then: () -> Void, otherwise: () -> Void = {}) {
    blocks.append(Block())
    then()
    let thenBlock = blocks.removeLast()
    blocks.append(Block())
    otherwise()
    let otherwiseBlock = blocks.removeLast()
    emit(.conditional(condition.value, then: thenBlock, otherwise: otherwiseBlock))
  }

  // MARK: Expressions

  /// The value of an elementwise expression on tiles of one shape (operands of fewer elements are broadcast).
  public func apply(_ expression: Expression, _ arguments: [Tile], shape: [Int]) -> Tile {
    var values: [Tile] = []
    for (i, instruction) in expression.instructions.enumerated() {
      let value: Tile
      switch instruction {
      case .input(let k): value = arguments[k].broadcast(to: shape)
      case .constant(let scalar, let type): value = constant(scalar, type, shape)
      case .unary(let function, let x): value = values[x].unary(function)
      case .binary(let function, let x, let y): value = values[x].binary(function, values[y])
      case .select(let c, let x, let y): value = values[c].select(values[x], values[y])
      case .cast(let x, _): value = values[x].cast(expression.types[i])
      }
      values.append(value)
    }
    return values[expression.result]
  }
}

/// What every tile program keeps to, whatever is done with it. Numbered, and quoted by whoever throws or tests one.
public enum TileRule: Int, Hashable, Sendable, CaseIterable {
  // Values
  case parameters = 1
  case singleDefinition
  case dominance
  case results
  case tileShape
  case bufferShape
  case operandKind
  case scalarIndex
  // Operations on tiles
  case constant
  case iota
  case elementwise
  case functionDomain
  case select
  case cast
  case bitcast
  case broadcast
  case reshape
  case transpose
  case rotate
  case reduce
  case dot
  case dotOfWords
  // Memory
  case accessRank
  case accessDimensions
  case storeCoversTile
  case limits
  case accessElement
  case gather
  case spanStep
  case inputIsReadOnly
  case allocate
  // Control
  case loopStep
  case carriedTypes
  case carriedSequential
  case mappingNumbers
  case condition
  // Placement
  case topLevel
  case phase
  case phaseNest
  case phaseBounds
  case repetition
  case groupsAndLanes
  case barrier
  case sharedPlacement
  case localPlacement

  public var text: String {
    switch self {
    case .parameters: "the first values are the parameters, all of them global buffers"
    case .singleDefinition: "a value is defined at most once and has a type"
    case .dominance: "an operand is defined above its use, in the same block or one around it"
    case .results:
      "stores, prefetches, barriers and conditionals have no result, loops one a carried value, all else one"
    case .tileShape: "a tile has at most 8 dimensions, each at least 1, and at most 2^24 elements"
    case .bufferShape: "a buffer has at most 8 dimensions and a stride for each"
    case .operandKind: "a buffer stands where memory is accessed, a tile everywhere else"
    case .scalarIndex: "sizes, bounds, limits and indices are i64 scalars"
    case .constant: "a constant is an integer if its element type is an integer type or bool"
    case .iota: "an iota is of i64 and counts along a dimension of its own"
    case .elementwise:
      "operands of an elementwise operation share shape and element type; so does the result, or is bool"
    case .functionDomain: "a function is applied to element types that it means something on"
    case .select: "a select has a bool condition and two operands of one type, all of the result's shape"
    case .cast: "a cast keeps the shape"
    case .bitcast: "a bitcast keeps the bits of each row and the outer dimensions, and does not make bools"
    case .broadcast: "a broadcast keeps the element type and repeats only dimensions of 1 or missing outer ones"
    case .reshape: "a reshape keeps the element type and the number of elements"
    case .rotate: "a rotation keeps type and shape, and is by less than the innermost dimension"
    case .transpose: "a transpose permutes the dimensions, all of them once"
    case .reduce: "a reduce makes one dimension 1 and keeps the rest and the element type"
    case .dot:
      "a dot is acc[m, n], a[m, k], b[k, n] of f32 with a, b in f32, f16, bf16; of f64; or of i32 with a, b in i8, u8"
    case .dotOfWords:
      "a dot of words is acc[m, n], a[m, k], b[k, n] with a, b in i32, and acc in f32 for floats, else i32"
    case .accessRank: "an access has one index a dimension of the buffer"
    case .accessDimensions: "an index names a dimension of the tile, and no two the same unless both are gathered"
    case .storeCoversTile: "a store indexes every dimension of its tile that is longer than 1"
    case .limits: "an access has a limit or none for each dimension of the tile"
    case .accessElement: "tile and buffer of an access have one element type"
    case .gather: "gather indices are an i64 tile of rank 1, as long as the tile's dimension"
    case .spanStep: "the step of a span is not 0"
    case .inputIsReadOnly: "nothing is stored to an input"
    case .allocate: "allocated memory is local or shared"
    case .loopStep: "the step of a loop is at least 1"
    case .carriedTypes: "a loop's initial values, arguments, yields and results agree in number and type"
    case .carriedSequential: "only loops that run one iteration after the other carry values"
    case .mappingNumbers: "unrolling, stages and grain are at least 1, a grid's axis is 0, 1 or 2"
    case .condition: "the condition of a conditional is a bool scalar"
    case .topLevel: "at the top stand loops and operations that make scalars"
    case .phase:
      "parallel and grid loops stand at the top, in a sequential loop there, or nested perfectly in one of their kind"
    case .phaseNest: "around a nested phase loop stand only scalar operations without memory; grid axes differ"
    case .phaseBounds: "bounds of a nested phase loop do not depend on the loops around it"
    case .repetition: "a loop that repeats phases carries nothing, and else holds only scalar operations without memory"
    case .groupsAndLanes: "group loops stand within a grid, lane loops within a grid or group, neither within its like"
    case .barrier: "a barrier stands within a grid"
    case .sharedPlacement: "shared memory is allocated directly in the innermost grid loop"
    case .localPlacement: "local memory is allocated within a loop, and used in the group or lane that allocated it"
    }
  }
}

/// A tile program that breaks a rule: a bug of whoever built it.
public struct TileProgramError: Error, Hashable, Sendable, CustomStringConvertible {
  public var rule: TileRule
  public var program: String
  /// The operation, as the printer writes its first line; empty where the program as a whole is concerned.
  public var operation: String
  public var detail: String

  public var description: String {
    let place = operation.isEmpty ? "" : " in '\(operation)'"
    return "\(program): tile_c\(rule.rawValue): \(rule.text): \(detail)\(place)"
  }
}

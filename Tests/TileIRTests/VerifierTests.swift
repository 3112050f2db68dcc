import TensorTypes
import Testing
import TileIR

/// Programs that each break one rule: the lines after these parameters.
private let header = """
  program "broken" {
    %0 = input "x": buffer f32[16, 16] global
    %1 = output "y": buffer f32[16, 16] global
    %2 = constant 0: i64
    %3 = constant 16: i64
    %4 = constant 1: bool
  """

private let broken: [(TileRule, String)] = [
  (.dominance, "%5 = negate %9: i64"),
  (.dominance, "for parallel(1) %5 = %2 to %3 step 1 { %6 = constant 1: i64 } %7 = negate %6: i64"),
  (.dominance, "for parallel(1) %5 = %2 to %5 step 1 { }"),
  (.tileShape, "for parallel(1) %5 = %2 to %3 step 1 { %6 = constant 1: i64[0] }"),
  (.tileShape, "for parallel(1) %5 = %2 to %3 step 1 { %6 = constant 1: i64[8192x8192] }"),
  (.operandKind, "%5 = negate %0: f32"),
  (.operandKind, "%5 = load %2[] fill 0: i64"),
  (.scalarIndex, "for parallel(1) %5 = %2 to %4 step 1 { }"),
  (.scalarIndex, "%5 = load %0[%2, %4] fill 0.0: f32"),
  (.scalarIndex, "%5 = size n: i32"),
  (.constant, "%5 = constant 1.5: i64"),
  (.constant, "%5 = constant 1.0: bool"),
  (.iota, "for parallel(1) %5 = %2 to %3 step 1 { %6 = iota 1: i64[4] }"),
  (.elementwise, "%5 = add %2, %4: i64"),
  (.elementwise, "%5 = less %2, %3: i64"),
  (.elementwise, "%5 = constant 0.0: f32 %6 = exp %5: f64"),
  (.functionDomain, "%5 = exp %2: i64"),
  (.functionDomain, "%5 = add %4, %4: bool"),
  (.functionDomain, "%5 = fma %2, %2, %2: i64"),
  (.select, "%5 = select %2, %2, %3: i64"),
  (.cast, "for parallel(1) %5 = %2 to %3 step 1 { %6 = cast %2: i32[4] }"),
  (.bitcast, "%5 = bitcast %2: f32"),
  (.broadcast, "for parallel(1) %5 = %2 to %3 step 1 { %6 = iota 0: i64[4] %7 = broadcast %6: i64[4x2] }"),
  (.reshape, "for parallel(1) %5 = %2 to %3 step 1 { %6 = iota 0: i64[4] %7 = reshape %6: i64[2x3] }"),
  (.transpose, "for parallel(1) %5 = %2 to %3 step 1 { %6 = iota 0: i64[4x2] %7 = transpose %6 [0, 0]: i64[4x4] }"),
  (.rotate, "for parallel(1) %5 = %2 to %3 step 1 { %6 = iota 0: i64[4x2] %7 = rotate %6 by 2: i64[4x2] }"),
  (.rotate, "for parallel(1) %5 = %2 to %3 step 1 { %6 = iota 0: i64[4x2] %7 = rotate %6 by 1: i64[2x4] }"),
  (.reduce, "for parallel(1) %5 = %2 to %3 step 1 { %6 = iota 0: i64[4x2] %7 = reduce sum %6 along 0: i64[4x1] }"),
  (.reduce, "%5 = reduce sum %2 along 0: i64"),
  (
    .dot,
    "for parallel(1) %5 = %2 to %3 step 1 { %6 = constant 0: f32[4x2] %7 = constant 0: f32[4x3] %8 = dot %6, %7, %7: f32[4x2] }"
  ),
  (.dot, "for parallel(1) %5 = %2 to %3 step 1 { %6 = constant 0: i32[2x2] %7 = dot %6, %6, %6: i32[2x2] }"),
  (
    .dotOfWords,
    "for parallel(1) %5 = %2 to %3 step 1 { %6 = constant 0: i32[2x2] %7 = dot bf16x2 %6, %6, %6: i32[2x2] }"
  ),
  (
    .dotOfWords,
    "for parallel(1) %5 = %2 to %3 step 1 { %6 = constant 0: i32[2x3] %7 = dot i16x2 %6, %6, %6: i32[2x3] }"
  ),
  (.bitcast, "for parallel(1) %5 = %2 to %3 step 1 { %6 = iota 0: i64[3] %7 = bitcast %6: i32[3] }"),
  (.accessRank, "%5 = load %0[%2] fill 0.0: f32"),
  (.accessDimensions, "for parallel(1) %5 = %2 to %3 step 1 { %6 = load %0[%2, %2 + d1] fill 0.0: f32[4] }"),
  (.accessDimensions, "for parallel(1) %5 = %2 to %3 step 1 { %6 = load %0[%2 + d0, %2 + d0] fill 0.0: f32[4] }"),
  (.storeCoversTile, "for parallel(1) %5 = %2 to %3 step 1 { %6 = constant 0: f32[4] store %6, %1[%5, %2] }"),
  (.limits, "for parallel(1) %5 = %2 to %3 step 1 { %6 = load %0[%5, %2 + d0] limits [%3, %3] fill 0.0: f32[4] }"),
  (.accessElement, "%5 = load %0[%2, %2] fill 0.0: f64"),
  (.gather, "for parallel(1) %5 = %2 to %3 step 1 { %6 = iota 0: i64[4] %7 = load %0[%5, %6[d0]] fill 0.0: f32[3] }"),
  (.spanStep, "for parallel(1) %5 = %2 to %3 step 1 { %6 = load %0[%5, %2 + 0*d0] fill 0.0: f32[3] }"),
  (.inputIsReadOnly, "for parallel(1) %5 = %2 to %3 step 1 { %6 = constant 0: f32 store %6, %0[%5, %5] }"),
  (.allocate, "for parallel(1) %5 = %2 to %3 step 1 { %6 = allocate: buffer f32[4] global }"),
  (.loopStep, "for parallel(1) %5 = %2 to %3 step 0 { }"),
  (.carriedTypes, "%5 = for sequential %6 = %2 to %3 step 1 carrying %7 = %2 { }"),
  (.carriedTypes, "%5 = for sequential %6 = %2 to %3 step 1 carrying %7 = %2 { yield %4 }"),
  (.carriedSequential, "%5 = for parallel(1) %6 = %2 to %3 step 1 carrying %7 = %2 { yield %7 }"),
  (.mappingNumbers, "for parallel(0) %5 = %2 to %3 step 1 { }"),
  (.mappingNumbers, "for grid(3) %5 = %2 to %3 step 1 { }"),
  (.condition, "for sequential %5 = %2 to %3 step 1 { if %2 { } else { } }"),
  (.topLevel, "%5 = constant 0: i64[4]"),
  (.topLevel, "%5 = constant 0: f32 store %5, %1[%2, %2]"),
  (.phase, "for unrolled(2) %5 = %2 to %3 step 1 { for parallel(1) %6 = %2 to %3 step 1 { } }"),
  (.phase, "for grid(0) %5 = %2 to %3 step 1 { for parallel(1) %6 = %2 to %3 step 1 { } }"),
  (
    .phaseNest,
    "for parallel(1) %5 = %2 to %3 step 1 { %6 = load %0[%5, %5] fill 0.0: f32 for parallel(1) %7 = %2 to %3 step 1 { } }"
  ),
  (.phaseNest, "for grid(0) %5 = %2 to %3 step 1 { for grid(0) %6 = %2 to %3 step 1 { } }"),
  (
    .phaseNest,
    "for grid(0) %5 = %2 to %3 step 1 { for grid(1) %6 = %2 to %3 step 1 { } for grid(1) %7 = %2 to %3 step 1 { } }"
  ),
  (
    .phaseBounds,
    "for grid(0) %5 = %2 to %3 step 1 { %6 = add %5, %3: i64 for grid(1) %7 = %2 to %6 step 1 { } }"
  ),
  (
    .repetition,
    """
    for sequential %5 = %2 to %3 step 1 {
      for sequential %6 = %2 to %3 step 1 { for parallel(1) %7 = %2 to %3 step 1 { } }
      for parallel(1) %8 = %2 to %3 step 1 { }
    }
    """
  ),
  (
    .repetition,
    "%5 = for sequential %6 = %2 to %3 step 1 carrying %7 = %2 { for grid(0) %8 = %2 to %3 step 1 { } yield %7 }"
  ),
  (
    .repetition,
    "for sequential %5 = %2 to %3 step 1 { %6 = load %0[%5, %5] fill 0.0: f32 for grid(0) %7 = %2 to %3 step 1 { } }"
  ),
  (.groupsAndLanes, "for lane %5 = %2 to %3 step 1 { }"),
  (.groupsAndLanes, "for parallel(1) %5 = %2 to %3 step 1 { for group %6 = %2 to %3 step 1 { } }"),
  (
    .groupsAndLanes,
    "for grid(0) %5 = %2 to %3 step 1 { for lane %6 = %2 to %3 step 1 { for group %7 = %2 to %3 step 1 { } } }"
  ),
  (.barrier, "for parallel(1) %5 = %2 to %3 step 1 { barrier }"),
  (.sharedPlacement, "for parallel(1) %5 = %2 to %3 step 1 { %6 = allocate: buffer f32[4] shared }"),
  (
    .sharedPlacement,
    "for grid(0) %5 = %2 to %3 step 1 { for lane %6 = %2 to %3 step 1 { %7 = allocate: buffer f32[4] shared } }"
  ),
  (.localPlacement, "%5 = allocate: buffer f32[4] local"),
  (
    .localPlacement,
    """
    for grid(0) %5 = %2 to %3 step 1 {
      %6 = allocate: buffer i64[4] local
      for lane %7 = %2 to %3 step 1 { store %7, %6[%7] }
    }
    """
  ),
]

/// Those that no text can say.
private var unspeakable: [(TileRule, TileProgram)] {
  let scalar = TileType.tile(.int64, [])
  let constant = Operation(.constant(.integer(0)), results: [TileValue(0)])
  func program(_ types: [TileType], _ operations: [Operation], _ parameters: [TileProgram.Parameter] = [])
    -> TileProgram
  {
    TileProgram(name: "broken", parameters: parameters, types: types, body: Block(operations))
  }
  var tooFewStrides = BufferType(.float32, [4, 4])
  tooFewStrides.strides = [1]
  return [
    (.parameters, program([scalar], [], [.init("x", .input)])),
    (.parameters, program([], [], [.init("x", .input)])),
    (.parameters, program([.buffer(BufferType(.float32, [4], space: .local))], [], [.init("x", .input)])),
    (.singleDefinition, program([scalar], [constant, constant])),
    (.singleDefinition, program([], [constant])),
    (.results, program([scalar, scalar], [Operation(.constant(.integer(0)), results: [TileValue(0), TileValue(1)])])),
    (.results, program([scalar], [Operation(.constant(.integer(0)), results: [])])),
    (.bufferShape, program([.buffer(tooFewStrides)], [], [.init("x", .input)])),
    (.dominance, program([scalar], [Operation(.unary(.negate, TileValue(7)), results: [TileValue(0)])])),
  ]
}

@Suite struct VerifierTests {
  @Test func headerAloneIsFine() throws { try TileProgram(parsing: header + "}").verify() }

  @Test(arguments: broken.indices)
  func brokenProgramIsRefused(index: Int) {
    let (rule, lines) = broken[index]
    let failure = #expect(throws: Failure.self) { _ = try TileProgram(parsing: "\(header)\n\(lines)\n}") }
    let message = failure.map(\.message) ?? ""
    #expect(message.contains("tile_c\(rule.rawValue): \(rule.text)"), "\(message)\n\(lines)")
  }

  @Test func brokenValueIsRefused() {
    for (rule, program) in unspeakable {
      let error = #expect(throws: TileProgramError.self) { try program.verify() }
      #expect(error?.rule == rule, "\(error.map(\.description) ?? "")")
    }
  }

  @Test func everyRuleIsTested() {
    let tested = Set(broken.map { $0.0 } + unspeakable.map { $0.0 })
    #expect(TileRule.allCases.filter { !tested.contains($0) } == [])
  }
}

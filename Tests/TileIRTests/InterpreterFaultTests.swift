import TensorTypes
import Testing
import TileIR

@Suite struct InterpreterFaultTests {
  /// Runs the lines after these parameters on x = 0, 1, … 15, and returns what goes wrong.
  private func fault(_ lines: String) throws -> TileFault? {
    let program = try TileProgram(
      parsing: """
        program "fault" {
          %0 = input "x": buffer f32[4, 4] global
          %1 = output "y": buffer f32[16] global
          %2 = scratch "s": buffer f32[16] global
          %3 = constant 0: i64
          %4 = constant 16: i64
          %5 = constant 1: i64
          %6 = constant 4: i64
          \(lines)
        }
        """)
    let x = HostTensor(.float32, [4, 4], (0..<16).map { Float($0) })
    do {
      _ = try TileInterpreter(program).run([x])
      return nil
    } catch let fault as TileFault { return fault }
  }

  @Test func wholeProgramIsFine() throws {
    let none = try fault("for parallel(1) %10 = %3 to %4 step 4 { %11 = constant 1.0: f32[4] store %11, %1[%10 + d0] }")
    #expect(none == nil)
  }

  @Test func loadOutOfBounds() throws {
    // Element 18 of row 3 would still be memory of a larger buffer; the second dimension has 4.
    let found = try fault("for parallel(1) %10 = %3 to %4 step 4 { %11 = load %0[%3, %5 + d0] fill 0.0: f32[4] }")
    #expect(found?.kind == .outOfBounds)
    #expect(found?.indices == [0, 4])
    #expect(found?.buffer == "x")
    #expect(found?.operation == "%11 = load %0[%3, %5 + d0] fill 0.0: f32[4]")
  }

  @Test func loadBelowBounds() throws {
    let found = try fault("for parallel(1) %10 = %3 to %5 step 4 { %11 = load %0[%5 + -1*d0, %3] fill 0.0: f32[4] }")
    #expect(found?.kind == .outOfBounds)
    #expect(found?.indices == [-1, 0])
  }

  @Test func gatherOutOfBounds() throws {
    let found = try fault(
      "for parallel(1) %10 = %3 to %5 step 1 { %11 = iota 0: i64[5] %12 = load %0[%3, %11[d0]] fill 0.0: f32[5] }")
    #expect(found?.kind == .outOfBounds)
    #expect(found?.indices == [0, 4])
  }

  @Test func storeOutOfBounds() throws {
    let found = try fault(
      "for parallel(1) %10 = %3 to %4 step 3 { %11 = constant 1.0: f32[3] store %11, %1[%10 + d0] }")
    #expect(found?.kind == .outOfBounds)
    #expect(found?.indices == [16])
  }

  @Test func limitKeepsWithinBounds() throws {
    let found = try fault(
      """
      for parallel(1) %10 = %3 to %4 step 3 {
        %11 = constant 1.0: f32[3]
        %12 = subtract %4, %10: i64
        store %11, %1[%10 + d0] limits [%12]
      }
      """)
    #expect(found == nil)
  }

  @Test func unwrittenOutput() throws {
    let found = try fault("for parallel(1) %10 = %5 to %4 step 1 { %11 = constant 1.0: f32 store %11, %1[%10] }")
    #expect(found?.kind == .unwrittenOutput)
    #expect(found?.indices == [0])
  }

  @Test func unwrittenScratch() throws {
    let found = try fault(
      "for parallel(1) %10 = %3 to %4 step 1 { %11 = load %2[%10] fill 0.0: f32 store %11, %1[%10] }")
    #expect(found?.kind == .unwrittenRead)
    #expect(found?.buffer == "s")
  }

  @Test func localIsUnwrittenInEachIteration() throws {
    let found = try fault(
      """
      for parallel(1) %10 = %3 to %4 step 1 {
        %11 = allocate: buffer f32[1] local
        %12 = equal %10, %3: bool
        %13 = constant 1.0: f32
        if %12 { store %13, %11[%3] } else { }
        %14 = load %11[%3] fill 0.0: f32
        store %14, %1[%10]
      }
      """)
    #expect(found?.kind == .unwrittenRead)
    #expect(found?.buffer == "%11")
  }

  @Test func parallelStoresRace() throws {
    let found = try fault(
      "for parallel(1) %10 = %3 to %4 step 3 { %11 = constant 1.0: f32[4] %12 = subtract %4, %10: i64 store %11, %1[%10 + d0] limits [%12] }"
    )
    #expect(found?.kind == .race)
    #expect(found?.indices == [3])
  }

  /// An iteration reads what the next one stores: in this order nothing stale is seen, in another one it would be.
  @Test(arguments: ["add", "subtract"])
  func parallelReadsRace(direction: String) throws {
    let found = try fault(
      """
      for sequential %20 = %3 to %4 step 1 { %21 = constant 1.0: f32 store %21, %2[%20] store %21, %1[%20] }
      for parallel(1) %10 = %5 to %6 step 1 {
        %11 = \(direction) %10, %5: i64
        %12 = load %2[%11] fill 0.0: f32
        store %12, %2[%10]
      }
      """)
    #expect(found?.kind == .race)
  }

  @Test func phasesAreOrdered() throws {
    let found = try fault(
      """
      for parallel(1) %10 = %3 to %4 step 1 { %11 = constant 1.0: f32 store %11, %2[%10] }
      for grid(0) %12 = %3 to %4 step 1 {
        %13 = constant 15: i64
        %14 = subtract %13, %12: i64
        %15 = load %2[%14] fill 0.0: f32
        store %15, %1[%12]
      }
      """)
    #expect(found == nil)
  }

  /// Every element is the sum of its neighbours' last values, step for step: from one of two rows to the other there
  /// is no race, in place there is.
  @Test(arguments: [true, false])
  func repetitionsArePhases(isInPlace: Bool) throws {
    let found = try fault(
      """
      for parallel(1) %10 = %3 to %4 step 1 { %11 = constant 1.0: f32 store %11, %2[%10] store %11, %1[%10] }
      for sequential %12 = %3 to %6 step 1 {
        %14 = subtract %4, %5: i64
        for parallel(1) %15 = %3 to %14 step 1 {
          %16 = add %15, %5: i64
          %17 = load %2[%15] fill 0.0: f32
          %18 = load %2[%16] fill 0.0: f32
          %19 = add %17, %18: f32
          store %19, %\(isInPlace ? 2 : 1)[%15]
        }
        for parallel(1) %20 = %3 to %4 step 1 { %21 = load %1[%20] fill 0.0: f32 store %21, %2[%20] }
      }
      """)
    #expect(found?.kind == (isInPlace ? .race : nil), "\(found.map(\.description) ?? "")")
  }

  /// Lanes hand a value to their neighbour through shared memory: with the barrier, and without.
  @Test(arguments: [true, false])
  func lanesNeedABarrier(hasBarrier: Bool) throws {
    let found = try fault(
      """
      for grid(0) %10 = %3 to %4 step 4 {
        %11 = allocate: buffer f32[4] shared
        for lane %12 = %3 to %6 step 1 {
          %13 = constant 1.0: f32
          store %13, %11[%12]
          \(hasBarrier ? "barrier" : "")
          %14 = add %12, %5: i64
          %15 = modulo %14, %6: i64
          %16 = load %11[%15] fill 0.0: f32
          %17 = add %10, %12: i64
          store %16, %1[%17]
        }
      }
      """)
    #expect(found?.kind == (hasBarrier ? nil : .race), "\(found.map(\.description) ?? "")")
  }

  /// The same between two lane loops, whose lanes of one number are one thread.
  @Test(arguments: [true, false])
  func laneLoopsNeedABarrier(hasBarrier: Bool) throws {
    let found = try fault(
      """
      for grid(0) %10 = %3 to %4 step 4 {
        %11 = allocate: buffer f32[4] shared
        for lane %12 = %3 to %6 step 1 { %13 = constant 1.0: f32 store %13, %11[%12] }
        \(hasBarrier ? "barrier" : "")
        for lane %20 = %3 to %6 step 1 {
          %14 = add %20, %5: i64
          %15 = modulo %14, %6: i64
          %16 = load %11[%15] fill 0.0: f32
          %17 = add %10, %20: i64
          store %16, %1[%17]
        }
      }
      """)
    #expect(found?.kind == (hasBarrier ? nil : .race), "\(found.map(\.description) ?? "")")
  }

  @Test func divergentBarrier() throws {
    let found = try fault(
      """
      for grid(0) %10 = %3 to %4 step 4 {
        for lane %12 = %3 to %6 step 1 {
          %13 = equal %12, %3: bool
          if %13 { barrier } else { }
        }
      }
      """)
    #expect(found?.kind == .divergentBarrier)
  }

  @Test func wrongInputsAreRefused() throws {
    let program = try TileProgram(parsing: "program \"p\" { %0 = input \"x\": buffer f32[n] global }")
    #expect(throws: Failure.self) { _ = try TileInterpreter(program) }
    let interpreter = try TileInterpreter(program, symbols: ["n": 5])
    #expect(throws: Failure.self) { _ = try interpreter.run([]) }
    #expect(throws: Failure.self) { _ = try interpreter.run([HostTensor(.float32, [4], [1, 2, 3, 4] as [Float])]) }
    #expect(throws: Failure.self) { _ = try interpreter.run([HostTensor(.int32, [5], [1, 2, 3, 4, 5] as [Int32])]) }
  }
}

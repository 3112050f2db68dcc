import Compiler
import Foundation
import Kernels
import LLVMBackend
import TensorTypes
import Testing
import TileIR
import TuningDB

@testable import Autotuner

/// `y = x + 1` on 1000 numbers: the edge tile has 8.
private let count = 1000
private let workload: Workload = {
  let view = View(.float32, [Dim(count)])
  let plusOne = Expression(inputs: [.float32]) { e in e.binary(.add, e.input(0), e.constant(1, .float32)) }
  return .elementwise(ElementwiseWorkload(expression: plusOne, operands: [view], output: view))
}()

/// What is wrong with a planted kernel.
enum Fault: String, CaseIterable, Sendable {
  case none, oneWrongElement, unwrittenElement, readsPastTheEnd, segfault, hang, hog

  var expected: TuningRecord.Status {
    switch self {
    case .none: .ok
    case .oneWrongElement, .unwrittenElement: .wrong
    case .readsPastTheEnd, .segfault: .crash
    case .hang: .hang
    case .hog: .outOfMemory
    }
  }

  var program: TileProgram {
    let b = TileBuilder("planted")
    let x = b.parameter("x", .input, BufferType(.float32, [Dim(count)]))
    let y = b.parameter("y", .output, BufferType(.float32, [Dim(count)]))
    if self == .hog { _ = b.parameter("huge", .scratch, BufferType(.float32, [Dim(1 << 40)])) }
    let written = self == .unwrittenElement ? count - 1 : count
    b.loop(.parallel(grain: 1), to: b.index(written)) { i in
      var value = x.load([.at(i)], shape: []) + b.constant(1)
      switch self {
      case .none, .unwrittenElement, .hog: break
      case .oneWrongElement:
        value = i.equal(b.index(count - 1)).select(value + b.constant(0.25), value)
      case .readsPastTheEnd: value = value + x.load([.at(i + 1024)], shape: []) * b.constant(0)
      case .segfault: value = value + x.load([.at(i + (1 << 36))], shape: [])
      case .hang:
        // A chain of additions that no compiler may shorten.
        value =
          b.loop(to: b.index(1 << 60), carrying: [value]) { step, carried in
            [carried[0] * b.constant(0.999) + x.load([.at(step % count)], shape: [])]
          }[0]
      }
      y.store(value, [.at(i)])
    }
    return b.finish()
  }
}

/// The tessera that was built with these tests.
func testProgram() throws -> String {
  let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
  return (own as NSString).deletingLastPathComponent + "/tessera"
}

func withFolder(_ body: (String) throws -> Void) throws {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tessera-\(UUID().uuidString)").path
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  try body(folder)
}

@Suite(.serialized) struct FaultTests {
  private func laboratory(_ folder: String, step: Double = 15) throws -> Laboratory {
    Laboratory(
      task: CanonicalTask(workload), target: .avx2, threads: 2, sizes: [:], seed: 1,
      worker: WorkerProcess(command: [try testProgram(), "tune-worker"]), folder: folder,
      limits: .init(build: 60, step: step, memory: 1 << 30))
  }

  private func planted(_ fault: Fault, in folder: String) throws -> Laboratory.Built {
    let path = "\(folder)/\(fault.rawValue).so"
    try KernelLibrary.write(fault.program, symbols: [], for: .avx2, to: path)
    let usual = Candidate(template: "elementwise.strips", knobs: ["vectors": 4])
    return Laboratory.Built(candidate: usual, library: path, program: fault.rawValue)
  }

  /// All faults in one contest: each is classified, and those after it are measured nevertheless.
  @Test func everyFaultIsClassified() throws {
    try withFolder { folder in
      let laboratory = try laboratory(folder, step: 8)
      let usual = Candidate(template: "elementwise.strips", knobs: ["vectors": 4])
      let made = try laboratory.build([usual], prefix: "default")
      let baseline = try #require(made.built.first)
      let faults = Fault.allCases + [.none]
      let challengers = try faults.map { try planted($0, in: folder) }
      let outcomes = try laboratory.measure(baseline, challengers, stages: [8], interprets: true)
      #expect(outcomes[0]?.status == .ok)
      for (fault, outcome) in zip(faults, outcomes.dropFirst()) {
        #expect(outcome?.status == fault.expected, "\(fault)")
        #expect((outcome?.timing != nil) == (fault.expected == .ok), "\(fault)")
      }
    }
  }

  /// A default that is wrong by one element is not a reference.
  @Test func aWrongDefaultIsNoticed() throws {
    try withFolder { folder in
      let laboratory = try laboratory(folder)
      let outcomes = try laboratory.measure(
        planted(.oneWrongElement, in: folder), [planted(.none, in: folder)], stages: [8], interprets: true)
      #expect(outcomes[0]?.status == .wrong)
      #expect(outcomes[1] == nil)
    }
  }

  @Test func aWorkerThatCannotStartIsSaidSo() throws {
    try withFolder { folder in
      var laboratory = try laboratory(folder)
      laboratory = Laboratory(
        task: laboratory.task, target: .avx2, threads: 1, sizes: [:], seed: 1,
        worker: WorkerProcess(command: ["/nonexistent/tessera"]), folder: folder, limits: .init())
      #expect(throws: Failure.self) {
        try laboratory.build([Candidate(template: "elementwise.strips", knobs: ["vectors": 4])], prefix: "x")
      }
    }
  }
}

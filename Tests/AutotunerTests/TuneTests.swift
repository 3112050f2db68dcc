import Compiler
import Foundation
import Kernels
import LLVMBackend
import TensorTypes
import Testing
import TuningDB

@testable import Autotuner

@Suite(.serialized) struct TuneTests {
  private func settings(_ store: TuningStore, _ folder: String) throws -> TuningSettings {
    TuningSettings(
      target: .avx2, threads: 1, database: TuningDatabase(store: store, shipped: []),
      worker: WorkerProcess(command: [try testProgram(), "tune-worker"]), scratch: folder)
  }

  private static let small = "matmul f32 m=31 n=40 k=24"

  /// What one tune measured the next one knows, and tries other candidates.
  @Test func aSecondTuneMeasuresNothingTwice() throws {
    try withFolder { folder in
      let store = try TuningStore(path: folder + "/tuning.db")
      let workload = try OperationText(parsing: Self.small).workload
      var seen: [Candidate] = []
      for _ in 0..<2 {
        let settings = try settings(store, folder)
        let tuner = try #require(try TaskTuner(workload, sizes: [:], settings: settings))
        let known = tuner.trials
        #expect(!known.contains { !$0.isReused })
        #expect(Set(known.map(\.candidate)) == Set(seen))
        try tuner.step()
        let fresh = tuner.trials.filter { !$0.isReused }.map(\.candidate)
        #expect(!fresh.isEmpty)
        #expect(Set(fresh).isDisjoint(with: seen))
        #expect(tuner.baselineTime != nil)
        seen += fresh
      }
      #expect(try store.faults().isEmpty)
    }
  }

  /// A budget is that of all tunes of a model together; a thorough one has it once more.
  @Test func aBudgetIsSpentOnce() throws {
    try withFolder { folder in
      let store = try TuningStore(path: folder + "/tuning.db")
      let workload = try OperationText(parsing: Self.small).workload
      func tune(_ trials: Int, isThorough: Bool = false) throws -> Int {
        var settings = try settings(store, folder)
        settings.isThorough = isThorough
        let task = try #require(try TaskTuner(workload, sizes: [:], settings: settings))
        let tuner = ModelTuner(
          [.init(tuner: task, calls: 1, label: "")], budget: .trials(trials), settings: settings)
        try tuner.run()
        return task.trials.count { !$0.isReused }
      }
      let first = try tune(16)
      #expect((9...24).contains(first))
      #expect(try tune(16) == 0)
      #expect(try tune(16, isThorough: true) >= 9)
    }
  }

  /// Records of another machine, compiler or default are not hits; today's are.
  @Test func planningTakesOnlyWhatWasMeasuredHere() throws {
    let workload = try OperationText(parsing: Self.small).workload
    let task = CanonicalTask(workload)
    let target = Target.avx2.shared(by: 2)
    let space = try #require(CandidateSpace(task.workload, on: target.machine))
    var generator = SeededGenerator(seed: 5)
    let better = try #require(space.neighbour(of: space.baseline, &generator))
    func record(_ change: (inout TuningRecord) -> Void = { _ in }) -> TuningRecord {
      var record = TuningRecord(
        task: task.task, sizes: [:], device: .current,
        toolchain: .init(
          llvm: Backend.version, program: task.programHash(better, on: target.machine),
          baseline: task.programHash(space.baseline, on: target.machine)),
        target: target.name, threads: 2, template: better.template, knobs: better.knobs.values, status: .ok,
        timing: .init(samples: 24, median: 80, p10: 75, p90: 90, ratio: 0.8, ratioLow: 0.7, ratioHigh: 0.9))
      change(&record)
      return record
    }
    func choice(_ record: TuningRecord) -> Candidate? {
      Tunings([record], device: .current, threads: 2).choice(for: workload, on: target, instead: space.baseline)
    }
    #expect(choice(record()) == better)
    let refused: [(inout TuningRecord) -> Void] = [
      { $0.device.cpu = "another" }, { $0.device.caches = [1] }, { $0.device.features.append("amx") },
      { $0.toolchain.llvm = "LLVM 21.0.0" }, { $0.toolchain.program = "0" }, { $0.toolchain.baseline = "0" },
      { $0.target = "x86-64-v4" }, { $0.threads = 1 }, { $0.timing?.ratioHigh = 1.01 }, { $0.template = "gone" },
      { $0.knobs["mr"] = 1000 }, { $0.knobs["more"] = 1 }, { $0.status = .wrong },
    ]
    for (i, change) in refused.enumerated() { #expect(choice(record(change)) == nil, "change \(i)") }
    #expect(choice(record { $0.device.cores = 64 }) == better)

    // What is worth shipping: of a task and machine the best, and nothing that today's kernels are not.
    let (own, slower) = (record(), record { $0.timing?.ratioHigh = 0.99 })
    let other = record { $0.device.cpu = "another" }
    let exported = Tunings.best([slower, own, other, record { $0.toolchain.program = "0" }])
    #expect(Set(exported) == [own, other])
  }

  /// Two models' names for one size make one task.
  @Test func sizesNamesDoNotMatter() {
    func matmul(_ name: String) -> Workload {
      let m = Dim.symbol(name)
      return .matmul(
        MatmulWorkload(
          a: View(.float32, [1, m, 8]), b: View(.float32, [1, 8, 16]), bIsConstant: true,
          epilogue: Epilogue(output: View(.float32, [1, m, 16]))))
    }
    #expect(CanonicalTask(matmul("batch")).task == CanonicalTask(matmul("tokens")).task)
    #expect(CanonicalTask(matmul("s1")).names == ["s1": "s0"])
    #expect(CanonicalTask(matmul("batch")).symbols == ["s0"])
  }

  /// `kill -9` of a tune at any moment leaves a whole database.
  @Test func aKilledTuneLeavesAWholeDatabase() throws {
    try withFolder { folder in
      let path = folder + "/tuning.db"
      let process = Process()
      process.executableURL = URL(fileURLWithPath: try testProgram())
      process.arguments = ["tune", "--op", Self.small, "--db", path, "--threads", "1", "--format", "json"]
      let output = Pipe()
      process.standardOutput = output
      process.standardError = FileHandle.nullDevice
      try process.run()
      // At some moment after the first trials.
      while output.fileHandleForReading.availableData.isEmpty, process.isRunning {}
      usleep(UInt32.random(in: 0...2_000_000))
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
      let store = try TuningStore(path: path)
      #expect(try store.faults().isEmpty)
      #expect(try !store.all().isEmpty)
    }
  }

  @Test(arguments: ["matmul f32 m=8 n=32 k=64", "conv f32 c=8 h=9 w=9 o=8", "attention f32 h=2 q=9 d=16"])
  func operationsMayRound(_ text: String) throws {
    #expect(try OperationText(parsing: text + " round=1").workload.mayRound)
    #expect(try !OperationText(parsing: text).workload.mayRound)
    #expect(throws: Failure.self) { try OperationText(parsing: text + " round=2") }
  }

  @Test(arguments: [
    "", "matmul", "matmul f32", "matmul f32 m=1 n=2", "matmul f32 m=0 n=1 k=1", "matmul f32 m=1 n=1 k=1 q=2",
    "matmul f99 m=1 n=1 k=1", "conv f32 c=3 h=8 w=8 o=4 groups=2", "conv f32 c=1 h=2 w=2 o=1 k=9 pad=0",
    "attention f32 h=3 q=4 d=8 kvheads=2", "matmul f32 m=1 m=2 n=1 k=1", "pool f32 m=1",
  ]) func wrongOperationsAreRefused(_ text: String) {
    #expect(throws: Failure.self) { try OperationText(parsing: text) }
  }

  /// Sizes whose product is more than a machine can count to are refused before they are multiplied.
  @Test(arguments: [
    "matmul f32 m=16777216 n=16777216 k=16777216 batch=16777216", "nbits f32 m=1 n=16777216 k=16777216 bits=4",
    "conv f32 c=16777216 h=16777216 w=16777216 o=16777216 n=16777216 layout=nchw",
    "conv f32 c=1 h=1 w=1 o=1 k=1 pad=16777216 n=16777216", "attention f32 h=16777216 q=16777216 d=16777216",
  ]) func hugeOperationsAreRefused(_ text: String) throws {
    let failure = try #require(throws: Failure.self) { try OperationText(parsing: text) }
    #expect(failure.kind == .usage)
    #expect(failure.message.hasSuffix("too large: at most 2³⁰"))
  }

  /// What is missing is named, all of it at once, beside an operation that is whole.
  @Test(arguments: [
    ("", "no operation ''; there are matmul, nbits, conv, attention, as in 'matmul f32 m=4096 n=320 k=320'"),
    ("conv", "conv: expected an element type after it, as in 'conv f32 c=320 h=64 w=64 o=320 k=3'"),
    ("conv c=3 h=8 w=8 o=4", "conv: expected an element type after it, as in 'conv f32 c=320 h=64 w=64 o=320 k=3'"),
    (
      "attention int8 h=8",
      "attention: no element type 'int8'; there are f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, bool"
    ),
    ("conv f32 c=3 w=8 o=4", "conv: h= is missing, as in 'conv f32 c=320 h=64 w=64 o=320 k=3'"),
    ("conv f32 k=3", "conv: c=, h=, w=, o= are missing, as in 'conv f32 c=320 h=64 w=64 o=320 k=3'"),
    ("nbits f32 m=1 n=8 k=32", "nbits: bits= is missing, as in 'nbits f32 m=1 n=6144 k=2048 bits=4 group=32'"),
    ("attention f32 h=8", "attention: q=, d= are missing, as in 'attention f32 h=8 q=4096 d=40'"),
    ("matmul f32 m=1 n=1 kk=1", "matmul: no 'kk'; there are m, n, k, batch, b, round"),
    ("matmul f32 m=0 n=1 k=1", "matmul: m is a number from 1 to 16777216, not '0'"),
    ("matmul f32 m=-1 n=1 k=1", "matmul: m is a number from 1 to 16777216, not '-1'"),
    ("matmul f32 m=1e3 n=1 k=1", "matmul: m is a number from 1 to 16777216, not '1e3'"),
    (
      "matmul f32 m=99999999999999999999 n=1 k=1",
      "matmul: m is a number from 1 to 16777216, not '99999999999999999999'"
    ),
    ("matmul f32 m= n=1 k=1", "matmul: m is a number from 1 to 16777216, not ''"),
    ("matmul f32 m n=1 k=1", "matmul: expected NAME=VALUE, not 'm'"),
    ("conv f32 c=1 h=2 w=9 o=1 stride=2 pad=0", "conv: the window is larger than x"),
  ]) func failuresOfOperationsSayWhatMends(_ text: String, _ message: String) throws {
    let failure = try #require(throws: Failure.self) { try OperationText(parsing: text) }
    #expect(failure.description == message)
  }

  /// The examples that failures show are operations.
  @Test func examplesOfOperations() throws {
    for kind in OperationText.Kind.allCases { _ = try OperationText(parsing: kind.example) }
  }

  /// On tasks not used to make it, the learned search needs fewer trials than random to come within 2 % of the best.
  /// Costs are made up: smooth in the knobs' logarithms, with their best place depending on the task.
  @Test func theLearnedSearchNeedsFewerTrials() throws {
    let target = Target.avx2
    var (learned, random) = (0, 0)
    for (number, text) in ["matmul f32 m=512 n=320 k=320", "matmul f32 m=64 n=1280 k=640"].enumerated() {
      let task = CanonicalTask(try OperationText(parsing: text).workload)
      let space = try #require(CandidateSpace(task.workload, on: target.machine))
      let work = Work(task.workload, sizes: [:])
      func absolute(_ candidate: Candidate) -> Double {
        candidate.knobs.values.reduce(0) { sum, knob in
          let place = Double(knob.key.utf8.reduce(0) { $0 + Int($1) } % 5) + Double(number)
          return sum + 0.01 * pow(log2(1 + Double(min(knob.value, 1 << 11))) - place, 2)
        }
      }
      func cost(_ candidate: Candidate) -> Double { absolute(candidate) - absolute(space.baseline) }
      func trialsNeeded(_ strategy: any SearchStrategy, _ goal: Double) -> Int {
        var strategy = strategy
        var tried: [Trial] = []
        while tried.count < 400 {
          for candidate in strategy.propose(8, tried: tried) {
            let ratio = exp(cost(candidate))
            let timing = TuningRecord.Timing(
              samples: 24, median: ratio, p10: ratio, p90: ratio, ratio: ratio, ratioLow: ratio, ratioHigh: ratio)
            tried.append(Trial(candidate: candidate, status: .ok, timing: timing))
            if ratio <= goal { return tried.count }
          }
        }
        return tried.count
      }
      var generator = SeededGenerator(seed: 11)
      let sample = (0..<400).compactMap { _ in space.random(&generator) }.map { exp(cost($0)) }.sorted()
      // What a hundredth of all settings reach.
      let goal = sample[3]
      for seed in 0..<6 {
        learned += trialsNeeded(EvolutionarySearch(space, work: work, elders: [], seed: UInt64(seed)), goal)
        random += trialsNeeded(RandomSearch(space, seed: UInt64(seed)), goal)
      }
    }
    #expect(learned * 2 < random, "learned \(learned), random \(random)")
  }
}

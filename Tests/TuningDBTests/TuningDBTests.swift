import Foundation
import TensorTypes
import Testing
import TuningDB

@Suite struct TuningDBTests {
  static let device = Device(cpu: "Example CPU", features: ["avx2", "fma"], caches: [32768, 524288], cores: 2)

  static func record(
    _ knob: Int, task: String = "{\"m\":1}", device: Device = device, status: TuningRecord.Status = .ok,
    ratio: Double = 0.8, samples: Int = 24, program: String = "p", baseline: String = "b", threads: Int = 2
  ) -> TuningRecord {
    let timing = TuningRecord.Timing(
      samples: samples, median: 1000, p10: 900, p90: 1200, ratio: ratio, ratioLow: ratio * 0.99, ratioHigh: ratio * 1.01
    )
    return TuningRecord(
      task: TuningTask(family: "matmul", text: task), sizes: ["s0": 3], device: device,
      toolchain: .init(llvm: "LLVM 22.1.8", program: program, baseline: baseline), target: "x86-64-v3",
      threads: threads, template: "matmul.packed", knobs: ["mr": knob, "nr": 16], status: status,
      timing: status == .ok ? timing : nil)
  }

  private func withFile(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tessera-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder + "/cache/tuning.db")
  }

  @Test func aRecordIsOneLineThatReadsBack() throws {
    for status in TuningRecord.Status.allCases {
      let record = Self.record(6, status: status)
      #expect(!record.line.contains("\n"))
      #expect(try TuningRecord(line: record.line) == record)
    }
  }

  @Test(arguments: ["", "{}", "[1]", "{\"schema\":1}", "{\"schema\":99,\"task\":{}}", "{\"schema\":1", "\u{0}"])
  func whatIsNoRecordIsRefused(_ line: String) {
    #expect(throws: Failure.self) { try TuningRecord(line: line) }
  }

  @Test func timesThatCannotBeAreRefused() {
    let line = Self.record(6).line
    for (good, bad) in [("\"samples\":24", "\"samples\":0"), ("\"median\":1000", "\"median\":-1")] {
      #expect(line.contains(good))
      #expect(throws: Failure.self) { try TuningRecord(line: line.replacingOccurrences(of: good, with: bad)) }
    }
    let crash = line.replacingOccurrences(of: "\"status\":\"ok\"", with: "\"status\":\"crash\"")
    #expect(throws: Failure.self) { try TuningRecord(line: crash) }
  }

  @Test func aStoreKeepsWhatItIsGiven() throws {
    try withFile { path in
      let records = (1...20).map { Self.record($0, ratio: $0 % 2 == 0 ? 0.8 : 1.1) }
      #expect(try TuningStore(path: path).merge(records) == 20)
      let store = try TuningStore(path: path, isReadOnly: true)
      #expect(try Set(store.all()) == Set(records))
      #expect(try Set(store.winners()) == Set(records.filter { $0.beatsBaseline }))
      #expect(try store.records(of: records[0].task).count == 20)
      #expect(try store.records(of: TuningTask(family: "matmul", text: "{}")).isEmpty)
      #expect(try store.faults().isEmpty)
    }
  }

  @Test func ofTwoMeasurementsTheOneOfMoreSamplesStays() throws {
    try withFile { path in
      let (few, many) = (Self.record(6, ratio: 0.5, samples: 8), Self.record(6, ratio: 0.9, samples: 40))
      for order in [[few, many], [many, few]] {
        let store = try TuningStore(path: path)
        try store.merge(order)
        #expect(try store.all() == [many])
      }
    }
  }

  @Test func mergingIsTheSameInAnyOrder() {
    var generator = SystemRandomNumberGenerator()
    let records = (0..<60).map { i in
      Self.record(i % 7, ratio: Double(i % 5) / 4 + 0.2, samples: 8 + i % 3)
    }
    let expected = RecordLines.text(RecordLines.merge(records))
    for _ in 0..<20 {
      let shuffled = records.shuffled(using: &generator)
      let cut = Int.random(in: 0...60, using: &generator)
      let (a, b) = (RecordLines.merge(Array(shuffled[..<cut])), RecordLines.merge(Array(shuffled[cut...])))
      #expect(RecordLines.text(RecordLines.merge(a + b)) == expected)
      #expect(RecordLines.text(RecordLines.merge(b + a)) == expected)
    }
  }

  @Test func exportsReadBackAndNameTheLineThatIsWrong() throws {
    try withFile { path in
      let records = (1...5).map { Self.record($0) }
      let folder = (path as NSString).deletingLastPathComponent
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      let file = folder + "/export.jsonl"
      try AtomicFile.write(RecordLines.text(records), to: file)
      #expect(try Set(RecordLines.read(path: file)) == Set(records))
      try AtomicFile.write(RecordLines.text(records) + "{broken\n", to: file)
      do {
        _ = try RecordLines.read(path: file)
        Issue.record("a broken line was read")
      } catch { #expect((error as? Failure)?.place == "line 6") }
    }
  }

  @Test func onlyLikeMachinesCompilersAndThreadsAreEvidence() throws {
    try withFile { path in
      var other = Self.device
      other.cpu = "Another CPU"
      var moreCores = Self.device
      moreCores.cores = 64
      let store = try TuningStore(path: path)
      let (own, alike) = (Self.record(1), Self.record(2, device: moreCores))
      try store.merge([own, alike, Self.record(3, device: other), Self.record(4, threads: 1)])
      let database = TuningDatabase(store: store, shipped: [Self.record(5), Self.record(6, device: other)])
      var conditions = TuningDatabase.Conditions(
        device: Self.device, target: "x86-64-v3", threads: 2, llvm: "LLVM 22.1.8")
      #expect(try Set(database.evidence(for: own.task, on: conditions)) == [own, alike, Self.record(5)])
      conditions.llvm = "LLVM 23.0.0"
      #expect(try database.evidence(for: own.task, on: conditions).isEmpty)
    }
  }

  @Test func whatIsNoDatabaseIsRefused() throws {
    try withFile { path in
      let folder = (path as NSString).deletingLastPathComponent
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      try AtomicFile.write(String(repeating: "no database at all ", count: 400), to: path)
      #expect { try TuningStore(path: path) } throws: { ($0 as? Failure)?.kind == .badData }
      #expect { try TuningStore(path: path + "x", isReadOnly: true) } throws: { ($0 as? Failure)?.kind == .noInput }
    }
  }

  /// A transaction that is broken off leaves nothing of itself.
  @Test func mergingIsAllOrNothing() throws {
    try withFile { path in
      let store = try TuningStore(path: path)
      try store.merge([Self.record(1)])
      let reader = try TuningStore(path: path, isReadOnly: true)
      #expect(throws: Failure.self) { try reader.merge([Self.record(2)]) }
      #expect(try store.all() == [Self.record(1)])
    }
  }
}

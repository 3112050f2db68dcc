import Compiler
import Foundation
import Kernels
import LLVMBackend
import TensorTypes
import Testing
import TileIR
import TuningDB

@testable import Autotuner

/// A whole tune in which a twelfth of the candidates (a third of a few) is broken and the tuner itself is killed now and
/// then: every trial is classified, the database stays whole, and what was measured is not measured again.
/// `FAULT_SWEEP=1000` (tools/fault-sweep) says how many candidates; a few unless given.
@Suite(.serialized) struct FaultSweepTests {
  private static let text = "matmul f32 m=25 n=37 k=16 b=input"
  private static let (m, n, k) = (25, 37, 16)

  private enum Fault: String, CaseIterable {
    case wrongAtTheEdge = "wrong at the edge"
    case unwritten, segfault, hang, hog
    case buildCrash = "build crash"
    case buildHang = "build hang"

    /// Of a hundred candidates: more in a short sweep, so that its few are of several kinds.
    func percent(isLong: Bool) -> Int {
      switch self {
      case .wrongAtTheEdge: isLong ? 3 : 10
      case .unwritten, .segfault, .hog: isLong ? 2 : 7
      case .buildCrash: isLong ? 1 : 4
      // Each costs its time limit.
      case .hang, .buildHang: isLong ? 1 : 0
      }
    }

    var expected: TuningRecord.Status {
      switch self {
      case .wrongAtTheEdge, .unwritten: .wrong
      case .segfault: .crash
      case .hang: .hang
      case .hog: .outOfMemory
      case .buildCrash: .buildFailure
      case .buildHang: .buildTimeout
      }
    }
  }

  /// The product by plain loops, with the fault in it; nil for one that befalls the build.
  private func program(_ fault: Fault) -> TileProgram? {
    let (m, n, k) = (Self.m, Self.n, Self.k)
    let b = TileBuilder("planted")
    let left = b.parameter("a", .input, BufferType(.float32, [Dim(m * k)]))
    let right = b.parameter("b", .input, BufferType(.float32, [Dim(k * n)]))
    let y = b.parameter("y", .output, BufferType(.float32, [Dim(m * n)]))
    if fault == .hog { _ = b.parameter("huge", .scratch, BufferType(.float32, [Dim(1 << 40)])) }
    b.loop(.parallel(grain: 1), to: b.index(fault == .unwritten ? m - 1 : m)) { i in
      b.loop(to: b.index(n)) { j in
        var sum = b.loop(to: b.index(fault == .hang ? 1 << 60 : k), carrying: [b.constant(0)]) { p, sum in
          let step = fault == .hang ? p % k : p
          return [left.load([.at(i * k + step)], shape: []).fma(right.load([.at(step * n + j)], shape: []), sum[0])]
        }[0]
        switch fault {
        case .wrongAtTheEdge:
          sum = (i * n + j).equal(b.index(m * n - 1)).select(sum + b.constant(0.125), sum)
        case .segfault: sum = sum + left.load([.at(i + (1 << 36))], shape: [])
        case .unwritten, .hang, .hog, .buildCrash, .buildHang: break
        }
        y.store(sum, [.at(i * n + j)])
      }
    }
    return fault == .buildCrash || fault == .buildHang ? nil : b.finish()
  }

  /// What the stand-in for the worker is told.
  private struct Config: Encodable {
    var tessera: String
    var planted: String
    var usual: [String: Int]
    var percent: [String: Int]
    var log: String
  }

  private func prepare(_ folder: String, isLong: Bool) throws -> String {
    for fault in Fault.allCases {
      guard let program = program(fault) else { continue }
      try KernelLibrary.write(program, symbols: [], for: .avx2, to: "\(folder)/\(fault.rawValue).so")
    }
    let machine = Target.avx2.shared(by: 2).machine
    let space = try #require(CandidateSpace(OperationText(parsing: Self.text).workload, on: machine))
    let percent = Fault.allCases.map { ($0.rawValue, $0.percent(isLong: isLong)) }
    let config = Config(
      tessera: try testProgram(), planted: folder, usual: space.baseline.knobs.values,
      percent: Dictionary(uniqueKeysWithValues: percent), log: folder + "/planted.jsonl")
    try AtomicFile.write(Array(JSONEncoder().encode(config)), to: folder + "/config.json")
    let script = try #require(Bundle.module.path(forResource: "planting_worker", ofType: "py"))
    let worker = folder + "/worker"
    try AtomicFile.write("#!/bin/sh\nexec python3 '\(script)' '\(folder)/config.json' \"$1\"\n", to: worker)
    try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: worker)
    return worker
  }

  private struct Line: Decodable, Hashable {
    var template: String
    var knobs: [String: Int]
    var `default`: Bool
  }

  /// One tune of `trials`, killed after `life` seconds if that is given.
  /// - Returns: the candidates that it said it had measured.
  private func tune(_ folder: String, _ worker: String, trials: Int, life: Double?) throws -> Set<Line> {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try testProgram())
    process.arguments = [
      "tune", "--op", Self.text, "--db", folder + "/tuning.db", "--threads", "2", "--format", "json", "--target",
      "x86-64-v3", "--thorough", "--budget", "\(trials) trials",
    ]
    process.environment = ProcessInfo.processInfo.environment.merging(["TESSERA_TUNE_WORKER": worker]) { $1 }
    let output = folder + "/output"
    try AtomicFile.write("", to: output)
    process.standardOutput = FileHandle(forWritingAtPath: output)
    process.standardError = FileHandle.nullDevice
    try process.run()
    let started = ContinuousClock().now
    while process.isRunning {
      usleep(20_000)
      if let life, (ContinuousClock().now - started) / .seconds(1) > life { kill(process.processIdentifier, SIGKILL) }
    }
    #expect(life != nil || process.terminationStatus == 0)
    let text = try String(contentsOfFile: output, encoding: .utf8)
    let lines = text.split(separator: "\n").compactMap { try? JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
    return Set(lines.filter { !$0.default })
  }

  private struct Planted: Decodable {
    var candidate: Candidate
    var fault: String
  }

  @Test func aSweepWithFaultsIsClassifiedAndResumed() throws {
    let wanted = ProcessInfo.processInfo.environment["FAULT_SWEEP"].flatMap(Int.init)
    let count = wanted ?? 32
    let seed = UInt64.random(in: 0 ... .max)
    var generator = SeededGenerator(seed: seed)
    try withFolder { folder in
      let worker = try prepare(folder, isLong: wanted != nil)
      var seen: Set<Line> = []
      func records() throws -> [TuningRecord] {
        try TuningStore(path: folder + "/tuning.db").all().filter { !$0.isBaseline }
      }
      // Kills at random moments, then as far as it takes.
      for round in 0... {
        let left = count - (round == 0 ? 0 : try records().count)
        if left <= 0 { break }
        let isKilled = round < (wanted == nil ? 1 : 8)
        let life = isKilled ? Double.random(in: 1...Double(wanted == nil ? 6 : 40), using: &generator) : nil
        let lines = try tune(folder, worker, trials: left, life: life)
        #expect(seen.isDisjoint(with: lines), "seed \(seed): measured twice")
        seen.formUnion(lines)
        #expect(try TuningStore(path: folder + "/tuning.db").faults().isEmpty, "seed \(seed)")
        if !isKilled, lines.isEmpty { break }
      }
      try check(records(), folder, atLeast: count, seed)
    }
  }

  private func check(_ records: [TuningRecord], _ folder: String, atLeast count: Int, _ seed: UInt64) throws {
    #expect(records.count >= count, "seed \(seed)")
    let log = try String(contentsOfFile: folder + "/planted.jsonl", encoding: .utf8)
    let planted = try log.split(separator: "\n").map { try JSONDecoder().decode(Planted.self, from: Data($0.utf8)) }
    let faults = Dictionary(planted.map { ($0.candidate, $0.fault) }) { first, _ in first }
    var counts: [String: Int] = [:]
    for record in records {
      let candidate = Candidate(template: record.template, knobs: Knobs(record.knobs))
      let fault = faults[candidate].flatMap(Fault.init)
      #expect(record.status == fault?.expected ?? .ok, "seed \(seed): \(candidate), \(fault?.rawValue ?? "whole")")
      counts[record.status.rawValue, default: 0] += 1
    }
    print(
      "\(records.count) candidates: \(counts.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", "))"
    )
    #expect(counts.keys.count >= 3, "seed \(seed): hardly a fault among them")
  }
}

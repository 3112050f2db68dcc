import Compiler
import Kernels
import LLVMBackend
import TensorTypes
import TesseraRuntime
import TileIR
import TuningDB

/// A job's entries side by side in this process: each one's output is compared with the default's, then all are timed
/// in turns, round by round, in an order that rotates; after each stage the slower half leaves.
///
/// Even rounds are warm (one run untimed, then the same memory again), odd ones go through copies of all operands, so
/// that they come from further away, as in a network.
final class Contest {
  private let task: CanonicalTask
  private let target: Target
  private let entries: [WorkerJob.Entry]
  private let measurement: WorkerJob.Measurement
  private let marker: Marker
  private let operands: [HostTensor]
  private let work: Work
  /// Copies of the operands as they are, and of the outputs.
  private var shared: [[GuardedBuffer]] = []
  private var outputs: [[GuardedBuffer]] = []
  private let results: [View]
  /// Operands in panels, which candidates share if they want the same: for each copy of the memory one.
  private var packed: [Packed: [GuardedBuffer]] = [:]
  private struct Packed: Hashable {
    var operand: Int
    var packing: WeightPacking
  }

  private struct Contestant {
    var entry: Int
    /// Poisons workspace and output before it runs.
    var checking: Session
    /// One a copy of the memory.
    var sessions: [Session]
    var memory: [[GuardedBuffer]]
    var repetitions = 1
    /// Nanoseconds a run, a round each.
    var times: [Double] = []
  }

  /// A challenger so much slower than the default in its first run is not timed again.
  private static let hopeless = 3.0
  /// Nanoseconds from which a run needs none before it to be warm.
  private static let long = 5e6

  init(
    _ task: CanonicalTask, _ target: Target, _ entries: [WorkerJob.Entry], _ measurement: WorkerJob.Measurement,
    _ marker: Marker
  ) throws {
    self.task = task
    self.target = target
    self.entries = entries
    self.measurement = measurement
    self.marker = marker
    work = Work(task.workload, sizes: measurement.sizes)
    operands = try TaskOperands(task.workload, sizes: measurement.sizes, seed: measurement.seed).tensors
    results = [task.workload.output] + task.workload.extraOutputs
    let outputBytes: [Int] = try results.map { view in
      guard let span = TaskOperands.span(view, measurement.sizes) else {
        throw Failure.badData("a task with an open size without a value")
      }
      return span * view.element.byteCount
    }
    let footprint = operands.reduce(outputBytes.reduce(0, +)) { $0 + $1.byteCount }
    for _ in 0..<max(1, min(4, (64 << 20) / max(1, footprint))) {
      shared.append(try operands.map { try GuardedBuffer($0) })
      outputs.append(try outputBytes.map { try GuardedBuffer(byteCount: $0) })
    }
  }

  func run(_ say: (WorkerEvent) -> Void) throws {
    var standing = try check(say)
    guard !standing.isEmpty, standing[0].entry == 0 else { return }
    var rounds = 0
    for (number, last) in measurement.stages.enumerated() {
      while rounds < last {
        try playRound(rounds, &standing)
        rounds += 1
      }
      // The default and the best so far stay: all are measured against them.
      if number == measurement.stages.count - 1 { break }
      let challengers = standing.dropFirst(1)
      let ranked = challengers.sorted { ratios($0, standing[0]).median < ratios($1, standing[0]).median }
      let leaving = ranked.suffix(ranked.count / 2).filter { $0.entry > 0 }
      for contestant in leaving { report(contestant, standing[0], say) }
      let left = Set(leaving.map(\.entry))
      standing.removeAll { left.contains($0.entry) }
    }
    // Those that seem better but are not so beyond doubt get as long again, and half.
    let undecided = standing.dropFirst().filter { isPromising($0, standing[0]) }
    let left = Set(undecided.map(\.entry))
    for contestant in standing where !left.contains(contestant.entry) { report(contestant, standing[0], say) }
    if undecided.isEmpty { return }
    standing.removeAll { $0.entry > 0 && !left.contains($0.entry) }
    for round in rounds..<rounds * 5 / 2 { try playRound(round, &standing) }
    for contestant in standing { report(contestant, standing[0], say) }
  }

  private func isPromising(_ contestant: Contestant, _ baseline: Contestant) -> Bool {
    let ratios = ratios(contestant, baseline)
    return ratios.median < 0.985 && (ratios.interval()?.upperBound ?? 2) >= 1
  }

  // MARK: Checking

  /// Entries that give the right output, with sessions to time them.
  private func check(_ say: (WorkerEvent) -> Void) throws -> [Contestant] {
    var standing: [Contestant] = []
    var reference: [HostTensor]?
    var firstTime = 0.0
    for (i, entry) in entries.enumerated() {
      marker.note(i)
      do {
        var contestant = try prepare(entry, i)
        try contestant.checking.runBound()
        // The default is compared with the interpreter, challengers with the default.
        let expected = try reference ?? (measurement.interprets ? interpreted(entry) : nil)
        if let difference = expected.flatMap(firstDifference) {
          say(.failed(i, .wrong, difference))
          if i == 0 { return [] }
          continue
        }
        if i == 0 { reference = copiedOutputs() }
        let time = try nanoseconds(contestant.sessions[0])
        if i == 0 { firstTime = time }
        if i > 0, time > Self.hopeless * firstTime, time > 100_000 {
          let again = try nanoseconds(contestant.sessions[0])
          if again > Self.hopeless * firstTime {
            say(.measured(i, Self.timing([again], [again / firstTime])))
            continue
          }
        }
        // An attempt takes at least 150 µs, so that the clock and the loop around it do not count.
        contestant.repetitions = max(1, min(10_000, Int(150_000 / max(1, min(time, firstTime)))))
        standing.append(contestant)
      } catch let failure as Failure where failure.kind == .noDevice {
        say(.failed(i, .outOfMemory, "\(failure)"))
        if i == 0 { return [] }
      } catch let failure as Failure {
        say(.failed(i, .crash, "\(failure)"))
        if i == 0 { return [] }
      }
    }
    let repetitions = standing.map(\.repetitions).max() ?? 1
    for i in standing.indices { standing[i].repetitions = repetitions }
    return standing
  }

  private func prepare(_ entry: WorkerJob.Entry, _ i: Int) throws -> Contestant {
    let library = try Library(path: entry.library, options: Library.Options(threads: measurement.threads))
    let arranged = try arrange(entry.candidate)
    let checking = try Session(library: library, options: Session.Options(poison: true))
    var contestant = Contestant(entry: i, checking: checking, sessions: [], memory: [])
    for copy in shared.indices {
      let session = try Session(library: library)
      let bound = copy == 0 ? [session, checking] : [session]
      var own: [GuardedBuffer] = []
      for (number, operand) in arranged.enumerated() {
        let bytes = UnsafeRawBufferPointer(operand.memory[copy].bytes)
        let view = TensorView(operand.element, [bytes.count / operand.element.byteCount], bytes)
        for session in bound { try session.bind(input: number, to: view) }
      }
      for (number, symbol) in task.symbols.enumerated() {
        let size = measurement.sizes[symbol] ?? 0
        let dummy = try GuardedBuffer(byteCount: size)
        own.append(dummy)
        let view = TensorView(.uint8, [size], UnsafeRawBufferPointer(dummy.bytes))
        for session in bound { try session.bind(input: arranged.count + number, to: view) }
      }
      for (number, result) in results.enumerated() {
        let memory = outputs[copy][number].bytes
        let view = MutableTensorView(result.element, [memory.count / result.element.byteCount], memory)
        for session in bound { try session.bind(output: number, to: view) }
      }
      contestant.sessions.append(session)
      contestant.memory.append(own)
    }
    return contestant
  }

  private struct Arranged {
    var element: ElementType
    /// For each copy one.
    var memory: [GuardedBuffer]
  }

  private func arrange(_ candidate: Candidate) throws -> [Arranged] {
    let packings = candidate.kernel.packing(for: task.workload, knobs: candidate.knobs, on: target.machine)
    return try packings.enumerated().map { number, packing in
      guard let packing else {
        return Arranged(element: operands[number].element, memory: shared.map { $0[number] })
      }
      let key = Packed(operand: number, packing: packing)
      if packed[key] == nil {
        let tensor = KernelLibrary.pack(operands[number], packing)
        packed[key] = try shared.map { _ in try GuardedBuffer(tensor) }
      }
      return Arranged(element: packing.element, memory: packed[key] ?? [])
    }
  }

  /// What the tile interpreter makes of the default, as flat memory; nil where outputs have gaps, which are not poisoned
  /// there as they are here.
  private func interpreted(_ entry: WorkerJob.Entry) throws -> [HostTensor]? {
    let isDense = zip(results, outputs[0]).allSatisfy { view, memory in
      let count = view.shape.reduce(1) { $0 * ($1.evaluate(measurement.sizes) ?? 0) }
      return count * view.element.byteCount == memory.bytes.count
    }
    guard isDense else { return nil }
    let program = task.program(entry.candidate, on: target.machine)
    let inputs = KernelLibrary.arrange(operands, for: task.workload, entry.candidate, on: target.machine)
    return try TileInterpreter(program, symbols: measurement.sizes).run(inputs)
  }

  private func firstDifference(_ expected: [HostTensor]) -> String? {
    for (number, (result, reference)) in zip(results, expected).enumerated() {
      let memory = UnsafeRawBufferPointer(outputs[0][number].bytes)
      guard reference.byteCount == memory.count else { return "output \(number) has another size" }
      let agreement = Agreement(result.element, work)
      if let at = agreement.firstDifference(memory, reference.bytes) {
        return "element \(at) of output \(number) differs"
      }
    }
    return nil
  }

  private func copiedOutputs() -> [HostTensor] {
    zip(results, outputs[0]).map { result, memory in
      let storage = HostTensor.Storage.make(byteCount: memory.bytes.count) {
        $0.copyMemory(from: UnsafeRawBufferPointer(memory.bytes))
      }
      return HostTensor(result.element, [memory.bytes.count / result.element.byteCount], storage: storage)
    }
  }

  // MARK: Timing

  private func nanoseconds(_ session: Session) throws -> Double {
    let clock = ContinuousClock()
    return try clock.measure { try session.runBound() } / .nanoseconds(1)
  }

  private func playRound(_ round: Int, _ standing: inout [Contestant]) throws {
    for turn in standing.indices {
      let i = (turn + round) % standing.count
      marker.note(standing[i].entry)
      standing[i].times.append(try sample(standing[i], isWarm: round % 2 == 0))
    }
  }

  /// Nanoseconds a run: the fastest of a few attempts, since what else is on the machine only ever adds.
  private func sample(_ contestant: Contestant, isWarm: Bool) throws -> Double {
    let (sessions, repetitions) = (contestant.sessions, contestant.repetitions)
    let last = contestant.times.last ?? 0
    // What runs long has little left in the caches of what was there before.
    if isWarm, last < Self.long { try sessions[0].runBound() }
    var best = Double.infinity
    for attempt in 0..<(last < 2 * Self.long ? 3 : last < 8 * Self.long ? 2 : 1) {
      let first = attempt * repetitions
      let elapsed = try ContinuousClock().measure {
        for run in first..<first + repetitions { try sessions[isWarm ? 0 : run % sessions.count].runBound() }
      }
      best = min(best, elapsed / .nanoseconds(1) / Double(repetitions))
    }
    return max(1, best)
  }

  private func ratios(_ contestant: Contestant, _ baseline: Contestant) -> PairedRatios {
    PairedRatios(contestant.times, over: baseline.times)
  }

  private func report(_ contestant: Contestant, _ baseline: Contestant, _ say: (WorkerEvent) -> Void) {
    let rounds = min(contestant.times.count, baseline.times.count)
    let ratios = zip(contestant.times.prefix(rounds), baseline.times).map { $0 / $1 }
    say(.measured(contestant.entry, Self.timing(contestant.times, ratios)))
  }

  static func timing(_ times: [Double], _ ratios: [Double]) -> TuningRecord.Timing {
    let sorted = times.sorted()
    let paired = PairedRatios(ratios)
    let interval = paired.interval() ?? 0...1e9
    return TuningRecord.Timing(
      samples: times.count, median: PairedRatios.quantile(sorted, 0.5), p10: PairedRatios.quantile(sorted, 0.1),
      p90: PairedRatios.quantile(sorted, 0.9), ratio: paired.median, ratioLow: interval.lowerBound,
      ratioHigh: interval.upperBound)
  }
}

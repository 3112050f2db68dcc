import Dispatch
import Synchronization
import TensorTypes
import Testing

@testable import TesseraRuntime

/// How often each iteration ran, and whether two pieces ran at once under one worker's number.
private final class Tally: @unchecked Sendable {
  private let hits: UnsafeMutablePointer<UInt8>
  private let count: Int
  private let inUse: [Flag]
  let wrong = Atomic<Int>(0)

  final class Flag: Sendable { let value = Atomic<Int>(0) }

  init(count: Int, workers: Int) {
    self.count = count
    hits = .allocate(capacity: max(1, count))
    hits.initialize(repeating: 0, count: max(1, count))
    inUse = (0..<workers).map { _ in Flag() }
  }
  deinit { hits.deallocate() }

  func run(_ worker: Int, _ range: Range<Int>, _ grain: Int) {
    if inUse[worker].value.add(1, ordering: .relaxed).oldValue != 0 { wrong.add(1, ordering: .relaxed) }
    if range.count < min(grain, count - range.lowerBound) { wrong.add(1, ordering: .relaxed) }
    for i in range { hits[i] += 1 }
    inUse[worker].value.subtract(1, ordering: .relaxed)
  }

  /// Every iteration exactly once, in pieces no smaller than the grain, worker numbers never shared.
  var isRight: Bool { wrong.load(ordering: .relaxed) == 0 && (0..<count).allSatisfy { hits[$0] == 1 } }
}

@Suite struct ThreadPoolTests {
  @Test(arguments: [1, 2, 3, 8]) func runsEachIterationOnce(workers: Int) throws {
    let pool = try ThreadPool(workers: workers)
    for count in [0, 1, 2, 3, 7, 64, 1000, 4097] {
      for grain in [-1, 0, 1, 2, 63, 1000, 5000] {
        for _ in 0..<20 {
          let tally = Tally(count: count, workers: workers)
          pool.parallelFor(count: count, grain: grain) { tally.run($0, $1, max(1, grain)) }
          #expect(tally.isRight, "\(workers) workers, \(count) iterations, grain \(grain)")
        }
      }
    }
  }

  @Test func servesManyCallersAtOnce() throws {
    let pool = try ThreadPool(workers: 3)
    DispatchQueue.concurrentPerform(iterations: 8) { caller in
      for round in 0..<500 {
        let tally = Tally(count: (caller * 131 + round) % 300, workers: 3)
        pool.parallelFor(count: (caller * 131 + round) % 300, grain: 1 + round % 5) { tally.run($0, $1, 1 + round % 5) }
        #expect(tally.isRight)
      }
    }
  }

  @Test func nestedLoopsRunInline() throws {
    let pool = try ThreadPool(workers: 3)
    let total = Atomic<Int>(0)
    let strays = Atomic<Int>(0)
    pool.parallelFor(count: 16, grain: 1) { worker, outer in
      for _ in outer {
        pool.parallelFor(count: 100, grain: 1) { inner, range in
          if inner != worker { strays.add(1, ordering: .relaxed) }
          total.add(range.count, ordering: .relaxed)
        }
      }
    }
    #expect(total.load(ordering: .relaxed) == 1600)
    #expect(strays.load(ordering: .relaxed) == 0)
  }

  @Test func poolsOfOneSizeAreShared() throws {
    let (a, b) = (try ThreadPool.shared(workers: 2), try ThreadPool.shared(workers: 2))
    #expect(a === b)
    let other = try ThreadPool.shared(workers: 3)
    #expect(a !== other)
    #expect(failure { _ = try ThreadPool.shared(workers: 0) }?.kind == .usage)
    #expect(failure { _ = try ThreadPool.shared(workers: 100_000) }?.kind == .usage)
  }

  @Test func endsWhileItsWorkersSleepOrSpin() throws {
    for _ in 0..<50 { _ = try ThreadPool(workers: 4) }
  }
}

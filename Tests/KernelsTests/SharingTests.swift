import Testing
import TileIR

@testable import Kernels

/// How panels are shared among threads.
struct SharingTests {
  private func panels(_ count: Int, others: Int = 1, overhead: Double = 0.02, workers: Int?) -> Int {
    var machine = Machine(
      name: "", vectorBytes: 32, vectorRegisters: 16, hasFMA: true, cacheBytes: [32 << 10, 512 << 10, 2 << 20])
    machine.workers = workers
    return machine.panelsPerTask(of: count, others: others, overhead: overhead)
  }

  /// A part for each thread; one thread has them all; a prime number is cut so that most threads are busy.
  @Test func partsForThreads() {
    #expect(panels(10, workers: 1) == 10)
    #expect(panels(10, workers: 2) == 5)
    #expect(panels(12, workers: 4) == 3)
    #expect([2, 4].contains(panels(7, workers: 2)))
    #expect(panels(1, workers: 8) == 1)
  }

  /// Other tasks enough: nothing is done anew. Nearly enough: three tasks on two threads would leave one idle.
  @Test func otherTasks() {
    #expect(panels(4, others: 64, workers: 2) == 4)
    #expect(panels(4, others: 3, workers: 2) < 4)
  }

  /// Where the number is not known, two and four threads both find work.
  @Test func unknownThreads() {
    #expect(panels(16, workers: nil) <= 4)
  }

  /// What costs much to do anew is not cut finely.
  @Test func overhead() {
    #expect(panels(16, overhead: 0, workers: 2) <= 8)
    #expect(panels(16, overhead: 1, workers: 2) == 16 || panels(16, overhead: 1, workers: 2) == 8)
    #expect(panels(16, overhead: 0.3, workers: 8) > 2)
  }
}

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

  private func tasks(
    _ blocks: Int, _ panels: Int, others: Int = 1, mostPanels: Int = 64, mostBlocks: Int = 1000,
    anew: (rows: Double, columns: Double)
  ) -> (blocks: Int, panels: Int) {
    var machine = Machine(name: "", vectorBytes: 64, vectorRegisters: 32, hasFMA: true, cacheBytes: [])
    machine.workers = 2
    return machine.tasks(
      blocks: blocks, panels: panels, others: others, mostPanels: mostPanels, mostBlocks: { _ in mostBlocks },
      anew: anew)
  }

  /// What is dear to do anew is not cut: columns make the tasks where each part of the rows costs, and rows where they are all there is.
  @Test func rectangles() {
    #expect(tasks(100, 16, anew: (0.02, 0.001)).blocks == 100)
    #expect(tasks(100, 16, anew: (0.02, 0.001)).panels < 8)
    #expect(tasks(100, 1, anew: (0.02, 0.001)) == (50, 1))
    #expect(tasks(100, 16, others: 12, anew: (0.02, 0.05)) == (100, 16))
  }

  /// No task is larger than there is room for, however many there are then; parts are of one size.
  @Test func room() {
    let cut = tasks(100, 640, mostPanels: 4, mostBlocks: 30, anew: (0.1, 0.1))
    #expect(cut.blocks == 25)
    #expect(cut.panels == 4)
    #expect(tasks(1, 1, others: 1000, anew: (0.1, 0.1)) == (1, 1))
  }
}

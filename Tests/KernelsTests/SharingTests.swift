import Testing
import TileIR

@testable import Kernels

/// How panels are shared among threads.
struct SharingTests {
  private func panels(_ count: Int, others: Int = 1, overhead: Double = 0.02, workers: Int?) -> Int {
    SharedResults(rows: others, columns: count, workers: workers).columnsPerTask(anew: overhead)
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

  private func task(
    _ rows: Int, _ columns: Int, count: Int = 1, mostColumns: Int = 64, mostRows: Int = 1000,
    anew: (rows: Double, columns: Double)
  ) -> SharedResults.Rectangle {
    SharedResults(count: count, rows: rows, columns: columns, workers: 2)
      .rectangle(mostColumns: mostColumns, mostRows: { _ in mostRows }, anew: anew)
  }

  /// What is dear to do anew is not cut: columns make the tasks where each part of the rows costs, and rows where they are all there is.
  @Test func rectangles() {
    #expect(task(100, 16, anew: (0.02, 0.001)).rows == 100)
    #expect(task(100, 16, anew: (0.02, 0.001)).columns < 8)
    #expect(task(100, 1, anew: (0.02, 0.001)) == .init(rows: 50, columns: 1))
    #expect(task(100, 16, count: 12, anew: (0.02, 0.05)) == .init(rows: 100, columns: 16))
  }

  /// No task is larger than there is room for, however many there are then; parts are of one size.
  @Test func room() {
    let cut = task(100, 640, mostColumns: 4, mostRows: 30, anew: (0.1, 0.1))
    #expect(cut == .init(rows: 25, columns: 4))
    #expect(task(1, 1, count: 1000, anew: (0.1, 0.1)) == .init(rows: 1, columns: 1))
  }

  /// An odd number of tasks leaves one of two threads waiting for the last, which half the columns cut short; one thread never waits.
  @Test func evened() {
    func evened(_ width: Int, of columns: Int, workers: Int?) -> Int {
      SharedResults(columns: columns, workers: workers).evened(.init(columns: width)).columns
    }
    #expect(evened(32, of: 96, workers: 2) < 32)
    #expect(evened(32, of: 128, workers: 2) == 32)
    #expect(evened(32, of: 96, workers: 1) == 32)
    #expect(evened(8, of: 24, workers: 2) == 8)
  }
}

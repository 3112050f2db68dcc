import TileIR

// How work is cut into tasks that threads share.

extension Machine {
  /// The largest part of `size` that leaves at least eight tasks, so that two to four workers finish together.
  /// - Parameter others: tasks that each part is cut into besides.
  static func largestPart(of size: Int, others: Int) -> Int { size / max(1, min(size, (8 + others - 1) / others)) }

  /// As many parts as those of `most` would be, of one size.
  static func evenPart(of size: Int, atMost most: Int) -> Int {
    let parts = max(1, (size + most - 1) / most)
    return max(1, (size + parts - 1) / parts)
  }
}

/// Results of `rows` by `columns` units, which threads share as rectangles, each a task: those at the edges may be smaller.
struct SharedResults {
  /// How many results.
  var count = 1
  var rows = 1
  var columns: Int
  /// nil: not known.
  var workers: Int?

  struct Rectangle: Hashable {
    var rows = 1
    var columns: Int
  }

  /// How many parts rows and columns are cut into.
  func parts(_ task: Rectangle) -> Rectangle {
    Rectangle(rows: (rows + task.rows - 1) / task.rows, columns: (columns + task.columns - 1) / task.columns)
  }

  /// How many times as long tasks take as work that can be divided at will: threads take one after the other. Where the number of threads
  /// is not known: two or four, the mean.
  func stretch(_ task: Rectangle) -> Double {
    func sizes(_ all: Int, _ part: Int) -> [Int] { stride(from: 0, to: all, by: part).map { min(part, all - $0) } }
    let heights = sizes(rows, task.rows)
    let areas = sizes(columns, task.columns).flatMap { width in heights.map { Double(width * $0) } }
    let shares = [[Double]](repeating: areas, count: count).joined().map { $0 / Double(rows * columns * count) }
    let counts = workers.map { [$0] } ?? [2, 4]
    let times = counts.map { count -> Double in
      var threads = [Double](repeating: 0, count: count)
      for share in shares { threads[threads.indices.min { threads[$0] < threads[$1] }!] += share }
      // A part of a task's time goes by until the last thread is through.
      return (threads.max()! + (count == 1 ? 0 : 0.04) * shares.max()!) * Double(count)
    }
    return times.reduce(0, +) / Double(times.count)
  }

  /// With which of some rectangles all tasks are through soonest; the first of equals.
  /// - Parameter anew: what is done once more with such tasks, as a share of all the work.
  func best(of tasks: [Rectangle], anew: (Rectangle) -> Double) -> Rectangle {
    let costs = tasks.map { stretch($0) + anew($0) }
    return tasks[costs.indices.min { costs[$0] < costs[$1] }!]
  }
}

extension SharedResults {
  /// How many columns of a row are a task.
  /// - Parameter anew: what each part that columns are cut into does once more, as a share of all the work.
  func columnsPerTask(anew: Double) -> Int {
    let tasks = Self.evenParts(of: columns).map { Rectangle(columns: $0) }
    return best(of: tasks) { anew * Double(parts($0).columns) }.columns
  }

  /// How many rows and columns are a task.
  /// - Parameters:
  ///   - mostRows: for which columns there is room beside so many rows.
  ///   - anew: what is done once more for each part that rows or columns are cut into, as a share of all the work.
  func rectangle(
    mostColumns: Int, mostRows: (_ columns: Int) -> Int, anew: (rows: Double, columns: Double)
  ) -> Rectangle {
    /// More tasks than that share evenly whatever their size.
    let enough = 64
    let tasks = Self.evenParts(of: columns, atMost: mostColumns, upTo: enough / count).flatMap { width in
      let others = count * ((columns + width - 1) / width)
      return Self.evenParts(of: rows, atMost: mostRows(width), upTo: enough / others).map {
        Rectangle(rows: $0, columns: width)
      }
    }
    return best(of: tasks) {
      let parts = parts($0)
      return anew.rows * Double(parts.rows) + anew.columns * Double(parts.columns)
    }
  }

  /// `task`, or half of its columns again and again, where threads then wait so much less for the last one that it pays to pass by the
  /// rows once more: fifteen tasks take two threads as long as sixteen.
  func evened(_ task: Rectangle) -> Rectangle {
    let parts = parts(task)
    guard count * parts.rows * parts.columns < 32 else { return task }
    var halves = [task]
    while halves.last!.columns >= 16 {
      halves.append(Rectangle(rows: task.rows, columns: (halves.last!.columns + 1) / 2))
    }
    return best(of: halves) { 0.01 * Double(halves.firstIndex(of: $0)!) }
  }

  /// The sizes that parts can have when all are alike, largest first.
  /// - Parameters:
  ///   - most: no part is larger.
  ///   - count: no smaller ones than make so many parts.
  private static func evenParts(of size: Int, atMost most: Int = .max, upTo count: Int = .max) -> [Int] {
    let fewest = (size - 1) / most + 1
    return Set((fewest...max(fewest, min(size, count))).map { (size + $0 - 1) / $0 }).sorted(by: >)
  }
}

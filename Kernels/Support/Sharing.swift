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

  /// How many of `panels` a task takes, so that all tasks are through soonest.
  /// - Parameters:
  ///   - others: tasks that each of these is cut into besides.
  ///   - overhead: what each task of these does anew, however many panels it takes, as a share of all the work.
  func panelsPerTask(of panels: Int, others: Int, overhead: Double) -> Int {
    func cost(_ count: Int) -> Double {
      let whole = [Int](repeating: count, count: panels / count)
      let sizes = panels % count == 0 ? whole : whole + [panels % count]
      let tasks = sizes.flatMap { [Double](repeating: Double($0) / Double(panels * others), count: others) }
      return stretch(tasks) + overhead * Double(sizes.count)
    }
    let counts = Set((1...panels).map { (panels + $0 - 1) / $0 }).sorted(by: >)
    return counts.min { cost($0) < cost($1) }!
  }

  /// How many times as long tasks take as work that can be divided at will: threads take one after the other. Where their number is not
  /// known: two or four, the mean.
  /// - Parameter tasks: the share of the work that each is.
  private func stretch(_ tasks: [Double]) -> Double {
    let counts = workers.map { [$0] } ?? [2, 4]
    let times = counts.map { count -> Double in
      var threads = [Double](repeating: 0, count: count)
      for task in tasks { threads[threads.indices.min { threads[$0] < threads[$1] }!] += task }
      // A part of a task's time goes by until the last thread is through.
      return (threads.max()! + (count == 1 ? 0 : 0.04) * tasks.max()!) * Double(count)
    }
    return times.reduce(0, +) / Double(times.count)
  }

  /// The same of `others` results of `rows` by `columns` that are cut into rectangles, each a task.
  func stretch(_ rows: Int, by height: Int, _ columns: Int, by width: Int, others: Int = 1) -> Double {
    func sizes(_ all: Int, _ part: Int) -> [Int] { stride(from: 0, to: all, by: part).map { min(part, all - $0) } }
    let tasks = sizes(columns, width).flatMap { width in sizes(rows, height).map { Double(width * $0) } }
    return stretch([[Double]](repeating: tasks, count: others).joined().map { $0 / Double(rows * columns * others) })
  }

  /// How many blocks of rows and how many panels of columns a task of a product takes, so that all tasks are through soonest.
  /// - Parameters:
  ///   - others: tasks that each of these is cut into besides.
  ///   - mostBlocks: for which panels there is room beside so many blocks.
  ///   - anew: what is done once more for each part that rows or columns are cut into, as a share of all the work.
  func tasks(
    blocks: Int, panels: Int, others: Int, mostPanels: Int, mostBlocks: (_ panels: Int) -> Int,
    anew: (rows: Double, columns: Double)
  ) -> (blocks: Int, panels: Int) {
    /// More tasks than that share evenly whatever their size.
    let enough = 64
    var best: (cost: Double, blocks: Int, panels: Int)?
    let fewest = (panels + mostPanels - 1) / mostPanels
    for columns in fewest...max(fewest, min(panels, enough / others)) {
      let width = (panels + columns - 1) / columns
      let fewestRows = (blocks + mostBlocks(width) - 1) / mostBlocks(width)
      for rows in fewestRows...max(fewestRows, min(blocks, enough / (others * columns))) {
        let height = (blocks + rows - 1) / rows
        let cost =
          stretch(blocks, by: height, panels, by: width, others: others) + anew.rows * Double(rows)
          + anew.columns * Double(columns)
        if best.map({ cost < $0.cost }) ?? true { best = (cost, height, width) }
      }
    }
    return (best!.blocks, best!.panels)
  }

  /// `width`, or half of it again and again, where threads then wait so much less for the last task that it pays to pass by the rows
  /// once more: fifteen tasks take two threads as long as sixteen.
  /// - Parameters:
  ///   - width: columns that a task takes.
  ///   - height: rows that it takes.
  func evened(_ width: Int, of columns: Int, rows: Int, by height: Int) -> Int {
    let tasks = (rows + height - 1) / height * ((columns + width - 1) / width)
    guard tasks < 32 else { return width }
    var halves = [width]
    while halves.last! >= 16 { halves.append((halves.last! + 1) / 2) }
    func cost(_ number: Int) -> Double {
      stretch(rows, by: height, columns, by: halves[number]) + 0.01 * Double(number)
    }
    return halves[halves.indices.min { cost($0) < cost($1) }!]
  }
}

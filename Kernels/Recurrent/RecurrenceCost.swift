import TensorTypes
import TileIR

/// What a step of a recurrence takes by reasoning alone, in cycles: r streams from level 2, or from level 3 where it is
/// larger, while the products of so many rows are made with it.
struct RecurrenceCost {
  private let w: RecurrentWorkload
  private let machine: Machine
  let workers: Int
  let directions: Int
  private let batch: Int
  /// Of r in one direction.
  private let bytes: Double

  init(_ w: RecurrentWorkload, _ machine: Machine) {
    (self.w, self.machine, workers) = (w, machine, machine.workers ?? 4)
    (directions, batch) = (w.projected.shape[2].estimate, w.projected.shape[1].constant ?? 1)
    bytes = Double(4 * w.weights.shape[1...].product.estimate * w.gates)
  }

  /// Bytes of r a cycle, measured on Zen 5: 40 of the 64 that level 2 could, 24 from level 3.
  private func perCycle(_ bytes: Double) -> Double { bytes <= Double(machine.cacheBytes[1]) ? 40 : 24 }

  /// Two fma a cycle, each with an element of r in every lane, if there are sums enough for the eight on their way.
  private func products(_ rows: Int, _ bytes: Double) -> Double {
    let sums = rows * w.gates * w.vectors(rows: rows, machine)
    return Double(rows) * bytes / Double(min(sums, 8) * machine.lanes)
  }

  /// Each core takes `rows` rows of a direction through all steps, then the next ones.
  func sequences(rows: Int) -> Double {
    let tasks = directions * ((batch + rows - 1) / rows)
    let turns = (tasks + workers - 1) / workers
    return Double(turns) * max(bytes / perCycle(bytes), products(rows, bytes))
  }

  /// All cores share a step: each reads its part of r for the first rows, and finds a panel of it in level 2 for the
  /// others. Going from a step to the next takes up to a microsecond, and more of many cores.
  func steps(rows: Int) -> Double {
    let blocks = (batch + rows - 1) / rows
    let part = bytes * Double(directions) / Double(workers)
    let reading = part / perCycle(part) + Double(blocks - 1) * part / 40
    let launch = workers == 1 ? 100 : Double(3000 + 500 * workers)
    return Double(w.stages.count) * launch + max(reading, Double(blocks) * products(rows, part))
  }
}

extension RecurrentWorkload {
  /// Whether the registers hold the sums of so many rows and vectors of all gates, and a vector of r for each.
  func fits(rows: Int, vectors: Int, _ machine: Machine) -> Bool {
    (rows + 1) * gates * vectors <= machine.vectorRegisters - 2 || rows * vectors == 1
  }

  /// Of so many rows as many vectors as nearly hide the latency of fma.
  func vectors(rows: Int, _ machine: Machine) -> Int {
    let choices = [1, 2, 4].filter { fits(rows: rows, vectors: $0, machine) }
    return choices.first { rows * gates * $0 >= 6 } ?? choices.last!
  }

  /// The rows that `cost` likes best.
  func bestRows(_ machine: Machine, most: Int, cost: (_ rows: Int) -> Double) -> Int {
    (1...most).filter { fits(rows: $0, vectors: 1, machine) }.min { cost($0) < cost($1) }!
  }
}

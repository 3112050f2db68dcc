import TensorTypes
import TileIR

/// h ← cell(projected[t] + h · r): rows of the batch and directions are shared out, each goes through all steps with its
/// state in local memory. `RecurrenceInSteps` shares units out instead.
///
/// A task holds the gates of `rows` sequences and a panel of units in registers while it streams the panels of r, which
/// stay in the cache from step to step; the cell is computed on the registers.
struct Recurrence: KernelTemplate {
  let name = "recurrent.panels"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .recurrent(let w) = workload, w.hasPanels else { return nil }
    return KnobSpace([("rows", [1, 2, 3, 4]), ("vectors", [1, 2, 4])]) { knobs in
      (w.lengths == nil || knobs["rows"] == 1) && w.fits(rows: knobs["rows"], vectors: knobs["vectors"], machine)
    }
  }

  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .recurrent(let w) = workload else { preconditionFailure("a recurrence") }
    let cost = RecurrenceCost(w, machine)
    let rows = w.bestRows(machine, most: w.lengths == nil ? 4 : 1) { cost.sequences(rows: $0) }
    return ["rows": rows, "vectors": w.vectors(rows: rows, machine)]
  }

  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .recurrent(let w) = workload else { preconditionFailure("a recurrence") }
    return RecurrenceCost(w, machine).sequences(rows: knobs["rows"])
  }

  func packing(for workload: Workload, knobs: Knobs, on machine: Machine) -> [WeightPacking?] {
    guard case .recurrent(let w) = workload else { preconditionFailure("a recurrence") }
    return w.packing(knobs, machine)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .recurrent(let w) = workload else { preconditionFailure("a recurrence") }
    return RecurrenceProgram(w, knobs, machine, sharing: false).sequences()
  }
}

extension RecurrenceProgram {
  /// Each task takes its rows from the first step to the last.
  fileprivate func sequences() -> TileProgram {
    b.parallel([b.size(w.projected.shape[2]), batch.ceilDivided(by: rows)], grain: 1) { indices in
      let row = indices[1] * rows
      let state = State(w, directions: 1, rows: Dim(rows)) { b.allocate(BufferType(.float32, $1, space: .local)) }
      run(
        Task(
          direction: indices[0], row: row, rowLimit: rowLimit(from: row), state: state, place: (b.index(0), b.index(0)))
      )
    }
    return b.finish()
  }

  private func run(_ task: Task) {
    begin(task)
    let length =
      lengths.map { $0.load([.at(task.row)], shape: []).cast(.int64).minimum(steps).maximum(b.index(0)) } ?? steps
    b.loop(to: length) { number in
      let step = step(number, of: length, direction: task.direction)
      for stage in w.stages { forEachPanel { advance(stage, task, step, $0) } }
    }
    end(task, length)
    if lengths == nil { return }
    b.loop(from: length, to: steps) { time in
      forEachPanel { panel in
        y.store(
          b.constant(0, .float32, [rows, width]), output(task, time, panel), limits: [task.rowLimit, panel.limit])
      }
    }
  }
}

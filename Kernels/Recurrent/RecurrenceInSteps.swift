import TensorTypes
import TileIR

/// h ← cell(projected[t] + h · r), step by step: in each one the units are shared out, panels of them a task, and the
/// state lies in memory that all see.
///
/// A panel of r is read once a step for all rows, and each core reads the same part of r at every step, which its own
/// cache may hold. What it costs is a launch or two a step.
struct RecurrenceInSteps: KernelTemplate {
  let name = "recurrent.steps"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .recurrent(let w) = workload, w.hasPanels, w.lengths == nil else { return nil }
    return KnobSpace([
      ("rows", [1, 2, 3, 4, 5, 6]), ("vectors", [1, 2, 4]), ("parts", [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]),
    ]) { w.fits(rows: $0["rows"], vectors: $0["vectors"], machine) }
  }

  /// As many parts as cores, so that each core always has the same part.
  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .recurrent(let w) = workload else { preconditionFailure("a recurrence") }
    let cost = RecurrenceCost(w, machine)
    let rows = w.bestRows(machine, most: 6) { cost.steps(rows: $0) }
    let parts = [1, 2, 3, 4, 6, 8, 12, 16, 24].first { $0 * cost.directions >= cost.workers } ?? 32
    return ["rows": rows, "vectors": w.vectors(rows: rows, machine), "parts": parts]
  }

  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double {
    guard case .recurrent(let w) = workload else { preconditionFailure("a recurrence") }
    return RecurrenceCost(w, machine).steps(rows: knobs["rows"])
  }

  func packing(for workload: Workload, knobs: Knobs, on machine: Machine) -> [WeightPacking?] {
    guard case .recurrent(let w) = workload else { preconditionFailure("a recurrence") }
    return w.packing(knobs, machine)
  }

  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] {
    declaredScratch(workload, knobs, machine)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .recurrent(let w) = workload else { preconditionFailure("a recurrence") }
    return RecurrenceProgram(w, knobs, machine, sharing: true).inSteps(parts: knobs["parts"])
  }
}

extension RecurrenceProgram {
  /// A phase a stage of a step.
  fileprivate func inSteps(parts: Int) -> TileProgram {
    let directions = b.size(w.projected.shape[2])
    let blocks = batch.ceilDivided(by: rows)
    let panelCount = (units + width - 1) / width
    let panels = (panelCount + parts - 1) / parts
    b.parallel([directions, blocks], grain: 1) { begin(task($0[0], $0[1])) }
    b.loop(to: steps) { number in
      for stage in w.stages {
        b.parallel([directions, b.index((panelCount + panels - 1) / panels)], grain: 1) { indices in
          let step = step(number, of: steps, direction: indices[0])
          let first = indices[1] * panels
          b.loop(from: first, to: (first + panels).minimum(b.index(panelCount))) { panel in
            let start = panel * width
            let panel = Panel(number: panel, first: start, limit: units % width == 0 ? nil : b.index(units) - start)
            b.loop(to: blocks) { advance(stage, task(indices[0], $0), step, panel) }
          }
        }
      }
    }
    b.parallel([directions, blocks], grain: 1) { end(task($0[0], $0[1]), steps) }
    return b.finish()
  }

  private func task(_ direction: Tile, _ block: Tile) -> Task {
    let row = block * rows
    return Task(direction: direction, row: row, rowLimit: rowLimit(from: row), state: shared!, place: (direction, row))
  }
}

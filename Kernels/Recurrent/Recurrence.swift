import TensorTypes
import TileIR

/// h ← cell(projected[t] + h · r): rows of the batch and directions are shared out, each goes through all steps with its
/// state in local memory.
///
/// A task holds the gates of `rows` sequences and a panel of units in registers while it streams the panels of r, which
/// stay in the cache from step to step; the cell is computed on the registers.
struct Recurrence: KernelTemplate {
  let name = "recurrent.panels"

  func space(for workload: Workload, on machine: Machine) -> KnobSpace? {
    guard case .recurrent(let w) = workload, w.projected.element == .float32, w.weights.element == .float32,
      w.output.element == .float32, w.hidden.element == .float32, w.weights.shape[1].constant != nil
    else { return nil }
    let registers = machine.vectorRegisters - 2
    return KnobSpace([("rows", [1, 2, 3, 4]), ("vectors", [1, 2, 4])]) { knobs in
      w.lengths == nil || knobs["rows"] == 1
        ? (knobs["rows"] + 1) * w.gates * knobs["vectors"] <= registers || knobs["rows"] * knobs["vectors"] == 1 : false
    }
  }

  /// One sequence: as many sums as hide the latency of fma. More: they share what is read of r.
  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs {
    guard case .recurrent(let w) = workload else { preconditionFailure("a recurrence") }
    let batch = w.projected.shape[1].constant ?? 1
    if batch == 1 || w.lengths != nil {
      let most = machine.vectorRegisters >= 32 ? 2 : 1
      return ["rows": 1, "vectors": w.gates == 1 ? 4 : w.gates == 3 ? 2 : most]
    }
    return ["rows": min(batch, w.gates == 4 ? 2 : 3), "vectors": 1]
  }

  func packing(for workload: Workload, knobs: Knobs, on machine: Machine) -> [WeightPacking?] {
    guard case .recurrent(let w) = workload else { preconditionFailure("a recurrence") }
    var packings = [WeightPacking?](repeating: nil, count: w.operands.count)
    if w.weightsAreConstant { packings[1] = panels(w, knobs, machine) }
    return packings
  }

  private func panels(_ w: RecurrentWorkload, _ knobs: Knobs, _ machine: Machine) -> WeightPacking {
    WeightPacking(source: w.weights, width: knobs["vectors"] * machine.lanes, element: .float32)
  }

  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram {
    guard case .recurrent(let w) = workload else { preconditionFailure("a recurrence") }
    let weights = w.weightsAreConstant ? BufferType(.float32, panels(w, knobs, machine).packed.shape) : w.weights.buffer
    return RecurrenceProgram(w, weights, rows: knobs["rows"], width: knobs["vectors"] * machine.lanes).build()
  }
}

private struct RecurrenceProgram {
  let w: RecurrentWorkload
  let rows: Int
  let width: Int
  let b = TileBuilder("recurrence")
  let projected, weights, bias, hidden, y, lastHidden: TileBuffer
  let cell, peepholes, lengths, lastCell: TileBuffer?
  let units: Int
  let (steps, batch): (Tile, Tile)

  init(_ w: RecurrentWorkload, _ weightsType: BufferType, rows: Int, width: Int) {
    (self.w, self.rows, self.width) = (w, rows, width)
    projected = b.parameter("projected", .input, w.projected.buffer)
    weights = b.parameter("r", .input, weightsType)
    bias = b.parameter("bias", .input, w.bias.buffer)
    hidden = b.parameter("hidden", .input, w.hidden.buffer)
    let b = b
    cell = w.cell.map { b.parameter("cell", .input, $0.buffer) }
    peepholes = w.peepholes.map { b.parameter("peepholes", .input, $0.buffer) }
    lengths = w.lengths.map { b.parameter("lengths", .input, $0.buffer) }
    y = b.parameter("y", .output, w.output.buffer)
    lastHidden = b.parameter("last_hidden", .output, w.lastHidden.buffer)
    lastCell = w.lastCell.map { b.parameter("last_cell", .output, $0.buffer) }
    units = w.weights.shape[1].constant!
    (steps, batch) = (b.size(w.projected.shape[0]), b.size(w.projected.shape[1]))
  }

  /// One task's place and state.
  private struct Task {
    let direction: Tile
    let row: Tile
    /// How many of the rows there are; nil: all.
    let rowLimit: Tile?
    /// Dimensions before and after, row, unit.
    let state: TileBuffer
    let cells: TileBuffer?
    /// GRU that resets before the product: reset gate times state.
    let reset: TileBuffer?
  }

  func build() -> TileProgram {
    let directions = w.projected.shape[2]
    let isWhole = w.projected.shape[1].constant.map { $0 % rows == 0 } ?? (rows == 1)
    b.parallel([b.size(directions), batch.ceilDivided(by: rows)], grain: 1) { indices in
      let row = indices[1] * rows
      func local(_ shape: Shape) -> TileBuffer { b.allocate(BufferType(.float32, shape, space: .local)) }
      let rectangle: Shape = [Dim(rows), Dim(units)]
      let task = Task(
        direction: indices[0], row: row, rowLimit: isWhole ? nil : batch - row, state: local([2] + rectangle),
        cells: w.cell.map { _ in local(rectangle) }, reset: w.kind == .gru(resetsAfter: false) ? local(rectangle) : nil)
      run(task)
    }
    return b.finish()
  }

  private func run(_ task: Task) {
    begin(task)
    let zero = b.index(0)
    let length =
      lengths.map { $0.load([.at(task.row)], shape: []).cast(.int64).minimum(steps).maximum(zero) } ?? steps
    b.loop(to: length) { step in
      let from = step % 2
      let time: Tile
      switch w.direction {
      case .forward: time = step
      case .reverse: time = length - 1 - step
      case .both: time = task.direction.equal(b.index(1)).select(length - 1 - step, step)
      }
      advance(task, time, from: from)
    }
    end(task, length)
  }

  // MARK: State

  private func forEachPanel(_ body: (Panel) -> Void) {
    let whole = units / width
    if whole > 0 { b.loop(to: b.index(whole)) { body(Panel(number: $0, first: $0 * width, limit: nil)) } }
    if units % width > 0 {
      body(Panel(number: b.index(whole), first: b.index(whole * width), limit: b.index(units % width)))
    }
  }

  /// A panel's units.
  private struct Panel {
    let number: Tile
    let first: Tile
    let limit: Tile?
  }

  private func begin(_ task: Task) {
    forEachPanel { panel in
      let place = [.at(task.direction), .span(task.row, 0), TileBuffer.Index.span(panel.first, 1)]
      task.state.store(
        hidden.load(place, shape: [rows, width], limits: [task.rowLimit, panel.limit]),
        [.at(b.index(0))] + rectangle(panel), limits: [nil, panel.limit])
      if let cell {
        task.cells!.store(
          cell.load(place, shape: [rows, width], limits: [task.rowLimit, panel.limit]), rectangle(panel),
          limits: [nil, panel.limit])
      }
    }
  }

  /// A panel in a local buffer of rows and units.
  private func rectangle(_ panel: Panel) -> [TileBuffer.Index] { [.span(b.index(0), 0), .span(panel.first, 1)] }

  private func end(_ task: Task, _ length: Tile) {
    forEachPanel { panel in
      let place = [.at(task.direction), .span(task.row, 0), TileBuffer.Index.span(panel.first, 1)]
      let limits = [task.rowLimit, panel.limit]
      let state = task.state.load(
        [.at(length % 2)] + rectangle(panel), shape: [rows, width], limits: [nil, panel.limit])
      lastHidden.store(state, place, limits: limits)
      if let lastCell {
        lastCell.store(
          task.cells!.load(rectangle(panel), shape: [rows, width], limits: [nil, panel.limit]), place, limits: limits)
      }
    }
    if lengths == nil { return }
    b.loop(from: length, to: steps) { time in
      forEachPanel { panel in
        y.store(
          b.constant(0, .float32, [rows, width]), output(task, time, panel), limits: [task.rowLimit, panel.limit])
      }
    }
  }

  private func output(_ task: Task, _ time: Tile, _ panel: Panel) -> [TileBuffer.Index] {
    [.at(time), .at(task.direction), .span(task.row, 0), .span(panel.first, 1)]
  }

  // MARK: A step

  private func advance(_ task: Task, _ time: Tile, from: Tile) {
    let to = b.index(1) - from
    func state(_ k: Tile) -> Tile {
      task.state.load([.at(from), .span(b.index(0), 0), .at(k)], shape: [rows, 1])
    }
    func old(_ panel: Panel) -> Tile {
      task.state.load([.at(from)] + rectangle(panel), shape: [rows, width], limits: [nil, panel.limit])
    }
    func finish(_ new: Tile, _ panel: Panel) {
      task.state.store(new, [.at(to)] + rectangle(panel), limits: [nil, panel.limit])
      y.store(new, output(task, time, panel), limits: [task.rowLimit, panel.limit])
    }
    switch w.kind {
    case .rnn:
      forEachPanel { panel in
        let sum = products(task, [0], panel, state)[0] + input(task, time, 0, panel) + stateBias(task, 0, panel)
        finish(activate(task, 0, sum), panel)
      }
    case .lstm(let isCoupled):
      forEachPanel { panel in
        finish(lstm(task, time, panel, products(task, [0, 1, 2, 3], panel, state), isCoupled), panel)
      }
    case .gru(let resetsAfter):
      guard let reset = task.reset else {
        return forEachPanel { panel in
          let sums = products(task, [0, 1, 2], panel, state)
          let gates = [0, 1].map { gate in
            activate(task, 0, sums[gate] + input(task, time, gate, panel) + stateBias(task, gate, panel))
          }
          let recurrent = gates[1] * (sums[2] + stateBias(task, 2, panel))
          let candidate = activate(task, 1, input(task, time, 2, panel) + recurrent)
          finish(blend(gates[0], candidate, old(panel)), panel)
        }
      }
      precondition(!resetsAfter, "memory for the reset state only where it is needed")
      resettingBefore(task, time, reset, state, old, finish, update: to)
    }
  }

  /// The reset gate times the state for all units first; the update gate waits where the new state will be.
  private func resettingBefore(
    _ task: Task, _ time: Tile, _ reset: TileBuffer, _ state: (Tile) -> Tile, _ old: (Panel) -> Tile,
    _ finish: (Tile, Panel) -> Void, update to: Tile
  ) {
    forEachPanel { panel in
      let sums = products(task, [0, 1], panel, state)
      let gates = [0, 1].map { gate in
        activate(task, 0, sums[gate] + input(task, time, gate, panel) + stateBias(task, gate, panel))
      }
      task.state.store(gates[0], [.at(to)] + rectangle(panel), limits: [nil, panel.limit])
      reset.store(gates[1] * old(panel), rectangle(panel), limits: [nil, panel.limit])
    }
    forEachPanel { panel in
      let sum = products(task, [2], panel) { k in reset.load([.span(b.index(0), 0), .at(k)], shape: [rows, 1]) }[0]
      let candidate = activate(task, 1, sum + input(task, time, 2, panel) + stateBias(task, 2, panel))
      let gate = task.state.load([.at(to)] + rectangle(panel), shape: [rows, width], limits: [nil, panel.limit])
      finish(blend(gate, candidate, old(panel)), panel)
    }
  }

  /// (1 − z) · candidate + z · old
  private func blend(_ z: Tile, _ candidate: Tile, _ old: Tile) -> Tile {
    (b.constant(1, .float32, z.shape) - z) * candidate + z * old
  }

  private func lstm(_ task: Task, _ time: Tile, _ panel: Panel, _ sums: [Tile], _ isCoupled: Bool) -> Tile {
    let previous = task.cells!.load(rectangle(panel), shape: [rows, width], limits: [nil, panel.limit])
    func gate(_ number: Int, peephole: Int?, _ cell: Tile) -> Tile {
      let sum = sums[number] + input(task, time, number, panel) + stateBias(task, number, panel)
      guard let peephole, let peepholes else { return sum }
      let weight = peepholes.load(
        [.at(task.direction), .at(b.index(peephole)), .span(panel.first, 1)], shape: [1, width],
        limits: [nil, panel.limit])
      return sum + weight.broadcast(to: [rows, width]) * cell
    }
    let opened = activate(task, 0, gate(0, peephole: 0, previous))
    let forget =
      isCoupled
      ? b.constant(1, .float32, [rows, width]) - opened : activate(task, 0, gate(2, peephole: 2, previous))
    let cell = forget * previous + opened * activate(task, 1, gate(3, peephole: nil, previous))
    task.cells!.store(cell, rectangle(panel), limits: [nil, panel.limit])
    return activate(task, 0, gate(1, peephole: 1, cell)) * activate(task, 2, cell)
  }

  /// Σₖ state[k] · r[gate, k, panel] for each gate.
  private func products(_ task: Task, _ gates: [Int], _ panel: Panel, _ state: (Tile) -> Tile) -> [Tile] {
    let zero = b.constant(0, .float32, [rows, width])
    let matrices = gates.map { task.direction * w.gates + $0 }
    return b.loop(.unrolled(by: 4), to: b.index(units), carrying: gates.map { _ in zero }) { k, sums in
      let column = state(k)
      return zip(sums, matrices).map { sum, matrix in
        let row =
          w.weightsAreConstant
          ? weights.load([.at(matrix), .at(panel.number), .at(k), .span(b.index(0), 1)], shape: [1, width])
          : weights.load([.at(matrix), .at(k), .span(panel.first, 1)], shape: [1, width], limits: [nil, panel.limit])
        return sum.addingDot(column, row)
      }
    }
  }

  /// The input's part of a gate with its bias.
  private func input(_ task: Task, _ time: Tile, _ gate: Int, _ panel: Panel) -> Tile {
    projected.load(
      [.at(time), .span(task.row, 0), .at(task.direction), .at(b.index(gate)), .span(panel.first, 1)],
      shape: [rows, width], limits: [task.rowLimit, panel.limit]) + bias(task, 0, gate, panel)
  }

  private func stateBias(_ task: Task, _ gate: Int, _ panel: Panel) -> Tile { bias(task, 1, gate, panel) }

  private func bias(_ task: Task, _ half: Int, _ gate: Int, _ panel: Panel) -> Tile {
    bias.load(
      [.at(task.direction), .at(b.index(half)), .at(b.index(gate)), .span(panel.first, 1)], shape: [1, width],
      limits: [nil, panel.limit]
    ).broadcast(to: [rows, width])
  }

  private func activate(_ task: Task, _ number: Int, _ value: Tile) -> Tile {
    let own = b.apply(w.activations[number], [value], shape: value.shape)
    guard w.direction == .both, w.activations[w.activationCount + number] != w.activations[number] else { return own }
    let other = b.apply(w.activations[w.activationCount + number], [value], shape: value.shape)
    return task.direction.equal(b.index(1)).broadcast(to: value.shape).select(other, own)
  }
}

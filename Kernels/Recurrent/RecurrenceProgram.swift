import TensorTypes
import TileIR

extension RecurrentWorkload {
  /// Whether the templates' element types and sizes are these.
  var hasPanels: Bool {
    projected.element == .float32 && weights.element == .float32 && output.element == .float32
      && hidden.element == .float32 && weights.shape[1].constant != nil
  }

  /// Panels of r.
  func panels(_ knobs: Knobs, _ machine: Machine) -> WeightPacking? {
    weightsAreConstant
      ? WeightPacking(source: weights, width: knobs["vectors"] * machine.lanes, element: .float32) : nil
  }

  func packing(_ knobs: Knobs, _ machine: Machine) -> [WeightPacking?] {
    operands.indices.map { $0 == 1 ? panels(knobs, machine) : nil }
  }

  /// A part of a step that is done for all units before the next one, which needs all of its results.
  enum Stage {
    /// GRU that resets before the product: reset gate times state; the update gate waits where the new state will be.
    case reset
    /// The whole step, or what is left of it.
    case last
  }

  var stages: [Stage] { kind == .gru(resetsAfter: false) ? [.reset, .last] : [.last] }
}

/// Writes what recurrences have in common: parameters, and the step of a panel of units of some rows. Who goes through
/// steps, rows and panels, and where the state lies, is the schedule's.
struct RecurrenceProgram {
  let w: RecurrentWorkload
  let rows: Int
  let width: Int
  let b = TileBuilder("recurrence")
  let projected, weights, bias, hidden, y, lastHidden: TileBuffer
  let cell, peepholes, lengths, lastCell: TileBuffer?
  let units: Int
  let (steps, batch): (Tile, Tile)
  /// State that all workers share, if it is not each task's own.
  let shared: State?

  /// - Parameter sharing: whether the state lies in scratch memory.
  init(_ w: RecurrentWorkload, _ knobs: Knobs, _ machine: Machine, sharing: Bool) {
    (self.w, rows, width) = (w, knobs["rows"], knobs["vectors"] * machine.lanes)
    projected = b.parameter("projected", .input, w.projected.buffer)
    let panels = w.panels(knobs, machine).map { BufferType(.float32, $0.packed.shape) }
    weights = b.parameter("r", .input, panels ?? w.weights.buffer)
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
    let batch = w.projected.shape[1]
    shared =
      sharing
      ? State(w, directions: w.projected.shape[2], rows: batch.ceilDivided(by: Dim(rows)) * Dim(rows)) {
        b.parameter($0, .scratch, BufferType(.float32, $1))
      } : nil
    (steps, self.batch) = (b.size(w.projected.shape[0]), b.size(batch))
  }

  /// Where the state lies. There is room for every row of a task, so that none need be left out.
  struct State {
    /// Dimensions before and after (in turns), direction, row, unit.
    let hidden: TileBuffer
    /// Dimensions direction, row, unit; so has `reset`.
    let cell: TileBuffer?
    /// GRU that resets before the product: reset gate times state.
    let reset: TileBuffer?

    init(_ w: RecurrentWorkload, directions: Dim, rows: Dim, _ make: (String, Shape) -> TileBuffer) {
      let shape = [directions, rows, w.weights.shape[1]]
      hidden = make("state", [2] + shape)
      cell = w.cell.map { _ in make("cells", shape) }
      reset = w.kind == .gru(resetsAfter: false) ? make("reset", shape) : nil
    }
  }

  /// Rows of one direction that go through a step together.
  struct Task {
    let direction: Tile
    let row: Tile
    /// How many of the rows there are; nil: all.
    let rowLimit: Tile?
    let state: State
    /// Where in `state` theirs is.
    let place: (direction: Tile, row: Tile)
  }

  /// A panel's units.
  struct Panel {
    let number: Tile
    let first: Tile
    let limit: Tile?
  }

  /// A step's time in the sequence, and which half of the state it reads; it writes the other one.
  struct Step {
    let time: Tile
    let from: Tile
    let to: Tile
  }

  /// The number of rows that `rowLimit` leaves, or nil if rows divide the batch.
  func rowLimit(from row: Tile) -> Tile? {
    let isWhole = w.projected.shape[1].constant.map { $0 % rows == 0 } ?? (rows == 1)
    return isWhole ? nil : batch - row
  }

  func step(_ number: Tile, of length: Tile, direction: Tile) -> Step {
    let from = number % 2
    let time: Tile
    switch w.direction {
    case .forward: time = number
    case .reverse: time = length - 1 - number
    case .both: time = direction.equal(b.index(1)).select(length - 1 - number, number)
    }
    return Step(time: time, from: from, to: b.index(1) - from)
  }

  // MARK: State

  func forEachPanel(_ body: (Panel) -> Void) {
    let whole = units / width
    if whole > 0 { b.loop(to: b.index(whole)) { body(Panel(number: $0, first: $0 * width, limit: nil)) } }
    if units % width > 0 {
      body(Panel(number: b.index(whole), first: b.index(whole * width), limit: b.index(units % width)))
    }
  }

  /// A panel of a task's rows in a buffer of directions, rows and units.
  private func given(_ task: Task, _ panel: Panel) -> [TileBuffer.Index] {
    [.at(task.direction), .span(task.row, 0), .span(panel.first, 1)]
  }
  private func own(_ task: Task, _ panel: Panel) -> [TileBuffer.Index] {
    [.at(task.place.direction), .span(task.place.row, 0), .span(panel.first, 1)]
  }

  /// The state before the first step.
  func begin(_ task: Task) {
    let first = b.index(0)
    forEachPanel { panel in
      func copy(_ source: TileBuffer, _ target: TileBuffer, _ half: [TileBuffer.Index]) {
        target.store(
          source.load(given(task, panel), shape: [rows, width], limits: [task.rowLimit, panel.limit]),
          half + own(task, panel), limits: [nil, panel.limit])
      }
      copy(hidden, task.state.hidden, [.at(first)])
      if let cell { copy(cell, task.state.cell!, []) }
    }
  }

  /// The state after the last step, of which there were `length`.
  func end(_ task: Task, _ length: Tile) {
    let last = length % 2
    forEachPanel { panel in
      func copy(_ source: TileBuffer, _ half: [TileBuffer.Index], _ target: TileBuffer) {
        target.store(
          source.load(half + own(task, panel), shape: [rows, width], limits: [nil, panel.limit]), given(task, panel),
          limits: [task.rowLimit, panel.limit])
      }
      copy(task.state.hidden, [.at(last)], lastHidden)
      if let lastCell { copy(task.state.cell!, [], lastCell) }
    }
  }

  func output(_ task: Task, _ time: Tile, _ panel: Panel) -> [TileBuffer.Index] {
    [.at(time), .at(task.direction), .span(task.row, 0), .span(panel.first, 1)]
  }

  // MARK: A step

  /// A stage of a step for a panel of units.
  func advance(_ stage: RecurrentWorkload.Stage, _ task: Task, _ step: Step, _ panel: Panel) {
    let limits = [nil, panel.limit]
    func held(_ half: Tile) -> Tile {
      task.state.hidden.load([.at(half)] + own(task, panel), shape: [rows, width], limits: limits)
    }
    func sums(_ gates: [Int], of state: TileBuffer? = nil) -> [Tile] {
      let half: [TileBuffer.Index] = state == nil ? [.at(step.from)] : []
      return products(task, gates, panel) { k in
        (state ?? task.state.hidden).load(
          half + [.at(task.place.direction), .span(task.place.row, 0), .at(k)], shape: [rows, 1])
      }
    }
    func gate(_ gate: Int, _ activation: Int, _ sum: Tile) -> Tile {
      activate(task, activation, sum + input(task, step.time, gate, panel) + stateBias(task, gate, panel))
    }
    let new: Tile
    switch (w.kind, stage) {
    case (.rnn, _): new = gate(0, 0, sums([0])[0])
    case (.lstm(let isCoupled), _): new = lstm(task, step.time, panel, sums([0, 1, 2, 3]), isCoupled)
    case (.gru(resetsAfter: true), _):
      let sums = sums([0, 1, 2])
      let (update, reset) = (gate(0, 0, sums[0]), gate(1, 0, sums[1]))
      let recurrent = reset * (sums[2] + stateBias(task, 2, panel))
      new = blend(update, activate(task, 1, input(task, step.time, 2, panel) + recurrent), held(step.from))
    case (.gru(resetsAfter: false), .reset):
      let sums = sums([0, 1])
      task.state.hidden.store(gate(0, 0, sums[0]), [.at(step.to)] + own(task, panel), limits: limits)
      return task.state.reset!.store(gate(1, 0, sums[1]) * held(step.from), own(task, panel), limits: limits)
    case (.gru(resetsAfter: false), .last):
      let candidate = gate(2, 1, sums([2], of: task.state.reset!)[0])
      new = blend(held(step.to), candidate, held(step.from))
    }
    task.state.hidden.store(new, [.at(step.to)] + own(task, panel), limits: limits)
    y.store(new, output(task, step.time, panel), limits: [task.rowLimit, panel.limit])
  }

  /// (1 − z) · candidate + z · old
  private func blend(_ z: Tile, _ candidate: Tile, _ old: Tile) -> Tile {
    (b.constant(1, .float32, z.shape) - z) * candidate + z * old
  }

  private func lstm(_ task: Task, _ time: Tile, _ panel: Panel, _ sums: [Tile], _ isCoupled: Bool) -> Tile {
    let previous = task.state.cell!.load(own(task, panel), shape: [rows, width], limits: [nil, panel.limit])
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
    task.state.cell!.store(cell, own(task, panel), limits: [nil, panel.limit])
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

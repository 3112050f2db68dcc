import GraphIR
import Kernels
import LLVMBackend
import TensorTypes
import TileIR

/// Turns an optimised graph into a plan: which nodes make a kernel, where tensors lie, how constants are packed.
///
/// Nodes are taken in order. Reshapes, transposes, slices and broadcasts are views and cost nothing, unless a kernel
/// cannot read what they give; an elementwise node whose operand comes from a kernel that can end in it is that
/// kernel's epilogue; the pieces of a concatenation are written in place by those who compute them.
struct Planner {
  /// The graph that is being planned: the model's, or one that a control-flow node of it holds.
  let graph: Graph
  let graphNumber: Int
  let tree: GraphTree
  let machine: Machine
  /// f32 elements of a vector.
  var lanes: Int { machine.lanes }
  let templates: [any KernelTemplate]
  let uses: [[NodeID]]
  /// Of a workload and its default the kernel that measuring found to be better, if any did.
  let tuned: (Workload, Candidate) -> Candidate?

  // What all graphs of the tree share.
  var storages: [Storage] = []
  var sizes: SizeTable
  var steps: [PendingStep] = []
  var constraints: [HostProgram.Constraint] = []
  private(set) var kernels: [Plan.Kernel] = []
  private var kernelOf: [KernelKey: Int] = [:]
  private var choices: [Workload: Choice] = [:]
  private var constantStorages: [Storage.ConstantID: Int] = [:]
  private var packedStorages: [PackedKey: Int] = [:]
  private(set) var packings: [Int: WeightPacking] = [:]
  private var failures: [String: [String]] = [:]

  /// What has been checked by the time that the next step runs.
  var checked: Set<SizeRelation> = []

  // What is of this graph.
  var placements: [ValueID: Placement] = [:]
  /// Where results were decided to go before they are computed.
  var homes: [ValueID: Placement] = [:]
  /// Where the outputs of an inner graph are wanted, if that is decided.
  var wantedPlaces: [Placement?] = []
  /// The node that gives a symbol its value.
  private(set) var definers: [String: NodeID] = [:]
  /// The elementwise node that each kernel's node ends in.
  var epilogues: [NodeID: NodeID] = [:]
  /// Elementwise nodes that are some kernel's epilogue or prologue.
  var absorbed: Set<NodeID> = []
  /// The elementwise node that a reduction computes as it reads.
  var prologues: [NodeID: NodeID] = [:]

  private struct KernelKey: Hashable {
    var template: String
    var workload: Workload
    var knobs: Knobs
  }
  /// How a workload is done.
  private struct Choice {
    var template: any KernelTemplate
    var knobs: Knobs
    var isTuned: Bool
  }
  private struct PackedKey: Hashable {
    var constant: Storage.ConstantID
    var packing: WeightPacking
  }

  init(
    _ graph: Graph, for machine: Machine, templates: [any KernelTemplate] = allKernels,
    tuned: @escaping (Workload, Candidate) -> Candidate? = { _, _ in nil }
  ) {
    self.init(GraphTree(graph), 0, for: machine, templates: templates, tuned: tuned)
  }

  private init(
    _ tree: GraphTree, _ number: Int, for machine: Machine, templates: [any KernelTemplate],
    tuned: @escaping (Workload, Candidate) -> Candidate?
  ) {
    self.tuned = tuned
    graph = tree.graphs[number]
    graphNumber = number
    self.tree = tree
    self.machine = machine
    self.templates = templates
    uses = graph.uses()
    sizes = SizeTable(tree.graphs[0])
    definers = graph.definers
  }

  /// The last node of this graph that gives one of these symbols its value.
  func lastDefiner(_ symbols: Set<String>) -> NodeID? { symbols.compactMap { definers[$0] }.max() }

  /// - Throws: `Failure` listing every node that no kernel can do.
  mutating func plan(target: String) throws -> Plan {
    for (i, value) in graph.inputs.enumerated() { place(value, in: .input(i)) }
    try planNodes()
    try finishOutputs()
    if !failures.isEmpty { throw unsupported() }
    return assemble(target: target)
  }

  /// Plans an inner graph, whose steps come where the list of steps ends.
  /// - Parameters:
  ///   - prepare: places the graph's inputs and chooses homes of its outputs.
  ///   - finish: puts the outputs where they are wanted.
  mutating func plan(
    inner number: Int, prepare: (inout Planner) throws -> Void, finish: (inout Planner) throws -> Void
  ) throws {
    let outer = self
    self = Planner(tree, number, for: machine, templates: templates, tuned: tuned)
    share(outer)
    defer {
      let inner = self
      self = outer
      share(inner)
      // A check within may not have run.
      checked = outer.checked
    }
    try prepare(&self)
    try planNodes()
    try finish(&self)
  }

  /// Takes over what all graphs share.
  private mutating func share(_ other: Planner) {
    storages = other.storages
    sizes = other.sizes
    steps = other.steps
    constraints = other.constraints
    checked = other.checked
    kernels = other.kernels
    kernelOf = other.kernelOf
    choices = other.choices
    constantStorages = other.constantStorages
    packedStorages = other.packedStorages
    packings = other.packings
    failures = other.failures
  }

  private mutating func planNodes() throws {
    for value in graph.valueIDs {
      guard case .constant = graph[value].definition else { continue }
      let constant = tree.stored(.init(graph: graphNumber, value: value))
      if let known = constantStorages[constant] {
        placements[value] = Placement(storage: known, offset: 0, view: View(graph.type(value)))
      } else {
        place(value, in: .constant(constant))
        constantStorages[constant] = storages.count - 1
      }
    }
    chooseEpilogues()
    choosePrologues()
    chooseHomes()
    for node in graph.nodeIDs where !absorbed.contains(node) { try plan(node) }
  }

  private func unsupported() -> Failure {
    let list = failures.sorted { $0.key < $1.key }.map { "\($0.key) (\($0.value.joined(separator: ", ")))" }
    return .badData("no kernel yet for: \(list.joined(separator: "; "))")
  }

  /// Notes a node that cannot be done; planning goes on, so that all are reported at once.
  mutating func reject(_ node: NodeID, _ what: String) {
    failures[what, default: []].append(graph[node].origin ?? "a node without a name")
    for result in graph[node].results + (epilogues[node].map { graph[$0].results } ?? []) {
      placements[result] = newStorage(graph.type(result))
    }
  }

  // MARK: Storage

  mutating func place(_ value: ValueID, in kind: Storage.Kind) {
    let type = graph.type(value)
    storages.append(Storage(kind: kind, byteCount: type.byteCount, life: nil))
    placements[value] = Placement(storage: storages.count - 1, offset: 0, view: View(type))
  }

  /// Memory in the arena for a tensor of its own.
  mutating func newStorage(_ type: TensorType, _ kind: Storage.Kind = .arena) -> Placement {
    storages.append(Storage(kind: kind, byteCount: type.byteCount, life: nil))
    return Placement(storage: storages.count - 1, offset: 0, view: View(type))
  }

  /// Where a kernel is to write `value`.
  mutating func destination(_ value: ValueID) -> Placement { homes[value] ?? newStorage(graph.type(value)) }

  /// Where `value` is, views worked out on the way.
  /// - Precondition: the kernel that computes it is planned.
  mutating func placement(_ value: ValueID) throws -> Placement {
    if let known = placements[value] { return known }
    guard let node = graph.producer(value) else { preconditionFailure("inputs and constants are placed first") }
    try plan(node)
    guard let placed = placements[value] else {
      preconditionFailure("planned values are placed: \(graph[node].op.mnemonic)")
    }
    return placed
  }

  /// `placement`, copied if need be so that elements lie in row-major order without gaps.
  mutating func dense(_ placement: Placement, origin: String?) -> Placement {
    if placement.isDense { return placement }
    let copy = newStorage(TensorType(placement.view.element, placement.view.shape))
    emit(.movement(MovementWorkload(x: placement.view, output: copy.view)), [placement], copy, origins: [origin])
    return copy
  }

  func tensor(_ placement: Placement) -> (Storage.ConstantID, HostTensor)? {
    guard case .constant(let constant) = storages[placement.storage].kind,
      let tensor = tree.graphs[constant.graph].constant(constant.value)
    else { return nil }
    return (constant, tensor)
  }

  // MARK: Steps

  /// Adds the launch of a kernel that does `workload`; none where its results have no elements.
  /// - Parameters:
  ///   - operands: one an operand of the workload.
  ///   - extras: one an extra output.
  mutating func emit(
    _ workload: Workload, _ operands: [Placement], _ output: Placement, extras: [Placement] = [], origins: [String?]
  ) {
    if ([output] + extras).allSatisfy({ $0.view.isEmpty }) { return }
    let workload = workload.roundingWhereUseful(on: machine)
    guard let choice = choice(for: workload) else {
      let place = origins.compactMap { $0 }.first ?? "a node without a name"
      failures["\(workload.summary)", default: []].append(place)
      return
    }
    let (template, knobs) = (choice.template, choice.knobs)
    let key = KernelKey(template: template.name, workload: workload, knobs: knobs)
    let number: Int
    if let known = kernelOf[key] {
      number = known
    } else {
      number = kernels.count
      kernelOf[key] = number
      let family = template.name.map { $0 == "." ? "_" : String($0) }.joined()
      kernels.append(
        Plan.Kernel(
          name: "\(family)_\(number)", template: template.name, workload: workload, knobs: knobs,
          isTuned: choice.isTuned))
    }
    let packings = template.packing(for: workload, knobs: knobs, on: machine)
    var buffers: [PendingStep.Location] = []
    for (operand, packing) in zip(operands, packings) {
      if let packing {
        buffers.append(.init(storage: pack(operand, packing), offset: 0))
      } else {
        buffers.append(location(operand))
      }
    }
    buffers += ([output] + extras).map { location($0) }
    for scratch in template.scratch(for: workload, knobs: knobs, on: machine) {
      buffers.append(location(newStorage(scratch)))
    }
    for buffer in buffers { touch(buffer.storage) }
    steps.append(.launch(kernel: number, buffers: buffers, origins: origins.compactMap { $0 }))
  }

  /// What was measured to be best, else the template that its estimate makes out to be.
  private mutating func choice(for workload: Workload) -> Choice? {
    if let known = choices[workload] { return known }
    guard let (template, knobs) = templates.best(for: workload, on: machine) else { return nil }
    var choice = Choice(template: template, knobs: knobs, isTuned: false)
    if let better = tuned(workload, Candidate(template: template.name, knobs: choice.knobs)),
      let found = templates.first(where: { $0.name == better.template })
    {
      choice = Choice(template: found, knobs: better.knobs, isTuned: true)
    }
    choices[workload] = choice
    return choice
  }

  func location(_ placement: Placement) -> PendingStep.Location {
    .init(storage: placement.storage, offset: placement.offset * Dim(placement.view.element.byteCount))
  }

  /// Where a step that comes next reads or writes.
  mutating func touched(_ placement: Placement) -> PendingStep.Location {
    touch(placement.storage)
    return location(placement)
  }

  mutating func touch(_ storage: Int) {
    let now = steps.count
    let first = storages[storage].life?.lowerBound ?? now
    storages[storage].life = first...now
  }

  private mutating func pack(_ operand: Placement, _ packing: WeightPacking) -> Int {
    guard let (constant, _) = tensor(operand) else { preconditionFailure("only constants are packed") }
    var packing = packing
    // The packing speaks of the operand's view; the constant may be seen from an offset.
    packing.offset = packing.offset + operand.offset
    let key = PackedKey(constant: constant, packing: packing)
    if let known = packedStorages[key] { return known }
    storages.append(Storage(kind: .constant(constant), byteCount: packing.packed.byteCount, life: nil))
    packings[storages.count - 1] = packing
    packedStorages[key] = storages.count - 1
    return storages.count - 1
  }

  // MARK: Outputs and assembly

  /// Copies to the outputs what was not computed there.
  private mutating func finishOutputs() throws {
    for (i, output) in graph.outputs.enumerated() {
      let placed = try placement(output.value)
      if case .output(let number) = storages[placed.storage].kind, number == i { continue }
      let destination = newStorage(graph.type(output.value), .output(i))
      emit(
        .movement(MovementWorkload(x: placed.view, output: destination.view)), [placed], destination,
        origins: [output.name])
    }
  }
}

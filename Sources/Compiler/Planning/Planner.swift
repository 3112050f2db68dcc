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
  let graph: Graph
  let machine: Machine
  let templates: [any KernelTemplate]
  let uses: [[NodeID]]

  var storages: [Storage] = []
  var placements: [ValueID: Placement] = [:]
  /// Where results were decided to go before they are computed.
  var homes: [ValueID: Placement] = [:]
  /// The elementwise node that each kernel's node ends in.
  var epilogues: [NodeID: NodeID] = [:]
  /// Elementwise nodes that are some kernel's epilogue.
  var absorbed: Set<NodeID> = []
  /// The elementwise node computed on the fly while a reduction reads its operand.
  var prologues: [NodeID: NodeID] = [:]

  private var kernels: [Plan.Kernel] = []
  private var kernelOf: [KernelKey: Int] = [:]
  private var steps: [PendingStep] = []
  private var packedStorages: [PackedKey: Int] = [:]
  private var packings: [Int: WeightPacking] = [:]
  private var failures: [String: [String]] = [:]

  private struct KernelKey: Hashable {
    var template: String
    var workload: Workload
    var knobs: Knobs
  }
  private struct PackedKey: Hashable {
    var value: ValueID
    var packing: WeightPacking
  }
  private struct PendingStep {
    var kernel: Int
    /// Storage and offset in bytes.
    var buffers: [(storage: Int, offset: Dim)]
    var origins: [String]
  }

  init(_ graph: Graph, for machine: Machine, templates: [any KernelTemplate] = allKernels) {
    self.graph = graph
    self.machine = machine
    self.templates = templates
    uses = graph.uses()
  }

  /// - Throws: `Failure` listing every node that no kernel can do.
  mutating func plan(target: String) throws -> Plan {
    placeInputsAndConstants()
    chooseEpilogues()
    chooseHomes()
    for node in graph.nodeIDs where !absorbed.contains(node) { try plan(node) }
    try finishOutputs()
    if !failures.isEmpty { throw unsupported() }
    return assemble(target: target)
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

  private mutating func placeInputsAndConstants() {
    for (i, value) in graph.inputs.enumerated() { place(value, in: .input(i)) }
    for value in graph.valueIDs {
      if case .constant = graph[value].definition { place(value, in: .constant(value)) }
    }
  }

  private mutating func place(_ value: ValueID, in kind: Storage.Kind) {
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

  func tensor(_ placement: Placement) -> (ValueID, HostTensor)? {
    guard case .constant(let value) = storages[placement.storage].kind, let tensor = graph.constant(value) else {
      return nil
    }
    return (value, tensor)
  }

  // MARK: Steps

  /// Adds the launch of a kernel that does `workload`.
  /// - Parameter operands: one an operand of the workload.
  mutating func emit(_ workload: Workload, _ operands: [Placement], _ output: Placement, origins: [String?]) {
    guard let (template, knobs) = templates.best(for: workload, on: machine) else {
      let place = origins.compactMap { $0 }.first ?? "a node without a name"
      failures["\(workload.summary)", default: []].append(place)
      return
    }
    let key = KernelKey(template: template.name, workload: workload, knobs: knobs)
    let number: Int
    if let known = kernelOf[key] {
      number = known
    } else {
      number = kernels.count
      kernelOf[key] = number
      let family = template.name.map { $0 == "." ? "_" : String($0) }.joined()
      kernels.append(
        Plan.Kernel(name: "\(family)_\(number)", template: template.name, workload: workload, knobs: knobs))
    }
    let packings = template.packing(for: workload, knobs: knobs, on: machine)
    var buffers: [(storage: Int, offset: Dim)] = []
    for (operand, packing) in zip(operands, packings) {
      if let packing { buffers.append((pack(operand, packing), 0)) } else { buffers.append(location(operand)) }
    }
    buffers.append(location(output))
    for scratch in template.scratch(for: workload, knobs: knobs, on: machine) {
      buffers.append(location(newStorage(scratch)))
    }
    for buffer in buffers { touch(buffer.storage) }
    steps.append(PendingStep(kernel: number, buffers: buffers, origins: origins.compactMap { $0 }))
  }

  private func location(_ placement: Placement) -> (storage: Int, offset: Dim) {
    (placement.storage, placement.offset * Dim(placement.view.element.byteCount))
  }

  private mutating func touch(_ storage: Int) {
    let now = steps.count
    let first = storages[storage].life?.lowerBound ?? now
    storages[storage].life = first...now
  }

  private mutating func pack(_ operand: Placement, _ packing: WeightPacking) -> Int {
    guard let (value, _) = tensor(operand) else { preconditionFailure("only constants are packed") }
    var packing = packing
    // The packing speaks of the operand's view; the constant may be seen from an offset.
    packing.offset = packing.offset + operand.offset
    let key = PackedKey(value: value, packing: packing)
    if let known = packedStorages[key] { return known }
    storages.append(Storage(kind: .constant(value), byteCount: packing.packed.byteCount, life: nil))
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

  private func assemble(target: String) -> Plan {
    var weights: [Plan.Weight] = []
    var bases: [Int: HostProgram.Location] = [:]
    var tenants: [(storage: Int, tenant: ArenaPlanner.Tenant)] = []
    var weightsBytes = 0
    for (i, storage) in storages.enumerated() {
      guard let life = storage.life else { continue }
      switch storage.kind {
      case .input(let number): bases[i] = .init(.input(number))
      case .output(let number): bases[i] = .init(.output(number))
      case .arena: tenants.append((i, .init(byteCount: storage.byteCount, life: life)))
      case .constant(let value):
        bases[i] = .init(.weights, offset: Dim(weightsBytes))
        let bytes = storage.byteCount.constant!
        weights.append(.init(value: value.index, packing: packings[i], offset: weightsBytes, byteCount: bytes))
        weightsBytes += (bytes + 63) / 64 * 64
      }
    }
    let arena = ArenaPlanner.place(tenants.map(\.tenant))
    for ((storage, _), offset) in zip(tenants, arena.offsets) { bases[storage] = .init(.workspace, offset: offset) }
    let planned = steps.map { step in
      Plan.Step(
        kernel: step.kernel,
        buffers: step.buffers.map { buffer in
          var location = bases[buffer.storage]!
          location.offset = location.offset + buffer.offset
          return location
        }, origins: step.origins)
    }
    return Plan(
      target: target, kernels: kernels, steps: planned, weights: weights, weightsBytes: weightsBytes,
      arenaBytes: arena.byteCount)
  }
}

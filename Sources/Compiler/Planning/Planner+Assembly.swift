import GraphIR
import LLVMBackend
import TensorTypes

// The last step: every storage gets its place, and the list of steps becomes a tree.

extension Planner {
  func assemble(target: String) -> Plan {
    var weights: [Plan.Weight] = []
    var bases: [Int: HostProgram.Location] = [:]
    var tenants: [Int: [(storage: Int, tenant: ArenaPlanner.Tenant)]] = [:]
    var weightsBytes = 0
    var registers = 0
    for (i, storage) in storages.enumerated() {
      guard let life = storage.life else { continue }
      switch storage.kind {
      case .input(let number): bases[i] = .init(.input(number))
      case .output(let number): bases[i] = .init(.output(number))
      case .arena:
        tenants[sizes.epoch(storage.byteCount), default: []].append(
          (i, .init(byteCount: storage.byteCount, life: life)))
      case .register:
        bases[i] = .init(.register(registers))
        registers += 1
      case .constant(let constant):
        bases[i] = .init(.weights, offset: Dim(weightsBytes))
        let bytes = storage.byteCount.constant!
        weights.append(
          .init(
            graph: constant.graph, value: constant.value.index, packing: packings[i], offset: weightsBytes,
            byteCount: bytes))
        weightsBytes += (bytes + 63) / 64 * 64
      }
    }
    // Tensors of each epoch share an arena of their own, whose size is known when the epoch begins.
    var arenas = [Plan.Arena(byteCount: 0, bound: [])]
    var epochs: [Int: (register: Int, bytes: Dim)] = [:]
    for (epoch, members) in tenants.sorted(by: { $0.key < $1.key }) {
      let (offsets, arena) = ArenaPlanner.place(members.map(\.tenant))
      let base: HostProgram.Base
      if epoch == 0 {
        (base, arenas[0]) = (.workspace, arena)
      } else {
        base = .register(registers)
        epochs[epoch] = (registers, arena.byteCount)
        arenas.append(arena)
        registers += 1
      }
      for ((storage, _), offset) in zip(members, offsets) { bases[storage] = .init(base, offset: offset) }
    }
    var assembly = StepAssembly(steps, bases: bases, epochs: epochs)
    return Plan(
      target: target, kernels: kernels, steps: assembly.assemble(), constraints: constraints,
      runSymbols: sizes.runSymbols, registers: registers, weights: weights, weightsBytes: weightsBytes,
      arenas: arenas)
  }
}

import LLVMBackend
import TensorTypes

/// A step of a plan whose memory has no place yet. In one list, also what stands in branches and loops, between marks:
/// a tensor's life is a range of places in it.
enum PendingStep {
  /// Bytes from the start of a storage.
  struct Location {
    var storage: Int
    var offset: Dim
  }

  case launch(kernel: Int, buffers: [Location], origins: [String])
  case bind(symbols: [String], from: Location, ElementType, message: String)
  case assign([RunStep<Plan.Launch>.Assignment])
  case require(SizeRelation, message: String)
  case requireFlag(Location, value: Bool, message: String)
  /// From here on the sizes of the tensors of this epoch are known.
  case beginEpoch(Int)
  /// Memory for a storage that has a register of its own.
  case allocate(storage: Int, bytes: Dim, keeping: Dim)
  case output(Int)
  /// Exchanges two storages that have registers of their own.
  case exchange(Int, Int)
  case beginBranch(Location)
  case otherwise
  case endBranch
  case beginLoop(iteration: String, limit: Limit, starts: Location?)
  case endLoop(goesOn: Location?)

  enum Limit {
    case size(Dim)
    case memory(Location)
  }
}

/// Makes the tree of steps out of the list, given where each storage is.
struct StepAssembly {
  typealias Step = RunStep<Plan.Launch>
  let steps: [PendingStep]
  let bases: [Int: HostProgram.Location]
  /// What an epoch's register must be allocated: its number and bytes. None if no tensor is of the epoch.
  let epochs: [Int: (register: Int, bytes: Dim)]
  private var next = 0

  private enum End {
    case list, otherwise, branch
    case loop(goesOn: PendingStep.Location?)
  }

  init(_ steps: [PendingStep], bases: [Int: HostProgram.Location], epochs: [Int: (register: Int, bytes: Dim)]) {
    self.steps = steps
    self.bases = bases
    self.epochs = epochs
  }

  mutating func assemble() -> [Step] { list().steps }

  private func place(_ location: PendingStep.Location) -> HostProgram.Location {
    guard var place = bases[location.storage] else { preconditionFailure("a storage with a place") }
    place.offset = place.offset + location.offset
    return place
  }

  private func register(_ storage: Int) -> Int {
    guard case .register(let number)? = bases[storage]?.base else { preconditionFailure("a storage in a register") }
    return number
  }

  /// Steps up to the end of the list, branch or loop that they are in.
  private mutating func list() -> (steps: [Step], end: End) {
    var result: [Step] = []
    while next < steps.count {
      let step = steps[next]
      next += 1
      switch step {
      case .launch(let kernel, let buffers, let origins):
        result.append(.launch(.init(kernel: kernel, buffers: buffers.map { place($0) }, origins: origins)))
      case .bind(let symbols, let location, let element, let message):
        result.append(.bind(symbols: symbols, from: place(location), element, message: message))
      case .assign(let values): result.append(.assign(values))
      case .require(let relation, let message): result.append(.require(relation, message: message))
      case .requireFlag(let location, let value, let message):
        result.append(.requireFlag(place(location), value: value, message: message))
      case .beginEpoch(let number):
        if let epoch = epochs[number] {
          result.append(.allocate(register: epoch.register, bytes: epoch.bytes, keeping: 0))
        }
      case .allocate(let storage, let bytes, let keeping):
        result.append(.allocate(register: register(storage), bytes: bytes, keeping: keeping))
      case .output(let number): result.append(.output(number))
      case .exchange(let a, let b): result.append(.exchange(register(a), register(b)))
      case .beginBranch(let condition):
        let then = list().steps
        result.append(.branch(place(condition), then: then, otherwise: list().steps))
      case .otherwise: return (result, .otherwise)
      case .endBranch: return (result, .branch)
      case .beginLoop(let iteration, let limit, let starts): result.append(loop(iteration, limit, starts))
      case .endLoop(let goesOn): return (result, .loop(goesOn: goesOn))
      }
    }
    return (result, .list)
  }

  private mutating func loop(
    _ iteration: String, _ limit: PendingStep.Limit, _ starts: PendingStep.Location?
  ) -> Step {
    let body = list()
    guard case .loop(let goesOn) = body.end else { preconditionFailure("a loop's end") }
    let count: Step.Loop.Limit =
      switch limit {
      case .size(let dim): .size(dim)
      case .memory(let location): .memory(place(location))
      }
    return .loop(
      .init(
        iteration: iteration, limit: count, starts: starts.map { place($0) }, body: body.steps,
        goesOn: goesOn.map { place($0) }))
  }
}

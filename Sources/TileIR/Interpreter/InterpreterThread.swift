/// What all threads of one run share.
final class InterpreterState {
  let code: InterpreterCode
  /// Counts phases; never 0 within one.
  var phase: UInt32 = 0
  /// Counts iterations of phase loops.
  var iterations: UInt32 = 0
  /// Counts stretches between barriers.
  var epoch: UInt32 = 0
  var isGrid = false
  /// The first read of unwritten memory that others share. If one of them stores there before the phase ends, that is
  /// a race, which says more; so the verdict waits.
  var pendingFault: TileFault?
  private var freeFrames: [UnsafeMutableRawPointer] = []

  init(code: InterpreterCode) { self.code = code }

  deinit { for frame in freeFrames { frame.deallocate() } }

  func takeFrame() -> UnsafeMutableRawPointer {
    freeFrames.popLast() ?? .allocate(byteCount: max(code.frameBytes, 8), alignment: 64)
  }
  func giveBack(_ frame: UnsafeMutableRawPointer) { freeFrames.append(frame) }
}

/// One line of execution: the whole program's, or that of a group or lane, forked from the one around.
///
/// Threads are advanced in turn, each up to its next barrier, so that barriers may stand anywhere.
final class InterpreterThread {
  let state: InterpreterState
  /// Every tile value's elements, at offsets known beforehand.
  let frame: UnsafeMutableRawPointer
  /// Memory by buffer number.
  var buffers: [InterpreterMemory?]
  /// Number of the phase iteration that it runs in; 0 outside of phases.
  var iteration: UInt32
  /// Group and lane as one number, the same for what one hardware thread would run; never 0.
  let identity: UInt32
  private let group: UInt32
  private let isRoot: Bool
  private var next: Int
  private var children: [InterpreterThread] = []

  /// The thread that starts the program.
  init(state: InterpreterState, buffers: [InterpreterMemory?]) {
    self.state = state
    self.buffers = buffers
    frame = state.takeFrame()
    iteration = 0
    group = 0
    identity = 1
    isRoot = true
    next = 0
  }

  private init(parent: InterpreterThread, group: UInt32, lane: UInt32, body: Int, copying bytes: Int) {
    state = parent.state
    buffers = parent.buffers
    frame = parent.state.takeFrame()
    frame.copyMemory(from: parent.frame, byteCount: bytes)
    iteration = parent.iteration
    self.group = group
    identity = (group << 16 | lane) + 1
    isRoot = false
    next = body
  }

  deinit { state.giveBack(frame) }

  enum Pause: Equatable {
    case finished
    /// At the instruction of this number.
    case barrier(Int)
  }

  /// Runs to the end, or to a barrier unless it is the root, for which barriers only end an epoch.
  func advance() throws -> Pause {
    while true {
      if !children.isEmpty, let pause = try advanceChildren() {
        if !isRoot { return pause }
        state.epoch += 1
        continue
      }
      let number = next
      next += 1
      switch state.code.instructions[number] {
      case .compute(let body): body(frame)
      case .memory(let body): try body(self)
      case .jump(let target): next = target
      case .branchUnless(let condition, let target):
        if frame.load(fromByteOffset: condition, as: Int64.self) == 0 { next = target }
      case .test(let induction, let upper, let exit):
        let i = frame.load(fromByteOffset: induction, as: Int64.self)
        if i >= frame.load(fromByteOffset: upper, as: Int64.self) { next = exit }
      case .advance(let induction, let step, let target):
        let i = frame.load(fromByteOffset: induction, as: Int64.self)
        frame.storeBytes(of: i &+ step, toByteOffset: induction, as: Int64.self)
        next = target
      case .beginPhase(let isGrid):
        state.phase += 1
        state.isGrid = isGrid
      case .beginIteration:
        state.iterations += 1
        state.epoch += 1
        iteration = state.iterations
      case .endPhase:
        if let fault = state.pendingFault { throw fault }
        iteration = 0
        state.isGrid = false
      case .fork(let fork): try start(fork)
      case .barrier:
        if !isRoot { return .barrier(number) }
        state.epoch += 1
      case .end: return .finished
      }
    }
  }

  /// - Returns: the barrier that all children are at; nil once all are finished.
  private func advanceChildren() throws -> Pause? {
    let first = try children[0].advance()
    for child in children.dropFirst() {
      let pause = try child.advance()
      guard pause == first else { throw divergence(first, pause) }
    }
    if first != .finished { return first }
    children = []
    return nil
  }

  private func divergence(_ a: Pause, _ b: Pause) -> TileFault {
    func place(_ pause: Pause) -> String {
      switch pause {
      case .finished: "past its end"
      case .barrier(let number): "at the barrier of instruction \(number)"
      }
    }
    return TileFault(
      kind: .divergentBarrier, operation: "barrier", buffer: "", indices: [],
      detail: "one lane or group is \(place(a)), another \(place(b))")
  }

  private func start(_ fork: InterpreterFork) throws {
    let upper = frame.load(fromByteOffset: fork.upper, as: Int64.self)
    var i = frame.load(fromByteOffset: fork.lower, as: Int64.self)
    var number: UInt32 = 1
    next = fork.after
    while i < upper {
      guard number < 0x7fff else {
        throw TileFault(
          kind: .tooLarge, operation: fork.operation, buffer: "", indices: [], detail: "more than 32766 lanes or groups"
        )
      }
      let child = InterpreterThread(
        parent: self, group: fork.isGroup ? number : group, lane: fork.isGroup ? 0 : number, body: fork.body,
        copying: fork.liveBytes)
      child.frame.storeBytes(of: i, toByteOffset: fork.induction, as: Int64.self)
      children.append(child)
      number += 1
      i += fork.step
    }
  }
}

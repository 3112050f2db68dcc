internal import Synchronization
public import TensorTypes
internal import TesseraABI
internal import TesseraHost

/// Runs one library, one run at a time, with a workspace of its own. Any number of sessions may run at once, on any
/// threads; a second thread that uses the same session waits.
public final class Session: @unchecked Sendable {
  public struct Options: Hashable, Sendable {
    /// Take the time of every kernel.
    public var profile: Bool
    /// Fill workspace and outputs with NaN bytes before each run, so that reading what was not written shows.
    public var poison: Bool

    public init(profile: Bool = false, poison: Bool = false) {
      self.profile = profile
      self.poison = poison
    }
  }

  /// The time of one kernel of the manifest, summed over runs.
  public struct KernelTime: Hashable, Sendable, Codable {
    public var kernel: Int
    public var calls: Int
    public var nanoseconds: Int
  }

  public let library: Library
  public let options: Options

  // Everything below is used under the lock only.
  private let lock = Mutex(())
  private var workspace = Workspace()
  private let host: UnsafeMutablePointer<TsrHost>
  private let services: UnsafeMutablePointer<TesseraServices>
  private var boundInputs: [TensorView?]
  private var boundOutputs: [MutableTensorView?]
  private let memory: RunMemory
  /// The outputs of the last run, and their sizes where C can read them.
  private var lastOutputs: [MutableTensorView] = []
  private var lastDims: [UnsafeMutablePointer<Int64>] = []

  public init(library: Library, options: Options = Options()) throws(Failure) {
    var profile: UnsafeMutablePointer<TsrProfile>?
    if options.profile {
      profile = tsr_profile_create()
      guard profile != nil else { throw Failure(.noDevice, "no memory") }
    }
    self.library = library
    self.options = options
    memory = RunMemory(ports: library.outputs, poisons: options.poison)
    host = .allocate(capacity: 1)
    host.initialize(
      to: TsrHost(pool: library.pool.pool, profile: profile, memory: Unmanaged.passUnretained(memory).toOpaque()))
    services = .allocate(capacity: 1)
    services.initialize(
      to: TesseraServices(
        size: UInt32(MemoryLayout<TesseraServices>.size), worker_count: Int32(library.pool.workers), host: host,
        parallel_for: tsr_service_parallel_for, mark: options.profile ? tsr_service_mark : nil,
        allocate: RunServices.allocate, output: RunServices.output))
    boundInputs = Array(repeating: nil, count: library.inputs.count)
    boundOutputs = Array(repeating: nil, count: library.outputs.count)
  }

  deinit {
    tsr_profile_destroy(host.pointee.profile)
    services.deallocate()
    host.deallocate()
    for dims in lastDims { dims.deallocate() }
  }

  // MARK: Shapes

  /// The outputs' sizes for inputs of these sizes; -1 for sizes that only a run finds out.
  ///
  /// - Throws: `usage` for another number of inputs, `badData` naming input and dimension for sizes it cannot have.
  public func outputShapes(for inputs: [[Int]]) throws(Failure) -> [[Int]] {
    try shape(library.bindSymbols(inputs)).outputs
  }

  /// The library's own answer to what outputs and workspace these sizes make.
  private func shape(_ symbols: [Int64]) throws(Failure) -> (outputs: [[Int]], workspace: UInt64) {
    guard let function = library.variant.value.pointee.shape else { preconditionFailure("a checked variant") }
    var workspace: UInt64 = 0
    // At least one element, so that the function always gets a pointer.
    var dims = [Int64](repeating: -1, count: max(1, library.outputs.reduce(0) { $0 + $1.rank }))
    try library.check(function(symbols.isEmpty ? [0] : symbols, services.pointee.worker_count, &workspace, &dims))
    var next = 0
    var shapes: [[Int]] = []
    for output in library.outputs {
      let shape = dims[next..<(next + output.rank)].map { Int($0) }
      next += output.rank
      guard output.isUnknown || byteCount(output.element, shape) != nil else {
        throw .badData("these inputs lead to the sizes \(shape), which no tensor has", place: "output '\(output.name)'")
      }
      shapes.append(shape)
    }
    return (shapes, workspace)
  }

  // MARK: Running

  /// Runs on memory of the caller: reads `inputs`, and has written all of `outputs` when it returns.
  ///
  /// An output of unknown size takes any memory that is large enough, whatever sizes the view says; without memory
  /// (a base address of nil) the session keeps the output until its next run.
  ///
  /// - Returns: the outputs with the sizes that they have now.
  /// - Throws: `usage` or `badData`, naming the tensor, if types, sizes or memory do not fit; nothing has run then.
  ///   `badData` if the model itself finds its input wrong, `noDevice` if there is no memory for the workspace.
  @discardableResult
  public func run(
    _ inputs: [TensorView], into outputs: [MutableTensorView]
  ) throws(Failure) -> [MutableTensorView] {
    try lock.withLock { _ throws(Failure) in
      try runLocked(inputs, outputs)
      return lastOutputs
    }
  }

  /// Runs on `inputs` and returns fresh outputs.
  public func run(_ inputs: [HostTensor]) throws(Failure) -> [HostTensor] {
    let shapes = try outputShapes(for: inputs.map(\.shape))
    var views: [MutableTensorView] = []
    var storages: [HostTensor.Storage?] = []
    for (port, shape) in zip(library.outputs, shapes) {
      if port.isUnknown {
        views.append(MutableTensorView(port.element, shape, UnsafeMutableRawBufferPointer(start: nil, count: 0)))
        storages.append(nil)
        continue
      }
      let storage = try tensorMemory(byteCount: byteCount(port.element, shape) ?? .max, "output '\(port.name)'")
      storages.append(storage)
      views.append(MutableTensorView(port.element, shape, UnsafeMutableRawBufferPointer(mutating: storage.bytes)))
    }
    let aligned = inputs.map(\.alignedToElements)
    return try lock.withLock { _ throws(Failure) in
      try withExtendedLifetime((aligned, storages)) { () throws(Failure) in
        try runLocked(aligned.map { TensorView($0.element, $0.shape, $0.bytes) }, views)
      }
      defer { lastOutputs = [] }  // whose memory is the caller's now
      return lastOutputs.enumerated().map { i, output in
        guard let storage = storages[i] ?? memory.take(i) else { preconditionFailure("memory of an output") }
        return HostTensor(output.element, output.shape, storage: storage)
      }
    }
  }

  private func runLocked(_ inputs: [TensorView], _ outputs: [MutableTensorView]) throws(Failure) {
    let library = library
    guard outputs.count == library.outputs.count else {
      throw Failure(.usage, "the model has \(library.outputs.count) outputs, not \(outputs.count)")
    }
    let symbols = try library.bindSymbols(inputs.map(\.shape))
    for (port, input) in zip(library.inputs, inputs) { try port.check(input, "input") }
    let expected = try shape(symbols)
    for (i, (port, output)) in zip(library.outputs, outputs).enumerated() {
      guard port.isUnknown || output.shape == expected.outputs[i] else {
        throw .badData("its sizes are \(expected.outputs[i]), not \(output.shape)", place: "output '\(port.name)'")
      }
      try port.check(output: output)
      let bytes = UnsafeRawBufferPointer(output.bytes)
      let others = inputs.map(\.bytes) + outputs[..<i].map { UnsafeRawBufferPointer($0.bytes) }
      guard !others.contains(where: { overlap($0, bytes) }) else {
        throw Failure(.usage, place: "output '\(port.name)'", "its memory overlaps another tensor's")
      }
    }
    try workspace.reserve(expected.workspace)
    if options.poison { poison(outputs, expected.workspace) }
    memory.begin(outputs)
    lastOutputs = []
    try library.check(call(symbols, inputs, outputs), host: memory.failure)
    lastOutputs = try memory.results(outputs)
  }

  /// Calls the library's code.
  private func call(_ symbols: [Int64], _ inputs: [TensorView], _ outputs: [MutableTensorView]) -> Int32 {
    let inputPointers = inputs.map { UnsafeRawPointer($0.bytes.baseAddress) }
    let outputPointers = outputs.map { UnsafeMutableRawPointer($0.bytes.baseAddress) }
    let code = inputPointers.withUnsafeBufferPointer { inputPointers in
      outputPointers.withUnsafeBufferPointer { outputPointers in
        symbols.withUnsafeBufferPointer { symbols in
          var call = TesseraCall(
            services: services, weights: library.weights.value, workspace: workspace.base,
            inputs: inputPointers.baseAddress, outputs: outputPointers.baseAddress, symbols: symbols.baseAddress)
          guard let run = library.variant.value.pointee.run else { preconditionFailure("a checked variant") }
          return run(&call)
        }
      }
    }
    if let profile = host.pointee.profile { tsr_profile_mark(profile, -1) }
    return code
  }

  /// Output `index` as the last run left it, with its sizes in memory that stays until the session's next run.
  func lastOutput(_ index: Int) throws(Failure) -> (view: MutableTensorView, dims: UnsafePointer<Int64>) {
    try lock.withLock { _ throws(Failure) in
      guard library.outputs.indices.contains(index) else { throw Failure(.usage, "the model has no output \(index)") }
      guard lastOutputs.indices.contains(index) else { throw Failure(.usage, "the session's last run gave no outputs") }
      if lastDims.isEmpty { lastDims = library.outputs.map { .allocate(capacity: max(1, $0.rank)) } }
      let view = lastOutputs[index]
      for (i, size) in view.shape.enumerated() { lastDims[index][i] = Int64(size) }
      return (view, UnsafePointer(lastDims[index]))
    }
  }

  private func poison(_ outputs: [MutableTensorView], _ size: UInt64) {
    workspace.base?.initializeMemory(as: UInt8.self, repeating: 0xFF, count: Int(size))
    for output in outputs { output.bytes.initializeMemory(as: UInt8.self, repeating: 0xFF) }
  }

  private func overlap(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    let (x, y) = (UInt(bitPattern: a.baseAddress), UInt(bitPattern: b.baseAddress))
    return a.count > 0 && b.count > 0 && x < y + UInt(b.count) && y < x + UInt(a.count)
  }

  // MARK: Binding

  /// Binds memory for `runBound`; it must stay where it is until bound anew.
  public func bind(input index: Int, to view: TensorView) throws(Failure) {
    guard library.inputs.indices.contains(index) else { throw Failure(.usage, "the model has no input \(index)") }
    try library.inputs[index].check(view, "input")
    lock.withLock { _ in boundInputs[index] = view }
  }

  /// The same for an output.
  public func bind(output index: Int, to view: MutableTensorView) throws(Failure) {
    guard library.outputs.indices.contains(index) else { throw Failure(.usage, "the model has no output \(index)") }
    try library.outputs[index].check(output: view)
    lock.withLock { _ in boundOutputs[index] = view }
  }

  /// Runs on what is bound.
  public func runBound() throws(Failure) {
    try lock.withLock { _ throws(Failure) in
      let (inputs, outputs) = (boundInputs.compactMap { $0 }, boundOutputs.compactMap { $0 })
      if inputs.count < boundInputs.count, let missing = boundInputs.firstIndex(where: { $0 == nil }) {
        throw Failure(.usage, "input '\(library.inputs[missing].name)' is not bound")
      }
      if outputs.count < boundOutputs.count, let missing = boundOutputs.firstIndex(where: { $0 == nil }) {
        throw Failure(.usage, "output '\(library.outputs[missing].name)' is not bound")
      }
      try runLocked(inputs, outputs)
    }
  }

  // MARK: Profile

  /// The kernels that have run, by number. Empty unless the session was made with `profile`.
  public var profile: [KernelTime] {
    lock.withLock { _ in
      guard let profile = host.pointee.profile?.pointee else { return [] }
      return (0..<Int(profile.capacity)).compactMap { kernel in
        guard profile.calls[kernel] > 0 else { return nil }
        return KernelTime(
          kernel: kernel, calls: Int(profile.calls[kernel]), nanoseconds: Int(profile.nanoseconds[kernel]))
      }
    }
  }

  /// Sets the times back to zero.
  public func resetProfile() {
    lock.withLock { _ in if let profile = host.pointee.profile { tsr_profile_reset(profile) } }
  }
}

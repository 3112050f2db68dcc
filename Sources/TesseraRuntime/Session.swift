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

  public init(library: Library, options: Options = Options()) throws(Failure) {
    var profile: UnsafeMutablePointer<TsrProfile>?
    if options.profile {
      profile = tsr_profile_create()
      guard profile != nil else { throw Failure(.noDevice, "no memory") }
    }
    self.library = library
    self.options = options
    host = .allocate(capacity: 1)
    host.initialize(to: TsrHost(pool: library.pool.pool, profile: profile))
    services = .allocate(capacity: 1)
    services.initialize(
      to: TesseraServices(
        size: UInt32(MemoryLayout<TesseraServices>.size), worker_count: Int32(library.pool.workers), host: host,
        parallel_for: tsr_service_parallel_for, mark: options.profile ? tsr_service_mark : nil))
    boundInputs = Array(repeating: nil, count: library.inputs.count)
    boundOutputs = Array(repeating: nil, count: library.outputs.count)
  }

  deinit {
    tsr_profile_destroy(host.pointee.profile)
    services.deallocate()
    host.deallocate()
  }

  // MARK: Shapes

  /// The outputs' sizes for inputs of these sizes.
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
      guard byteCount(output.element, shape) != nil else {
        throw .badData("these inputs lead to the sizes \(shape), which no tensor has", place: "output '\(output.name)'")
      }
      shapes.append(shape)
    }
    return (shapes, workspace)
  }

  // MARK: Running

  /// Runs on memory of the caller: reads `inputs`, and has written all of `outputs` when it returns.
  ///
  /// - Throws: `usage` or `badData`, naming the tensor, if types, sizes or memory do not fit; nothing has run then.
  ///   `badData` if the model itself finds its input wrong, `noDevice` if there is no memory for the workspace.
  public func run(_ inputs: [TensorView], into outputs: [MutableTensorView]) throws(Failure) {
    try lock.withLock { _ throws(Failure) in try runLocked(inputs, outputs) }
  }

  /// Runs on `inputs` and returns fresh outputs.
  public func run(_ inputs: [HostTensor]) throws(Failure) -> [HostTensor] {
    let shapes = try outputShapes(for: inputs.map(\.shape))
    var views: [MutableTensorView] = []
    var owners: [HostTensor] = []
    for (port, shape) in zip(library.outputs, shapes) {
      guard let count = byteCount(port.element, shape), count <= 1 << 46 else {
        throw Failure(.noDevice, place: "output '\(port.name)'", "no memory for sizes \(shape)")
      }
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(64, count), alignment: 64)
      let owner = MutableTensorView(port.element, shape, memory)
      let storage = HostTensor.Storage(UnsafeRawBufferPointer(memory)) { owner.bytes.deallocate() }
      owners.append(HostTensor(port.element, shape, storage: storage))
      views.append(owner)
    }
    let aligned = inputs.map(\.alignedToElements)
    try withExtendedLifetime(aligned) { () throws(Failure) in
      try run(aligned.map { TensorView($0.element, $0.shape, $0.bytes) }, into: views)
    }
    return owners
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
      let view = TensorView(output.element, output.shape, UnsafeRawBufferPointer(output.bytes))
      guard output.shape == expected.outputs[i] else {
        throw .badData("its sizes are \(expected.outputs[i]), not \(output.shape)", place: "output '\(port.name)'")
      }
      try port.check(view, "output")
      let others = inputs.map(\.bytes) + outputs[..<i].map { UnsafeRawBufferPointer($0.bytes) }
      guard !others.contains(where: { overlap($0, view.bytes) }) else {
        throw Failure(.usage, place: "output '\(port.name)'", "its memory overlaps another tensor's")
      }
    }
    try workspace.reserve(expected.workspace)
    if options.poison { poison(outputs, expected.workspace) }

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
    try library.check(code)
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
    try library.outputs[index].check(TensorView(view.element, view.shape, UnsafeRawBufferPointer(view.bytes)), "output")
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

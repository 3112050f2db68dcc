import Dispatch
import GraphIR
import Kernels
import LLVMBackend
import Synchronization
import TensorTypes
import TileIR

/// What a compile is asked for.
public struct CompileOptions: Sendable {
  public enum Weights: String, Sendable, CaseIterable {
    /// In the library, on pages of their own.
    case embedded
    /// In a file beside it, `LIBRARY.weights`.
    case sidecar
  }
  /// At least one.
  public var targets: [Target]
  public var weights: Weights
  /// Kernels compiled at a time.
  public var jobs: Int
  /// Called as work goes on, from any thread: what is being done, steps done, steps in all.
  public var progress: @Sendable (String, Int, Int) -> Void

  public init(
    targets: [Target], weights: Weights = .embedded, jobs: Int = 2,
    progress: @escaping @Sendable (String, Int, Int) -> Void = { _, _, _ in }
  ) {
    self.targets = targets
    self.weights = weights
    self.jobs = jobs
    self.progress = progress
  }
}

/// A model on its way to a library: the optimised graph and a plan a target.
public struct Compilation: Sendable {
  public let graph: Graph
  public let options: CompileOptions
  public let plans: [Plan]
  /// SHA-256 of the model's file, for the manifest.
  public let modelHash: String

  /// Plans the graph for every target.
  /// - Parameter graph: as the graph pipeline left it.
  /// - Throws: `Failure` listing the nodes that no kernel can do.
  public init(_ graph: Graph, modelHash: String, options: CompileOptions) throws {
    let fused = try fuseElementwise(graph)
    self.graph = fused
    self.modelHash = modelHash
    var options = options
    let order = Dictionary(uniqueKeysWithValues: Target.all.enumerated().map { ($1.name, $0) })
    options.targets.sort { order[$0.name]! < order[$1.name]! }
    self.options = options
    plans = try options.targets.map { target in
      var planner = Planner(fused, for: target.machine)
      return try planner.plan(target: target.name)
    }
  }

  /// Names of the sizes that inputs leave open, in the order of their first appearance.
  public var symbols: [String] {
    var names: [String] = []
    for input in graph.inputs {
      for case let name? in graph.type(input).shape.map(\.name) where !names.contains(name) { names.append(name) }
    }
    return names
  }

  /// The tile program of a planned kernel, ready for code generation.
  public func program(_ kernel: Plan.Kernel, for target: Target) -> TileProgram {
    guard let template = allKernels.first(where: { $0.name == kernel.template }) else {
      preconditionFailure("a template named \(kernel.template)")
    }
    var program = template.build(kernel.workload, knobs: kernel.knobs, on: target.machine).expandingMath()
    program.name = "\(kernel.name)__\(target.symbolSuffix)"
    return program
  }

  /// Compiles everything and writes the library, and its weights if they stand beside it.
  public func write(to path: String) throws {
    let scratch = try ScratchFolder()
    defer { scratch.remove() }
    var objects: [String] = []
    var weights: [UInt8] = []
    var variants: [LibraryDescription.Variant] = []
    var interface: HostProgram?
    for (plan, target) in zip(plans, options.targets) {
      let kernels = try compileKernels(plan, target)
      let local = kernels.map(\.localBytes).reduce(Dim(0), Dim.maximum)
      let host = hostProgram(plan, target, localBytes: local)
      interface = host
      for (i, kernel) in kernels.enumerated() {
        objects.append(try scratch.write(kernel.object, "\(target.name)-\(i).o"))
      }
      objects.append(try scratch.write(Backend.compile(host, for: target), "\(target.name)-host.o"))
      let bytes = try WeightsFile.bytes(plan, graph)
      variants.append(.init(target: target, weightsOffset: weights.count, weightsSize: bytes.count))
      weights += bytes
      weights += [UInt8](repeating: 0, count: (4096 - weights.count % 4096) % 4096)
    }
    let sidecarPath = path + ".weights"
    let place: LibraryDescription.Weights
    if weights.isEmpty {
      place = .none
    } else if options.weights == .embedded {
      place = .embedded(path: try scratch.write(weights, "weights"))
    } else {
      place = .sidecar(name: String(sidecarPath.split(separator: "/").last!))
    }
    let description = LibraryDescription(
      modelName: graph.name, interface: interface!, variants: variants, weights: place, weightsSize: weights.count,
      weightsHash: weights.withUnsafeBytes { SHA256.hexDigest($0) }, manifest: manifest)
    objects.append(try scratch.write(Backend.compile(description), "descriptor.o"))
    options.progress("linking", 1, 1)
    let linked = scratch.path("library.so")
    try Linker.link(objects: objects, output: linked, soname: "tessera-\(modelHash.prefix(16)).so")
    if case .sidecar = place { try AtomicFile.write(weights, to: sidecarPath) }
    try LibrarySeal.seal(path: linked)
    let library = try MappedFile.open(linked)
    try withExtendedLifetime(library) { try AtomicFile.write([library.bytes], to: path, mode: 0o777) }
  }

  // MARK: Code

  /// Compiles the plan's kernels on several threads; the results are in the plan's order, whoever was first.
  private func compileKernels(_ plan: Plan, _ target: Target) throws -> [CompiledKernel] {
    let results = Mutex([Result<CompiledKernel, any Error>?](repeating: nil, count: plan.kernels.count))
    let next = Atomic(0)
    let symbols = symbols
    DispatchQueue.concurrentPerform(iterations: max(1, min(options.jobs, plan.kernels.count))) { _ in
      while true {
        let i = next.add(1, ordering: .relaxed).oldValue
        guard i < plan.kernels.count else { return }
        options.progress("compiling \(plan.kernels[i].name) for \(target.name)", i, plan.kernels.count)
        let result = Result {
          try Backend.compile(program(plan.kernels[i], for: target), for: target, symbols: symbols)
        }
        results.withLock { $0[i] = result }
      }
    }
    return try results.withLock { try $0.map { try $0!.get() } }
  }

  /// What the library's run entry does for one target.
  public func hostProgram(_ plan: Plan, _ target: Target, localBytes: Dim) -> HostProgram {
    HostProgram(
      inputs: graph.inputs.map { .init(name: graph[$0].name ?? "", type: graph.type($0)) },
      outputs: graph.outputs.map { .init(name: $0.name, type: graph.type($0.value)) },
      symbols: symbols, constraints: [],
      launches: plan.steps.map {
        .init(kernel: "\(plan.kernels[$0.kernel].name)__\(target.symbolSuffix)", buffers: $0.buffers)
      },
      arenaBytes: plan.arenaBytes, localBytes: localBytes)
  }
}

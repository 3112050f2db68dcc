import GraphIR
import Kernels
import LLVMBackend
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
  /// Names of kernel templates that are not to be used.
  public var withoutTemplates: Set<String> = []
  /// Kernels compiled at a time.
  public var jobs: Int
  /// What measuring found on the machine that the library is for.
  public var tunings = Tunings.none
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
    let fused = try settleEpilogues(fuseElementwise(graph))
    self.graph = fused
    self.modelHash = modelHash
    var options = options
    let order = Dictionary(uniqueKeysWithValues: Target.all.enumerated().map { ($1.name, $0) })
    options.targets.sort { order[$0.name]! < order[$1.name]! }
    self.options = options
    plans = try options.targets.map { target in
      let templates = allKernels.filter { !options.withoutTemplates.contains($0.name) }
      var planner = Planner(fused, for: target.machine, templates: templates) { workload, baseline in
        options.tunings.choice(for: workload, on: target, instead: baseline)
      }
      return try planner.plan(target: target.name)
    }
  }

  /// Names of the sizes that inputs leave open, in the order of their first appearance; an expression (`past + 1`) is a
  /// name of its own, last, and what it must be equal to is checked.
  public var symbols: [String] {
    let dims = graph.inputs.flatMap { graph.type($0).shape }
    var names: [String] = []
    for name in dims.compactMap(\.name) + dims.filter(\.isExpression).map(\.description) where !names.contains(name) {
      names.append(name)
    }
    return names
  }

  /// Inputs as hosts see them: their sizes are numbers and names.
  private var hostInputs: [HostProgram.Tensor] {
    graph.inputs.map { input in
      var type = graph.type(input)
      type.shape = type.shape.map { $0.isExpression ? .symbol($0.description) : $0 }
      return .init(name: graph[input].name ?? "", type: type)
    }
  }

  /// What inputs' sizes that are expressions must be.
  private var inputConstraints: [HostProgram.Constraint] {
    graph.inputs.flatMap { input in
      graph.type(input).shape.enumerated().filter(\.element.isExpression).map { d, dim in
        let name = graph[input].name ?? ""
        return .init(
          SizeRelation(.symbol(dim.description), .equal, dim), message: "input '\(name)': dimension \(d) must be \(dim)"
        )
      }
    }
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
    var variants: [LibraryDescription.Variant] = []
    var hosts: [HostProgram] = []
    var weightsSize = 0
    for (plan, target) in zip(plans, options.targets) {
      let kernels = try compileKernels(plan, target)
      hosts.append(hostProgram(plan, target, localBytes: kernels.map(\.localBytes)))
      for (i, kernel) in kernels.enumerated() {
        objects.append(try scratch.write(kernel.object, "\(target.name)-\(i).o"))
      }
      variants.append(.init(target: target, weightsOffset: weightsSize, weightsSize: plan.weightsBytes))
      weightsSize += (plan.weightsBytes + 4095) / 4096 * 4096
    }
    var seen: Set<String> = []
    let messages = hosts.flatMap(\.messages).filter { seen.insert($0).inserted }
    for (host, target) in zip(hosts, options.targets) {
      let object = try Backend.compile(host, messages: messages, for: target)
      objects.append(try scratch.write(object, "\(target.name)-host.o"))
    }
    let weights = try writeWeights(variants, weightsSize, beside: path, scratch)
    if let object = weights.object { objects.append(object) }
    let description = LibraryDescription(
      modelName: graph.name, interface: hosts.last!, messages: messages, variants: variants, weights: weights.place,
      weightsSize: weightsSize, weightsHash: weights.hash, manifest: manifest)
    objects.append(try scratch.write(Backend.compile(description), "descriptor.o"))
    options.progress("linking", 0, 1)
    try AtomicFile.make(at: path) {
      try Linker.link(objects: objects, output: $0, soname: "tessera-\(modelHash.prefix(16)).so")
      try LibrarySeal.seal(path: $0)
    }
  }

  /// Packs all variants' weights into an object for the linker, or into a file beside the library.
  private func writeWeights(
    _ variants: [LibraryDescription.Variant], _ byteCount: Int, beside path: String, _ scratch: ScratchFolder
  ) throws -> (place: LibraryDescription.Weights, object: String?, hash: String) {
    guard byteCount > 0 else { return (.none, nil, PiecewiseHash.hexDigest(ofPieces: [])) }
    let (head, tail) = WeightsObject.frame(byteCount: byteCount)
    let file = try PreallocatedFile(path: scratch.path("weights.o"), byteCount: head.count + byteCount + tail.count)
    try head.withUnsafeBytes { try file.write($0, at: 0) }
    try tail.withUnsafeBytes { try file.write($0, at: head.count + byteCount) }
    for (i, (plan, variant)) in zip(plans, variants).enumerated() {
      options.progress("packing weights", i, plans.count)
      try WeightsFile.write(plan, graph, to: file, at: head.count + variant.weightsOffset, jobs: options.jobs)
    }
    let written = try MappedFile.open(file.path)
    return try withExtendedLifetime(written) {
      let weights = UnsafeRawBufferPointer(rebasing: written.bytes[head.count..<head.count + byteCount])
      let pieces = PiecewiseHash(weights)
      let hash = PiecewiseHash.hexDigest(
        ofPieces: try concurrently(pieces.pieceCount, jobs: options.jobs) { pieces.digest(ofPiece: $0) })
      switch options.weights {
      case .embedded: return (.embedded, file.path, hash)
      case .sidecar:
        let sidecar = path + ".weights"
        try AtomicFile.write([weights], to: sidecar)
        return (.sidecar(name: String(sidecar.split(separator: "/").last!)), nil, hash)
      }
    }
  }

  // MARK: Code

  /// Compiles the plan's kernels on several threads; the results are in the plan's order, whoever was first.
  private func compileKernels(_ plan: Plan, _ target: Target) throws -> [CompiledKernel] {
    let symbols = symbols + plan.runSymbols
    return try concurrently(plan.kernels.count, jobs: options.jobs) { i in
      options.progress("compiling \(plan.kernels[i].name) for \(target.name)", i, plan.kernels.count)
      return try Backend.compile(program(plan.kernels[i], for: target), for: target, symbols: symbols)
    }
  }

  /// What the library's run entry does for one target.
  /// - Parameter localBytes: what each kernel needs a worker.
  public func hostProgram(_ plan: Plan, _ target: Target, localBytes: [Dim]) -> HostProgram {
    let isEarly = localBytes.map { $0.symbols.isDisjoint(with: plan.runSymbols) }
    let known = zip(localBytes, isEarly).filter(\.1).map(\.0).reduce(Dim(0), Dim.maximum)
    return HostProgram(
      inputs: hostInputs,
      outputs: graph.outputs.map { .init(name: $0.name, type: graph.type($0.value)) },
      symbols: symbols, runSymbols: plan.runSymbols, constraints: inputConstraints + plan.constraints,
      steps: plan.steps.map { step in
        step.mapLaunches { launch in
          .init(
            kernel: "\(plan.kernels[launch.kernel].name)__\(target.symbolSuffix)", buffers: launch.buffers,
            localBytes: isEarly[launch.kernel] ? nil : localBytes[launch.kernel])
        }
      },
      registers: plan.registers, arenaBytes: plan.arenaBytes, localBytes: known)
  }
}

extension Dim {
  /// Whether this is neither a number nor a name.
  fileprivate var isExpression: Bool { constant == nil && name == nil }
}

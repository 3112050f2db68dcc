internal import CLLVM
import TensorTypes

/// What a library says of itself: the constant data behind `tessera_plugin` (tessera_plugin.h) and the note that a
/// loader reads before it maps anything.
public struct LibraryDescription: Sendable {
  public struct Variant: Sendable {
    public var target: Target
    public var weightsOffset: Int
    public var weightsSize: Int
    public init(target: Target, weightsOffset: Int, weightsSize: Int) {
      self.target = target
      self.weightsOffset = weightsOffset
      self.weightsSize = weightsSize
    }
  }

  public enum Weights: Sendable {
    case none
    /// In the library, where a `WeightsObject` is linked in.
    case embedded
    /// Name of the file beside the library.
    case sidecar(name: String)
  }

  public var modelName: String
  public var interface: HostProgram
  /// What the codes mean that all variants' functions return.
  public var messages: [String]
  /// Most demanding first.
  public var variants: [Variant]
  public var weights: Weights
  public var weightsSize: Int
  public var weightsHash: String
  public var manifest: String

  public init(
    modelName: String, interface: HostProgram, messages: [String], variants: [Variant], weights: Weights,
    weightsSize: Int,
    weightsHash: String, manifest: String
  ) {
    self.modelName = modelName
    self.interface = interface
    self.messages = messages
    self.variants = variants
    self.weights = weights
    self.weightsSize = weightsSize
    self.weightsHash = weightsHash
    self.manifest = manifest
  }

  /// The note's text; `LibrarySeal` fills in what only the linked file tells.
  var noteText: String {
    var lines = ["abi 2"]
    for variant in variants {
      lines.append((["variant", variant.target.name] + variant.target.requiredFeatures).joined(separator: " "))
    }
    var text = lines.joined(separator: "\n") + "\n"
    if case .embedded = weights { text += LibrarySeal.dataLine }
    return text + LibrarySeal.hashLine
  }
}

/// Emits a description as constants.
struct DescriptorLowering {
  let e: Emitter
  let description: LibraryDescription
  private var program: HostProgram { description.interface }

  func lower() {
    emitNote()
    let plugin = emitPlugin()
    _ = e.begin("tessera_plugin", [], returns: e.pointer, exported: true)
    LLVMBuildRet(e.builder, plugin)
  }

  // MARK: Constants

  private func global(_ value: LLVMValueRef, alignment: Int = 8) -> LLVMValueRef {
    let global = LLVMAddGlobal(e.module, LLVMTypeOf(value), "")!
    LLVMSetInitializer(global, value)
    LLVMSetGlobalConstant(global, 1)
    LLVMSetLinkage(global, LLVMPrivateLinkage)
    LLVMSetAlignment(global, UInt32(alignment))
    return global
  }
  private func string(_ text: String) -> LLVMValueRef {
    let bytes = Array(text.utf8).map { CChar(bitPattern: $0) }
    return global(LLVMConstStringInContext2(e.context, bytes, bytes.count, 0), alignment: 1)
  }
  private func array(_ type: LLVMTypeRef, _ values: [LLVMValueRef]) -> LLVMValueRef {
    var elements: [LLVMValueRef?] = values
    return LLVMConstArray2(type, &elements, UInt64(values.count))
  }
  private func structure(_ fields: [LLVMValueRef]) -> LLVMValueRef {
    var values: [LLVMValueRef?] = fields
    return LLVMConstStructInContext(e.context, &values, UInt32(values.count), 0)
  }
  private func pointers(_ values: [LLVMValueRef]) -> LLVMValueRef {
    values.isEmpty ? null : global(array(e.pointer, values))
  }
  private func structures(_ values: [LLVMValueRef]) -> LLVMValueRef {
    values.isEmpty ? null : global(array(LLVMTypeOf(values[0]), values))
  }
  private var null: LLVMValueRef { LLVMConstNull(e.pointer) }

  // MARK: The descriptor

  private func tensor(_ tensor: HostProgram.Tensor) -> LLVMValueRef {
    let shape = tensor.type.shape
    let dims = shape.map { dim -> LLVMValueRef in
      if let constant = dim.constant { return e.constant(constant) }
      if let name = dim.name, let symbol = program.symbols.firstIndex(of: name) { return e.constant(-1 - symbol) }
      return e.constant(program.isKnownBefore(dim) ? .min : .min + 1)
    }
    return structure([
      string(tensor.name), e.constant32(tensor.type.element.pluginCode), e.constant32(shape.count),
      dims.isEmpty ? null : global(array(e.i64, dims)), pointers(shape.map { string($0.description) }),
    ])
  }

  private func function(_ name: String, _ parameters: [LLVMTypeRef]) -> LLVMValueRef {
    var types: [LLVMTypeRef?] = parameters
    let function = LLVMAddFunction(e.module, name, LLVMFunctionType(e.i32, &types, UInt32(types.count), 0))!
    LLVMSetVisibility(function, LLVMHiddenVisibility)
    return function
  }

  private func variant(_ variant: LibraryDescription.Variant) -> LLVMValueRef {
    let suffix = variant.target.symbolSuffix
    return structure([
      string(variant.target.name), pointers(variant.target.requiredFeatures.map { string($0) } + [null]),
      e.constant(variant.weightsOffset), e.constant(variant.weightsSize),
      function("tessera_shape_\(suffix)", [e.pointer, e.i32, e.pointer, e.pointer]),
      function("tessera_run_\(suffix)", [e.pointer]),
    ])
  }

  private func emitPlugin() -> LLVMValueRef {
    var weights = null
    var sidecar = null
    switch description.weights {
    case .none: break
    case .embedded: weights = embedded()
    case .sidecar(let name): sidecar = string(name)
    }
    let fields: [LLVMValueRef] = [
      e.constant32(2), e.constant32(120),
      string(description.modelName),
      e.constant32(program.inputs.count), e.constant32(program.outputs.count), e.constant32(program.symbols.count),
      e.constant32(description.variants.count), e.constant32(description.messages.count), e.constant32(0),
      structures(program.inputs.map { tensor($0) }), structures(program.outputs.map { tensor($0) }),
      pointers(program.symbols.map { string($0) }),
      structures(description.variants.map { variant($0) }),
      pointers(description.messages.map { string($0) }),
      weights, e.constant(description.weightsSize), sidecar, string(description.weightsHash),
      string(description.manifest),
    ]
    return global(structure(fields))
  }

  /// The weights' address, which the linker knows.
  private func embedded() -> LLVMValueRef {
    let weights = LLVMAddGlobal(e.module, e.i8, "tessera_weights")!
    LLVMSetVisibility(weights, LLVMHiddenVisibility)
    return weights
  }

  /// An ELF note: sizes of name and description, type, name, description; each padded to 4 bytes.
  private func emitNote() {
    var text = Array(description.noteText.utf8)
    let size = text.count
    while text.count % 4 != 0 { text.append(0) }
    let words = [8, size, 1].map { e.constant32($0) }
    let name = Array("Tessera\0".utf8)
    func bytes(_ values: [UInt8]) -> LLVMValueRef {
      LLVMConstStringInContext2(e.context, values.map { CChar(bitPattern: $0) }, values.count, 1)
    }
    let note = global(structure(words + [bytes(name), bytes(text)]), alignment: 4)
    LLVMSetValueName2(note, "tessera_note", 12)  // what llvm.used lists must have a name
    LLVMSetSection(note, ".note.tessera")
    LLVMSetLinkage(note, LLVMInternalLinkage)
    // Nothing refers to it: keep it through the optimiser.
    let used = LLVMAddGlobal(e.module, LLVMArrayType2(e.pointer, 1), "llvm.used")!
    LLVMSetInitializer(used, array(e.pointer, [note]))
    LLVMSetLinkage(used, LLVMAppendingLinkage)
    LLVMSetSection(used, "llvm.metadata")
  }
}

extension Target {
  /// The name as part of a C identifier.
  public var symbolSuffix: String { name.map { $0 == "-" ? "_" : String($0) }.joined() }
}

extension ElementType {
  /// The number that tessera_plugin.h gives it.
  var pluginCode: Int {
    switch self {
    case .float64: 0
    case .float32: 1
    case .float16: 2
    case .bfloat16: 3
    case .int64: 4
    case .int32: 5
    case .int16: 6
    case .int8: 7
    case .uint64: 8
    case .uint32: 9
    case .uint16: 10
    case .uint8: 11
    case .bool: 12
    }
  }
}

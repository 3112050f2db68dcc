internal import TensorTypes
internal import TesseraABI

/// What a loaded library says of itself, checked and in Swift's types. Pointers stay the library's.
struct Descriptor {
  var modelName: String
  var manifest: String
  var inputs: [Port]
  var outputs: [Port]
  var symbols: [String]
  var messages: [String]
  var variants: [Variant]
  var weightsHash: String

  struct Variant {
    var target: String
    var features: [String]
    var pointer: UnsafePointer<TesseraVariant>
  }

  private static let maximumPorts: UInt32 = 1 << 16
  private static let maximumMessages: UInt32 = 1 << 20
  static let maximumRank: Int32 = 64

  /// - Throws: `badData` if a count, pointer, element type, dimension or offset cannot be right.
  init(checking plugin: UnsafePointer<TesseraPlugin>) throws(Failure) {
    // The first two fields are in every version; the others are read only once these are known to fit.
    guard plugin.pointee.abi_version == UInt32(TESSERA_ABI_VERSION),
      plugin.pointee.size >= UInt32(MemoryLayout<TesseraPlugin>.size)
    else { throw .badData("the descriptor is of ABI \(plugin.pointee.abi_version): compile the model again") }
    let p = plugin.pointee
    guard p.input_count <= Self.maximumPorts, p.output_count <= Self.maximumPorts, p.symbol_count <= Self.maximumPorts,
      p.message_count <= Self.maximumMessages, (1...64).contains(p.variant_count)
    else { throw .badData("the descriptor's counts are absurd") }
    modelName = try Self.text(p.model_name, "the model's name")
    manifest = try Self.text(p.manifest, "the manifest")
    weightsHash = try Self.text(p.weights_hash, "the weights' hash")
    symbols = try Self.texts(p.symbols, p.symbol_count, "symbol")
    messages = try Self.texts(p.messages, p.message_count, "message")
    inputs = try Self.ports(p.inputs, p.input_count, symbols: symbols, isInput: true)
    outputs = try Self.ports(p.outputs, p.output_count, symbols: symbols, isInput: false)
    for (number, symbol) in symbols.enumerated() where !inputs.contains(where: { $0.sizes.contains(.symbol(number)) }) {
      throw .badData("no input has a dimension of size '\(symbol)'")
    }
    guard let variants = p.variants else { throw .badData("the descriptor has no variants") }
    self.variants = []
    for i in 0..<Int(p.variant_count) { self.variants.append(try Self.variant(variants + i, weights: p.weights_size)) }
    if p.weights_size > 0 {
      guard p.weights != nil || p.sidecar != nil else {
        throw .badData("the descriptor says nowhere where weights are")
      }
      guard UInt(bitPattern: p.weights) % 4096 == 0 else { throw .badData("the weights are not aligned to a page") }
    }
  }

  private static func text(_ pointer: UnsafePointer<CChar>?, _ what: String) throws(Failure) -> String {
    guard let pointer else { throw .badData("the descriptor lacks \(what)") }
    return String(cString: pointer)
  }

  private static func texts(
    _ pointer: UnsafePointer<UnsafePointer<CChar>?>?, _ count: UInt32, _ what: String
  ) throws(Failure) -> [String] {
    guard count > 0 else { return [] }
    guard let pointer else { throw .badData("the descriptor lacks its \(what)s") }
    var texts: [String] = []
    for i in 0..<Int(count) { texts.append(try text(pointer[i], "\(what) \(i)")) }
    return texts
  }

  private static func ports(
    _ pointer: UnsafePointer<TesseraTensor>?, _ count: UInt32, symbols: [String], isInput: Bool
  ) throws(Failure) -> [Port] {
    guard count > 0 else { return [] }
    guard let pointer else { throw .badData("the descriptor lacks its tensors") }
    var ports: [Port] = []
    for tensor in UnsafeBufferPointer(start: pointer, count: Int(count)) {
      let name = try text(tensor.name, "a tensor's name")
      guard let element = ElementType(code: tensor.element) else {
        throw .badData("element type \(tensor.element) is unknown", place: name)
      }
      guard (0...maximumRank).contains(tensor.rank), tensor.rank == 0 || tensor.dims != nil else {
        throw .badData("rank \(tensor.rank) cannot be", place: name)
      }
      var port = Port(name: name, element: element, sizes: [], sizeTexts: [])
      for d in 0..<Int(tensor.rank) {
        let size: Port.Size
        switch tensor.dims[d] {
        case Int64.min where !isInput: size = .computed
        case Int64.min + 1 where !isInput: size = .unknown
        case 0...: size = .fixed(Int(tensor.dims[d]))
        case -Int64(symbols.count)..<0: size = .symbol(Int(-1 - tensor.dims[d]))
        default: throw .badData("dimension \(d) cannot be \(tensor.dims[d])", place: name)
        }
        port.sizes.append(size)
        if let texts = tensor.dim_text, let text = texts[d] {
          port.sizeTexts.append(String(cString: text))
        } else {
          switch size {
          case .fixed(let n): port.sizeTexts.append("\(n)")
          case .symbol(let s): port.sizeTexts.append(symbols[s])
          case .computed, .unknown: port.sizeTexts.append("?")
          }
        }
      }
      ports.append(port)
    }
    return ports
  }

  private static func variant(_ pointer: UnsafePointer<TesseraVariant>, weights: UInt64) throws(Failure) -> Variant {
    let v = pointer.pointee
    let target = try text(v.target, "a variant's target")
    guard v.shape != nil, v.run != nil else { throw .badData("variant \(target) lacks a function") }
    guard v.weights_offset % 4096 == 0, v.weights_offset <= weights, v.weights_size <= weights - v.weights_offset else {
      throw .badData("variant \(target)'s weights lie outside of the weights")
    }
    var features: [String] = []
    if let names = v.features {
      while let name = names[features.count] {
        guard features.count < 256 else { throw .badData("variant \(target) has no end of features") }
        features.append(String(cString: name))
      }
    }
    return Variant(target: target, features: features, pointer: pointer)
  }
}

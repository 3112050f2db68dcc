import Foundation
import TensorTypes
import TesseraRuntime

/// What `tessera inspect` says of a compiled library.
struct LibraryReport: Encodable {
  struct Variant: Encodable {
    var target: String
    var features: [String]
  }
  var variants: [Variant]
  /// The variant that this machine runs; nil if none, and then `refusal` says why and the rest is unknown.
  var chosen: String?
  var refusal: String?
  var name: String?
  var inputs: [String] = []
  var outputs: [String] = []
  /// Names of the sizes that inputs leave open.
  var sizes: [String] = []
  var bytes: Int
  /// Memory for tensors between kernels.
  var arena: ArenaReport?
  /// What loading took, checks included.
  var loadMilliseconds: Double?

  enum CodingKeys: String, CodingKey {
    case variants, chosen, refusal, name, inputs, outputs, sizes, bytes, arena
    case loadMilliseconds = "load_ms"
  }

  /// - Parameter sizes: values of open sizes by name, for the arena's.
  /// - Throws: `Failure` for what is no whole library of ours; not for one that this CPU can't run.
  init(path: String, sizes values: [String: Int] = [:]) throws {
    let file = try LibraryFile(path: path)
    variants = file.note.variants.map { Variant(target: $0.target, features: $0.features) }
    bytes = file.size
    let start = ContinuousClock().now
    do throws(Failure) {
      let library = try Library(path: path)
      loadMilliseconds = (ContinuousClock().now - start) / .milliseconds(1)
      (chosen, name) = (library.target, library.modelName)
      inputs = library.inputs.map(\.description)
      outputs = library.outputs.map(\.description)
      sizes = library.symbols
      if let unknown = values.keys.sorted().first(where: { !library.symbols.contains($0) }) {
        throw Failure(.usage, "no open size '\(unknown)'; there are \(library.symbols.joined(separator: ", "))")
      }
      arena = Manifest(of: library).arenas.map { ArenaReport($0, sizes: values) }
    } catch {
      guard error.kind == .noDevice else { throw error }
      refusal = error.message
    }
  }

  var text: String {
    var rows = variants.map { ("variant", "\($0.target)\($0.target == chosen ? ", which this machine runs" : "")") }
    if let refusal { rows.append(("refused", refusal)) }
    rows += inputs.map { ("input", $0) } + outputs.map { ("output", $0) } + sizes.map { ("size", "\($0) is open") }
    rows.append(("file", "\(bytes / 1024) KiB"))
    if let arena { rows.append(("arena", arena.text)) }
    if let loadMilliseconds { rows.append(("loaded", String(format: "in %.1f ms", loadMilliseconds))) }
    return rows.map { row in row.0 + String(repeating: " ", count: 10 - row.0.count) + row.1 }.joined(separator: "\n")
  }
}

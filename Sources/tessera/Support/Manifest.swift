import Compiler
import Foundation
import TensorTypes
import TesseraRuntime

/// What the command line reads of a library's manifest.
struct Manifest: Decodable {
  struct Kernel: Decodable { var name: String }
  struct Launch: Decodable {
    var kernel: Int
    var nodes: [String]
  }
  struct Arena: Decodable {
    var bytes: Dim
    var bound: [Dim]
  }
  struct Variant: Decodable {
    var target: String
    var arenas: [Arena]?
    var kernels: [Kernel]
    var launches: [Launch]
  }

  private var variants: [Variant]
  private var variant: Variant?

  enum CodingKeys: CodingKey { case variants }

  /// An empty one if `library`'s does not parse: names are then numbers.
  init(of library: Library) {
    self = (try? JSONDecoder().decode(Manifest.self, from: Data(library.manifest.utf8))) ?? Manifest()
    variant = variants.first { $0.target == library.target }
  }

  private init() { variants = [] }

  /// The memory for tensors between kernels; nil in a library that does not say.
  var arenas: [Plan.Arena]? {
    variant?.arenas.map { $0.map { Plan.Arena(byteCount: $0.bytes, bound: $0.bound) } }
  }

  /// What launch `number` is: its kernel and the nodes that it does the work of.
  func launchName(_ number: Int) -> String {
    guard let variant, variant.launches.indices.contains(number) else { return "launch \(number)" }
    let launch = variant.launches[number]
    guard variant.kernels.indices.contains(launch.kernel) else { return "launch \(number)" }
    return "\(variant.kernels[launch.kernel].name) (\(launch.nodes.joined(separator: ", ")))"
  }
}

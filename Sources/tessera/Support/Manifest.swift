import Foundation
import TesseraRuntime

/// What the command line reads of a library's manifest.
struct Manifest: Decodable {
  struct Kernel: Decodable {
    var name: String?
  }

  var kernels: [Kernel]?

  /// An empty one if `library`'s does not parse: names are then numbers.
  init(of library: Library) {
    self = (try? JSONDecoder().decode(Manifest.self, from: Data(library.manifest.utf8))) ?? Manifest()
  }

  private init() {}

  func kernelName(_ number: Int) -> String {
    guard let kernels, kernels.indices.contains(number), let name = kernels[number].name else {
      return "kernel \(number)"
    }
    return name
  }
}

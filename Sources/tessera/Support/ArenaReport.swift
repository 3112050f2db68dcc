import Compiler
import Foundation
import TensorTypes

/// How much memory tensors between kernels take, and the most that is alive at once, below which no plan gets.
struct ArenaReport: Encodable {
  var bytes: Int
  var boundBytes: Int
  /// Names of sizes that were counted as 64.
  var assumed: [String]

  enum CodingKeys: String, CodingKey {
    case bytes, assumed
    case boundBytes = "bound_bytes"
  }

  /// - Parameter sizes: values of open sizes, by name.
  init(_ arenas: [Plan.Arena], sizes: [String: Int] = [:]) {
    let all = arenas.map { $0.bytes(sizes) }
    (bytes, boundBytes) = (all.reduce(0) { $0 + $1.arena }, all.reduce(0) { $0 + $1.bound })
    let symbols = arenas.reduce(into: Set<String>()) { $0.formUnion($1.byteCount.symbols) }
    assumed = symbols.subtracting(sizes.keys).sorted()
  }

  var text: String {
    let open = assumed.isEmpty ? "" : ", with 64 for \(assumed.joined(separator: ", "))"
    let ratio = boundBytes == 0 ? 1 : Double(bytes) / Double(boundBytes)
    return String(
      format: "%.2f MiB, bound %.2f MiB, ratio %.3f%@", Double(bytes) / 0x1p20, Double(boundBytes) / 0x1p20, ratio, open
    )
  }
}

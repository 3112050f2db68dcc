import Foundation
import TensorTypes
import TesseraRuntime

/// The hand-written library of Fixtures/affine.c, compiled with the system's C compiler into a folder of its own.
struct Fixture {
  let folder: URL
  let path: String

  /// - Parameter defines: preprocessor definitions, as `cc -D` takes them.
  init(_ defines: String..., name: String = "affine.so", seal: Bool = true) throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("tessera-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let file = folder.appendingPathComponent(name)
    path = file.path
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    let include = source.deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Sources/TesseraABI/include")
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments =
      ["cc", "-shared", "-fPIC", "-O1", "-I", include.path] + defines.map { "-D\($0)" }
      + ["-o", path, source.appendingPathComponent("Fixtures/affine.c").path]
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Failure(.ours, "cc failed on the fixture") }
    if seal, !defines.contains("NO_NOTE"), !defines.contains("BAD_ABI") { try LibrarySeal.seal(path: path) }
  }

  func remove() { try? FileManager.default.removeItem(at: folder) }

  /// The values the library should give: y, and the sums in its order of additions.
  static func expected(x: [Float], bias: [Float], n: Int, m: Int) -> (y: [Float], sums: [Float]) {
    var y: [Float] = []
    var sums: [Float] = []
    for i in 0..<n {
      var sum: Float = 0
      for j in 0..<m {
        y.append(2 * x[i * m + j] + bias[j])
        sum += y[i * m + j]
      }
      sums += [sum, sum]
    }
    return (y, sums)
  }
}

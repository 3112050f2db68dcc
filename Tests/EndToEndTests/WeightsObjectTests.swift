import Foundation
import Glibc
import LLVMBackend
import Testing

/// The object file for weights, which no compiler of ours makes: what the linker and the loader find in it.
struct WeightsObjectTests {
  @Test(arguments: [1, 3]) func linksAndLies(pages: Int) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("weights-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let weights = (0..<(pages * WeightsObject.offset)).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ $0 >> 8) }
    let (head, tail) = WeightsObject.frame(byteCount: weights.count)
    #expect(head.count == WeightsObject.offset)
    var object = head + weights + tail
    let path = folder.appendingPathComponent("w.o").path
    // Hidden as it is for libraries, the symbol cannot be asked for: made protected here (st_other, 5 bytes in).
    object[head.count + weights.count + 24 + 5] = 3
    try Data(object).write(to: URL(fileURLWithPath: path))
    let library = folder.appendingPathComponent("w.so").path
    try Linker.link(objects: [path], output: library, soname: "w.so")
    let handle = try #require(dlopen(library, RTLD_NOW | RTLD_LOCAL))
    defer { dlclose(handle) }
    let symbol = try #require(dlsym(handle, "tessera_weights"))
    #expect(UInt(bitPattern: symbol) % 4096 == 0, "on pages of their own")
    #expect(Array(UnsafeRawBufferPointer(start: symbol, count: weights.count)) == weights)
  }
}

import Foundation
import LLVMBackend
import TensorTypes
import TileIR

/// Kernels written to a folder with their operands and what they should give, for a machine that has the instructions
/// of a target that this one lacks. `tools/test-avx512` runs them in an emulated one; `Tests/Emulated/guest.c` says how a
/// case is laid out.
public struct KernelRecord {
  /// `TESSERA_RECORD_KERNELS`: where cases go; nil, and nothing is recorded.
  public static let folder = ProcessInfo.processInfo.environment["TESSERA_RECORD_KERNELS"]

  /// A value and the largest difference allowed.
  public typealias Expected = (value: Double, tolerance: Double)

  private let path: String

  /// - Parameter name: of the case, unique in the folder once a number is put before it.
  public init(_ name: String, in folder: String) throws {
    let fitting = name.map { $0.isLetter || $0.isNumber ? $0 : "_" }
    path = "\(folder)/\(UInt32.random(in: 0 ... .max))-\(String(fitting).prefix(80))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  /// - Parameters:
  ///   - buffers: operands, output and scratch, as they are before the kernel runs.
  ///   - checked: the index among them of the one that is compared.
  ///   - expected: of every element of its memory.
  public func write(
    _ program: TileProgram, for target: Target, sizes: [String: Int], buffers: [GuardedMemory], checked: Int,
    expected: [Expected]
  ) throws {
    let symbols = sizes.keys.sorted()
    let local = try NativeKernel.link(program, for: target, symbols: symbols, to: path + "/kernel.so")
    var text = "kernel \(program.name) \(local.evaluate(sizes)!) \(symbols.count)"
    for symbol in symbols { text += " \(sizes[symbol]!)" }
    for (index, buffer) in buffers.enumerated() {
      let bytes = Data(bytes: buffer.start, count: buffer.count * buffer.element.byteCount)
      text += "\nbuffer \(bytes.count)"
      try bytes.write(to: URL(fileURLWithPath: "\(path)/\(index).bin"))
    }
    text += "\ncheck \(checked) \(ElementType.allCases.firstIndex(of: buffers[checked].element)!) \(expected.count)\n"
    try text.write(toFile: path + "/case", atomically: false, encoding: .utf8)
    let pairs = expected.flatMap { [$0.value, $0.tolerance] }
    try pairs.withUnsafeBytes { try Data($0).write(to: URL(fileURLWithPath: path + "/expected.bin")) }
  }
}

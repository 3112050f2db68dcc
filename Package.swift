// swift-tools-version: 6.2
import Foundation
import PackageDescription

// LLVM 22 is found through its own `llvm-config`: LLVM_CONFIG names another one.
let llvm = LLVM.locate()

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error), .enableUpcomingFeature("MemberImportVisibility")]
// -Ounchecked is never used: a trap that says what was expected beats a wrong answer.
let settings = strict

let package = Package(
  name: "tessera",
  products: [
    .executable(name: "tessera", targets: ["tessera"]),
    .library(name: "TesseraC", type: .dynamic, targets: ["TesseraRuntime"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    // The data.
    .target(name: "TensorTypes", swiftSettings: settings),

    // The two intermediate representations.
    .target(name: "GraphIR", dependencies: ["TensorTypes"], swiftSettings: settings),
    .target(name: "TileIR", dependencies: ["TensorTypes"], swiftSettings: settings),

    // In: models. Out: objects and libraries.
    .target(name: "ONNXImport", dependencies: ["GraphIR", "TensorTypes"], swiftSettings: settings),
    .target(name: "CLLVM", cSettings: [.unsafeFlags(llvm.compilerFlags)]),
    .target(
      name: "LLVMBackend", dependencies: ["TileIR", "TensorTypes", "CLLVM"],
      swiftSettings: settings + [.unsafeFlags(llvm.compilerFlags.flatMap { ["-Xcc", $0] })],
      linkerSettings: [.unsafeFlags(llvm.linkerFlags)]),

    // Between them: what to run, and how.
    .target(
      name: "Kernels", dependencies: ["TileIR", "TensorTypes"], path: "Kernels",
      swiftSettings: settings),
    .systemLibrary(name: "CSQLite", providers: [.apt(["libsqlite3-dev"])]),
    .target(
      name: "TuningDB", dependencies: ["TensorTypes", "CSQLite"], path: "TuningDB", resources: [.copy("Records")],
      swiftSettings: settings),
    .target(
      name: "Compiler", dependencies: ["GraphIR", "TileIR", "Kernels", "TuningDB", "LLVMBackend", "TensorTypes"],
      swiftSettings: settings),

    // The other side of the shared library.
    .target(name: "TesseraABI"),
    .target(name: "TesseraHost", dependencies: ["TesseraABI"]),
    .target(
      name: "TesseraRuntime", dependencies: ["TesseraABI", "TesseraHost", "TensorTypes"], swiftSettings: settings),

    // Both together: measure, record, choose.
    .target(
      name: "Autotuner",
      dependencies: ["Compiler", "Kernels", "TileIR", "LLVMBackend", "TesseraRuntime", "TuningDB", "TensorTypes"],
      swiftSettings: settings),

    .executableTarget(
      name: "tessera",
      dependencies: [
        "TensorTypes", "GraphIR", "ONNXImport", "TileIR", "Kernels", "LLVMBackend", "Compiler", "TesseraRuntime",
        "TuningDB", "Autotuner",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: settings),

    .testTarget(
      name: "GraphIRTests", dependencies: ["GraphIR", "TensorTypes"], exclude: ["Fixtures"], swiftSettings: settings),
    .testTarget(name: "TileIRTests", dependencies: ["TileIR", "TensorTypes"], swiftSettings: settings),
    .testTarget(
      name: "TesseraRuntimeTests", dependencies: ["TesseraRuntime", "TensorTypes"], exclude: ["Fixtures"],
      swiftSettings: settings),
    .testTarget(name: "TensorTypesTests", dependencies: ["TensorTypes"], swiftSettings: settings),
    .testTarget(
      name: "ONNXImportTests", dependencies: ["ONNXImport", "GraphIR", "TensorTypes"], exclude: ["Examples"],
      swiftSettings: settings),
    .target(
      name: "KernelTesting",
      dependencies: ["Kernels", "TileIR", "LLVMBackend", "TensorTypes", "TesseraABI", "TesseraRuntime"],
      path: "Tests/KernelTesting", swiftSettings: settings),
    .testTarget(
      name: "KernelsTests", dependencies: ["Kernels", "KernelTesting", "TileIR", "LLVMBackend", "TensorTypes"],
      swiftSettings: settings),
    .testTarget(
      name: "CommandLineTests", dependencies: ["tessera", "TesseraRuntime", "TuningDB", "TensorTypes"],
      exclude: ["Goldens"],
      swiftSettings: settings),
    .testTarget(
      name: "EndToEndTests",
      dependencies: ["Compiler", "GraphIR", "LLVMBackend", "ONNXImport", "TensorTypes", "TesseraRuntime"],
      exclude: ["Fixtures"],
      swiftSettings: settings),
    .testTarget(name: "TuningDBTests", dependencies: ["TuningDB", "TensorTypes"], swiftSettings: settings),
    .testTarget(
      name: "AutotunerTests",
      dependencies: [
        "Autotuner", "Compiler", "Kernels", "TileIR", "LLVMBackend", "TuningDB", "TensorTypes", "tessera",
      ], resources: [.copy("Resources/planting_worker.py")], swiftSettings: settings),
    .testTarget(name: "CompilerTests", dependencies: ["Compiler", "GraphIR", "TensorTypes"], swiftSettings: settings),
  ]
)

/// Where LLVM's headers and library are, as `llvm-config` says.
struct LLVM {
  var compilerFlags: [String] = []
  var linkerFlags: [String] = []

  static func locate() -> LLVM {
    let environment = ProcessInfo.processInfo.environment
    let candidates = [environment["LLVM_CONFIG"], "llvm-config-22", "/usr/lib/llvm-22/bin/llvm-config"].compactMap {
      $0
    }
    for candidate in candidates {
      guard let include = ask(candidate, "--includedir"), let lib = ask(candidate, "--libdir") else { continue }
      return LLVM(compilerFlags: ["-I\(include)"], linkerFlags: ["-L\(lib)", "-lLLVM-22"])
    }
    print("warning: LLVM 22 was not found. Install it with: apt-get install llvm-22-dev lld-22 (or set LLVM_CONFIG)")
    return LLVM(linkerFlags: ["-lLLVM-22"])
  }

  private static func ask(_ program: String, _ question: String) -> String? {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program, question]
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    do { try process.run() } catch { return nil }
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { return nil }
    return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
  }
}

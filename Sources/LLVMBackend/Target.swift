import TensorTypes
import TileIR

/// An instruction set that code is generated for: what LLVM calls it, and what a CPU must have to run it.
public struct Target: Hashable, Sendable {
  public var machine: Machine
  var triple: String
  /// LLVM's `-mcpu`: which instructions there are.
  var cpu: String
  /// LLVM's `-mtune`: which of them are cheap.
  var tune: String
  /// Features on top of the CPU's, in LLVM's spelling with `+` or `-`.
  var featureString: String
  /// What the loader checks, as /proc/cpuinfo spells it.
  public var requiredFeatures: [String]

  public var name: String { machine.name }

  /// Whether there is an instruction that rounds f32 to bf16.
  var roundsToBFloat16: Bool { requiredFeatures.contains("avx512_bf16") }

  /// Every target, most demanding first: the order in which a loader tries the variants of one library.
  public static let all: [Target] = [avx512bf16, avx512vnni, avx512, avx2, sse42]

  /// Zen 4, Cooper Lake, Sapphire Rapids and later: short dot products of 8-bit integers and of bf16.
  public static let avx512bf16 = avx512vnni.adding("avx512bf16", as: "avx512_bf16", .bf16x2, name: "x86-64-v4-bf16")

  /// Cascade Lake, Ice Lake and later: short dot products of 8-bit integers.
  public static let avx512vnni = avx512.adding("avx512vnni", as: "avx512_vnni", .u8i8x4, name: "x86-64-v4-vnni")

  public static let avx512 = Target(
    machine: Machine(
      name: "x86-64-v4", vectorBytes: 64, vectorRegisters: 32, hasFMA: true, cacheBytes: [32 << 10, 1 << 20, 2 << 20]),
    triple: "x86_64-unknown-linux-gnu", cpu: "x86-64-v4", tune: "skylake-avx512", featureString: "-prefer-256-bit",
    requiredFeatures: v3Features + ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"])

  public static let avx2 = Target(
    machine: Machine(
      name: "x86-64-v3", vectorBytes: 32, vectorRegisters: 16, hasFMA: true, cacheBytes: [32 << 10, 512 << 10, 2 << 20]),
    triple: "x86_64-unknown-linux-gnu", cpu: "x86-64-v3", tune: "znver3", featureString: "",
    requiredFeatures: v3Features)

  public static let sse42 = Target(
    machine: Machine(
      name: "x86-64-v2", vectorBytes: 16, vectorRegisters: 16, hasFMA: false,
      cacheBytes: [32 << 10, 256 << 10, 2 << 20]),
    triple: "x86_64-unknown-linux-gnu", cpu: "x86-64-v2", tune: "generic", featureString: "",
    requiredFeatures: v2Features)

  /// With kernels that suit so many threads.
  public func shared(by workers: Int) -> Target {
    var target = self
    target.machine.workers = workers
    return target
  }

  /// With a feature, as LLVM spells it, that has an instruction for `dot`.
  private func adding(_ feature: String, as required: String, _ dot: WordParts, name: String) -> Target {
    var target = self
    target.machine.name = name
    target.machine.wordDots.append(dot)
    target.featureString += ",+\(feature)"
    target.requiredFeatures.append(required)
    return target
  }

  private static let v2Features = ["cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"]
  private static let v3Features = v2Features + ["abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"]

  /// The most demanding one that a CPU with these features, as /proc/cpuinfo spells them, runs well; the least one if it runs none.
  ///
  /// `vdpbf16ps` does twice the products of two multiplications of f32 on Zen 4 and 5, and 0.57 of them on Sapphire Rapids and later, where
  /// tiles are for such products: those have `avx512_fp16`.
  public static func native(_ features: Set<String>) -> Target {
    let useful = features.contains("avx512_fp16") ? features.subtracting(["avx512_bf16"]) : features
    return all.first { $0.requiredFeatures.allSatisfy(useful.contains) } ?? all.last!
  }

  /// - Throws: `Failure` of kind `usage` listing the targets there are.
  public static func named(_ name: String) throws -> Target {
    guard let target = all.first(where: { $0.name == name }) else {
      throw Failure(.usage, "no target \"\(name)\"; there are \(all.map(\.name).joined(separator: ", ")), native")
    }
    return target
  }
}

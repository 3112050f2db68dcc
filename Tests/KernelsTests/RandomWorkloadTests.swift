import Foundation
import KernelTesting
import Testing

/// Random workloads of every family against its reference, with native code and by the interpreter.
/// `tools/test-kernels` runs many; here a few fixed ones, so that two runs say the same.
@Suite struct RandomWorkloadTests {
  private static func number(_ name: String) -> UInt64? {
    ProcessInfo.processInfo.environment[name].flatMap(UInt64.init)
  }
  private static let count = number("TESSERA_KERNEL_COUNT") ?? 6
  private static let first = number("TESSERA_KERNEL_SEED") ?? 1
  private static let families: [KernelFamily] = {
    guard let named = ProcessInfo.processInfo.environment["TESSERA_KERNEL_FAMILY"] else { return KernelFamily.allCases }
    return KernelFamily.allCases.filter { $0.rawValue == named }
  }()

  @Test(arguments: families) func agrees(family: KernelFamily) {
    let start = ContinuousClock.now
    var (kernels, wrong) = (0, 0)
    for seed in Self.first..<(Self.first + Self.count) {
      let result = family.check(seed: seed)
      kernels += result.kernels
      wrong += result.mistakes.count
      let again = "tools/test-kernels --family \(family.rawValue) --seed \(seed) --count 1"
      #expect(result.mistakes.isEmpty, "\(result.mistakes.joined(separator: "\n"))\nagain: \(again)")
    }
    let seconds = Int((ContinuousClock.now - start) / .seconds(1))
    print(
      "\(family.rawValue): \(Self.count) workloads from seed \(Self.first), \(kernels) kernels, \(wrong) wrong, \(seconds) s"
    )
  }
}

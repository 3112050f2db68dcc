import KernelTesting
import Kernels
import LLVMBackend
import TensorTypes
import Testing

/// Runs every template that takes the workload, for the most demanding target that this machine runs and two that all do.
/// - Parameter knobs: settings to try, of targets with vectors of at most 256 bits; none: each template's default.
func check(
  _ kernelCase: KernelCase, seed: UInt64, targets given: [Target]? = nil, knobs: [Knobs] = [],
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let others: [Target] = [.avx2, .sse42]
  let native = knobs.isEmpty ? Target.runnable.prefix(1).filter { !others.contains($0) } : []
  let targets = given ?? native + others
  for target in targets {
    let templates = kernelCase.templates(on: target.machine)
    #expect(!templates.isEmpty, "a template for \(kernelCase.workload)", sourceLocation: sourceLocation)
    for template in templates {
      let settings = knobs.isEmpty ? [template.defaultKnobs(for: kernelCase.workload, on: target.machine)] : knobs
      for setting in settings {
        let mistakes = try kernelCase.mistakes(of: template, knobs: setting, on: target)
        let label = "\(template.name) \(setting.values) \(target.name) sizes \(kernelCase.sizes) seed \(seed)"
        #expect(mistakes.isEmpty, "\(label): \(mistakes.joined(separator: "; "))", sourceLocation: sourceLocation)
      }
    }
  }
  for template in kernelCase.templates(on: Target.avx512.machine) {
    try kernelCase.record(template, knobs: knobs.first)
  }
}

/// The same for a workload that is built where it is tested.
func check(
  _ workload: Workload, sizes: [String: Int] = [:], inputs: [Sample], seed: UInt64, knobs: [Knobs] = [],
  extras: [([Int]) -> Expected] = [], expected: @escaping ([Int]) -> Expected
) throws {
  let kernelCase = KernelCase(workload, sizes: sizes, inputs: inputs, extras: extras, expected: expected)
  try check(kernelCase, seed: seed, knobs: knobs)
}

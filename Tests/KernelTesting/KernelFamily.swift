import Kernels
import LLVMBackend
import TensorTypes
import TesseraRuntime
import TileIR

extension Target {
  /// Those that this machine runs, most demanding first.
  public static let runnable = all.filter { $0.requiredFeatures.allSatisfy(CPU.features.contains) }
}

/// Kinds of workloads that random ones are drawn of, at the edges of tiles. One table for tests and tuner.
public enum KernelFamily: String, CaseIterable, Sendable {
  case matmul
  case skinnyMatmul = "skinny-matmul"
  case thinMatmul = "thin-matmul"
  case integerMatmul = "integer-matmul"
  case plainMatmul = "plain-matmul"
  case narrowMatmul = "narrow-matmul"
  case convolution, winograd, depthwise
  case rowConvolution = "row-convolution"
  case integerConvolution = "integer-convolution"
  case fewOutputs = "few-outputs"
  case attention
  case decodeAttention = "decode-attention"
  case normalization, reduction, elementwise, copy, pad, pool, resize, gather, scatter, scan, sort
  case gatherSum = "gather-sum"
  case argReduce = "arg-reduce"
  case recurrent
  case nonZero = "non-zero"
  case random

  /// A random workload with operands and what belongs in its outputs; more than one where a tensor's size is found by
  /// one kernel and its elements by another.
  public func draw(_ g: inout SeededGenerator) -> [KernelCase] {
    switch self {
    case .matmul: [MatmulCase.random(.general, &g).kernelCase(&g)]
    case .skinnyMatmul: [MatmulCase.random(.skinny, &g).kernelCase(&g)]
    case .thinMatmul: [MatmulCase.random(.thin, &g).kernelCase(&g)]
    case .integerMatmul: [IntegerMatmulCase.random(&g).kernelCase(&g)]
    case .plainMatmul: [PlainMatmulCase.random(&g).kernelCase(&g)]
    case .narrowMatmul: [NarrowMatmulCase.random(&g).kernelCase(&g)]
    case .convolution: [ConvolutionCase.random(.general, &g).kernelCase(&g)]
    case .integerConvolution: [ConvolutionCase.random(.integer, &g).kernelCase(&g)]
    case .winograd: [ConvolutionCase.random(.winograd, &g).kernelCase(&g)]
    case .depthwise: [ConvolutionCase.random(.depthwise, &g).kernelCase(&g)]
    case .rowConvolution: [ConvolutionCase.random(.rows, &g).kernelCase(&g)]
    case .fewOutputs: [ConvolutionCase.random(.fewOutputs, &g).kernelCase(&g)]
    case .attention: [AttentionCase.random(decode: false, &g).kernelCase(&g)]
    case .decodeAttention: [AttentionCase.random(decode: true, &g).kernelCase(&g)]
    case .normalization: [NormalizationCase.random(&g).kernelCase(&g)]
    case .reduction: [ReductionCase.random(&g).kernelCase(&g)]
    case .elementwise: [ElementwiseCase.random(&g).kernelCase(&g)]
    case .copy: [CopyCase.random(&g).kernelCase(&g)]
    case .pad: [PadCase.random(&g).kernelCase(&g)]
    case .pool: [PoolCase.random(&g).kernelCase(&g)]
    case .resize: [ResizeCase.random(&g).kernelCase(&g)]
    case .gather: [GatherCase.random(&g).kernelCase(&g)]
    case .gatherSum: [GatherSumCase.random(&g).kernelCase(&g)]
    case .scatter: [ScatterCase.random(&g).kernelCase(&g)]
    case .scan: [ScanCase.random(&g).kernelCase(&g)]
    case .sort: [SortCase.random(&g).kernelCase(&g)]
    case .argReduce: [ArgReduceCase.random(&g).kernelCase(&g)]
    case .recurrent: [RecurrentCase.random(&g).kernelCase(&g)]
    case .nonZero: NonZeroCase.random(&g).kernelCases(&g)
    case .random: [RandomCase.random(&g).kernelCase()]
    }
  }

  /// Draws a workload from `seed` and runs every template that takes it, for one target, with default or random knobs.
  /// - Returns: what was wrong, and how many kernels were run.
  public func check(seed: UInt64) -> (mistakes: [String], kernels: Int) {
    var g = SeededGenerator(seed: seed)
    var (mistakes, kernels) = ([String](), 0)
    for kernelCase in draw(&g) {
      var target = Target.runnable[g.size(0...Target.runnable.count - 1)]
      // Small results are then stored past the caches, as only large ones are otherwise.
      if seed.isMultiple(of: 2) { target.machine.cacheBytes[2] = 0 }
      let templates = kernelCase.templates(on: target.machine)
      if templates.isEmpty { mistakes.append("no template for \(kernelCase.workload)") }
      for template in templates {
        let knobs = drawnKnobs(template, for: kernelCase.workload, on: target.machine, &g)
        kernels += 1
        let label = "\(template.name) \(knobs.values) \(target.name) sizes \(kernelCase.sizes)"
        do {
          let found = try kernelCase.mistakes(of: template, knobs: knobs, on: target)
          if !found.isEmpty { mistakes.append("\(label): \(found.joined(separator: "; "))\n\(kernelCase.workload)") }
        } catch { mistakes.append("\(label): \(error)\n\(kernelCase.workload)") }
      }
    }
    return (mistakes, kernels)
  }
}

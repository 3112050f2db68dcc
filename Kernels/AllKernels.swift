/// Every template there is: what planning chooses from, tests check, benchmarks time and the tuner tunes.
public let allKernels: [any KernelTemplate] = [
  PackedMatmul(),
  Depthwise(),
  ImplicitGEMM(),
  Winograd(),
  Generate(),
  Elementwise(),
  Copy(),
  Pad(),
  NormalizeRows(),
  NormalizeAcross(),
  ReduceRows(),
  ReduceAcross(),
  FlashAttention(),
  Pool(),
  Gather(),
  Resize(),
]
